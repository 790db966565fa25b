/* What the words in memory are made of. Private to word_index.c, which keeps them, and word_find.c. */
#ifndef HELPDESK_KB_WORD_IMPL_H
#define HELPDESK_KB_WORD_IMPL_H

#include <uthash.h>

#include "kb/word_index.h"

#define WORD_CONFIGS 32
#define WORD_B 0.75 /* of BM25: how much the length of a text counts */

struct posting {
    uint32_t passage;
    uint32_t tf; /* how often, as its places count */
};

struct word {
    UT_hash_handle hh;
    struct posting *postings; /* by number of the passage */
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
    uint8_t hash[VECTOR_HASH_BYTES];
};

struct config {
    char name[64];
    int64_t texts, words; /* of its passages, the sum of different words */
};

/* What a search has found of a passage. */
struct gathered {
    uint64_t matched; /* bit per term */
    double density;
    bool sought;  /* has a sought term */
    uint8_t near; /* 1 and more: number among those near by vectors */
};

struct word_index {
    struct word *words;
    struct document *documents;
    struct document *last; /* that was put */
    struct config configs[WORD_CONFIGS];
    size_t config_count;
    struct passage *passages;
    struct gathered *gathered; /* by passage, of a search under way; else all are 0 */
    uint32_t count, capacity, removed;
    size_t bytes; /* but for `passages` and `gathered` */
};

int word_config(const struct word_index *index, const char *name); /* its number, or -1 */
struct word *word_look_up(const struct word_index *index, int config, const char *lexeme); /* or NULL */

#endif
