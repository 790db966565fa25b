/* Checks that a draft says nothing its sources do not: every sentence must share its words with what it
 * cites, and every number must stand there. */
#ifndef HELPDESK_GUARD_GROUNDED_H
#define HELPDESK_GUARD_GROUNDED_H

#include "guard/span.h"
#include "msg/codec.h"

/* What drafts may say: the ticket and the items of `context` (may be NULL), both borrowed. Each item is read
 * once, when a draft first cites it. In the arena. */
struct sources;
struct sources *sources_new(
    struct arena *arena, const struct msg_ticket *ticket, const struct msg_context *context);

/* Adds the sentences of `draft` that nothing supports. A marker [n] names the n-th of draft->citations, a
 * source_id of the context. A sentence without a marker may be courtesy, or repeat what the ticket says. */
void grounded_check(struct span_list *out, struct sources *sources, const struct msg_draft *draft);

#endif
