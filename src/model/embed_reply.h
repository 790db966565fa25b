/* What an OpenAI-compatible server answers to texts that want vectors, taken apart. */
#ifndef HELPDESK_MODEL_EMBED_REPLY_H
#define HELPDESK_MODEL_EMBED_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/error.h"

#define EMBED_MAX_TEXTS 32       /* of one call */
#define EMBED_MAX_DIMENSION 4096 /* numbers of a vector */

struct embed_reply {
    float **vectors; /* one for each text, in their order, of length 1 (L2 norm); in the arena */
    size_t dimension;
    const char *model; /* as the server names it, or "" */
    int64_t input_tokens;
    double cost_usd;
};

/* Reads embeddings of `count` texts (https://platform.openai.com/docs/api-reference/embeddings/object); those
 * of a text stand where its "index" says, or in the texts' order when none has one. `body` is hostile. False:
 * ERROR_REJECT "model_unusable", whose text goes on from "the model answered unusably: " and holds nothing of
 * the body; model and tokens are set as far as they could be read. `cost_usd` is the caller's. */
bool embed_reply_read(struct arena *arena, const char *body, size_t len, size_t count,
    struct embed_reply *out, struct error *err);

#endif
