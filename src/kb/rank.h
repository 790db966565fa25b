/* What texts that words or vectors found are worth: their order, and how likely the best answer the query.
 * Private to the search. Any thread. */
#ifndef HELPDESK_KB_RANK_H
#define HELPDESK_KB_RANK_H

#include "kb/search.h"
#include "kb/terms.h"

struct kb_candidate {
    struct kb_hit hit;
    const char *document;         /* passages with the same one belong together */
    const struct kb_terms *terms; /* of the hit's configuration; NULL: no word of it was sought */
    uint64_t matched;             /* bit per term */
    double density;               /* what its words weigh: 0..1 */
    double similarity;            /* to the ticket, where vectors are searched */
    double relevance;             /* what it is sorted by; without vectors its density */
};

/* What they are found for. */
struct kb_asked {
    const struct kb_unit *units;
    size_t unit_count;
    const struct vector_near *near; /* NULL: words alone */
};

/* `all` holds `near_count` texts that vectors found, then those that words did: of the latter, those that
 * are among the former go, and the others are as far as the farthest that vectors found. Returns how many
 * are left. */
size_t kb_rank_unite(
    struct kb_candidate *all, size_t near_count, size_t count, const struct vector_near *near);

/* Sets the relevance of all and sorts them, best first. Returns 0..1: how likely the best of them answer. */
double kb_rank(struct kb_candidate *all, size_t count, const struct kb_asked *asked);

#endif
