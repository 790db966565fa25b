/* What an OpenAI-compatible server answers to a chat completion, taken apart. */
#ifndef HELPDESK_MODEL_CHAT_REPLY_H
#define HELPDESK_MODEL_CHAT_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/error.h"

#define CHAT_MAX_ANSWER (512 * 1024) /* bytes of a server's answer */
#define CHAT_MODEL_MAX 128           /* of a model's name */
#define CHAT_CODE_MAX 40             /* of a server's own error code */

struct chat_reply {
    const char *content; /* what the model said; in the arena */
    size_t content_len;
    const char *model; /* as the server names it, or "" */
    int64_t input_tokens;
    int64_t output_tokens;
    double cost_usd;
};

/* Reads a chat completion (https://platform.openai.com/docs/api-reference/chat/object). `body` is hostile.
 * False: ERROR_REJECT "model_unusable", whose text goes on from "the model answered unusably: " and holds
 * nothing of the body; model and tokens are set as far as they could be read. `cost_usd` is the caller's. */
bool chat_reply_read(
    struct arena *arena, const char *body, size_t len, struct chat_reply *out, struct error *err);

/* The `error.code` of a refusal, when it is a plain word; "" else. */
void chat_error_code(const char *body, size_t len, char out[CHAT_CODE_MAX]);

/* 1 to CHAT_MODEL_MAX visible ASCII characters, neither quote nor backslash: fit for labels and traces. */
bool chat_model_valid(const char *name);

#endif
