/* One chat completion by any provider: the call, and what comes of it. */
#include "model/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/log.h"
#include "base/metrics.h"
#include "model/chat_driver.h"

#define REQUEST_MAX (8 * 1024 * 1024)
#define OUTAGE_RUN 20 /* failed calls in a row after which it is the server that fails, not the calls */
#define HEALTH "model"

LIST_HEAD(chat_calls, chat_call);

struct chat {
    struct http_calls *calls;
    const struct chat_driver *driver;
    void *state; /* the driver's */
    char *model;
    struct price price;
    bool schemaless;   /* the server knows no schema of an answer */
    int failed_in_row; /* calls since the server last answered one */
    struct chat_calls open;
    struct metric *seconds, *input_tokens, *output_tokens, *cost;
};

struct chat_call {
    LIST_ENTRY(chat_call) link;
    struct http_call *http;
    struct chat *chat;
    struct chat_request request;
    chat_done *done;
    void *arg;
    bool with_schema;
    int64_t started_us;
    int64_t until_ms; /* monotonic */
};

/* ---- settings ---- */

struct chat_options chat_options_of(const struct conf *conf)
{
    return (struct chat_options){.base_url = conf_text(conf, CONF_MODEL_BASE_URL),
        .api_key = conf_text(conf, CONF_MODEL_API_KEY),
        .model = conf_text(conf, CONF_MODEL_DRAFT),
        .prices = conf_text(conf, CONF_MODEL_PRICES)};
}

bool chat_is_visible(const char *text, size_t max)
{
    size_t len = 0;
    for (; text[len]; len++) {
        if (text[len] <= ' ' || text[len] > '~') {
            return false;
        }
    }
    return len <= max;
}

bool chat_is_address(const char *url)
{
    bool web = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    return web && chat_is_visible(url, CHAT_URL_MAX) && !strpbrk(url, "?#@");
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

static const struct chat_driver *driver_of(const struct chat_options *options)
{
    (void)options;
    return &chat_openai;
}

struct chat *chat_new(struct loop *loop, const struct chat_options *options, struct error *err)
{
    const struct chat_driver *driver = driver_of(options);
    struct price price;
    if (!driver->check(options, err) ||
        !price_find(options->prices, options->model, options->base_url, &price, err)) {
        return NULL;
    }
    struct chat *chat = xcalloc(1, sizeof(*chat));
    chat->driver = driver;
    chat->state = driver->open(options);
    chat->calls = http_calls_new(loop);
    chat->model = xstrdup(options->model);
    chat->price = price;
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
        http_call_cancel(call->http);
        LIST_REMOVE(call, link);
        call->done(call->arg, &reply, &err);
    }
    http_calls_free(chat->calls);
    chat->driver->free(chat->state);
    free(chat->model);
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
        health_set(HEALTH, false, why ? why->text : err->text); /* the operator may see addresses */
    } else if (!failed) {
        health_set(HEALTH, true, "");
    }
}

static void count_reply(struct chat *chat, struct chat_reply *reply)
{
    reply->cost_usd = price_of(&chat->price, reply->input_tokens, reply->output_tokens);
    metric_add(chat->input_tokens, (double)reply->input_tokens);
    metric_add(chat->output_tokens, (double)reply->output_tokens);
    metric_add(chat->cost, reply->cost_usd);
}

static bool knows_no_schema(const struct chat *chat, const struct http_call_result *result)
{
    return chat->driver->knows_no_schema && chat->driver->knows_no_schema(result);
}

static void call_send(struct chat_call *call, int64_t timeout_ms);

static void call_ended(void *arg, const struct http_call_result *result, const struct error *why)
{
    struct chat_call *call = arg;
    struct chat *chat = call->chat;
    struct chat_reply reply = {.content = "", .model = ""};
    struct error err = {0};
    int64_t left = call->until_ms - clock_mono_ms();
    LIST_REMOVE(call, link);
    if (result && call->with_schema && knows_no_schema(chat, result) && left > 0) {
        log_warn(
            "the model server knows no schema of an answer: it is left out", LOG_STR("model", chat->model));
        chat->schemaless = true;
        call_send(call, left);
        return;
    }
    if (!result) {
        chat_read_failure(chat->driver->address_setting, why, &err);
    } else if (result->status < 200 || result->status > 299) {
        chat->driver->read_refusal(result, &err);
    } else {
        chat->driver->read_reply(
            call->request.arena, buf_text(&result->body), result->body.len, &reply, &err);
        count_reply(chat, &reply);
    }
    judge_server(chat, why, &err);
    metric_observe(chat->seconds, (double)(clock_mono_us() - call->started_us) / 1e6);
    bool ok = err.disposition == ERROR_NONE;
    count_call(chat, ok ? "ok" : err.code + strlen("model_"));
    call->done(call->arg, &reply, ok ? NULL : &err);
}

/* ---- asking ---- */

static void call_send(struct chat_call *call, int64_t timeout_ms)
{
    struct chat *chat = call->chat;
    const char *headers[CHAT_HEADERS_MAX + 1] = {NULL};
    struct buf body;
    call->with_schema = !chat->schemaless;
    buf_init(&body, REQUEST_MAX);
    chat->driver->put_body(chat->state, &body, &call->request, call->with_schema);
    chat->driver->headers(chat->state, call->request.arena, &body, headers);
    const struct http_call_request request = {.method = "POST",
        .url = chat->driver->url(chat->state),
        .headers = headers,
        .body = buf_text(&body),
        .body_len = body.len,
        .timeout_ms = timeout_ms,
        .max_body = CHAT_MAX_ANSWER};
    call->http = http_call_start(chat->calls, &request, call_ended, call);
    LIST_INSERT_HEAD(&chat->open, call, link);
    buf_fini(&body);
}

void chat_start(struct chat *chat, const struct chat_request *request, chat_done *done, void *arg)
{
    struct chat_call *call = ARENA_NEW(request->arena, struct chat_call);
    *call = (struct chat_call){.chat = chat,
        .request = *request,
        .done = done,
        .arg = arg,
        .started_us = clock_mono_us(),
        .until_ms = clock_mono_ms() + request->timeout_ms};
    call_send(call, request->timeout_ms);
}

bool chat_check(const struct chat_options *options, struct error *err)
{
    const struct chat_driver *driver = driver_of(options);
    struct price price;
    return driver->check(options, err) &&
           price_find(options->prices, options->model, options->base_url, &price, err) &&
           driver->ask(options, err);
}
