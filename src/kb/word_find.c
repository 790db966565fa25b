/* A passage that has a sought word is found; one that is near by vectors, too. What all words of the query
 * count for in it is summed up word by word. */
#include "kb/word_impl.h"

#include <string.h>
#include <strings.h>

#define NO_PASSAGE UINT32_MAX
#define LOOK_STEPS 16 /* postings that are gone through in the time that one is looked for */

/* The sought terms of one configuration. */
struct sought {
    const struct kb_terms *terms;
    double scale;     /* makes weights shares of what the best imaginable text would score */
    double per_word;  /* what a word of a text counts for its length */
    struct word **of; /* of each term; NULL: no passage has it */
};

struct finding;
typedef bool is_before(const struct finding *finding, uint32_t a, uint32_t b);

/* The first `max` of the passages that are put in. */
struct top {
    is_before *is_before;
    uint32_t *passages;
    size_t count, max;
};

struct finding {
    struct word_index *index;
    struct arena *arena;
    const struct word_query *query;
    struct sought by_config[WORD_CONFIGS];
    uint32_t *touched; /* passages that have a sought term or are near */
    size_t touched_count;
    struct top near, dense;
};

static void look_up(struct finding *finding, const struct kb_terms *terms, int number)
{
    const struct config *config = &finding->index->configs[number];
    struct sought *sought = &finding->by_config[number];
    sought->terms = terms;
    double best = kb_terms_best(terms);
    sought->scale = best > 0 ? 1 / best : 0;
    sought->per_word = WORD_B * (double)config->texts / (double)(config->words > 0 ? config->words : 1);
    sought->of = arena_array(finding->arena, terms->count, sizeof(struct word *));
    for (size_t i = 0; i < terms->count; i++) {
        if (terms->items[i].texts > 0) {
            sought->of[i] = word_look_up(finding->index, number, terms->items[i].lexeme);
        }
    }
}

/* Returns how many passages may have a sought term. */
static size_t look_up_all(struct finding *finding)
{
    size_t most = 0;
    for (size_t g = 0; g < finding->query->group_count; g++) {
        const struct kb_terms *terms = &finding->query->groups[g];
        int number = word_config(finding->index, terms->config);
        if (number < 0 || strcmp(terms->corpus, finding->query->corpus) != 0) {
            continue;
        }
        look_up(finding, terms, number);
        for (size_t i = 0; i < terms->count; i++) {
            const struct word *word = finding->by_config[number].of[i];
            most += word && terms->items[i].sought ? word->count : 0;
        }
    }
    return most < finding->index->count ? most : finding->index->count;
}

/* What term `i` counts for in a passage that has it. */
static void gather(
    struct finding *finding, const struct sought *sought, size_t i, const struct posting *posting)
{
    struct gathered *gathered = &finding->index->gathered[posting->passage];
    double words = finding->index->passages[posting->passage].words, tf = posting->tf;
    double length = TERMS_K1 * (1 - WORD_B + words * sought->per_word);
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
        if (!index->gathered[passage].sought) {
            index->gathered[passage].sought = true;
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
            const struct gathered *gathered = &finding->index->gathered[word->postings[p].passage];
            if (gathered->sought || gathered->near) {
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

static double language_of(const struct finding *finding, uint32_t passage)
{
    const char *locale = finding->index->passages[passage].document->locale;
    return same_language(locale, finding->query->locale) ? 1 : WORD_OTHER_LANGUAGE;
}

static bool is_current(const struct finding *finding, uint32_t passage)
{
    int64_t expires_ms = finding->index->passages[passage].document->expires_ms;
    return expires_ms == 0 || expires_ms > finding->query->now_ms;
}

/* Of equal ones that which comes first in the base. */
static bool is_earlier(const struct finding *finding, uint32_t a, uint32_t b)
{
    const struct passage *x = &finding->index->passages[a], *y = &finding->index->passages[b];
    int order = strcmp(x->document->key, y->document->key);
    order = order ? order : strcmp(x->document->object_key, y->document->object_key);
    return order ? order < 0 : x->ordinal < y->ordinal;
}

static bool is_denser(const struct finding *finding, uint32_t a, uint32_t b)
{
    double one = finding->index->gathered[a].density, other = finding->index->gathered[b].density;
    return one > other || (!(one < other) && is_earlier(finding, a, b));
}

/* Those near by vectors come in the order of their similarity. */
static bool is_nearer(const struct finding *finding, uint32_t a, uint32_t b)
{
    uint8_t one = finding->index->gathered[a].near, other = finding->index->gathered[b].near;
    return one < other || (one == other && is_earlier(finding, a, b));
}

static struct top top_new(struct finding *finding, is_before *before, size_t max)
{
    return (struct top){
        .is_before = before, .passages = arena_array(finding->arena, max + 1, sizeof(uint32_t)), .max = max};
}

/* Puts the passage where it belongs, if it does; returns the one that has no place any more, or NO_PASSAGE.
 */
static uint32_t put_in(const struct finding *finding, struct top *top, uint32_t passage)
{
    size_t at = top->count;
    while (at > 0 && top->is_before(finding, passage, top->passages[at - 1])) {
        at--;
    }
    if (at == top->max) {
        return passage;
    }
    uint32_t out = top->count == top->max ? top->passages[top->max - 1] : NO_PASSAGE;
    top->count += top->count < top->max;
    memmove(&top->passages[at + 1], &top->passages[at], (top->count - at - 1) * sizeof(*top->passages));
    top->passages[at] = passage;
    return out;
}

/* ---- those near by vectors ---- */

struct near_hash {
    uint8_t bytes[VECTOR_HASH_BYTES];
    uint8_t next; /* of those that begin with the same byte, from 1; 0: none */
};

static uint8_t near_number(const struct near_hash *hashes, const uint8_t first[256], const uint8_t *hash)
{
    uint8_t number = first[hash[0]];
    while (number && memcmp(hashes[number - 1].bytes, hash, VECTOR_HASH_BYTES) != 0) {
        number = hashes[number - 1].next;
    }
    return number;
}

/* All passages are gone through, as all vectors were. */
static void find_near(struct finding *finding)
{
    struct word_index *index = finding->index;
    const struct vector_near *near = finding->query->near;
    struct near_hash hashes[VECTOR_NEAR_MAX];
    uint8_t first[256] = {0};
    for (size_t i = near->count; i > 0; i--) {
        if (hex_bytes(near->hashes[i - 1], hashes[i - 1].bytes, VECTOR_HASH_BYTES)) {
            hashes[i - 1].next = first[hashes[i - 1].bytes[0]];
            first[hashes[i - 1].bytes[0]] = (uint8_t)i;
        }
    }
    for (uint32_t p = 0; p < index->count; p++) {
        uint8_t number = near_number(hashes, first, index->passages[p].hash);
        if (number && index->passages[p].document && is_current(finding, p)) {
            index->gathered[p].near = number;
            uint32_t out = put_in(finding, &finding->near, p);
            if (out != NO_PASSAGE) {
                index->gathered[out].near = 0;
            }
        }
    }
}

/* They are weighed, too. */
static void touch_near(struct finding *finding)
{
    struct gathered *gathered = finding->index->gathered;
    for (size_t i = 0; i < finding->near.count; i++) {
        uint32_t passage = finding->near.passages[i];
        if (!gathered[passage].sought) {
            finding->touched[finding->touched_count++] = passage;
        }
    }
}

/* ---- all together ---- */

static struct word_hit hit_of(const struct finding *finding, uint32_t number)
{
    const struct passage *passage = &finding->index->passages[number];
    const struct gathered *gathered = &finding->index->gathered[number];
    return (struct word_hit){.source = passage->document->key,
        .key = passage->document->object_key,
        .ordinal = passage->ordinal,
        .terms = finding->by_config[passage->config].terms,
        .matched = gathered->matched,
        .density = gathered->density,
        .near = gathered->near > 0,
        .similarity = gathered->near ? finding->query->near->similarity[gathered->near - 1] *
                                           language_of(finding, number)
                                     : 0};
}

static size_t take(struct finding *finding, struct word_hit *hits)
{
    size_t count = 0;
    for (size_t i = 0; i < finding->near.count; i++) {
        hits[count++] = hit_of(finding, finding->near.passages[i]);
    }
    for (size_t i = 0; i < finding->dense.count; i++) {
        if (!finding->index->gathered[finding->dense.passages[i]].near) {
            hits[count++] = hit_of(finding, finding->dense.passages[i]);
        }
    }
    return count;
}

static void choose(struct finding *finding)
{
    for (size_t i = 0; i < finding->touched_count; i++) {
        uint32_t passage = finding->touched[i];
        struct gathered *gathered = &finding->index->gathered[passage];
        gathered->density *= language_of(finding, passage);
        if (gathered->sought && is_current(finding, passage)) {
            (void)put_in(finding, &finding->dense, passage);
        }
    }
}

size_t word_index_find(struct word_index *index, struct arena *arena, const struct word_query *query,
    size_t max, struct word_hit **hits)
{
    struct finding finding = {.index = index, .arena = arena, .query = query};
    finding.dense = top_new(&finding, is_denser, max);
    finding.near = top_new(&finding, is_nearer, VECTOR_NEAR_MAX);
    finding.touched = arena_array(arena, look_up_all(&finding) + VECTOR_NEAR_MAX, sizeof(*finding.touched));
    gather_all(&finding, true);
    if (query->near) {
        find_near(&finding);
        touch_near(&finding);
    }
    gather_all(&finding, false);
    choose(&finding);
    *hits = arena_array(arena, finding.near.count + finding.dense.count + 1, sizeof(**hits));
    size_t count = take(&finding, *hits);
    for (size_t i = 0; i < finding.touched_count; i++) {
        index->gathered[finding.touched[i]] = (struct gathered){0};
    }
    return count;
}
