/* Postings of words, in the order in which passages came. What is removed stays in them until there is more
 * of it than of what is left; then all are gone through once. */
#include "kb/word_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/alloc.h"
#include "kb/tsvector.h"

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

#define CONFIGS_MAX 32
#define CONFIG_SIZE 64
#define SPARE_REMOVED 1024 /* passages that may always be */
#define FIRST_POSTINGS 2
#define FIRST_PASSAGES 64
#define LOOK_STEPS 16 /* postings that are gone through in the time that one is looked for */

#define B 0.75
static const uint32_t tf_of_weight[4] = {1, 1, 3, 5}; /* D, C, B: a heading, A: a title */

struct posting {
    uint32_t passage;
    uint32_t tf;
};

struct word {
    UT_hash_handle hh;
    struct posting *postings;
    uint32_t count, capacity;
    size_t key_len;
    char key[]; /* number of the configuration, lexeme */
};

struct document {
    UT_hash_handle hh;
    uint32_t first, count; /* its passages */
    char *locale;
    int64_t expires_ms;
    const char *object_key;
    size_t key_len;
    char key[]; /* source and object key, both terminated */
};

struct passage {
    struct document *document; /* NULL: removed */
    uint32_t ordinal;
    uint32_t words; /* different ones */
    uint8_t config;
};

struct config {
    char name[CONFIG_SIZE];
    int64_t texts, words; /* of its passages, the sum of different words */
};

/* What a search has found of a passage. */
struct gathered {
    uint64_t matched; /* bit per term; 0: not touched */
    double density;
};

struct word_index {
    struct word *words;
    struct document *documents;
    struct document *last;
    struct config configs[CONFIGS_MAX];
    size_t config_count;
    struct passage *passages;
    struct gathered *gathered; /* by passage, of a search under way; else all are 0 */
    uint32_t count, capacity, removed;
    size_t bytes; /* but for `passages` and `gathered` */
};

struct word_index *word_index_new(void)
{
    return xcalloc(1, sizeof(struct word_index));
}

static size_t word_bytes(const struct word *word)
{
    return sizeof(*word) + word->key_len + word->capacity * sizeof(*word->postings);
}

static size_t document_bytes(const struct document *document)
{
    return sizeof(*document) + document->key_len + strlen(document->locale) + 1;
}

static void word_free(struct word_index *index, struct word *word)
{
    index->bytes -= word_bytes(word);
    HASH_DEL(index->words, word);
    free(word->postings);
    free(word);
}

static void document_free(struct word_index *index, struct document *document)
{
    index->bytes -= document_bytes(document);
    HASH_DEL(index->documents, document);
    free(document->locale);
    free(document);
}

void word_index_free(struct word_index *index)
{
    if (!index) {
        return;
    }
    struct word *word = index->words;
    HASH_CLEAR(hh, index->words);
    for (struct word *next; word; word = next) {
        next = word->hh.next;
        free(word->postings);
        free(word);
    }
    struct document *document = index->documents;
    HASH_CLEAR(hh, index->documents);
    for (struct document *next; document; document = next) {
        next = document->hh.next;
        free(document->locale);
        free(document);
    }
    free(index->passages);
    free(index->gathered);
    free(index);
}

size_t word_index_passages(const struct word_index *index)
{
    return index->count - index->removed;
}

size_t word_index_bytes(const struct word_index *index)
{
    return index->bytes + index->capacity * (sizeof(*index->passages) + sizeof(*index->gathered));
}

/* ---- what is removed ---- */

/* Postings of passages that are left, under their new numbers. */
static void keep_postings(struct word_index *index, struct word *word, const uint32_t *numbers)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < word->count; i++) {
        struct posting posting = word->postings[i];
        if (index->passages[posting.passage].document) {
            posting.passage = numbers[posting.passage];
            word->postings[kept++] = posting;
        }
    }
    word->count = kept;
}

static void compact(struct word_index *index)
{
    uint32_t *numbers = xcalloc(index->count, sizeof(*numbers)), kept = 0;
    for (uint32_t i = 0; i < index->count; i++) {
        numbers[i] = kept;
        kept += index->passages[i].document != NULL;
    }
    struct word *word, *next;
    HASH_ITER(hh, index->words, word, next)
    {
        keep_postings(index, word, numbers);
        if (word->count == 0) {
            word_free(index, word);
        }
    }
    for (struct document *document = index->documents; document; document = document->hh.next) {
        document->first = document->count > 0 ? numbers[document->first] : kept;
    }
    for (uint32_t i = 0; i < index->count; i++) {
        if (index->passages[i].document) {
            index->passages[numbers[i]] = index->passages[i];
        }
    }
    index->count = kept;
    index->removed = 0;
    free(numbers);
}

static void remove_passages(struct word_index *index, struct document *document)
{
    for (uint32_t i = 0; i < document->count; i++) {
        struct passage *passage = &index->passages[document->first + i];
        struct config *config = &index->configs[passage->config];
        config->texts--;
        config->words -= passage->words;
        passage->document = NULL;
    }
    index->removed += document->count;
    document->count = 0;
}

/* ---- documents ---- */

/* The key of a document, in `arena`. */
static char *key_of(struct arena *arena, const char *source, const char *object_key, size_t *len)
{
    size_t source_size = strlen(source) + 1, key_size = strlen(object_key) + 1;
    char *key = arena_array(arena, source_size + key_size, 1);
    memcpy(key, source, source_size);
    memcpy(key + source_size, object_key, key_size);
    *len = source_size + key_size;
    return key;
}

static struct document *find_document(struct word_index *index, const char *key, size_t len)
{
    struct document *document;
    HASH_FIND(hh, index->documents, key, len, document);
    return document;
}

void word_index_remove(struct word_index *index, const char *source, const char *object_key)
{
    struct arena *arena = arena_new(0);
    size_t len;
    const char *key = key_of(arena, source, object_key, &len);
    struct document *document = find_document(index, key, len);
    if (document) {
        remove_passages(index, document);
        document_free(index, document);
        index->last = NULL;
    }
    arena_free(arena);
    if (index->removed > SPARE_REMOVED && index->removed > index->count / 2) {
        compact(index);
    }
}

void word_index_put(struct word_index *index, const struct word_document *put)
{
    word_index_remove(index, put->source, put->key);
    struct arena *arena = arena_new(0);
    size_t len;
    const char *key = key_of(arena, put->source, put->key, &len);
    struct document *document = xcalloc(1, sizeof(*document) + len);
    memcpy(document->key, key, len);
    arena_free(arena);
    document->key_len = len;
    document->object_key = document->key + strlen(document->key) + 1;
    document->locale = xstrdup(put->locale);
    document->expires_ms = put->expires_ms;
    document->first = index->count;
    HASH_ADD(hh, index->documents, key, len, document);
    index->bytes += document_bytes(document);
    index->last = document;
}

/* ---- passages ---- */

static int config_number(const struct word_index *index, const char *name)
{
    for (size_t i = 0; i < index->config_count; i++) {
        if (!strcmp(index->configs[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

static int config_of(struct word_index *index, const char *name)
{
    int number = config_number(index, name);
    if (number >= 0 || index->config_count == CONFIGS_MAX || strlen(name) >= CONFIG_SIZE) {
        return number;
    }
    snprintf(index->configs[index->config_count].name, CONFIG_SIZE, "%s", name);
    return (int)index->config_count++;
}

static size_t word_key(char *key, int config, const char *lexeme, size_t len)
{
    key[0] = (char)config;
    memcpy(key + 1, lexeme, len);
    return len + 1;
}

static struct word *find_word(struct word_index *index, const char *key, size_t len)
{
    struct word *word;
    HASH_FIND(hh, index->words, key, len, word);
    return word;
}

static struct word *word_of(struct word_index *index, int config, const struct tsvector_lexeme *lexeme)
{
    char key[1 + TSVECTOR_LEXEME_SIZE];
    size_t len = word_key(key, config, lexeme->text, lexeme->len);
    struct word *word = find_word(index, key, len);
    if (!word) {
        word = xcalloc(1, sizeof(*word) + len);
        memcpy(word->key, key, len);
        word->key_len = len;
        HASH_ADD(hh, index->words, key, len, word);
        index->bytes += word_bytes(word);
    }
    return word;
}

static void add_posting(struct word_index *index, struct word *word, uint32_t tf)
{
    if (word->count == word->capacity) {
        index->bytes -= word_bytes(word);
        word->capacity = word->capacity ? word->capacity * 2 : FIRST_POSTINGS;
        word->postings = xrealloc(word->postings, word->capacity * sizeof(*word->postings));
        index->bytes += word_bytes(word);
    }
    word->postings[word->count++] = (struct posting){.passage = index->count, .tf = tf};
}

static void make_room(struct word_index *index)
{
    if (index->count < index->capacity) {
        return;
    }
    uint32_t capacity = index->capacity ? index->capacity * 2 : FIRST_PASSAGES;
    index->passages = xrealloc(index->passages, capacity * sizeof(*index->passages));
    index->gathered = xrealloc(index->gathered, capacity * sizeof(*index->gathered));
    memset(index->gathered + index->capacity, 0, (capacity - index->capacity) * sizeof(*index->gathered));
    index->capacity = capacity;
}

static bool is_whole(const char *tsvector, uint32_t *words)
{
    struct tsvector_lexeme lexeme;
    enum tsvector_read read;
    *words = 0;
    while ((read = tsvector_next(&tsvector, &lexeme)) == TSVECTOR_LEXEME) {
        ++*words;
    }
    return read == TSVECTOR_END;
}

bool word_index_add(struct word_index *index, uint32_t ordinal, const char *config_name, const char *tsvector)
{
    struct document *document = index->last;
    int config = config_of(index, config_name);
    uint32_t words;
    if (!document || config < 0 || !is_whole(tsvector, &words)) {
        return false;
    }
    make_room(index);
    struct tsvector_lexeme lexeme;
    while (tsvector_next(&tsvector, &lexeme) == TSVECTOR_LEXEME) {
        uint32_t tf = 0;
        for (size_t i = 0; i < 4; i++) {
            tf += tf_of_weight[i] * lexeme.positions[i];
        }
        add_posting(index, word_of(index, config, &lexeme), tf);
    }
    index->configs[config].texts++;
    index->configs[config].words += words;
    index->passages[index->count++] =
        (struct passage){.document = document, .ordinal = ordinal, .words = words, .config = (uint8_t)config};
    document->count++;
    return true;
}

/* ---- the search ---- */

/* The sought terms of one configuration. */
struct sought {
    const struct kb_terms *terms;
    double scale;     /* makes weights shares of what the best imaginable text would score */
    double per_word;  /* what a word of a text counts for its length */
    struct word **of; /* of each term; NULL: no passage has it */
};

struct finding {
    struct word_index *index;
    struct arena *arena;
    const struct word_query *query;
    struct sought by_config[CONFIGS_MAX];
    uint32_t *touched; /* passages that have a sought term */
    size_t touched_count;
    uint32_t *best; /* of these the densest first */
    size_t best_count, max;
};

static void look_up(struct finding *finding, const struct kb_terms *terms, int number)
{
    const struct config *config = &finding->index->configs[number];
    struct sought *sought = &finding->by_config[number];
    sought->terms = terms;
    double best = kb_terms_best(terms);
    sought->scale = best > 0 ? 1 / best : 0;
    sought->per_word = B * (double)config->texts / (double)(config->words > 0 ? config->words : 1);
    sought->of = arena_array(finding->arena, terms->count, sizeof(struct word *));
    for (size_t i = 0; i < terms->count; i++) {
        char key[1 + TSVECTOR_LEXEME_SIZE];
        size_t len = strlen(terms->items[i].lexeme);
        if (terms->items[i].texts > 0 && len < TSVECTOR_LEXEME_SIZE) {
            len = word_key(key, number, terms->items[i].lexeme, len);
            sought->of[i] = find_word(finding->index, key, len);
        }
    }
}

/* Returns how many passages may be touched. */
static size_t look_up_all(struct finding *finding)
{
    size_t most = 0;
    for (size_t g = 0; g < finding->query->group_count; g++) {
        const struct kb_terms *terms = &finding->query->groups[g];
        int number = config_number(finding->index, terms->config);
        if (number < 0 || strcmp(terms->corpus, finding->query->corpus) != 0) {
            continue;
        }
        look_up(finding, terms, number);
        for (size_t i = 0; i < terms->count; i++) {
            const struct word *word = finding->by_config[number].of[i];
            most += word && terms->items[i].sought ? word->count : 0;
        }
    }
    return most;
}

/* What term `i` counts for in a passage that has it. */
static void gather(
    struct finding *finding, const struct sought *sought, size_t i, const struct posting *posting)
{
    struct gathered *gathered = &finding->index->gathered[posting->passage];
    double words = finding->index->passages[posting->passage].words, tf = posting->tf;
    double length = TERMS_K1 * (1 - B + words * sought->per_word);
    gathered->matched |= UINT64_C(1) << i;
    gathered->density += sought->terms->items[i].weight * sought->scale * tf * (TERMS_K1 + 1) / (tf + length);
}

static void gather_sought(struct finding *finding, const struct sought *sought, size_t i)
{
    struct word_index *index = finding->index;
    const struct word *word = sought->of[i];
    for (uint32_t p = 0; p < word->count; p++) {
        uint32_t passage = word->postings[p].passage;
        if (!index->passages[passage].document) {
            continue;
        }
        if (index->gathered[passage].matched == 0) {
            finding->touched[finding->touched_count++] = passage;
        }
        gather(finding, sought, i, &word->postings[p]);
    }
}

static const struct posting *posting_of(const struct word *word, uint32_t passage)
{
    uint32_t low = 0, high = word->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (word->postings[middle].passage < passage) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < word->count && word->postings[low].passage == passage ? &word->postings[low] : NULL;
}

/* A term that nothing is sought by, in passages that were found by others: by going through all its passages,
 * or by looking for each. */
static void gather_rest(struct finding *finding, const struct sought *sought, size_t i)
{
    const struct word *word = sought->of[i];
    if (word->count / LOOK_STEPS < finding->touched_count) {
        for (uint32_t p = 0; p < word->count; p++) {
            if (finding->index->gathered[word->postings[p].passage].matched != 0) {
                gather(finding, sought, i, &word->postings[p]);
            }
        }
        return;
    }
    for (size_t t = 0; t < finding->touched_count; t++) {
        const struct posting *posting = posting_of(word, finding->touched[t]);
        if (posting) {
            gather(finding, sought, i, posting);
        }
    }
}

static void gather_all(struct finding *finding, bool by_sought)
{
    for (size_t c = 0; c < finding->index->config_count; c++) {
        const struct sought *sought = &finding->by_config[c];
        for (size_t i = 0; sought->terms && i < sought->terms->count; i++) {
            if (!sought->of[i] || sought->terms->items[i].sought != by_sought) {
                continue;
            }
            if (by_sought) {
                gather_sought(finding, sought, i);
            } else {
                gather_rest(finding, sought, i);
            }
        }
    }
}

/* ---- the best ---- */

/* Whether two tags name the same language (BCP 47, or with underscores). */
static bool same_language(const char *a, const char *b)
{
    size_t len = strcspn(a, "-_");
    return strcspn(b, "-_") == len && strncasecmp(a, b, len) == 0;
}

/* Of equal ones that which comes first in the base. */
static bool is_denser(const struct word_index *index, uint32_t a, uint32_t b)
{
    double one = index->gathered[a].density, other = index->gathered[b].density;
    if (one > other || one < other) {
        return one > other;
    }
    const struct passage *x = &index->passages[a], *y = &index->passages[b];
    int order = strcmp(x->document->key, y->document->key);
    order = order ? order : strcmp(x->document->object_key, y->document->object_key);
    return order ? order < 0 : x->ordinal < y->ordinal;
}

/* Puts the passage where it belongs among the best, if it does. */
static void insert(struct finding *finding, uint32_t passage)
{
    size_t at = finding->best_count;
    while (at > 0 && is_denser(finding->index, passage, finding->best[at - 1])) {
        at--;
    }
    if (at == finding->max) {
        return;
    }
    finding->best_count += finding->best_count < finding->max;
    memmove(
        &finding->best[at + 1], &finding->best[at], (finding->best_count - at - 1) * sizeof(*finding->best));
    finding->best[at] = passage;
}

static void choose(struct finding *finding)
{
    const struct word_query *query = finding->query;
    for (size_t i = 0; i < finding->touched_count; i++) {
        uint32_t passage = finding->touched[i];
        const struct document *document = finding->index->passages[passage].document;
        if (!same_language(document->locale, query->locale)) {
            finding->index->gathered[passage].density *= WORD_OTHER_LANGUAGE;
        }
        if (document->expires_ms == 0 || document->expires_ms > query->now_ms) {
            insert(finding, passage);
        }
    }
}

static struct word_hit hit_of(const struct finding *finding, uint32_t number)
{
    const struct passage *passage = &finding->index->passages[number];
    const struct gathered *gathered = &finding->index->gathered[number];
    return (struct word_hit){.source = passage->document->key,
        .key = passage->document->object_key,
        .ordinal = passage->ordinal,
        .terms = finding->by_config[passage->config].terms,
        .matched = gathered->matched,
        .density = gathered->density};
}

size_t word_index_find(struct word_index *index, struct arena *arena, const struct word_query *query,
    size_t max, struct word_hit **hits)
{
    struct finding finding = {.index = index, .arena = arena, .query = query, .max = max};
    finding.touched = arena_array(arena, look_up_all(&finding) + 1, sizeof(*finding.touched));
    finding.best = arena_array(arena, max + 1, sizeof(*finding.best));
    gather_all(&finding, true);
    gather_all(&finding, false);
    choose(&finding);
    *hits = arena_array(arena, finding.best_count + 1, sizeof(**hits));
    for (size_t i = 0; i < finding.best_count; i++) {
        (*hits)[i] = hit_of(&finding, finding.best[i]);
    }
    for (size_t i = 0; i < finding.touched_count; i++) {
        index->gathered[finding.touched[i]] = (struct gathered){0};
    }
    return finding.best_count;
}
