/* One call for the vectors of some texts, and what comes of it. */
#include "model/embed.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/alloc.h"
#include "base/json.h"
#include "model/chat_driver.h"

#define REQUEST_MAX (2 * 1024 * 1024) /* texts escaped as JSON */
#define ANSWER_MAX (8 * 1024 * 1024)
#define PATH "/embeddings"
#define ADDRESS "model.base-url"

LIST_HEAD(embed_calls, embed_call);

struct embedder {
    struct http_calls *calls;
    char *url;
    char *authorization; /* NULL: without a key */
    char *model;
    struct price price;
    size_t dimension; /* 0: not known yet */
    char identity[CHAT_MODEL_MAX + 64];
    struct embed_calls open;
};

struct embed_call {
    LIST_ENTRY(embed_call) link;
    struct http_call *http;
    struct embedder *embedder;
    struct embed_request request;
    embed_done *done;
    void *arg;
};

/* ---- settings ---- */

struct chat_options embed_options_of(const struct conf *conf)
{
    struct chat_options options = chat_options_of(conf);
    options.model = conf_text(conf, CONF_MODEL_EMBED);
    return options;
}

static bool check_options(const struct chat_options *options, struct error *err)
{
    if (!options->base_url[0]) {
        return error_set(err, ERROR_FATAL, "setting_missing",
            "model.base-url is not set: model.embed needs the address of an OpenAI-compatible server");
    }
    if (!chat_model_valid(options->model)) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "model.embed must be at most %d visible ASCII characters, without quotes and backslashes",
            CHAT_MODEL_MAX);
    }
    return chat_openai.check(options, err); /* the same server: address and key */
}

struct embedder *embed_new(struct loop *loop, const struct chat_options *options, struct error *err)
{
    struct price price;
    if (!check_options(options, err) ||
        !price_find(options->prices, options->model, options->base_url, &price, err)) {
        return NULL;
    }
    struct embedder *embedder = xcalloc(1, sizeof(*embedder));
    embedder->calls = http_calls_new(loop);
    embedder->url = chat_url(options->base_url, PATH);
    embedder->authorization = chat_authorization(options->api_key);
    embedder->model = xstrdup(options->model);
    embedder->price = price;
    return embedder;
}

void embed_free(struct embedder *embedder)
{
    if (!embedder) {
        return;
    }
    struct embed_call *call;
    while ((call = LIST_FIRST(&embedder->open))) {
        const struct embed_reply reply = {.model = ""};
        struct error err;
        error_set(&err, ERROR_RETRY, "model_stopped", "the process stops");
        http_call_cancel(call->http);
        LIST_REMOVE(call, link);
        call->done(call->arg, &reply, &err);
    }
    http_calls_free(embedder->calls);
    free(embedder->url);
    free(embedder->authorization);
    free(embedder->model);
    free(embedder);
}

const char *embed_identity(const struct embedder *embedder)
{
    return embedder->identity;
}

/* ---- what an answer means ---- */

/* Vectors of one embedder are compared with each other. */
static bool keep_dimension(struct embedder *embedder, size_t dimension, struct error *err)
{
    if (embedder->dimension != 0 && embedder->dimension != dimension) {
        return error_set(err, ERROR_FATAL, "model_config",
            "model.embed: its vectors have %zu numbers now, earlier ones %zu: they cannot be compared",
            dimension, embedder->dimension);
    }
    embedder->dimension = dimension;
    snprintf(embedder->identity, sizeof(embedder->identity), "openai/%s/%zu", embedder->model, dimension);
    return true;
}

static void call_ended(void *arg, const struct http_call_result *result, const struct error *why)
{
    struct embed_call *call = arg;
    struct embedder *embedder = call->embedder;
    struct embed_reply reply = {.model = ""};
    struct error err = {0};
    LIST_REMOVE(call, link);
    if (!result) {
        chat_read_failure(ADDRESS, why, &err);
    } else if (result->status < 200 || result->status > 299) {
        chat_openai_refusal(result, &err);
    } else {
        bool read = embed_reply_read(call->request.arena, buf_text(&result->body), result->body.len,
            call->request.count, &reply, &err);
        reply.cost_usd = price_of(&embedder->price, reply.input_tokens, 0);
        if (read) {
            keep_dimension(embedder, reply.dimension, &err);
        }
    }
    call->done(call->arg, &reply, err.disposition == ERROR_NONE ? NULL : &err);
}

/* ---- asking ---- */

static void put_body(struct buf *out, const char *model, const struct embed_request *request)
{
    buf_puts(out, "{\"model\":");
    json_put_string(out, model);
    buf_puts(out, ",\"encoding_format\":\"float\",\"input\":");
    for (size_t i = 0; i < request->count; i++) {
        buf_putc(out, i > 0 ? ',' : '[');
        json_put_string(out, request->texts[i]);
    }
    buf_puts(out, "]}");
}

static bool keeps_bounds(const struct embed_request *request)
{
    size_t bytes = 0;
    for (size_t i = 0; i < request->count; i++) {
        size_t len = strlen(request->texts[i]);
        bytes += len > 0 ? len : EMBED_MAX_BYTES + 1;
    }
    return request->count > 0 && request->count <= EMBED_MAX_TEXTS && bytes <= EMBED_MAX_BYTES;
}

void embed_start(struct embedder *embedder, const struct embed_request *request, embed_done *done, void *arg)
{
    assert(keeps_bounds(request));
    struct embed_call *call = ARENA_NEW(request->arena, struct embed_call);
    *call = (struct embed_call){.embedder = embedder, .request = *request, .done = done, .arg = arg};
    const char *const headers[] = {
        "Content-Type: application/json", "Accept: application/json", embedder->authorization, NULL};
    struct buf body;
    buf_init(&body, REQUEST_MAX);
    put_body(&body, embedder->model, request);
    const struct http_call_request http = {.method = "POST",
        .url = embedder->url,
        .headers = headers,
        .body = buf_text(&body),
        .body_len = body.len,
        .timeout_ms = request->timeout_ms,
        .max_body = ANSWER_MAX};
    call->http = http_call_start(embedder->calls, &http, call_ended, call);
    LIST_INSERT_HEAD(&embedder->open, call, link);
    buf_fini(&body);
}

/* ---- checking ---- */

struct check {
    struct loop *loop;
    struct embedder *embedder;
    char report[EMBED_REPORT_SIZE];
    struct error err;
};

static void checked(void *arg, const struct embed_reply *reply, const struct error *err)
{
    struct check *check = arg;
    if (err) {
        check->err = *err;
    } else {
        snprintf(check->report, sizeof(check->report), "%s, %lld tokens for %.8f USD",
            embed_identity(check->embedder), (long long)reply->input_tokens, reply->cost_usd);
    }
    loop_stop(check->loop, 0);
}

bool embed_check(const struct chat_options *options, char report[EMBED_REPORT_SIZE], struct error *err)
{
    static const char *const texts[] = {"Hello"};
    struct check check = {.loop = loop_new(0)};
    check.embedder = embed_new(check.loop, options, &check.err);
    if (check.embedder) {
        struct arena *arena = arena_new(0);
        const struct embed_request request = {
            .arena = arena, .texts = texts, .count = 1, .timeout_ms = CHAT_CHECK_TIMEOUT_MS};
        embed_start(check.embedder, &request, checked, &check);
        (void)loop_run(check.loop);
        embed_free(check.embedder);
        arena_free(arena);
    }
    loop_free(check.loop);
    memcpy(report, check.report, sizeof(check.report));
    *err = check.err;
    return err->disposition == ERROR_NONE;
}
