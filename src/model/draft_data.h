/* What a language model gets to read of a ticket. */
#ifndef HELPDESK_MODEL_DRAFT_DATA_H
#define HELPDESK_MODEL_DRAFT_DATA_H

#include "model/draft.h"

#define DRAFT_DATA_TEXT_MAX (32 * 1024) /* bytes of the description, and of the conversation */

/* Ticket, sources and what else helps, as one JSON object in which no '<' stands: whatever a customer wrote,
 * it cannot end the delimiters around it. In the arena. `cut` says whether the ticket was longer than the
 * model may read. What is known of the customer is not in it. */
char *draft_data(struct arena *arena, const struct draft_request *request, bool *cut);

#endif
