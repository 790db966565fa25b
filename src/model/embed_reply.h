/* What servers answer to texts that want vectors, taken apart. */
#ifndef HELPDESK_MODEL_EMBED_REPLY_H
#define HELPDESK_MODEL_EMBED_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/error.h"
#include "model/vector.h"

#define EMBED_MAX_TEXTS 96 /* of one call */
#define EMBED_MAX_DIMENSION VECTOR_DIMENSION_MAX

struct embed_reply {
    float **vectors; /* one for each text, in their order, of length 1 (L2 norm); in the arena */
    size_t dimension;
    const char *model; /* as the server names it, or "" */
    /* What the vectors are only comparable with: "openai/MODEL/DIMENSION"; the embedder's. */
    const char *identity;
    int64_t input_tokens;
    double cost_usd;
};

/* Reads embeddings of `count` texts (https://platform.openai.com/docs/api-reference/embeddings/object); those
 * of a text stand where its "index" says, or in the texts' order when none has one. `body` is hostile. False:
 * ERROR_REJECT "model_unusable", whose text goes on from "the model answered unusably: " and holds nothing of
 * the body; model and tokens are set as far as they could be read. `identity` and `cost_usd` are the
 * caller's. */
bool embed_reply_read(struct arena *arena, const char *body, size_t len, size_t count,
    struct embed_reply *out, struct error *err);
/* The same of Titan Text Embeddings V2, which takes one text. */
bool embed_reply_read_titan(
    struct arena *arena, const char *body, size_t len, struct embed_reply *out, struct error *err);
/* The same of Cohere Embed, whose vectors stand in an array, or in one for each type ("float"); it tells no
 * tokens. */
bool embed_reply_read_cohere(struct arena *arena, const char *body, size_t len, size_t count,
    struct embed_reply *out, struct error *err);

#endif
