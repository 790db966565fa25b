/* Fuzz target: what servers answer to texts that want vectors, each provider's in its way. What is taken has
 * one vector of length 1 for each text. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "model/chat_reply.h"
#include "model/embed_reply.h"

#define TEXTS 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_vector(const float *values, size_t dimension)
{
    double squares = 0;
    for (size_t i = 0; i < dimension; i++) {
        squares += (double)values[i] * values[i];
    }
    if (!(fabs(squares - 1) < 1e-3)) {
        abort();
    }
}

static void check_reply(bool ok, const struct embed_reply *reply, size_t count, const struct error *err)
{
    if (ok && (reply->dimension == 0 || reply->dimension > EMBED_MAX_DIMENSION)) {
        abort();
    }
    for (size_t i = 0; ok && i < count; i++) {
        check_vector(reply->vectors[i], reply->dimension);
    }
    if (!ok && (strcmp(err->code, "model_unusable") != 0 || err->text[0] == '\0')) {
        abort();
    }
    if (reply->input_tokens < 0 || (reply->model[0] != '\0' && !chat_model_valid(reply->model))) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    const char *body = (const char *)data;
    struct embed_reply reply;
    struct error err = {0};
    check_reply(embed_reply_read(arena, body, size, TEXTS, &reply, &err), &reply, TEXTS, &err);
    err = (struct error){0};
    check_reply(embed_reply_read_titan(arena, body, size, &reply, &err), &reply, 1, &err);
    err = (struct error){0};
    check_reply(embed_reply_read_cohere(arena, body, size, TEXTS, &reply, &err), &reply, TEXTS, &err);
    arena_free(arena);
    return 0;
}
