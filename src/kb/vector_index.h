/* The vectors of one tenant's texts in memory, searched exactly: every vector is compared, so that the time
 * of a search grows with their number. */
#ifndef HELPDESK_KB_VECTOR_INDEX_H
#define HELPDESK_KB_VECTOR_INDEX_H

#include "model/vector.h"

#define VECTOR_HASH_BYTES 32 /* SHA-256 of a text */

struct vector_index;

struct vector_hit {
    uint8_t hash[VECTOR_HASH_BYTES];
    float similarity; /* cosine, -1..1 */
};

/* What the query's similarity to all texts is like: what it is to a text that has nothing to do with it. */
struct vector_spread {
    double mean, deviation;
};

struct vector_index *vector_index_new(size_t dimension);
void vector_index_free(struct vector_index *index); /* not during a search; NULL is fine */

/* These wait for searches under way. Puts a vector in the place of what is there; one of another dimension is
 * left out. */
void vector_index_put(
    struct vector_index *index, const uint8_t hash[VECTOR_HASH_BYTES], const struct vector_codes *vector);
void vector_index_remove(struct vector_index *index, const uint8_t hash[VECTOR_HASH_BYTES]);

size_t vector_index_count(const struct vector_index *index);
size_t vector_index_bytes(const struct vector_index *index); /* of memory */
size_t vector_index_dimension(const struct vector_index *index);

/* The most similar, best first: returns how many, at most `max`. `query` is of the index's dimension. Any
 * thread; CPU work: offload it. */
size_t vector_index_search(struct vector_index *index, const struct vector_codes *query,
    struct vector_hit *out, size_t max, struct vector_spread *spread);

#endif
