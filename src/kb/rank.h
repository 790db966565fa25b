/* What the texts that a search found are worth: words and vectors judged together, best first, and how likely
 * the best of them answer. Private to the search. */
#ifndef HELPDESK_KB_RANK_H
#define HELPDESK_KB_RANK_H

#include "kb/search.h"
#include "kb/terms.h"

/* What is found by the words of each corpus, and by vectors. */
enum rank_by { RANK_KB = KB_CORPUS_KB, RANK_TICKET = KB_CORPUS_TICKET, RANK_NEAR, RANK_BY_COUNT };

struct rank_text {
    struct kb_hit hit;
    const char *document;         /* passages with the same one belong together */
    const struct kb_terms *terms; /* of the hit's configuration */
    uint64_t matched;             /* bit per term */
    double density;    /* how much of the text is about what is sought, 0..1 of the best possible */
    double similarity; /* to the ticket, where vectors are searched */
    double relevance;  /* of rank.c: what it is sorted by; without vectors its density */
};

struct rank_list {
    struct rank_text *items;
    size_t count;
};

struct rank_input { /* borrowed */
    const struct kb_query *query;
    const struct kb_unit *units;
    size_t unit_count;
    struct rank_list found[RANK_BY_COUNT];
};

/* Fills hits and confidence of `result`, in the arena. Any thread. */
void rank_texts(struct arena *arena, const struct rank_input *input, struct kb_search_result *result);

#endif
