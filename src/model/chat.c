/* One chat completion by any provider: the call, and what comes of it. */
#include "model/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "aws/credentials.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/log.h"
#include "base/metrics.h"
#include "model/budget.h"
#include "model/chat_driver.h"

#define REQUEST_MAX (8 * 1024 * 1024)
#define OUTAGE_RUN 20 /* failed calls in a row after which it is the server that fails, not the calls */
#define HEALTH "model"
#define TEMPLATE_TOKENS 256 /* at most, of what a server puts around the texts */

LIST_HEAD(chat_calls, chat_call);

struct chat {
    struct loop *loop;
    struct http_calls *calls;
    const struct chat_driver *driver;
    void *state; /* the driver's */
    char *model;
    char *part; /* condition of base/health.h */
    struct price price;
    bool schemaless;       /* the server knows no schema of an answer */
    int failed_in_row;     /* calls since the server last answered one */
    struct budget *budget; /* or NULL */
    struct chat_calls open;
    struct metric *seconds, *input_tokens, *output_tokens, *cost;
};

struct chat_call {
    LIST_ENTRY(chat_call) link;
    struct chat *chat;
    void *wait;               /* for what the driver prepares, or NULL */
    struct loop_timer *timer; /* ends the waiting; NULL when it is over */
    struct error *unprepared; /* why there is nothing to wait for, or NULL */
    struct http_call *http;   /* NULL before it is sent, and when it was answered */
    struct budget_hold *hold; /* NULL: nobody counts */
    struct chat_request request;
    chat_done *done;
    void *arg;
    bool with_schema;
    bool renewed; /* what the driver prepared was good no more, and is got once again */
    bool adapted; /* put once more, as the server wants it */
    struct chat_reply reply;
    struct error err;
    int64_t started_us;
    int64_t until_ms; /* monotonic */
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
    chat->loop = loop;
    chat->driver = driver;
    chat->state = driver->open(loop, options);
    chat->calls = http_calls_new(loop);
    chat->model = xstrdup(options->model);
    chat->part = xstrdup(options->part ? options->part : HEALTH);
    chat->price = price;
    chat->budget = options->budget;
    char labels[CHAT_MODEL_MAX + 64];
    snprintf(labels, sizeof(labels), "model=\"%s\"", chat->model);
    chat->seconds = metrics_histogram("helpdesk_model_seconds", "Time a model's answer takes", labels);
    chat->cost = metrics_counter("helpdesk_model_cost_usd_total", "Cost of models' answers", labels);
    snprintf(labels, sizeof(labels), "model=\"%s\",direction=\"input\"", chat->model);
    chat->input_tokens = metrics_counter("helpdesk_model_tokens_total", "Tokens read and written", labels);
    snprintf(labels, sizeof(labels), "model=\"%s\",direction=\"output\"", chat->model);
    chat->output_tokens = metrics_counter("helpdesk_model_tokens_total", "Tokens read and written", labels);
    return chat;
}

/* Nothing goes on for the call any more. */
static void call_leave(struct chat_call *call)
{
    if (call->wait) {
        call->chat->driver->prepare_cancel(call->chat->state, call->wait);
    }
    if (call->http) {
        http_call_cancel(call->http);
    }
    if (call->hold) {
        budget_drop(call->hold);
    }
    loop_timer_free(call->timer);
    LIST_REMOVE(call, link);
}

void chat_free(struct chat *chat)
{
    if (!chat) {
        return;
    }
    struct chat_call *call;
    while ((call = LIST_FIRST(&chat->open))) {
        const struct chat_reply reply = {.content = "", .model = ""};
        struct error err;
        error_set(&err, ERROR_RETRY, "model_stopped", "the process stops");
        call_leave(call);
        call->done(call->arg, &reply, &err);
    }
    http_calls_free(chat->calls);
    chat->driver->free(chat->state);
    free(chat->model);
    free(chat->part);
    free(chat);
}

/* ---- what an answer means ---- */

static void count_call(struct chat *chat, const char *outcome)
{
    char labels[CHAT_MODEL_MAX + 96];
    snprintf(labels, sizeof(labels), "model=\"%s\",outcome=\"%.40s\"", chat->model, outcome);
    metric_add(metrics_counter("helpdesk_model_calls_total", "Calls of models by outcome", labels), 1);
}

void chat_read_failure(const char *address_setting, const struct error *why, struct error *err)
{
    if (strcmp(why->code, "connect_failed") == 0) {
        error_set(err, ERROR_RETRY, "model_unavailable", "the model server cannot be reached");
    } else if (strcmp(why->code, "timeout") == 0) {
        error_set(err, ERROR_RETRY, "model_timeout", "the model did not answer in time");
    } else if (strcmp(why->code, "too_large") == 0) {
        error_set(err, ERROR_REJECT, "model_unusable", "the server's answer is too large");
    } else if (why->disposition == ERROR_RETRY) {
        error_set(err, ERROR_RETRY, "model_broken", "the model server broke off its answer");
    } else {
        error_set(err, ERROR_FATAL, "model_config", "%s: %s", address_setting, why->text);
    }
}

/* One failure may be the call's; the same from all calls is the server's. `why`: what the transfer says, NULL
 * when the server answered. */
static void judge_server(struct chat *chat, const struct error *why, struct error *err)
{
    bool failed = err->disposition == ERROR_RETRY;
    bool unreached = why && strcmp(why->code, "connect_failed") == 0;
    chat->failed_in_row = failed ? chat->failed_in_row + 1 : 0;
    bool down = failed && (unreached || chat->failed_in_row >= OUTAGE_RUN);
    if (down) {
        snprintf(err->code, sizeof(err->code), "model_unavailable");
    }
    if (down || err->disposition == ERROR_FATAL) {
        health_set(chat->part, false, why ? why->text : err->text); /* the operator may see addresses */
    } else if (!failed) {
        health_set(chat->part, true, "");
    }
}

static void count_reply(struct chat *chat, struct chat_reply *reply)
{
    reply->cost_usd = price_of(&chat->price, reply->input_tokens, reply->output_tokens);
    metric_add(chat->input_tokens, (double)reply->input_tokens);
    metric_add(chat->output_tokens, (double)reply->output_tokens);
    metric_add(chat->cost, reply->cost_usd);
}

/* ---- the end of a call ---- */

static void call_end(void *arg)
{
    struct chat_call *call = arg;
    LIST_REMOVE(call, link);
    call->done(call->arg, &call->reply, call->err.disposition == ERROR_NONE ? NULL : &call->err);
}

/* What a server refuses costs nothing. What it says without telling what that used, or was about to say, may
 * have cost anything. */
static enum budget_outcome outcome_of(
    const struct chat_call *call, const struct http_call_result *result, const struct error *why)
{
    bool refused = result && (result->status < 200 || result->status > 299);
    bool unasked = why && (strcmp(why->code, "connect_failed") == 0 || strcmp(why->code, "bad_url") == 0);
    if (refused || unasked) {
        return BUDGET_RELEASED;
    }
    return call->reply.input_tokens + call->reply.output_tokens > 0 ? BUDGET_ANSWERED : BUDGET_LOST;
}

/* `why`: what the transfer or the credentials' source says, NULL when the server answered. */
static void call_finish(struct chat_call *call, const struct error *why, enum budget_outcome outcome)
{
    struct chat *chat = call->chat;
    judge_server(chat, why, &call->err);
    metric_observe(chat->seconds, (double)(clock_mono_us() - call->started_us) / 1e6);
    bool ok = call->err.disposition == ERROR_NONE;
    count_call(chat, ok ? "ok" : call->err.code + strlen("model_"));
    const struct budget_spent spent = {.outcome = outcome,
        .input_tokens = call->reply.input_tokens,
        .output_tokens = call->reply.output_tokens,
        .usd = call->reply.cost_usd};
    if (call->hold) {
        budget_settle(call->hold, &spent, call_end, call);
    } else {
        call_end(call);
    }
}

static void call_begin(struct chat_call *call);

/* Whether the refusal is of something that the next call does without. */
static bool may_repeat(struct chat_call *call, const struct http_call_result *result)
{
    struct chat *chat = call->chat;
    const struct chat_driver *driver = chat->driver;
    if (call->until_ms <= clock_mono_ms()) {
        return false;
    }
    if (!call->renewed && driver->went_stale && driver->went_stale(chat->state, result)) {
        call->renewed = true;
        return true;
    }
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

static void call_ended(void *arg, const struct http_call_result *result, const struct error *why)
{
    struct chat_call *call = arg;
    struct chat *chat = call->chat;
    call->http = NULL;
    if (result && may_repeat(call, result)) {
        call_begin(call);
        return;
    }
    if (!result) {
        chat_read_failure(chat->driver->address_setting, why, &call->err);
    } else if (result->status < 200 || result->status > 299) {
        chat->driver->read_refusal(result, &call->err);
    } else {
        chat->driver->read_reply(
            call->request.arena, buf_text(&result->body), result->body.len, &call->reply, &call->err);
        count_reply(chat, &call->reply);
    }
    call_finish(call, why, outcome_of(call, result, why));
}

/* ---- asking ---- */

static void call_send(struct chat_call *call, const void *pass)
{
    struct chat *chat = call->chat;
    const char *headers[CHAT_HEADERS_MAX + 1] = {NULL};
    int64_t left = call->until_ms - clock_mono_ms();
    struct buf body;
    call->with_schema = !chat->schemaless;
    buf_init(&body, REQUEST_MAX);
    chat->driver->put_body(chat->state, &body, &call->request, call->with_schema);
    chat->driver->headers(chat->state, pass, call->request.arena, &body, headers);
    const struct http_call_request request = {.method = "POST",
        .url = chat->driver->url(chat->state),
        .headers = headers,
        .body = buf_text(&body),
        .body_len = body.len,
        .timeout_ms = left > 0 ? left : 1,
        .max_body = CHAT_MAX_ANSWER};
    call->http = http_call_start(chat->calls, &request, call_ended, call);
    buf_fini(&body);
}

static void call_prepared(void *arg, const void *pass, const struct error *err)
{
    struct chat_call *call = arg;
    call->wait = NULL;
    if (err) {
        call->unprepared = ARENA_NEW(call->request.arena, struct error);
        *call->unprepared = *err;
        loop_timer_arm(call->timer, 0); /* the call may be starting just now */
        return;
    }
    loop_timer_free(call->timer);
    call->timer = NULL;
    call_send(call, pass);
}

/* There are no credentials, or none in time. */
static void call_unprepared(void *arg)
{
    struct chat_call *call = arg;
    struct error *err = &call->err;
    if (call->wait) {
        call->chat->driver->prepare_cancel(call->chat->state, call->wait);
        call->wait = NULL;
        error_set(err, ERROR_RETRY, "model_timeout", "the credentials for the model did not come in time");
    } else if (call->unprepared->disposition == ERROR_RETRY) {
        error_set(err, ERROR_RETRY, "model_unavailable", "the credentials for the model cannot be fetched");
        err->retry_after_ms = call->unprepared->retry_after_ms;
    } else {
        error_set(err, ERROR_FATAL, "model_config", "there are no credentials for the model");
    }
    loop_timer_free(call->timer);
    call->timer = NULL;
    call_finish(call, call->unprepared, BUDGET_RELEASED);
}

static void call_begin(struct chat_call *call)
{
    struct chat *chat = call->chat;
    if (!chat->driver->prepare) {
        call_send(call, NULL);
        return;
    }
    int64_t left = call->until_ms - clock_mono_ms();
    call->timer = loop_timer_new(chat->loop, call_unprepared, call);
    loop_timer_arm(call->timer, left > 0 ? left : 0);
    call->wait = chat->driver->prepare(chat->state, call_prepared, call);
}

static void reserved(void *arg, const struct error *err)
{
    struct chat_call *call = arg;
    if (err) {
        call->err = *err;
        call_end(call);
        return;
    }
    call->started_us = clock_mono_us();
    call_begin(call);
}

/* A token is a byte at least. */
static void reserve(struct chat_call *call)
{
    struct chat *chat = call->chat;
    const struct chat_request *request = &call->request;
    int64_t input = (int64_t)(strlen(request->system) + strlen(request->user) + strlen(request->schema)) +
                    TEMPLATE_TOKENS;
    const struct budget_call most = {.tenant = request->tenant,
        .model = chat->model,
        .stage = request->stage,
        .most_input_tokens = input,
        .most_output_tokens = request->max_output_tokens,
        .most_usd = price_of(&chat->price, input, request->max_output_tokens),
        .timeout_ms = request->timeout_ms};
    call->hold = budget_reserve(chat->budget, &most, reserved, call);
}

void chat_start(struct chat *chat, const struct chat_request *request, chat_done *done, void *arg)
{
    struct chat_call *call = ARENA_NEW(request->arena, struct chat_call);
    *call = (struct chat_call){.chat = chat,
        .request = *request,
        .done = done,
        .arg = arg,
        .reply = {.content = "", .model = ""},
        .started_us = clock_mono_us(),
        .until_ms = clock_mono_ms() + request->timeout_ms};
    LIST_INSERT_HEAD(&chat->open, call, link);
    if (chat->budget) {
        reserve(call);
    } else {
        call_begin(call);
    }
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
