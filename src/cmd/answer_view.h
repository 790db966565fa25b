/* The gateway's answers as a person likes to read them. All of their text is treated as hostile. */
#ifndef HELPDESK_CMD_ANSWER_VIEW_H
#define HELPDESK_CMD_ANSWER_VIEW_H

#include <cjson/cJSON.h>
#include "cmd/term.h"

/* An answer of POST /tickets/auto-orchestrate, from our gateway or one that speaks its contract: a part that
 * is not there is left out. False, and nothing is written: it is no such answer. */
bool answer_view(struct term *term, const cJSON *answer);

/* A 202: `base` is the gateway's address, `location` where the ticket can be looked up. */
void answer_view_accepted(struct term *term, const cJSON *answer, const char *base, const char *location);

/* A problem document, or `body` NULL when the error came without one. */
void answer_view_problem(struct term *term, int status, const cJSON *body, const char *correlation_id);

#endif
