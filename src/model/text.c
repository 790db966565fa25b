/* Words, stems and sentences for comparing texts without a language model. */
#include "model/text.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include "base/utf8.h"

#define STOP_WORD_MAX 7 /* letters of the longest */

/* English and German together, because a ticket often mixes them. */
static const char *const stop_words[] = {"a", "aber", "about", "after", "again", "all", "alle", "als", "also",
    "am", "an", "and", "any", "are", "as", "at", "auch", "auf", "aus", "be", "because", "been", "bei",
    "being", "bin", "bis", "but", "by", "can", "could", "da", "danke", "dann", "das", "dass", "dear", "dein",
    "dem", "den", "der", "des", "did", "die", "dies", "diese", "diesem", "diesen", "dieser", "dieses", "do",
    "does", "doing", "don", "du", "durch", "ein", "eine", "einem", "einen", "einer", "eines", "er", "es",
    "euch", "for", "from", "fur", "get", "gibt", "habe", "haben", "had", "hallo", "has", "hat", "have", "he",
    "hello", "her", "here", "hi", "him", "his", "how", "i", "ich", "if", "ihm", "ihn", "ihnen", "ihr", "ihre",
    "ihrem", "ihren", "ihrer", "im", "in", "into", "is", "ist", "it", "its", "ja", "jetzt", "just", "kann",
    "kein", "keine", "know", "konnen", "konnte", "let", "ll", "m", "man", "me", "mehr", "mein", "meine",
    "meinem", "meinen", "meiner", "mich", "mir", "mit", "more", "muss", "my", "nach", "need", "nicht", "no",
    "noch", "not", "now", "nun", "nur", "ob", "oder", "of", "off", "on", "or", "our", "out", "please", "re",
    "s", "schon", "sehr", "sein", "seit", "she", "should", "sich", "sie", "sind", "so", "some", "t", "than",
    "thank", "thanks", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those",
    "to", "too", "um", "und", "uns", "unser", "unsere", "up", "us", "ve", "very", "vom", "von", "vor", "want",
    "war", "was", "we", "weil", "wenn", "werden", "were", "what", "when", "where", "which", "who", "why",
    "wie", "will", "wir", "wird", "with", "wo", "would", "you", "your", "zu", "zum", "zur"};

#define STOP_SLOTS                                                                                           \
    1024 /* a power of two, far more than there are words: most of what is no stop word meets none */

static pthread_once_t stop_once = PTHREAD_ONCE_INIT;
static uint64_t stop_slots[STOP_SLOTS]; /* open addressing; 0: free */

/* All letters of a word as one number. */
static uint64_t packed(const char *word, size_t len)
{
    uint64_t letters = 0;
    for (size_t i = 0; i < len; i++) {
        letters = letters << 8 | (unsigned char)word[i];
    }
    return letters;
}

static size_t stop_slot(uint64_t letters)
{
    size_t slot = letters * UINT64_C(0x9E3779B97F4A7C15) >> 54;
    while (stop_slots[slot] != 0 && stop_slots[slot] != letters) {
        slot = (slot + 1) % STOP_SLOTS;
    }
    return slot;
}

static void fill_stop_slots(void)
{
    for (size_t i = 0; i < sizeof stop_words / sizeof stop_words[0]; i++) {
        uint64_t letters = packed(stop_words[i], strlen(stop_words[i]));
        stop_slots[stop_slot(letters)] = letters;
    }
}

/* Once the slots are filled. */
static bool is_stop_word(const char *plain, size_t len)
{
    if (len > STOP_WORD_MAX) {
        return false;
    }
    uint64_t letters = packed(plain, len);
    return letters != 0 && stop_slots[stop_slot(letters)] == letters;
}

/* The base letter of U+00C0..U+017F, lower case; 0 where there is none (a letter of its own, a sign). */
static char base_letter(unsigned code)
{
    static const char latin1[] = "aaaaaa\0ceeeeiiii\0nooooo\0ouuuuy\0\0aaaaaa\0ceeeeiiii\0nooooo\0ouuuuy\0y";
    static const char extended[] = "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii\0\0jjkkkllllllllllnnnn"
                                   "nnnnnoooooo\0\0rrrrrrssssssss"
                                   "ttttttuuuuuuuuuuuuwwyyyzzzzzzs";
    _Static_assert(sizeof latin1 == 65 && sizeof extended == 129, "a letter for every code");
    if (code >= 0xC0 && code <= 0xFF) {
        return latin1[code - 0xC0];
    }
    return code >= 0x100 && code <= 0x17F ? extended[code - 0x100] : 0;
}

char *text_plain(struct arena *arena, const char *folded)
{
    char *out = arena_strdup(arena, folded);
    size_t len = 0;
    for (const unsigned char *p = (const unsigned char *)folded; *p != 0;) {
        char base = 0;
        if (*p >= 0xC3 && *p <= 0xC5 && p[1] != 0) {
            base = base_letter((*p & 0x1Fu) << 6 | (p[1] & 0x3Fu));
        }
        if (base != 0) {
            out[len++] = base;
            p += 2;
        } else {
            out[len++] = (char)*p++;
        }
    }
    out[len] = 0;
    return out;
}

static bool cut_ending(char *word, size_t *len, const char *ending, size_t keep)
{
    size_t n = strlen(ending);
    if (*len < n + keep || memcmp(word + *len - n, ending, n) != 0) {
        return false;
    }
    *len -= n;
    word[*len] = 0;
    return true;
}

static void cut_plural(char *word, size_t *len)
{
    if (*len < 4 || word[*len - 1] != 's' || strchr("su", word[*len - 2]) != NULL) {
        return;
    }
    if (cut_ending(word, len, "sses", 2)) {
        memcpy(word + *len, "ss", 3);
        *len += 2;
    } else if (cut_ending(word, len, "ies", 3)) {
        memcpy(word + *len, "y", 2);
        *len += 1;
    } else if (word[*len - 2] != 'i') {
        word[--*len] = 0;
    }
}

/* A light stemmer: what matters is that the forms of one word agree, not that the stem is a word. Both
 * languages' endings are cut from every word, since a word's language is not known. */
static void cut_endings(char *word, size_t len)
{
    if (len < 4 || (word[0] >= '0' && word[0] <= '9')) {
        return;
    }
    cut_plural(word, &len);
    if (cut_ending(word, &len, "ing", 4) || cut_ending(word, &len, "ed", 4)) {
        if (word[len - 1] == word[len - 2] && strchr("aeiouls", word[len - 1]) == NULL) {
            word[--len] = 0;
        }
    }
    cut_ending(word, &len, "y", 4);
    if (!cut_ending(word, &len, "en", 4) && !cut_ending(word, &len, "er", 4)) {
        cut_ending(word, &len, "em", 4);
    }
    cut_ending(word, &len, "e", 3);
}

const char *text_stem(struct arena *arena, const char *plain)
{
    size_t len = strlen(plain);
    char *stem = arena_strndup(arena, plain, len);
    cut_endings(stem, len);
    return stem;
}

static bool is_ascii(const char *text)
{
    while (*text > 0) {
        text++;
    }
    return *text == 0;
}

struct text_word *text_words(struct arena *arena, const char *text, size_t max, size_t *count)
{
    struct utf8_word *raw = utf8_words(arena, text, max, count);
    struct text_word *words = arena_array(arena, *count, sizeof *words);
    pthread_once(&stop_once, fill_stop_slots);
    char *stems = arena_alloc(arena, *count > 0 ? raw[*count - 1].end + 1 : 0); /* each in its word's place */
    for (size_t i = 0; i < *count; i++) {
        const char *plain = is_ascii(raw[i].text) ? raw[i].text : text_plain(arena, raw[i].text);
        size_t len = strlen(plain), start = raw[i].start, end = raw[i].end;
        char *stem =
            len <= end - start ? memcpy(stems + start, plain, len) : arena_strndup(arena, plain, len);
        cut_endings(stem, len);
        words[i] = (struct text_word){plain, stem, start, end, is_stop_word(plain, len)};
    }
    return words;
}

/* ---- sentences ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_known_abbreviation(const char *word)
{
    static const char *const known[] = {"approx", "bzgl", "bzw", "ca", "dr", "e.g", "etc", "evtl", "ggf",
        "i.e", "inkl", "max", "min", "mr", "mrs", "ms", "nr", "no", "prof", "st", "usw", "vgl", "vs"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(word, known[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether the full stop at `dot` belongs to an abbreviation ("e.g.", "z. B.", "Nr. 5", "J.") or a date ("3.
 * May"). */
static bool is_abbreviation(const char *text, size_t start, size_t dot)
{
    size_t from = dot;
    while (from > start && !is_space(text[from - 1]) && text[from - 1] != '(') {
        from--;
    }
    size_t len = dot - from;
    if (len == 0 || len > 6) {
        return len == 0;
    }
    bool digits = true;
    char word[8] = {0};
    for (size_t i = 0; i < len; i++) {
        char c = text[from + i];
        digits = digits && is_digit(c);
        word[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    if (digits) {
        return len <= 2;
    }
    bool number_follows = text[dot + 1] == ' ' && is_digit(text[dot + 2]);
    return len == 1 || (is_known_abbreviation(word) && (number_follows || strcmp(word, "no") != 0));
}

/* Whether the line break at `at` only wraps a sentence: the line before stops at a comma, or the next begins
 * in lower case. */
static bool is_wrap(const char *text, size_t start, size_t at)
{
    size_t before = at;
    while (before > start && is_space(text[before - 1])) {
        before--;
    }
    size_t after = at + 1;
    while (text[after] == ' ' || text[after] == '\t') {
        after++;
    }
    return before > start && ((text[after] >= 'a' && text[after] <= 'z') || text[before - 1] == ',') &&
           text[after] != '\n' && text[after] != '\r';
}

static bool is_stop(const char *text, size_t at)
{
    static const char ideographic[] = "\u3002";
    return text[at] == '.' || text[at] == '!' || text[at] == '?' || strncmp(text + at, ideographic, 3) == 0;
}

static bool ends_sentence(const char *text, size_t start, size_t at)
{
    if (text[at] == '\n') {
        return !is_wrap(text, start, at);
    }
    if (!is_stop(text, at)) {
        return false;
    }
    char next = text[at + 1];
    if ((unsigned char)text[at] >= 0x80) {
        return true;
    }
    if (next != 0 && !is_space(next) && strchr("\")'", next) == NULL) {
        return false;
    }
    return text[at] != '.' || next == 0 || next == '\n' || !is_abbreviation(text, start, at);
}

static size_t skip_space(const char *text, size_t at, size_t end)
{
    while (at < end && is_space(text[at])) {
        at++;
    }
    return at;
}

/* Past the bullet ("-", "##") or number ("12.", "3)") of a list item at `at`; `at` when there is none. */
static size_t bullet_end(const char *text, size_t at, size_t end)
{
    size_t mark = at;
    while (mark < end && mark - at < 3 && is_digit(text[mark])) {
        mark++;
    }
    if (mark > at) {
        return mark < end && (text[mark] == '.' || text[mark] == ')') ? mark + 1 : at;
    }
    while (mark < end && text[mark] == text[at] && strchr("-*#>", text[mark]) != NULL) {
        mark++;
    }
    return mark;
}

/* Past white space and the bullet or number of a list item. */
static size_t skip_bullet(const char *text, size_t at, size_t end)
{
    at = skip_space(text, at, end);
    size_t after = bullet_end(text, at, end);
    return after > at && after < end && is_space(text[after]) ? skip_space(text, after, end) : at;
}

struct text_sentence *text_sentences(struct arena *arena, const char *text, size_t max, size_t *count)
{
    static const char marks[] = ".!?\n\xE3"; /* each end has one of them; the last begins "\u3002" */
    size_t len = strlen(text);
    size_t capacity = 1;
    for (const char *p = text; (p = strpbrk(p, marks)) != NULL; p++) {
        capacity++;
    }
    capacity = capacity < max ? capacity : max;
    struct text_sentence *out = arena_array(arena, capacity, sizeof *out);
    *count = 0;
    size_t start = 0;
    for (size_t i = 0; i <= len && *count < capacity; i++) {
        i += strcspn(text + i, marks);
        if (i < len && !ends_sentence(text, start, i)) {
            continue;
        }
        size_t end = i;
        while (end < len && text[end] != '\n' && !is_space(text[end])) {
            end++; /* the stop itself and a closing quote */
        }
        size_t from = skip_bullet(text, start, end);
        size_t to = end;
        while (to > from && is_space(text[to - 1])) {
            to--;
        }
        if (to > from) {
            out[(*count)++] = (struct text_sentence){.start = from, .end = to};
        }
        start = end;
        i = end > i ? end - 1 : i;
    }
    return out;
}

/* ---- sets ---- */

struct text_set {
    const char **slots; /* open addressing, a power of two, at most half full */
    size_t mask;
    size_t count;
};

struct text_set *text_set_new(struct arena *arena, size_t capacity)
{
    size_t slots = 16;
    while (slots < capacity * 2) {
        slots *= 2;
    }
    struct text_set *set = ARENA_NEW(arena, struct text_set);
    set->slots = arena_array(arena, slots, sizeof *set->slots);
    set->mask = slots - 1;
    return set;
}

static size_t text_set_slot(const struct text_set *set, const char *word)
{
    uint64_t hash =
        14695981039346656037u; /* FNV-1a; callers bound the words, so made collisions stay cheap */
    for (const unsigned char *p = (const unsigned char *)word; *p != 0; p++) {
        hash = (hash ^ *p) * 1099511628211u;
    }
    size_t slot = hash & set->mask;
    while (set->slots[slot] != NULL && strcmp(set->slots[slot], word) != 0) {
        slot = (slot + 1) & set->mask;
    }
    return slot;
}

void text_set_add(struct text_set *set, const char *word)
{
    size_t slot = text_set_slot(set, word);
    if (set->slots[slot] == NULL && set->count * 2 <= set->mask) {
        set->slots[slot] = word;
        set->count++;
    }
}

bool text_set_has(const struct text_set *set, const char *word)
{
    return set->slots[text_set_slot(set, word)] != NULL;
}

size_t text_set_count(const struct text_set *set)
{
    return set->count;
}
