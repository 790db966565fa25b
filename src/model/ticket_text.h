/* The text of a ticket that classifiers read. */
#ifndef HELPDESK_MODEL_TICKET_TEXT_H
#define HELPDESK_MODEL_TICKET_TEXT_H

#include <stddef.h>
#include "base/arena.h"
#include "msg/codec.h"

/* Subject, description, then what the customer said since, the latest first; each on a line of its own, long
 * ones cut short. In the arena. `subject_end` (may be NULL): the subject's bytes in it. */
char *ticket_text(struct arena *arena, const struct msg_ticket *ticket, size_t *subject_end);

#endif
