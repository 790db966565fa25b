/* What a question may bring along besides its ticket: a classification, a context. In the shapes of the
 * answers. */
#ifndef HELPDESK_GATEWAY_QUESTION_IN_H
#define HELPDESK_GATEWAY_QUESTION_IN_H

#include "gateway/field_errors.h"
#include "msg/messages.h"

/* Member "classification" of the body. NULL: absent, or wrong (an error was added; also when absent but
 * `required`). */
struct msg_classification *classification_read(struct field_errors *errors, const cJSON *body, bool required);

/* Member "context" of the body, always required. */
struct msg_context *context_read(struct field_errors *errors, const cJSON *body);

#endif
