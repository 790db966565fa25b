/* Checks that a draft says nothing its sources do not: every sentence must share its words with what it
 * cites, and every number must stand there. */
#ifndef HELPDESK_GUARD_GROUNDED_H
#define HELPDESK_GUARD_GROUNDED_H

#include "guard/span.h"
#include "msg/codec.h"

/* Adds the sentences of `draft` that nothing supports. A marker [n] names the n-th of draft->citations, a
 * source_id of `context` (may be NULL). A sentence without a marker may be courtesy, or repeat what the
 * ticket says. */
void grounded_check(struct span_list *out, const struct msg_ticket *ticket, const struct msg_context *context,
    const struct msg_draft *draft);

#endif
