/* The words of one tenant's passages in memory: which passages have a word, and how often. Private to the
 * search. One thread at a time. */
#ifndef HELPDESK_KB_WORD_INDEX_H
#define HELPDESK_KB_WORD_INDEX_H

#include "base/arena.h"
#include "kb/terms.h"
#include "kb/vector_memory.h"

#define WORD_OTHER_LANGUAGE 0.8 /* what a text is worth that is not in the ticket's language */

struct word_index;

struct word_document { /* borrowed */
    const char *source;
    const char *key;
    const char *locale;
    int64_t expires_ms; /* wall time; 0: never */
};

struct word_passage { /* borrowed */
    uint32_t ordinal;
    const char *config;    /* text search configuration */
    const char *tsvector;  /* as PostgreSQL writes it */
    const char *text_hash; /* as vectors are kept by, hexadecimal */
};

struct word_hit {
    const char *source, *key; /* of the index: until it changes */
    uint32_t ordinal;
    const struct kb_terms *terms; /* of its text search configuration */
    uint64_t matched;             /* bit per term */
    double density;               /* how much it is about what is sought: 0..1 of the best possible */
    bool near;                    /* by vectors */
    double similarity;            /* if it is */
};

struct word_query { /* borrowed */
    const struct kb_terms *groups;
    size_t group_count;
    const char *corpus;             /* only groups of this one */
    const char *locale;             /* of the ticket */
    int64_t now_ms;                 /* wall time */
    const struct vector_near *near; /* texts that are found, too; or NULL */
};

struct word_index *word_index_new(void);
void word_index_free(struct word_index *index); /* NULL is fine */

/* Begins a document without passages, in the place of the one there was. */
void word_index_put(struct word_index *index, const struct word_document *put);
/* Adds a passage to the document that was put last. False: its words or its hash cannot be read, and nothing
 * is added. */
bool word_index_add(struct word_index *index, const struct word_passage *passage);
void word_index_remove(struct word_index *index, const char *source, const char *key);

size_t word_index_passages(const struct word_index *index);
size_t word_index_bytes(const struct word_index *index); /* of memory */

/* The densest passages, at most `max`, best first, and before them those that are near by vectors, the
 * nearest first, at most VECTOR_NEAR_MAX; none is there twice. In the arena; returns how many. The density is
 * BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009) with k1 = 2, b = 0.75, where a
 * word counts three times in a heading and five times in a title; both are less for another language. */
size_t word_index_find(struct word_index *index, struct arena *arena, const struct word_query *query,
    size_t max, struct word_hit **hits);

#endif
