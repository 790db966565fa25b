/* Compiles patterns of words once and finds them in texts. */
#include "model/phrase.h"

#include <assert.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

#define TOKEN_MAX 12
#define BUCKETS 1024

struct choice {
    const char *text; /* in the pattern, not terminated */
    size_t len;
    bool prefix;
};

struct token {
    struct choice *choices; /* NULL: a gap */
    size_t choice_count;
    uint32_t
        firsts; /* a bit for the first byte of each choice, modulo 32: most words are turned away by it */
    size_t gap;
    bool optional;
};

struct phrase {
    const struct phrase_rule *rule;
    struct token tokens[TOKEN_MAX];
    size_t token_count;
};

/* A phrase and one of the words it may begin with. */
struct opening {
    const struct phrase *phrase;
    const struct choice *choice;
};

struct bucket {
    struct opening *openings; /* in the order of the phrases */
    size_t count;
};

struct phrase_table {
    struct arena *arena;
    struct phrase *phrases;
    size_t count;
    struct bucket buckets[BUCKETS]; /* by the first two bytes of a word */
};

static uint32_t first_bit(char first)
{
    return UINT32_C(1) << ((unsigned char)first % 32);
}

static void compile_token(struct arena *arena, const char *text, size_t len, struct token *token)
{
    if (text[0] == '~') {
        assert(len == 2 && text[1] >= '1' && text[1] <= '9');
        token->gap = (size_t)(text[1] - '0');
        return;
    }
    token->optional = text[len - 1] == '?';
    len -= token->optional;
    size_t count = 1;
    for (size_t i = 0; i < len; i++) {
        count += text[i] == '|';
    }
    token->choices = arena_array(arena, count, sizeof *token->choices);
    for (size_t at = 0; at <= len;) {
        const char *bar = memchr(text + at, '|', len - at);
        size_t end = bar != NULL ? (size_t)(bar - text) : len;
        struct choice *choice = &token->choices[token->choice_count++];
        assert(end > at);
        choice->prefix = text[end - 1] == '*';
        choice->text = text + at;
        choice->len = end - at - choice->prefix;
        token->firsts |= first_bit(choice->text[0]);
        at = end + 1;
    }
}

static void compile_phrase(struct arena *arena, const struct phrase_rule *rule, struct phrase *phrase)
{
    phrase->rule = rule;
    for (const char *p = rule->pattern; *p != 0;) {
        size_t len = strcspn(p, " ");
        assert(len > 0 && phrase->token_count < TOKEN_MAX);
        compile_token(arena, p, len, &phrase->tokens[phrase->token_count++]);
        p += len + (p[len] == ' ');
    }
    assert(phrase->token_count > 0 && phrase->tokens[0].choices != NULL && !phrase->tokens[0].optional);
}

static size_t bucket_of(char first, char second)
{
    return ((unsigned char)first * 32u + (unsigned char)second) % BUCKETS;
}

/* Adds the phrase to every bucket that a word of its first token may fall into; `place`: there is room, else
 * they are only counted. */
static void add_openings(struct phrase_table *table, const struct phrase *phrase, bool place)
{
    const struct token *first = &phrase->tokens[0];
    for (size_t c = 0; c < first->choice_count; c++) {
        const struct choice *choice = &first->choices[c];
        bool any = choice->len == 1 && choice->prefix;
        unsigned char second = choice->len > 1 ? (unsigned char)choice->text[1] : 0;
        for (int byte = any ? 0 : second; byte <= (any ? UCHAR_MAX : second); byte++) {
            struct bucket *bucket = &table->buckets[bucket_of(choice->text[0], (char)byte)];
            if (place) {
                bucket->openings[bucket->count] = (struct opening){phrase, choice};
            }
            bucket->count++;
        }
    }
}

/* Two passes: sizes, then entries. */
static void fill_buckets(struct phrase_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        add_openings(table, &table->phrases[i], false);
    }
    for (size_t b = 0; b < BUCKETS; b++) {
        struct bucket *bucket = &table->buckets[b];
        bucket->openings = arena_array(table->arena, bucket->count, sizeof *bucket->openings);
        bucket->count = 0;
    }
    for (size_t i = 0; i < table->count; i++) {
        add_openings(table, &table->phrases[i], true);
    }
}

struct phrase_table *phrase_table_new(const struct phrase_rule *rules, size_t count)
{
    struct arena *arena = arena_new(0);
    struct phrase_table *table = ARENA_NEW(arena, struct phrase_table);
    table->arena = arena;
    table->count = count;
    table->phrases = arena_array(arena, count, sizeof *table->phrases);
    for (size_t i = 0; i < count; i++) {
        compile_phrase(arena, &rules[i], &table->phrases[i]);
    }
    fill_buckets(table);
    return table;
}

void phrase_table_free(struct phrase_table *table)
{
    if (table != NULL) {
        arena_free(table->arena);
    }
}

static bool choice_matches(const struct choice *choice, const char *word)
{
    size_t same = 0;
    while (same < choice->len && word[same] == choice->text[same]) {
        same++;
    }
    return same == choice->len && (choice->prefix || word[same] == 0);
}

static bool token_matches(const struct token *token, const char *word)
{
    bool matches = false;
    for (size_t i = 0; (token->firsts & first_bit(word[0])) != 0 && i < token->choice_count && !matches;
         i++) {
        matches = choice_matches(&token->choices[i], word);
    }
    return matches;
}

/* Matches the tokens from `t` on at the words from `w` on; the end (one past) through `end`. */
static bool match_from(
    const struct phrase *phrase, size_t t, const struct text_word *words, size_t w, size_t count, size_t *end)
{
    if (t == phrase->token_count) {
        *end = w;
        return true;
    }
    const struct token *token = &phrase->tokens[t];
    if (token->choices == NULL) {
        for (size_t skip = 0; skip <= token->gap && w + skip <= count; skip++) {
            if (match_from(phrase, t + 1, words, w + skip, count, end)) {
                return true;
            }
        }
        return false;
    }
    if (w < count && token_matches(token, words[w].plain) &&
        match_from(phrase, t + 1, words, w + 1, count, end)) {
        return true;
    }
    return token->optional && match_from(phrase, t + 1, words, w, count, end);
}

/* Whether an earlier hit of the phrase's rule reaches word `w`. */
static bool is_taken(const struct phrase_hit *hits, size_t count, const struct phrase_rule *rule, size_t w)
{
    for (size_t i = count; i > 0; i--) {
        if (hits[i - 1].rule == rule) {
            return hits[i - 1].last >= w;
        }
    }
    return false;
}

static struct phrase_hit *grow(
    struct arena *arena, const struct phrase_hit *hits, size_t count, size_t *capacity)
{
    *capacity = *capacity > 0 ? *capacity * 2 : 4;
    struct phrase_hit *more = arena_array(arena, *capacity, sizeof *more);
    if (count > 0) {
        memcpy(more, hits, count * sizeof *more);
    }
    return more;
}

struct phrase_hit *phrase_find(const struct phrase_table *table, struct arena *arena,
    const struct text_word *words, size_t word_count, size_t max, size_t *count)
{
    struct phrase_hit *hits = NULL;
    size_t capacity = 0;
    *count = 0;
    for (size_t w = 0; w < word_count && *count < max; w++) {
        const char *word = words[w].plain;
        const struct bucket *bucket = &table->buckets[bucket_of(word[0], word[0] != 0 ? word[1] : '\0')];
        for (size_t i = 0; i < bucket->count && *count < max; i++) {
            const struct opening *opening = &bucket->openings[i];
            const struct phrase *phrase = opening->phrase;
            size_t end;
            if (!choice_matches(opening->choice, word) || is_taken(hits, *count, phrase->rule, w) ||
                !match_from(phrase, 1, words, w + 1, word_count, &end)) {
                continue;
            }
            if (*count == capacity) {
                hits = grow(arena, hits, *count, &capacity);
            }
            hits[(*count)++] = (struct phrase_hit){phrase->rule, w, end - 1};
        }
    }
    return hits;
}
