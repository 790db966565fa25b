/* One chat completion by any provider: what is asked, and what comes of it. */
#include "model/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "aws/credentials.h"
#include "base/alloc.h"
#include "base/log.h"
#include "model/call.h"
#include "model/chat_driver.h"

#define REQUEST_MAX (8 * 1024 * 1024)
#define HEALTH "model"
#define TEMPLATE_TOKENS 256 /* at most, of what a server puts around the texts */

struct chat {
    struct model_asker *asker;
    const struct chat_driver *driver;
    void *state; /* the driver's */
    char *model;
    bool schemaless; /* the server knows no schema of an answer */
};

struct chat_call {
    struct chat *chat;
    struct chat_request request;
    chat_done *done;
    void *arg;
    bool with_schema;
    bool adapted; /* put once more, as the server wants it */
    struct chat_reply reply;
};

/* ---- settings ---- */

static const struct chat_driver *driver_of(const struct chat_options *options)
{
    bool bedrock = options->provider && strcmp(options->provider, chat_bedrock.name) == 0;
    return bedrock ? &chat_bedrock : &chat_openai;
}

static struct chat_options options_of(const struct conf *conf, enum conf_id model, bool strong)
{
    struct chat_options options = {.provider = conf_text(conf, CONF_MODEL_PROVIDER),
        .base_url = conf_text(conf, CONF_MODEL_BASE_URL),
        .api_key = conf_text(conf, CONF_MODEL_API_KEY),
        .model = conf_text(conf, model),
        .prices = conf_text(conf, CONF_MODEL_PRICES),
        .setting = conf_name(model),
        .part = strong ? "model-strong" : HEALTH,
        .guardrail = conf_text(conf, CONF_MODEL_GUARDRAIL),
        .max_output_tokens = conf_int(conf, CONF_MODEL_MAX_OUTPUT_TOKENS)};
    if (driver_of(&options) == &chat_bedrock) {
        options.base_url = conf_text(conf, CONF_MODEL_ENDPOINT);
        options.api_key = conf_text(conf, CONF_MODEL_BEARER_TOKEN);
        snprintf(options.region, sizeof(options.region), "%s", conf_text(conf, CONF_MODEL_REGION));
        if (!options.region[0]) {
            aws_region(options.region, sizeof(options.region));
        }
        options.model = options.model[0] ? options.model : chat_bedrock_model(options.region, strong);
    }
    return options;
}

struct chat_options chat_options_of(const struct conf *conf)
{
    return options_of(conf, CONF_MODEL_DRAFT, false);
}

struct chat_options chat_strong_options_of(const struct conf *conf)
{
    return options_of(conf, CONF_MODEL_DRAFT_STRONG, true);
}

bool chat_wanted(const struct chat_options *options)
{
    return driver_of(options) == &chat_bedrock || options->base_url[0];
}

bool chat_drafts(const struct conf *conf)
{
    const struct chat_options options = chat_options_of(conf);
    bool named = options.model[0] || conf_text(conf, CONF_MODEL_DRAFT_STRONG)[0];
    bool other = conf_text(conf, CONF_MODEL_EMBED)[0] || conf_text(conf, CONF_MODEL_CLASSIFY)[0];
    return chat_wanted(&options) && (named || !other);
}

static bool is_visible(const char *text, size_t max)
{
    size_t len = 0;
    for (; text[len]; len++) {
        if (text[len] <= ' ' || text[len] > '~') {
            return false;
        }
    }
    return len <= max;
}

bool chat_check_texts(const struct chat_options *options, const char *key_setting, struct error *err)
{
    const char *setting = options->setting ? options->setting : conf_name(CONF_MODEL_DRAFT);
    if (!options->model[0]) {
        return error_set(err, ERROR_FATAL, "setting_missing",
            "%s is not set: the model server needs the id of a model", setting);
    }
    if (!chat_model_valid(options->model)) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "%s must be at most %d visible ASCII characters, without quotes and backslashes", setting,
            CHAT_MODEL_MAX);
    }
    return is_visible(options->api_key, CHAT_KEY_MAX) ||
           error_set(err, ERROR_FATAL, "setting_invalid",
               "%s must be at most %d visible ASCII characters, without blanks and line breaks", key_setting,
               CHAT_KEY_MAX);
}

bool chat_is_address(const char *url)
{
    bool web = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    return web && is_visible(url, CHAT_URL_MAX) && !strpbrk(url, "?#@");
}

char *chat_url(const char *base_url, const char *path)
{
    size_t len = strlen(base_url);
    while (base_url[len - 1] == '/') {
        len--;
    }
    size_t size = len + strlen(path) + 1;
    char *made = xmalloc(size);
    snprintf(made, size, "%.*s%s", (int)len, base_url, path);
    return made;
}

char *chat_authorization(const char *api_key)
{
    static const char bearer[] = "Authorization: Bearer ";
    if (!api_key[0]) {
        return NULL;
    }
    size_t size = sizeof(bearer) + strlen(api_key);
    char *made = xmalloc(size);
    snprintf(made, size, "%s%s", bearer, api_key);
    return made;
}

static bool find_price(const struct chat_options *options, struct price *out, struct error *err)
{
    const char *own_url = driver_of(options)->paid ? "" : options->base_url;
    return price_find(options->prices, options->model, own_url, out, err);
}

struct chat *chat_new(struct loop *loop, const struct chat_options *options, struct error *err)
{
    const struct chat_driver *driver = driver_of(options);
    struct price price;
    if (!driver->check(options, err) || !find_price(options, &price, err)) {
        return NULL;
    }
    struct chat *chat = xcalloc(1, sizeof(*chat));
    chat->driver = driver;
    chat->state = driver->open(loop, options);
    chat->model = xstrdup(options->model);
    const struct model_asker_options asker = {.access = driver->access,
        .state = chat->state,
        .model = options->model,
        .part = options->part ? options->part : HEALTH,
        .price = price,
        .budget = options->budget};
    chat->asker = model_asker_new(loop, &asker);
    return chat;
}

void chat_free(struct chat *chat)
{
    if (!chat) {
        return;
    }
    model_asker_free(chat->asker);
    chat->driver->free(chat->state);
    free(chat->model);
    free(chat);
}

/* ---- a call ---- */

static void put_body(void *arg, struct buf *out)
{
    struct chat_call *call = arg;
    struct chat *chat = call->chat;
    call->with_schema = !chat->schemaless;
    chat->driver->put_body(chat->state, out, &call->request, call->with_schema);
}

static bool read_reply(
    void *arg, const struct http_call_result *result, struct model_usage *usage, struct error *err)
{
    struct chat_call *call = arg;
    bool ok = call->chat->driver->read_reply(
        call->request.arena, buf_text(&result->body), result->body.len, &call->reply, err);
    usage->input_tokens = call->reply.input_tokens;
    usage->output_tokens = call->reply.output_tokens;
    return ok;
}

static bool repeats(void *arg, const struct http_call_result *result)
{
    struct chat_call *call = arg;
    struct chat *chat = call->chat;
    const struct chat_driver *driver = chat->driver;
    if (!call->adapted && driver->adapt && driver->adapt(chat->state, result)) {
        call->adapted = true;
        return true;
    }
    if (call->with_schema && driver->knows_no_schema && driver->knows_no_schema(result)) {
        log_warn(
            "the model server knows no schema of an answer: it is left out", LOG_STR("model", chat->model));
        chat->schemaless = true;
        return true;
    }
    return false;
}

static void call_done(void *arg, const struct model_usage *usage, const struct error *err)
{
    struct chat_call *call = arg;
    call->reply.cost_usd = usage->cost_usd;
    call->done(call->arg, &call->reply, err);
}

/* A token is a byte at least. A request of the driver's `ask` has no texts, and nobody pays it. */
static int64_t most_input_tokens(const struct chat_request *request)
{
    return request->user
               ? (int64_t)(strlen(request->system) + strlen(request->user) + strlen(request->schema)) +
                     TEMPLATE_TOKENS
               : 0;
}

void chat_start(struct chat *chat, const struct chat_request *request, chat_done *done, void *arg)
{
    struct chat_call *call = ARENA_NEW(request->arena, struct chat_call);
    *call = (struct chat_call){
        .chat = chat, .request = *request, .done = done, .arg = arg, .reply = {.content = "", .model = ""}};
    const struct model_question question = {.arena = request->arena,
        .tenant = request->tenant,
        .stage = request->stage,
        .most_input_tokens = most_input_tokens(request),
        .most_output_tokens = request->max_output_tokens,
        .timeout_ms = request->timeout_ms,
        .max_body = REQUEST_MAX,
        .max_answer = CHAT_MAX_ANSWER,
        .put_body = put_body,
        .read = read_reply,
        .repeats = repeats,
        .done = call_done,
        .arg = call};
    model_ask(chat->asker, &question);
}

bool chat_costs(const struct chat_options *options)
{
    struct price price;
    return find_price(options, &price, NULL) && (price.input > 0 || price.output > 0);
}

bool chat_check(const struct chat_options *options, struct error *err)
{
    const struct chat_driver *driver = driver_of(options);
    struct price price;
    return driver->check(options, err) && find_price(options, &price, err) && driver->ask(options, err);
}
