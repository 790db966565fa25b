/* The vectors of tenants in the memory of a process that searches: read when a tenant is first asked for,
 * then kept up with the database, which is looked at once a second. Loop thread. */
#ifndef HELPDESK_KB_VECTOR_MEMORY_H
#define HELPDESK_KB_VECTOR_MEMORY_H

#include "db/db.h"
#include "kb/vector_index.h"
#include "loop/loop.h"

#define VECTOR_NEAR_MAX 60

struct vector_memory;
struct vector_set; /* a tenant's vectors by one model */

struct vector_near {
    const char *hashes[VECTOR_NEAR_MAX]; /* of texts, SHA-256, hexadecimal; best first */
    double similarity[VECTOR_NEAR_MAX];
    size_t count;
    struct vector_spread spread;
};

/* `max_bytes` bounds all tenants' vectors together. Sets helpdesk_vectors{state="kept"} and
 * helpdesk_vector_bytes. `db` and `loop` outlive it. */
struct vector_memory *vector_memory_new(struct loop *loop, struct db *db, size_t max_bytes);
/* Searches under way end without a result, inside this call. The rest is freed when the last statement has
 * come back. NULL is fine. */
void vector_memory_close(struct vector_memory *memory);

/* The tenant's vectors that can be searched now. They stay those of their model while they are held, even if
 * the tenant goes over to another meanwhile: whoever has asked the model for a ticket's vector finds what it
 * is comparable with. NULL: `why` says why there are none, a static text; "" when none are wanted because the
 * base is empty. */
struct vector_set *vector_memory_hold(struct vector_memory *memory, const char *tenant, const char **why);
const char *vector_set_model(const struct vector_set *set); /* its identity */
void vector_set_leave(struct vector_set *set);              /* NULL is fine; the memory may have closed */

/* The texts nearest to `values`, of length 1, in `set`, which is held until `done`. `near` is in `arena`,
 * which lives until `done`; NULL: the vectors are of another dimension, or the memory closes. Never inside
 * the call but for what vector_memory_close says. */
typedef void vector_found(void *arg, const struct vector_near *near);
void vector_memory_find(struct vector_memory *memory, struct arena *arena, struct vector_set *set,
    const float *values, size_t dimension, vector_found *done, void *arg);

#endif
