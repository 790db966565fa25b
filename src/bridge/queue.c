/* Several rounds at once of: receive, publish, delete. */
#include "bridge/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "aws/answer.h"
#include "aws/credentials.h"
#include "aws/service.h"
#include "base/alloc.h"
#include "base/health.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/metrics.h"

#define ROUNDS 4
#define RECEIVE_TIMEOUT_MS ((SQS_WAIT_S + 10) * 1000)
#define DELETE_TIMEOUT_MS 10000
#define DELETE_ANSWER_MAX ((size_t)64 * 1024)
#define PAUSE_MS 1000 /* after a failure, doubled with each */
#define PAUSE_MAX_MS 30000
#define REGION_SIZE 64

static const struct aws_service_kind sqs = {
    .name = "sqs", .endpoint_id = "SQS", .content_type = "application/x-amz-json-1.0"};

struct round {
    struct queue *queue;
    struct arena *arena; /* of the messages; NULL: none are held */
    struct sqs_messages messages;
    const struct sqs_message *published[SQS_BATCH];
    size_t published_count;
    struct error err; /* of the last that the broker did not take; ERROR_NONE: none */
    size_t open;      /* not yet reported by the broker, and one while they are handed over */
    struct aws_service_call *receiving;
    struct loop_timer *pause;
    int failures; /* in a row */
    bool idle;    /* after queue_stop */
};

/* A message on its way to the broker; in the round's arena. */
struct passage {
    struct round *round;
    const struct sqs_message *message;
};

struct queue {
    struct queue_options options;
    struct aws_service *service;
    struct round rounds[ROUNDS];
    char health[32];
    bool stopping;
    struct metric *published, *refused, *failed, *undeleted;
};

static void receive(struct round *round);

/* ---- between rounds ---- */

static void round_idle(struct round *round)
{
    struct queue *queue = round->queue;
    round->idle = true;
    for (size_t i = 0; i < ROUNDS; i++) {
        if (!queue->rounds[i].idle) {
            return;
        }
    }
    queue->options.idle(queue->options.arg);
}

/* A round is over; the next begins, after a pause when this one failed. */
static void round_over(struct round *round, const struct error *err)
{
    struct queue *queue = round->queue;
    arena_free(round->arena);
    round->arena = NULL;
    health_set(queue->health, !err, err ? err->text : "");
    round->failures = err ? round->failures + 1 : 0;
    if (queue->stopping) {
        round_idle(round);
    } else if (err) {
        int64_t pause = PAUSE_MS << (round->failures < 6 ? round->failures - 1 : 5);
        loop_timer_arm(round->pause, pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
    } else {
        loop_timer_arm(round->pause, 0);
    }
}

static void on_pause_over(void *arg)
{
    receive(arg);
}

/* What SQS answers other than 200. */
static bool check_status(const struct http_call_result *result, const struct error *failed, struct error *err)
{
    char code[AWS_CODE_SIZE];
    if (!result) {
        return error_set(err, failed->disposition, failed->code, "%s", failed->text);
    }
    if (result->status == 200) {
        return true;
    }
    aws_answer_code_json(buf_text(&result->body), result->body.len, code);
    return error_set(
        err, ERROR_RETRY, "sqs_refused", "SQS answers %d%s%s", result->status, *code ? " " : "", code);
}

/* ---- deleting ---- */

static void on_deleted(void *arg, const struct http_call_result *result, const struct error *failed)
{
    struct round *round = arg;
    struct error err = {0};
    size_t left = 0;
    bool ok = check_status(result, failed, &err) &&
              sqs_read_deleted(buf_text(&result->body), result->body.len, &left, &err);
    metric_add(round->queue->undeleted, (double)(ok ? left : round->published_count));
    round_over(round, ok ? NULL : &err);
}

static void delete_published(struct round *round)
{
    struct queue *queue = round->queue;
    bool failed = round->err.disposition != ERROR_NONE;
    if (round->published_count == 0) {
        round_over(round, failed ? &round->err : NULL);
        return;
    }
    struct buf body;
    buf_init(&body, SQS_ANSWER_MAX);
    sqs_put_delete(&body, queue->options.url, round->published, round->published_count);
    const struct aws_service_request request = {.target = "AmazonSQS.DeleteMessageBatch",
        .body = buf_text(&body),
        .body_len = body.len,
        .timeout_ms = DELETE_TIMEOUT_MS,
        .max_body = DELETE_ANSWER_MAX};
    aws_service_start(queue->service, &request, on_deleted, round);
    buf_fini(&body);
}

/* ---- publishing ---- */

static void message_done(struct round *round)
{
    if (--round->open == 0) {
        delete_published(round);
    }
}

static void on_delivered(void *arg, const struct error *err)
{
    struct passage *passage = arg;
    struct round *round = passage->round;
    metric_add(err ? round->queue->failed : round->queue->published, 1);
    if (err) {
        round->err = *err;
    } else {
        round->published[round->published_count++] = passage->message;
    }
    message_done(round);
}

static void publish(struct round *round, const struct sqs_message *message)
{
    struct queue *queue = round->queue;
    struct bus_record record;
    struct error err = {0};
    if (!queue->options.convert(round->arena, queue->options.conf, message, &record, &err)) {
        metric_add(queue->refused, 1);
        log_warn("message left in its queue", LOG_STR("queue", queue->options.name),
            LOG_STR("message", message->id), LOG_STR("why", err.text));
        return;
    }
    struct passage *passage = ARENA_NEW(round->arena, struct passage);
    *passage = (struct passage){.round = round, .message = message};
    round->open++;
    bus_produce(queue->options.producer, &record, on_delivered, passage);
}

/* ---- receiving ---- */

static void on_received(void *arg, const struct http_call_result *result, const struct error *failed)
{
    struct round *round = arg;
    struct error err = {0};
    round->receiving = NULL;
    round->arena = arena_new(0);
    if (!check_status(result, failed, &err) ||
        !sqs_read_messages(round->arena, buf_text(&result->body), result->body.len, &round->messages, &err)) {
        round_over(round, &err);
        return;
    }
    round->published_count = 0;
    round->err = (struct error){.disposition = ERROR_NONE};
    round->open = 1;
    for (size_t i = 0; i < round->messages.count; i++) {
        publish(round, &round->messages.items[i]);
    }
    message_done(round);
}

static void receive(struct round *round)
{
    struct queue *queue = round->queue;
    if (!health_ok("broker")) { /* what is received in vain counts against the queue's redrive policy */
        loop_timer_arm(round->pause, PAUSE_MS);
        return;
    }
    struct buf body;
    buf_init(&body, SQS_ANSWER_MAX);
    sqs_put_receive(&body, queue->options.url);
    const struct aws_service_request request = {.target = "AmazonSQS.ReceiveMessage",
        .body = buf_text(&body),
        .body_len = body.len,
        .timeout_ms = RECEIVE_TIMEOUT_MS,
        .max_body = SQS_ANSWER_MAX};
    round->receiving = aws_service_start(queue->service, &request, on_received, round);
    buf_fini(&body);
}

/* ---- life ---- */

static struct metric *outcome(const struct queue *queue, const char *what)
{
    char labels[80];
    snprintf(labels, sizeof(labels), "queue=\"%s\",outcome=\"%s\"", queue->options.name, what);
    return metrics_counter(
        "helpdesk_bridge_messages_total", "Messages of SQS queues, by what came of them", labels);
}

struct queue *queue_new(const struct queue_options *options, struct error *err)
{
    char region[REGION_SIZE];
    if (!sqs_queue_region(options->url, region, sizeof(region), err)) {
        return NULL;
    }
    if (!*region) {
        aws_region(region, sizeof(region));
    }
    if (!*region) {
        error_set(err, ERROR_FATAL, "bridge_queue", "the region of queue %.200s is not known: set AWS_REGION",
            options->url);
        return NULL;
    }
    struct queue *queue = xcalloc(1, sizeof(*queue));
    queue->options = *options;
    queue->service = aws_service_new(options->loop, &sqs, region);
    snprintf(queue->health, sizeof(queue->health), "queue_%s", options->name);
    queue->published = outcome(queue, "published");
    queue->refused = outcome(queue, "refused");
    queue->failed = outcome(queue, "failed");
    queue->undeleted = outcome(queue, "not_deleted");
    for (size_t i = 0; i < ROUNDS; i++) {
        struct round *round = &queue->rounds[i];
        round->queue = queue;
        round->pause = loop_timer_new(options->loop, on_pause_over, round);
        loop_timer_arm(round->pause, 0);
    }
    return queue;
}

/* What SQS gave out and nobody takes comes again when its visibility time-out is over. */
void queue_stop(struct queue *queue)
{
    queue->stopping = true;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct round *round = &queue->rounds[i];
        loop_timer_cancel(round->pause);
        if (round->receiving) {
            aws_service_cancel(round->receiving);
            round->receiving = NULL;
        }
        if (!round->arena) {
            round_idle(round);
        }
    }
}

void queue_free(struct queue *queue)
{
    if (!queue) {
        return;
    }
    aws_service_free(queue->service);
    for (size_t i = 0; i < ROUNDS; i++) {
        loop_timer_free(queue->rounds[i].pause);
        arena_free(queue->rounds[i].arena);
    }
    free(queue);
}
