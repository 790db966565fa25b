/* One call of a model's server, and what comes of it. */
#include "model/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/metrics.h"
#include "model/chat_reply.h"

#define OUTAGE_RUN 20 /* failed calls in a row after which it is the server that fails, not the calls */
#define NOT_IN_TIME "the credentials for the model did not come in time"

LIST_HEAD(model_calls, model_call);

struct model_asker {
    struct loop *loop;
    struct http_calls *calls;
    const struct model_access *access;
    void *state; /* the provider's */
    char *model;
    char *part; /* condition of base/health.h */
    struct price price;
    int failed_in_row;     /* calls since the server last answered one */
    struct budget *budget; /* or NULL */
    struct model_calls open;
    struct metric *seconds, *input_tokens, *output_tokens, *cost;
};

struct model_call {
    LIST_ENTRY(model_call) link;
    struct model_asker *asker;
    void *wait;               /* for what the provider prepares, or NULL */
    struct loop_timer *timer; /* ends the waiting; NULL when it is over */
    struct error *unprepared; /* why there is nothing to wait for, or NULL */
    struct http_call *http;   /* NULL before it is sent, and when it was answered */
    struct budget_hold *hold; /* NULL: nobody counts */
    struct model_question question;
    bool renewed; /* what the provider prepared was good no more, and is got once again */
    struct model_usage usage;
    struct error err;
    int64_t started_us;
    int64_t until_ms; /* monotonic */
};

struct model_asker *model_asker_new(struct loop *loop, const struct model_asker_options *options)
{
    struct model_asker *asker = xcalloc(1, sizeof(*asker));
    asker->loop = loop;
    asker->access = options->access;
    asker->state = options->state;
    asker->calls = http_calls_new(loop);
    asker->model = xstrdup(options->model);
    asker->part = xstrdup(options->part);
    asker->price = options->price;
    asker->budget = options->budget;
    char labels[CHAT_MODEL_MAX + 64];
    snprintf(labels, sizeof(labels), "model=\"%s\"", asker->model);
    asker->seconds = metrics_histogram("helpdesk_model_seconds", "Time a model's answer takes", labels);
    asker->cost = metrics_counter("helpdesk_model_cost_usd_total", "Cost of models' answers", labels);
    snprintf(labels, sizeof(labels), "model=\"%s\",direction=\"input\"", asker->model);
    asker->input_tokens = metrics_counter("helpdesk_model_tokens_total", "Tokens read and written", labels);
    snprintf(labels, sizeof(labels), "model=\"%s\",direction=\"output\"", asker->model);
    asker->output_tokens = metrics_counter("helpdesk_model_tokens_total", "Tokens read and written", labels);
    return asker;
}

/* Nothing goes on for the call any more. */
static void call_leave(struct model_call *call)
{
    if (call->wait) {
        call->asker->access->prepare_cancel(call->asker->state, call->wait);
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

void model_asker_free(struct model_asker *asker)
{
    if (!asker) {
        return;
    }
    struct model_call *call;
    while ((call = LIST_FIRST(&asker->open))) {
        const struct model_usage usage = {0};
        struct error err;
        error_set(&err, ERROR_RETRY, "model_stopped", "the process stops");
        call_leave(call);
        call->question.done(call->question.arg, &usage, &err);
    }
    http_calls_free(asker->calls);
    free(asker->model);
    free(asker->part);
    free(asker);
}

/* ---- what an answer means ---- */

static void count_call(struct model_asker *asker, const char *outcome)
{
    char labels[CHAT_MODEL_MAX + 96];
    snprintf(labels, sizeof(labels), "model=\"%s\",outcome=\"%.40s\"", asker->model, outcome);
    metric_add(metrics_counter("helpdesk_model_calls_total", "Calls of models by outcome", labels), 1);
}

static void read_failure(const char *address_setting, const struct error *why, struct error *err)
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
static void judge_server(struct model_asker *asker, const struct error *why, struct error *err)
{
    bool failed = err->disposition == ERROR_RETRY;
    bool unreached = why && strcmp(why->code, "connect_failed") == 0;
    asker->failed_in_row = failed ? asker->failed_in_row + 1 : 0;
    bool down = failed && (unreached || asker->failed_in_row >= OUTAGE_RUN);
    if (down) {
        snprintf(err->code, sizeof(err->code), "model_unavailable");
    }
    if (down || err->disposition == ERROR_FATAL) {
        health_set(asker->part, false, why ? why->text : err->text); /* the operator may see addresses */
    } else if (!failed) {
        health_set(asker->part, true, "");
    }
}

static void count_usage(struct model_asker *asker, struct model_usage *usage)
{
    usage->cost_usd = price_of(&asker->price, usage->input_tokens, usage->output_tokens);
    metric_add(asker->input_tokens, (double)usage->input_tokens);
    metric_add(asker->output_tokens, (double)usage->output_tokens);
    metric_add(asker->cost, usage->cost_usd);
}

/* ---- the end of a call ---- */

static void call_end(void *arg)
{
    struct model_call *call = arg;
    LIST_REMOVE(call, link);
    call->question.done(
        call->question.arg, &call->usage, call->err.disposition == ERROR_NONE ? NULL : &call->err);
}

/* What a server refuses costs nothing. What it says without telling what that used, or was about to say, may
 * have cost anything. */
static enum budget_outcome outcome_of(
    const struct model_call *call, const struct http_call_result *result, const struct error *why)
{
    bool refused = result && (result->status < 200 || result->status > 299);
    bool unasked = why && (strcmp(why->code, "connect_failed") == 0 || strcmp(why->code, "bad_url") == 0);
    if (refused || unasked) {
        return BUDGET_RELEASED;
    }
    return call->usage.input_tokens + call->usage.output_tokens > 0 ? BUDGET_ANSWERED : BUDGET_LOST;
}

/* `why`: what the transfer or the credentials' source says, NULL when the server answered. */
static void call_finish(struct model_call *call, const struct error *why, enum budget_outcome outcome)
{
    struct model_asker *asker = call->asker;
    judge_server(asker, why, &call->err);
    metric_observe(asker->seconds, (double)(clock_mono_us() - call->started_us) / 1e6);
    bool ok = call->err.disposition == ERROR_NONE;
    count_call(asker, ok ? "ok" : call->err.code + strlen("model_"));
    const struct budget_spent spent = {.outcome = outcome,
        .input_tokens = call->usage.input_tokens,
        .output_tokens = call->usage.output_tokens,
        .usd = call->usage.cost_usd};
    if (call->hold) {
        budget_settle(call->hold, &spent, call_end, call);
    } else {
        call_end(call);
    }
}

static void call_begin(struct model_call *call);

/* Whether the refusal is of something that the next call does without. */
static bool may_repeat(struct model_call *call, const struct http_call_result *result)
{
    const struct model_access *access = call->asker->access;
    if (call->until_ms <= clock_mono_ms()) {
        return false;
    }
    if (!call->renewed && access->went_stale && access->went_stale(call->asker->state, result)) {
        call->renewed = true;
        return true;
    }
    return call->question.repeats && call->question.repeats(call->question.arg, result);
}

static void call_ended(void *arg, const struct http_call_result *result, const struct error *why)
{
    struct model_call *call = arg;
    struct model_asker *asker = call->asker;
    call->http = NULL;
    if (result && may_repeat(call, result)) {
        call_begin(call);
        return;
    }
    if (!result) {
        read_failure(asker->access->address_setting, why, &call->err);
    } else if (result->status < 200 || result->status > 299) {
        asker->access->read_refusal(result, &call->err);
    } else {
        call->question.read(call->question.arg, result, &call->usage, &call->err);
        count_usage(asker, &call->usage);
    }
    call_finish(call, why, outcome_of(call, result, why));
}

/* ---- asking ---- */

static void call_send(struct model_call *call, const void *pass)
{
    struct model_asker *asker = call->asker;
    const struct model_question *question = &call->question;
    const char *headers[MODEL_HEADERS_MAX + 1] = {NULL};
    int64_t left = call->until_ms - clock_mono_ms();
    struct buf body;
    buf_init(&body, question->max_body);
    question->put_body(question->arg, &body);
    asker->access->headers(asker->state, pass, question->arena, &body, headers);
    const struct http_call_request request = {.method = "POST",
        .url = asker->access->url(asker->state),
        .headers = headers,
        .body = buf_text(&body),
        .body_len = body.len,
        .timeout_ms = left > 0 ? left : 1,
        .max_body = question->max_answer};
    call->http = http_call_start(asker->calls, &request, call_ended, call);
    buf_fini(&body);
}

static void call_prepared(void *arg, const void *pass, const struct error *err)
{
    struct model_call *call = arg;
    call->wait = NULL;
    if (err) {
        call->unprepared = ARENA_NEW(call->question.arena, struct error);
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
    struct model_call *call = arg;
    struct error *err = &call->err;
    /* By the clock: after a pause of the whole process an error may come first that had no time left either.
     */
    bool late = call->wait || clock_mono_ms() >= call->until_ms;
    if (call->wait) {
        call->asker->access->prepare_cancel(call->asker->state, call->wait);
        call->wait = NULL;
    }
    if (late) {
        error_set(err, ERROR_RETRY, "model_timeout", NOT_IN_TIME);
    } else if (call->unprepared->disposition == ERROR_RETRY) {
        bool not_in_time = strcmp(call->unprepared->code, "aws_credentials_late") == 0;
        error_set(err, ERROR_RETRY, "model_unavailable", "%s",
            not_in_time ? NOT_IN_TIME : "the credentials for the model cannot be fetched");
        err->retry_after_ms = call->unprepared->retry_after_ms;
    } else {
        error_set(err, ERROR_FATAL, "model_config", "there are no credentials for the model");
    }
    loop_timer_free(call->timer);
    call->timer = NULL;
    call_finish(call, call->unprepared, BUDGET_RELEASED);
}

static void call_begin(struct model_call *call)
{
    struct model_asker *asker = call->asker;
    if (!asker->access->prepare) {
        call_send(call, NULL);
        return;
    }
    int64_t left = call->until_ms - clock_mono_ms();
    call->timer = loop_timer_new(asker->loop, call_unprepared, call);
    loop_timer_arm(call->timer, left > 0 ? left : 0);
    call->wait = asker->access->prepare(asker->state, call_prepared, call);
}

static void reserved(void *arg, const struct error *err)
{
    struct model_call *call = arg;
    if (err) {
        call->err = *err;
        call_end(call);
        return;
    }
    call->started_us = clock_mono_us();
    call_begin(call);
}

static void reserve(struct model_call *call)
{
    struct model_asker *asker = call->asker;
    const struct model_question *question = &call->question;
    const struct budget_call most = {.tenant = question->tenant,
        .model = asker->model,
        .stage = question->stage,
        .most_input_tokens = question->most_input_tokens,
        .most_output_tokens = question->most_output_tokens,
        .most_usd = price_of(&asker->price, question->most_input_tokens, question->most_output_tokens),
        .timeout_ms = question->timeout_ms};
    call->hold = budget_reserve(asker->budget, &most, reserved, call);
}

void model_ask(struct model_asker *asker, const struct model_question *question)
{
    struct model_call *call = ARENA_NEW(question->arena, struct model_call);
    *call = (struct model_call){.asker = asker,
        .question = *question,
        .started_us = clock_mono_us(),
        .until_ms = clock_mono_ms() + question->timeout_ms};
    LIST_INSERT_HEAD(&asker->open, call, link);
    if (asker->budget) {
        reserve(call);
    } else {
        call_begin(call);
    }
}
