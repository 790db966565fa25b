/* A feedback's body as a record. Pure. */
#ifndef HELPDESK_GATEWAY_FEEDBACK_IN_H
#define HELPDESK_GATEWAY_FEEDBACK_IN_H

#include "gateway/field_errors.h"
#include "msg/messages.h"

/* Fills the members that the body gives; ids, tenant and time are the caller's business. False: see `errors`.
 * `warning` names unknown members, NULL when there are none. */
bool feedback_in_read(struct arena *arena, const char *body, size_t len, struct msg_feedback *feedback,
    const char **warning, struct field_errors *errors);

#endif
