/* What Amazon Bedrock answers to Converse, taken apart.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html */
#ifndef HELPDESK_MODEL_CONVERSE_REPLY_H
#define HELPDESK_MODEL_CONVERSE_REPLY_H

#include "model/chat_reply.h"

/* As chat_reply_read, of which `model` stays "": Converse does not name it. The content is the input that the
 * model gives the tool, else its text, without the fence of a code block around it. False also with
 * ERROR_REJECT "model_refused": a guardrail stopped it. */
bool converse_reply_read(
    struct arena *arena, const char *body, size_t len, struct chat_reply *out, struct error *err);

/* By which name the service refuses: "ThrottlingException". `header` is x-amzn-ErrorType's value or "", and
 * comes first; "" when neither it nor the body has a plain name. Both may have more around it: an address
 * behind ':', a namespace before '#'. */
void converse_error_type(const char *header, const char *body, size_t len, char out[CHAT_CODE_MAX]);

#endif
