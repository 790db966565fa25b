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

struct word_index {
    struct word *words;
    struct document *documents;
    struct document *last;
    struct config configs[CONFIGS_MAX];
    size_t config_count;
    struct passage *passages;
    double *weights; /* of a search under way, by passage; else 0 */
    uint32_t count, capacity, removed;
    size_t bytes; /* but for `passages` and `weights` */
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
    free(index->weights);
    free(index);
}

size_t word_index_passages(const struct word_index *index)
{
    return index->count - index->removed;
}

size_t word_index_bytes(const struct word_index *index)
{
    return index->bytes + index->capacity * (sizeof(*index->passages) + sizeof(*index->weights));
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
    index->weights = xrealloc(index->weights, capacity * sizeof(*index->weights));
    memset(index->weights + index->capacity, 0, (capacity - index->capacity) * sizeof(*index->weights));
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
    double best;      /* what the best imaginable text would score */
    double per_word;  /* what a word of a text counts for its length */
    struct word **of; /* of each term; NULL: no passage has it */
};

struct candidate {
    uint32_t passage;
    double weight;
    double density; /* times what its language is worth */
    uint64_t matched;
    const struct kb_terms *terms;
};

struct finding {
    struct word_index *index;
    struct arena *arena;
    const struct word_query *query;
    struct sought by_config[CONFIGS_MAX];
    uint32_t *touched; /* passages with a weight */
    size_t touched_count;
    struct candidate best[WORD_CANDIDATES];
    size_t count;
};

static void look_up(struct finding *finding, const struct kb_terms *terms, int number)
{
    const struct config *config = &finding->index->configs[number];
    struct sought *sought = &finding->by_config[number];
    sought->terms = terms;
    sought->best = kb_terms_best(terms);
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

static void weigh(struct finding *finding, const struct word *word, double weight)
{
    struct word_index *index = finding->index;
    for (uint32_t i = 0; i < word->count; i++) {
        uint32_t passage = word->postings[i].passage;
        if (!index->passages[passage].document) {
            continue;
        }
        if (index->weights[passage] <= 0) {
            finding->touched[finding->touched_count++] = passage;
        }
        index->weights[passage] += weight;
    }
}

static void weigh_all(struct finding *finding)
{
    for (size_t c = 0; c < finding->index->config_count; c++) {
        const struct sought *sought = &finding->by_config[c];
        for (size_t i = 0; sought->terms && i < sought->terms->count; i++) {
            const struct kb_term *term = &sought->terms->items[i];
            if (sought->of[i] && term->sought && term->weight > 0) {
                weigh(finding, sought->of[i], term->weight / sought->best);
            }
        }
    }
}

/* Of equal ones, that which comes first in the base. */
static int compare_places(
    const struct word_index *index, const struct candidate *a, const struct candidate *b)
{
    const struct passage *x = &index->passages[a->passage], *y = &index->passages[b->passage];
    int order = strcmp(x->document->key, y->document->key);
    order = order ? order : strcmp(x->document->object_key, y->document->object_key);
    return order ? order : x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

/* Whether `a` is before `b` by weight, then by place. */
static bool is_heavier(const struct word_index *index, const struct candidate *a, const struct candidate *b)
{
    if (a->weight > b->weight || a->weight < b->weight) {
        return a->weight > b->weight;
    }
    return compare_places(index, a, b) < 0;
}

static bool is_denser(const struct word_index *index, const struct candidate *a, const struct candidate *b)
{
    if (a->density > b->density || a->density < b->density) {
        return a->density > b->density;
    }
    return compare_places(index, a, b) < 0;
}

/* Puts `added` where it belongs among the best, if it does. */
static void insert(struct finding *finding, const struct candidate *added)
{
    size_t at = finding->count;
    while (at > 0 && is_heavier(finding->index, added, &finding->best[at - 1])) {
        at--;
    }
    if (at == WORD_CANDIDATES) {
        return;
    }
    finding->count += finding->count < WORD_CANDIDATES;
    memmove(&finding->best[at + 1], &finding->best[at], (finding->count - at - 1) * sizeof(*added));
    finding->best[at] = *added;
}

static void choose(struct finding *finding)
{
    struct word_index *index = finding->index;
    for (size_t i = 0; i < finding->touched_count; i++) {
        uint32_t passage = finding->touched[i];
        const struct candidate added = {.passage = passage,
            .weight = index->weights[passage],
            .terms = finding->by_config[index->passages[passage].config].terms};
        index->weights[passage] = 0;
        insert(finding, &added);
    }
}

static uint32_t tf_in(const struct word *word, uint32_t passage)
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
    return low < word->count && word->postings[low].passage == passage ? word->postings[low].tf : 0;
}

/* Whether two tags name the same language (BCP 47, or with underscores). */
static bool same_language(const char *a, const char *b)
{
    size_t len = strcspn(a, "-_");
    return strcspn(b, "-_") == len && strncasecmp(a, b, len) == 0;
}

static void score(struct finding *finding, struct candidate *candidate)
{
    const struct passage *passage = &finding->index->passages[candidate->passage];
    const struct sought *sought = &finding->by_config[passage->config];
    double length = TERMS_K1 * (1 - B + passage->words * sought->per_word);
    for (size_t i = 0; i < sought->terms->count; i++) {
        double tf = sought->of[i] ? tf_in(sought->of[i], candidate->passage) : 0;
        if (tf > 0) {
            candidate->matched |= UINT64_C(1) << i;
            candidate->density +=
                sought->terms->items[i].weight / sought->best * tf * (TERMS_K1 + 1) / (tf + length);
        }
    }
    if (!same_language(passage->document->locale, finding->query->locale)) {
        candidate->density *= WORD_OTHER_LANGUAGE;
    }
}

static bool is_current(const struct finding *finding, const struct candidate *candidate)
{
    int64_t expires = finding->index->passages[candidate->passage].document->expires_ms;
    return expires == 0 || expires > finding->query->now_ms;
}

static struct word_hit hit_of(const struct word_index *index, const struct candidate *candidate)
{
    const struct passage *passage = &index->passages[candidate->passage];
    return (struct word_hit){.source = passage->document->key,
        .key = passage->document->object_key,
        .ordinal = passage->ordinal,
        .terms = candidate->terms,
        .matched = candidate->matched,
        .density = candidate->density};
}

/* The densest of what is left, to the front of it. */
static void densest_first(struct finding *finding, size_t from)
{
    size_t densest = from;
    for (size_t i = from + 1; i < finding->count; i++) {
        densest = is_denser(finding->index, &finding->best[i], &finding->best[densest]) ? i : densest;
    }
    struct candidate first = finding->best[densest];
    finding->best[densest] = finding->best[from];
    finding->best[from] = first;
}

size_t word_index_find(struct word_index *index, struct arena *arena, const struct word_query *query,
    size_t max, struct word_hit **hits)
{
    struct finding finding = {.index = index, .arena = arena, .query = query};
    finding.touched = arena_array(arena, look_up_all(&finding) + 1, sizeof(*finding.touched));
    weigh_all(&finding);
    choose(&finding);
    size_t current = 0;
    for (size_t i = 0; i < finding.count; i++) {
        if (is_current(&finding, &finding.best[i])) {
            finding.best[current] = finding.best[i];
            score(&finding, &finding.best[current++]);
        }
    }
    finding.count = current;
    size_t found = current < max ? current : max;
    *hits = arena_array(arena, found + 1, sizeof(**hits));
    for (size_t i = 0; i < found; i++) {
        densest_first(&finding, i);
        (*hits)[i] = hit_of(index, &finding.best[i]);
    }
    return found;
}
