/* Vectors of OpenAI-compatible servers: https://platform.openai.com/docs/api-reference/embeddings. */
#include <inttypes.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/json.h"
#include "model/chat_driver.h"
#include "model/embed_driver.h"

#define PATH "/embeddings"
#define BATCH 32

struct openai {
    char *url;
    char *model;
    char *authorization; /* NULL: without a key */
    int64_t dimensions;  /* 0: the model's own */
};

static bool check(const struct chat_options *options, struct error *err)
{
    if (!options->base_url[0]) {
        return error_set(err, ERROR_FATAL, "setting_missing",
            "model.base-url is not set: model.embed needs the address of an OpenAI-compatible server");
    }
    return chat_openai.check(options, err); /* the same server: address and key */
}

static void *openai_open(struct loop *loop, const struct chat_options *options)
{
    (void)loop;
    struct openai *openai = xcalloc(1, sizeof(*openai));
    openai->url = chat_url(options->base_url, PATH);
    openai->model = xstrdup(options->model);
    openai->authorization = chat_authorization(options->api_key);
    openai->dimensions = options->dimensions;
    return openai;
}

static void openai_free(void *state)
{
    struct openai *openai = state;
    free(openai->url);
    free(openai->model);
    free(openai->authorization);
    free(openai);
}

static const char *openai_url(void *state)
{
    return ((struct openai *)state)->url;
}

static void openai_headers(void *state, const void *pass, struct arena *arena, const struct buf *body,
    const char *lines[MODEL_HEADERS_MAX + 1])
{
    (void)pass;
    (void)arena;
    (void)body;
    lines[0] = "Content-Type: application/json";
    lines[1] = "Accept: application/json";
    lines[2] = ((struct openai *)state)->authorization;
}

static size_t openai_max_texts(const void *state)
{
    (void)state;
    return BATCH;
}

static void openai_body(void *state, struct buf *out, const struct embed_request *request)
{
    const struct openai *openai = state;
    buf_puts(out, "{\"model\":");
    json_put_string(out, openai->model);
    if (openai->dimensions > 0) {
        buf_printf(out, ",\"dimensions\":%" PRId64, openai->dimensions);
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

static const struct model_access openai_access = {.address_setting = "model.base-url",
    .url = openai_url,
    .headers = openai_headers,
    .read_refusal = chat_openai_refusal};

const struct embed_driver embed_openai = {.name = "openai",
    .access = &openai_access,
    .check = check,
    .open = openai_open,
    .free = openai_free,
    .max_texts = openai_max_texts,
    .put_body = openai_body,
    .read_reply = openai_read};
