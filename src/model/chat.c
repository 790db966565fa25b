/* One chat completion: the request, the call, and what comes of it. */
#include "model/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/call.h"
#include "http/client.h"

#define PATH_COMPLETIONS "/chat/completions"
#define PATH_MODELS "/models"
#define URL_MAX 1024
#define KEY_MAX 4096
#define REQUEST_MAX (8 * 1024 * 1024)
#define OUTAGE_RUN 20 /* failed calls in a row after which it is the server that fails, not the calls */
#define CHECK_TIMEOUT_MS 10000
#define HEALTH "model"

LIST_HEAD(chat_calls, chat_call);

struct chat {
    struct http_calls *calls;
    char *url;
    char *model;
    char *authorization; /* NULL: without a key */
    struct price price;
    bool schemaless;   /* the server knows no response_format */
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

static bool check_options(const struct chat_options *options, struct error *err)
{
    const char *url = options->base_url;
    bool web = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    if (!web || !is_visible(url, URL_MAX) || strpbrk(url, "?#@")) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "model.base-url must be an http or https address without user, query and fragment, such as "
            "https://api.openai.com/v1");
    }
    if (!options->model[0]) {
        return error_set(err, ERROR_FATAL, "setting_missing",
            "model.draft is not set: model.base-url needs the id of the model that drafts");
    }
    if (!chat_model_valid(options->model)) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "model.draft must be at most %d visible ASCII characters, without quotes and backslashes",
            CHAT_MODEL_MAX);
    }
    if (!is_visible(options->api_key, KEY_MAX)) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "model.api-key must be at most %d visible ASCII characters, without blanks and line breaks",
            KEY_MAX);
    }
    return true;
}

static char *joined(const char *before, const char *text, size_t len, const char *after)
{
    size_t size = strlen(before) + len + strlen(after) + 1;
    char *made = xmalloc(size);
    snprintf(made, size, "%s%.*s%s", before, (int)len, text, after);
    return made;
}

static char *url_of(const struct chat_options *options, const char *path)
{
    size_t len = strlen(options->base_url);
    while (options->base_url[len - 1] == '/') {
        len--;
    }
    return joined("", options->base_url, len, path);
}

/* NULL: without a key. */
static char *authorization_of(const struct chat_options *options)
{
    const char *key = options->api_key;
    return key[0] ? joined("Authorization: Bearer ", key, strlen(key), "") : NULL;
}

struct chat *chat_new(struct loop *loop, const struct chat_options *options, struct error *err)
{
    struct price price;
    if (!check_options(options, err) ||
        !price_find(options->prices, options->model, options->base_url, &price, err)) {
        return NULL;
    }
    struct chat *chat = xcalloc(1, sizeof(*chat));
    chat->calls = http_calls_new(loop);
    chat->url = url_of(options, PATH_COMPLETIONS);
    chat->authorization = authorization_of(options);
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
    free(chat->url);
    free(chat->model);
    free(chat->authorization);
    free(chat);
}

/* ---- what an answer means ---- */

static void count_call(struct chat *chat, const char *outcome)
{
    char labels[CHAT_MODEL_MAX + 96];
    snprintf(labels, sizeof(labels), "model=\"%s\",outcome=\"%.40s\"", chat->model, outcome);
    metric_add(metrics_counter("helpdesk_model_calls_total", "Calls of models by outcome", labels), 1);
}

/* What a status other than 2xx says. */
static void read_status(int status, const struct buf *body, int64_t retry_after_ms, struct error *err)
{
    char code[CHAT_CODE_MAX];
    chat_error_code(buf_text(body), body->len, code);
    bool quota = status == 429 && strcmp(code, "insufficient_quota") == 0;
    enum error_disposition disposition = ERROR_RETRY;
    const char *name = "model_failed";
    if (quota || (status >= 300 && status < 400) || (status >= 401 && status <= 404)) {
        disposition = ERROR_FATAL;
        name = "model_config";
    } else if (status == 503 || (status == 429 && retry_after_ms > 0)) {
        name = "model_unavailable";
    } else if (status == 429) {
        name = "model_busy";
    } else if (status == 408) {
        name = "model_timeout";
    } else if (status < 500) {
        disposition = ERROR_REJECT;
        name = "model_refused";
    }
    error_set(err, disposition, name, "the model server says %d%s%s%s", status, code[0] ? " (" : "", code,
        code[0] ? ")" : "");
    err->retry_after_ms = retry_after_ms;
}

/* What a call that brought no answer says. */
static void read_failure(const struct error *why, struct error *err)
{
    if (strcmp(why->code, "connect_failed") == 0) {
        error_set(err, ERROR_RETRY, "model_unavailable", "the model server cannot be reached");
    } else if (strcmp(why->code, "timeout") == 0) {
        error_set(err, ERROR_RETRY, "model_timeout", "the model did not answer in time");
    } else if (strcmp(why->code, "too_large") == 0) {
        error_set(err, ERROR_REJECT, "model_unusable", "it is larger than %d bytes", CHAT_MAX_ANSWER);
    } else if (why->disposition == ERROR_RETRY) {
        error_set(err, ERROR_RETRY, "model_broken", "the model server broke off its answer");
    } else {
        error_set(err, ERROR_FATAL, "model_config", "model.base-url: %s", why->text);
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

static bool knows_no_schema(const struct http_call_result *result)
{
    const char *text = buf_text(&result->body);
    return (result->status == 400 || result->status == 422) &&
           (strstr(text, "response_format") || strstr(text, "json_schema"));
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
    if (result && call->with_schema && knows_no_schema(result) && left > 0) {
        log_warn("the model server knows no response_format: it is left out", LOG_STR("model", chat->model));
        chat->schemaless = true;
        call_send(call, left);
        return;
    }
    if (!result) {
        read_failure(why, &err);
    } else if (result->status < 200 || result->status > 299) {
        read_status(result->status, &result->body, result->retry_after_ms, &err);
    } else {
        chat_reply_read(call->request.arena, buf_text(&result->body), result->body.len, &reply, &err);
        count_reply(chat, &reply);
    }
    judge_server(chat, why, &err);
    metric_observe(chat->seconds, (double)(clock_mono_us() - call->started_us) / 1e6);
    bool ok = err.disposition == ERROR_NONE;
    count_call(chat, ok ? "ok" : err.code + strlen("model_"));
    call->done(call->arg, &reply, ok ? NULL : &err);
}

/* ---- asking ---- */

static void put_message(struct buf *out, const char *role, const char *content)
{
    buf_printf(out, "{\"role\":\"%s\",\"content\":", role);
    json_put_string(out, content);
    buf_putc(out, '}');
}

static void put_request(struct buf *out, const struct chat_call *call)
{
    const struct chat_request *request = &call->request;
    buf_puts(out, "{\"model\":");
    json_put_string(out, call->chat->model);
    buf_puts(out, ",\"messages\":[");
    put_message(out, "system", request->system);
    buf_putc(out, ',');
    put_message(out, "user", request->user);
    buf_putc(out, ']');
    if (call->with_schema) {
        buf_printf(out,
            ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"%s\",\"strict\":true,"
            "\"schema\":%s}}",
            request->schema_name, request->schema);
    }
    buf_putc(out, '}');
}

static void call_send(struct chat_call *call, int64_t timeout_ms)
{
    struct chat *chat = call->chat;
    const char *const headers[] = {
        "Content-Type: application/json", "Accept: application/json", chat->authorization, NULL};
    struct buf body;
    call->with_schema = !chat->schemaless;
    buf_init(&body, REQUEST_MAX);
    put_request(&body, call);
    const struct http_call_request request = {.method = "POST",
        .url = chat->url,
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
    struct price price;
    if (!check_options(options, err) ||
        !price_find(options->prices, options->model, options->base_url, &price, err)) {
        return false;
    }
    char *url = url_of(options, PATH_MODELS);
    char *authorization = authorization_of(options);
    const char *const headers[] = {"Accept: application/json", authorization, NULL};
    const struct http_fetch_request request = {
        .method = "GET", .url = url, .headers = headers, .timeout_ms = CHECK_TIMEOUT_MS};
    struct http_fetch_result result;
    bool ok = http_fetch(&request, &result, err);
    if (ok && result.status != 200) {
        read_status(result.status, &result.body, 0, err);
        ok = false;
    }
    http_fetch_result_fini(&result);
    free(url);
    free(authorization);
    return ok;
}
