/* Which texts are near to a ticket: the vector of what it says, and the vectors in memory that are like it.
 * Private to the retriever. Loop thread. */
#ifndef HELPDESK_STAGES_RETRIEVER_NEAR_H
#define HELPDESK_STAGES_RETRIEVER_NEAR_H

#include "kb/vector_memory.h"
#include "stages/stage.h"

struct near_finder;

struct near_result {
    const struct vector_near *near; /* NULL: words alone */
    const char *why;                /* with NULL; "" when there is nothing that vectors could find */
    const char *model;              /* identity of the vectors; NULL with NULL */
    const char *codes;              /* the ticket's own vector, as vector_to_hex; NULL with NULL */
    int64_t input_tokens;           /* spent in any case */
    double cost_usd;
};

/* In the arena of the call, which lives until then. Never inside the call, except that of near_finder_close.
 */
typedef void near_found(void *arg, const struct near_result *result);

bool near_finder_wanted(const struct conf *conf); /* model.embed is set */
/* NULL: the error of embed_new or spending_open. */
struct near_finder *near_finder_new(const struct stage_env *env, struct error *err);
/* What is under way ends without vectors, inside this call. NULL is fine. */
void near_finder_close(struct near_finder *finder);

/* `text` is borrowed; asked for within the tenant's budget, and in `timeout_ms` at most. */
void near_find(struct near_finder *finder, struct arena *arena, const char *tenant, const char *text,
    int64_t timeout_ms, near_found *done, void *arg);

#endif
