/* Postings of words, in the order in which passages came. What is removed stays in them until there is more
 * of it than of what is left; then all are gone through once. */
#include "base/alloc.h"
#define uthash_malloc(size) xmalloc(size)
#include "kb/word_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kb/tsvector.h"

#define SPARE_REMOVED 1024 /* passages that may always be */
#define ALLOCATED 16       /* bytes that an allocation takes beyond its own */
#define FIRST_POSTINGS 2
#define FIRST_PASSAGES 64

static const uint32_t tf_of_weight[4] = {1, 1, 3, 5}; /* D, C, B: a heading, A: a title */

struct word_index *word_index_new(void)
{
    return xcalloc(1, sizeof(struct word_index));
}

static size_t word_bytes(const struct word *word)
{
    return sizeof(*word) + word->key_len + word->capacity * sizeof(*word->postings) + 2 * ALLOCATED;
}

static size_t document_bytes(const struct document *document)
{
    return sizeof(*document) + document->key_len + strlen(document->locale) + 1 + 2 * ALLOCATED;
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

static size_t table_bytes(const UT_hash_table *table)
{
    return table->num_buckets * sizeof(UT_hash_bucket);
}

size_t word_index_bytes(const struct word_index *index)
{
    size_t tables = (index->words ? table_bytes(index->words->hh.tbl) : 0) +
                    (index->documents ? table_bytes(index->documents->hh.tbl) : 0);
    return index->bytes + tables + index->capacity * (sizeof(*index->passages) + sizeof(*index->gathered));
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

int word_config(const struct word_index *index, const char *name)
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
    int number = word_config(index, name);
    if (number >= 0 || index->config_count == WORD_CONFIGS ||
        strlen(name) >= sizeof(index->configs[0].name)) {
        return number;
    }
    snprintf(index->configs[index->config_count].name, sizeof(index->configs[0].name), "%s", name);
    return (int)index->config_count++;
}

static size_t word_key(char *key, int config, const char *lexeme, size_t len)
{
    key[0] = (char)config;
    memcpy(key + 1, lexeme, len);
    return len + 1;
}

struct word *word_look_up(const struct word_index *index, int config, const char *lexeme)
{
    char key[1 + TSVECTOR_LEXEME_SIZE];
    size_t len = strlen(lexeme);
    struct word *word = NULL;
    if (len < TSVECTOR_LEXEME_SIZE) {
        len = word_key(key, config, lexeme, len);
        HASH_FIND(hh, index->words, key, len, word);
    }
    return word;
}

static struct word *word_of(struct word_index *index, int config, const struct tsvector_lexeme *lexeme)
{
    struct word *word = word_look_up(index, config, lexeme->text);
    if (!word) {
        word = xcalloc(1, sizeof(*word) + 1 + lexeme->len);
        word->key_len = word_key(word->key, config, lexeme->text, lexeme->len);
        HASH_ADD(hh, index->words, key, word->key_len, word);
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

bool word_index_add(struct word_index *index, const struct word_passage *added)
{
    struct document *document = index->last;
    int config = config_of(index, added->config);
    struct passage passage = {.document = document, .ordinal = added->ordinal, .config = (uint8_t)config};
    if (!document || config < 0 || !added->text_hash || !is_whole(added->tsvector, &passage.words) ||
        !hex_bytes(added->text_hash, passage.hash, sizeof(passage.hash))) {
        return false;
    }
    make_room(index);
    const char *at = added->tsvector;
    struct tsvector_lexeme lexeme;
    while (tsvector_next(&at, &lexeme) == TSVECTOR_LEXEME) {
        uint32_t tf = 0;
        for (size_t i = 0; i < sizeof(tf_of_weight) / sizeof(tf_of_weight[0]); i++) {
            tf += tf_of_weight[i] * lexeme.positions[i];
        }
        add_posting(index, word_of(index, config, &lexeme), tf);
    }
    index->configs[config].texts++;
    index->configs[config].words += passage.words;
    index->passages[index->count++] = passage;
    document->count++;
    return true;
}
