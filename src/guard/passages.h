/* What may be quoted of passages of the knowledge base, kept in memory by what they say. Bounded; what was
 * not used for longest goes. */
#ifndef HELPDESK_GUARD_PASSAGES_H
#define HELPDESK_GUARD_PASSAGES_H

#include <stddef.h>
#include "base/arena.h"

struct passages; /* any thread */
struct passages *passages_new(void);
void passages_free(struct passages *passages);

/* What may be quoted of `excerpt`, in the arena, and how many of its sentences give orders to a model; NULL:
 * that is not kept. */
char *passages_get(struct passages *passages, struct arena *arena, const char *excerpt, size_t *injections);

void passages_put(struct passages *passages, const char *excerpt, const char *quotable, size_t injections);

#endif
