/* Vectors of OpenAI-compatible servers: https://platform.openai.com/docs/api-reference/embeddings. */
#include <inttypes.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/json.h"
#include "model/embed_driver.h"
#include "model/openai.h"

#define PATH "/embeddings"
#define BATCH 32

struct embeddings {
    struct openai openai;
    int64_t dimensions; /* 0: the model's own */
};

static bool check(const struct chat_options *options, struct error *err)
{
    if (!options->base_url[0]) {
        return error_set(err, ERROR_FATAL, "setting_missing",
            "model.base-url is not set: model.embed needs the address of an OpenAI-compatible server");
    }
    return openai_check(options, err);
}

static void *openai_open(struct loop *loop, const struct chat_options *options)
{
    (void)loop;
    struct embeddings *embeddings = xcalloc(1, sizeof(*embeddings));
    openai_init(&embeddings->openai, options, PATH);
    embeddings->dimensions = options->dimensions;
    return embeddings;
}

static void openai_free(void *state)
{
    struct embeddings *embeddings = state;
    openai_fini(&embeddings->openai);
    free(embeddings);
}

static size_t openai_max_texts(const void *state)
{
    (void)state;
    return BATCH;
}

static void openai_body(void *state, struct buf *out, const struct embed_request *request)
{
    const struct embeddings *embeddings = state;
    buf_puts(out, "{\"model\":");
    json_put_string(out, embeddings->openai.model);
    if (embeddings->dimensions > 0) {
        buf_printf(out, ",\"dimensions\":%" PRId64, embeddings->dimensions);
    }
    buf_puts(out, ",\"encoding_format\":\"float\",\"input\":");
    for (size_t i = 0; i < request->count; i++) {
        buf_putc(out, i > 0 ? ',' : '[');
        json_put_string(out, request->texts[i]);
    }
    buf_puts(out, "]}");
}

static bool openai_read(void *state, struct arena *arena, const struct http_call_result *result, size_t count,
    struct embed_reply *out, struct error *err)
{
    (void)state;
    return embed_reply_read(arena, buf_text(&result->body), result->body.len, count, out, err);
}

const struct embed_driver embed_openai = {.name = "openai",
    .access = &openai_access,
    .check = check,
    .open = openai_open,
    .free = openai_free,
    .max_texts = openai_max_texts,
    .put_body = openai_body,
    .read_reply = openai_read};
