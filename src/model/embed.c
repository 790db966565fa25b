/* One call for the vectors of some texts, and what comes of it. */
#include "model/embed.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/json.h"
#include "base/parse.h"
#include "model/call.h"
#include "model/chat_driver.h"
#include "model/embed_driver.h"

#define REQUEST_MAX (2 * 1024 * 1024) /* texts escaped as JSON */
#define ANSWER_MAX (16 * 1024 * 1024) /* 96 vectors of 4096 numbers would be 9 MiB */
#define TEMPLATE_TOKENS 8             /* at most, of what a model puts around a text */
#define PART "model-embed"

struct embedder {
    struct model_asker *asker;
    const struct embed_driver *driver;
    void *state; /* the driver's */
    char *model;
    size_t dimension; /* 0: not known yet */
    char identity[EMBED_IDENTITY_SIZE];
};

struct embed_call {
    struct embedder *embedder;
    struct embed_request request;
    embed_done *done;
    void *arg;
    struct embed_reply reply;
};

/* ---- settings ---- */

static const struct embed_driver *driver_of(const struct chat_options *options)
{
    bool bedrock = options->provider && strcmp(options->provider, embed_bedrock.name) == 0;
    return bedrock ? &embed_bedrock : &embed_openai;
}

struct chat_options embed_options_of(const struct conf *conf)
{
    struct chat_options options = chat_options_of(conf);
    options.model = conf_text(conf, CONF_MODEL_EMBED);
    options.setting = conf_name(CONF_MODEL_EMBED);
    options.dimensions = conf_int(conf, CONF_MODEL_EMBED_DIMENSIONS);
    options.guardrail = NULL; /* it reads what goes to a model that writes */
    options.part = PART;
    return options;
}

void embed_identity_start(const struct chat_options *options, char out[EMBED_IDENTITY_SIZE])
{
    int len = snprintf(out, EMBED_IDENTITY_SIZE, "%s/%s/", driver_of(options)->name, options->model);
    if (options->dimensions > 0) {
        snprintf(out + len, EMBED_IDENTITY_SIZE - (size_t)len, "%" PRId64, options->dimensions);
    }
}

bool embed_makes(const struct chat_options *options, const char *identity)
{
    char start[EMBED_IDENTITY_SIZE];
    embed_identity_start(options, start);
    return options->dimensions > 0
               ? strcmp(identity, start) == 0
               : strncmp(identity, start, strlen(start)) == 0 && !strchr(identity + strlen(start), '/');
}

bool embed_options_for(
    const struct conf *conf, const char *identity, char id[CHAT_MODEL_MAX + 1], struct chat_options *out)
{
    const char *model = strchr(identity, '/'), *dimension = strrchr(identity, '/');
    if (!model || model == dimension || (size_t)(dimension - model) > CHAT_MODEL_MAX + 1) {
        return false;
    }
    snprintf(id, CHAT_MODEL_MAX + 1, "%.*s", (int)(dimension - model - 1), model + 1);
    *out = embed_options_of(conf);
    if (embed_makes(out, identity)) {
        return true;
    }
    out->model = id;
    bool own = out->dimensions == 0;
    return (own || parse_int64(dimension + 1, &out->dimensions)) && embed_makes(out, identity);
}

struct embedder *embed_new(struct loop *loop, const struct chat_options *options, struct error *err)
{
    const struct embed_driver *driver = driver_of(options);
    struct chat_options checked = *options;
    struct price price;
    const char *own_url = driver->paid ? "" : options->base_url;
    checked.setting = conf_name(CONF_MODEL_EMBED);
    if (!driver->check(&checked, err) || !price_find(options->prices, options->model, own_url, &price, err)) {
        return NULL;
    }
    struct embedder *embedder = xcalloc(1, sizeof(*embedder));
    embedder->driver = driver;
    embedder->state = driver->open(loop, options);
    embedder->model = xstrdup(options->model);
    embedder->dimension = (size_t)options->dimensions;
    const struct model_asker_options asker = {.access = driver->access,
        .state = embedder->state,
        .model = options->model,
        .part = options->part ? options->part : PART,
        .price = price,
        .budget = options->budget};
    embedder->asker = model_asker_new(loop, &asker);
    return embedder;
}

void embed_free(struct embedder *embedder)
{
    if (!embedder) {
        return;
    }
    model_asker_free(embedder->asker);
    embedder->driver->free(embedder->state);
    free(embedder->model);
    free(embedder);
}

const char *embed_identity(const struct embedder *embedder)
{
    return embedder->identity;
}

size_t embed_max_texts(const struct embedder *embedder)
{
    return embedder->driver->max_texts(embedder->state);
}

/* ---- what an answer means ---- */

/* Vectors of one embedder are compared with each other. */
static bool keep_dimension(struct embedder *embedder, size_t dimension, struct error *err)
{
    if (embedder->dimension != 0 && embedder->dimension != dimension) {
        return error_set(err, ERROR_FATAL, "model_config",
            "model.embed: its vectors have %zu numbers now, not %zu as earlier ones or as "
            "model.embed-dimensions says: they cannot be compared",
            dimension, embedder->dimension);
    }
    embedder->dimension = dimension;
    snprintf(embedder->identity, sizeof(embedder->identity), "%s/%s/%zu", embedder->driver->name,
        embedder->model, dimension);
    return true;
}

static bool read_reply(
    void *arg, const struct http_call_result *result, struct model_usage *usage, struct error *err)
{
    struct embed_call *call = arg;
    struct embedder *embedder = call->embedder;
    bool ok = embedder->driver->read_reply(
        embedder->state, call->request.arena, result, call->request.count, &call->reply, err);
    usage->input_tokens = call->reply.input_tokens;
    return ok && keep_dimension(embedder, call->reply.dimension, err);
}

static void call_done(void *arg, const struct model_usage *usage, const struct error *err)
{
    struct embed_call *call = arg;
    call->reply.cost_usd = usage->cost_usd;
    call->reply.identity = arena_strdup(call->request.arena, call->embedder->identity);
    call->done(call->arg, &call->reply, err);
}

/* ---- asking ---- */

static void put_body(void *arg, struct buf *out)
{
    const struct embed_call *call = arg;
    call->embedder->driver->put_body(call->embedder->state, out, &call->request);
}

/* All bytes of the texts; 0 when a text is empty. */
static size_t bytes_of(const struct embed_request *request)
{
    size_t bytes = 0;
    for (size_t i = 0; i < request->count; i++) {
        size_t len = strlen(request->texts[i]);
        if (len == 0) {
            return 0;
        }
        bytes += len;
    }
    return bytes;
}

void embed_start(struct embedder *embedder, const struct embed_request *request, embed_done *done, void *arg)
{
    size_t bytes = bytes_of(request);
    assert(request->count <= embed_max_texts(embedder) && bytes > 0 && bytes <= EMBED_MAX_BYTES);
    struct embed_call *call = ARENA_NEW(request->arena, struct embed_call);
    *call = (struct embed_call){
        .embedder = embedder, .request = *request, .done = done, .arg = arg, .reply = {.model = ""}};
    const struct model_question question = {.arena = request->arena,
        .tenant = request->tenant,
        .stage = request->stage,
        /* A token is a byte at least. */
        .most_input_tokens = (int64_t)(bytes + request->count * TEMPLATE_TOKENS),
        .timeout_ms = request->timeout_ms,
        .max_body = REQUEST_MAX,
        .max_answer = ANSWER_MAX,
        .put_body = put_body,
        .read = read_reply,
        .done = call_done,
        .arg = call};
    model_ask(embedder->asker, &question);
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
