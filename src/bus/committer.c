/* The committer thread: produces a batch's outputs, waits for their acknowledgement, commits its offsets.
 *
 * A thread of its own because librdkafka's calls for it block, and because a commit made by the thread that
 * serves the consumer's events waits for itself. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bus/batch.h"
#include "bus/sender.h"

#define CLOSE_LIMIT_MS 5000
#define POLL_MS 100
#define BACKOFF_FIRST_MS 50
#define BACKOFF_LAST_MS 2000

struct commit_result {
    struct error err; /* ERROR_NONE: committed */
    int output;
    bool give_back;
};

struct bus_committer {
    struct bus_consumer *consumer;
    const struct conf *conf;
    struct wake wake;
    struct sender sender;      /* the thread's, after the start */
    rd_kafka_queue_t *answers; /* of commits */
    bool unwell;               /* said so in the health part; the thread's */

    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct bus_batch *batch;
    bool working;
    bool finished; /* result is there for the loop */
    struct commit_result result;
    bool closing;
    int64_t close_due_ms;

    bus_committed *done; /* the loop thread's */
    void *arg;
    bool busy;

    struct metric *batches, *outputs, *seconds, *retries;
};

static bool given_up(void *arg)
{
    struct bus_committer *committer = arg;
    pthread_mutex_lock(&committer->lock);
    bool up = committer->closing && clock_mono_ms() >= committer->close_due_ms;
    pthread_mutex_unlock(&committer->lock);
    return up;
}

static void pause_for(struct bus_committer *committer, int64_t ms)
{
    for (int64_t until = clock_mono_ms() + ms; clock_mono_ms() < until && !given_up(committer);) {
        const struct timespec step = {.tv_nsec = 10 * 1000000};
        nanosleep(&step, NULL);
    }
}

static void report_unwell(struct bus_committer *committer, const struct error *err)
{
    metric_add(committer->retries, 1);
    if (!committer->unwell) {
        log_warn("a commit is tried again", LOG_STR("code", err->code), LOG_STR("text", err->text));
    }
    committer->unwell = true;
    health_set("broker", false, err->code);
}

static void report_well(struct bus_committer *committer)
{
    if (committer->unwell) {
        health_set("broker", true, "");
    }
    committer->unwell = false;
}

/* ---- outputs ---- */

/* The worst of what the outputs met: a refusal before a lone one's missing topic before weather. */
static bool outputs_acked(struct bus_batch *batch, struct commit_result *result)
{
    for (size_t i = 0; i < batch->output_count; i++) {
        struct batch_output *output = &batch->outputs[i];
        if (output->acked || output->removed) {
            continue;
        }
        struct error err = {0};
        kafka_error(&err, output->code, output->record->topic);
        bool refused = err.disposition == ERROR_REJECT;
        output->away = output->lone && strcmp(err.code, "topic_unavailable") == 0;
        if (refused || output->away || result->err.disposition == ERROR_NONE) {
            result->err = err;
            result->output = (int)i;
            result->give_back = refused || output->away;
        }
        if (refused) {
            break;
        }
    }
    return result->err.disposition == ERROR_NONE;
}

/* ---- offsets ---- */

static rd_kafka_topic_partition_list_t *owned_offsets(
    struct bus_committer *committer, const struct bus_batch *batch)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)batch->offset_count);
    for (size_t i = 0; i < batch->offset_count; i++) {
        const struct batch_offset *offset = &batch->offsets[i];
        /* The broker would take a live member's offset for a partition that it lost. */
        if (offset->ownership == 0 ||
            consumer_ownership(committer->consumer, offset->topic, offset->partition) != offset->ownership) {
            continue;
        }
        char name[KAFKA_NAME_SIZE];
        kafka_topic_name(committer->conf, offset->topic, name);
        rd_kafka_topic_partition_t *entry = rd_kafka_topic_partition_list_add(list, name, offset->partition);
        entry->offset = offset->offset;
        entry->metadata_size = strlen(offset->metadata);
        entry->metadata = entry->metadata_size > 0 ? xstrdup(offset->metadata) : NULL; /* the list frees it */
        if (!entry->metadata) {
            entry->metadata_size = 0;
        }
    }
    return list;
}

static rd_kafka_resp_err_t first_error(rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    for (int i = 0; list && i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err;
    }
    return code;
}

/* Waits for the answer to this very commit, told by its number; older ones come late and are thrown away. */
static rd_kafka_resp_err_t await_answer(struct bus_committer *committer, const void *tag)
{
    while (!given_up(committer)) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(committer->answers, POLL_MS);
        if (!event) {
            continue;
        }
        bool ours = rd_kafka_event_opaque(event) == tag;
        rd_kafka_resp_err_t code = first_error(event);
        rd_kafka_event_destroy(event);
        if (ours) {
            return code;
        }
    }
    return RD_KAFKA_RESP_ERR__DESTROY;
}

static bool commit_failed(rd_kafka_resp_err_t code, struct commit_result *result)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
        return error_set(
            &result->err, ERROR_RETRY, "offsets_refused", "The group: %s", rd_kafka_err2str(code));
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return error_set(
            &result->err, ERROR_FATAL, "commit_forbidden", "The group: %s", rd_kafka_err2str(code));
    default:
        return kafka_error(&result->err, code, "commit");
    }
}

static bool commit_offsets(
    struct bus_committer *committer, struct bus_batch *batch, struct commit_result *result)
{
    rd_kafka_topic_partition_list_t *list = owned_offsets(committer, batch);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (list->cnt > 0) {
        code =
            rd_kafka_commit_queue(consumer_kafka(committer->consumer), list, committer->answers, NULL, list);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = await_answer(committer, list);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE) {
        /* Stricter than Kafka's default: without the maps a restart repeats more, but nothing is lost. */
        log_warn("the broker refuses the map of finished records; committing without it");
        for (size_t i = 0; i < batch->offset_count; i++) {
            batch->offsets[i].metadata[0] = '\0';
        }
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__NO_OFFSET ||
           commit_failed(code, result);
}

/* ---- the thread ---- */

/* One attempt. True when `result` stands, false to try again. */
static bool attempt(struct bus_committer *committer, struct bus_batch *batch, struct commit_result *result)
{
    *result = (struct commit_result){.output = -1};
    sender_send(&committer->sender, batch);
    if (!sender_renew_if_fatal(&committer->sender, &result->err)) {
        return true;
    }
    if (!outputs_acked(batch, result)) {
        return result->give_back;
    }
    result->output = -1;
    if (commit_offsets(committer, batch, result)) {
        return true;
    }
    return result->err.disposition == ERROR_FATAL || strcmp(result->err.code, "offsets_refused") == 0;
}

static void commit_batch(
    struct bus_committer *committer, struct bus_batch *batch, struct commit_result *result)
{
    int64_t start = clock_mono_us();
    int64_t backoff = BACKOFF_FIRST_MS;
    while (!attempt(committer, batch, result)) {
        if (given_up(committer)) {
            return;
        }
        report_unwell(committer, &result->err);
        pause_for(committer, backoff);
        backoff = backoff * 2 < BACKOFF_LAST_MS ? backoff * 2 : BACKOFF_LAST_MS;
    }
    if (result->err.disposition == ERROR_NONE) {
        report_well(committer);
        metric_add(committer->batches, 1);
        metric_add(committer->outputs, (double)batch->output_count);
        metric_observe(committer->seconds, (double)(clock_mono_us() - start) / 1e6);
    }
}

/* Asks for the topics' leaders before the first batch needs them; a batch that comes meanwhile goes first. */
static void warm_up(struct bus_committer *committer)
{
    bool idle = true;
    bool warm = false;
    while (idle && !warm) {
        const struct rd_kafka_metadata *metadata = NULL;
        warm = rd_kafka_metadata(committer->sender.producer, 0, NULL, &metadata, 500) ==
               RD_KAFKA_RESP_ERR_NO_ERROR;
        if (warm) {
            rd_kafka_metadata_destroy(metadata);
        }
        pthread_mutex_lock(&committer->lock);
        idle = !committer->closing && !committer->batch;
        pthread_mutex_unlock(&committer->lock);
    }
}

static void *committer_main(void *arg)
{
    struct bus_committer *committer = arg;
    warm_up(committer);
    pthread_mutex_lock(&committer->lock);
    for (;;) {
        while (!committer->closing && !committer->working) {
            pthread_cond_wait(&committer->changed, &committer->lock);
        }
        if (!committer->working) {
            break;
        }
        struct bus_batch *batch = committer->batch;
        pthread_mutex_unlock(&committer->lock);
        struct commit_result result;
        commit_batch(committer, batch, &result);
        pthread_mutex_lock(&committer->lock);
        committer->result = result;
        committer->working = false;
        committer->finished = true;
        wake_signal(&committer->wake);
    }
    pthread_mutex_unlock(&committer->lock);
    sender_close(&committer->sender);
    return NULL;
}

/* ---- the loop's side ---- */

static void committer_finished(void *arg)
{
    struct bus_committer *committer = arg;
    pthread_mutex_lock(&committer->lock);
    bool finished = committer->finished;
    struct commit_result result = committer->result;
    struct bus_batch *batch = committer->batch;
    if (finished) {
        committer->batch = NULL;
    }
    committer->finished = false;
    pthread_mutex_unlock(&committer->lock);
    if (!finished) {
        return;
    }
    committer->busy = false;
    if (!result.give_back) {
        bus_batch_free(batch);
        batch = NULL;
    }
    committer->done(
        committer->arg, result.err.disposition == ERROR_NONE ? NULL : &result.err, batch, result.output);
}

struct bus_committer *bus_committer_new(
    struct loop *loop, const struct conf *conf, struct bus_consumer *consumer, struct error *err)
{
    struct bus_committer *committer = xcalloc(1, sizeof(*committer));
    committer->consumer = consumer;
    committer->conf = conf;
    committer->sender = (struct sender){.conf = conf, .give_up = given_up, .give_up_arg = committer};
    if (!sender_open(&committer->sender, err)) {
        free(committer);
        return NULL;
    }
    committer->answers = rd_kafka_queue_new(consumer_kafka(consumer));
    committer->batches = metrics_counter("helpdesk_bus_commits_total", "Batches committed", NULL);
    committer->outputs = metrics_counter("helpdesk_bus_outputs_total", "Records produced by batches", NULL);
    committer->retries =
        metrics_counter("helpdesk_bus_commit_retries_total", "Further attempts at a batch", NULL);
    committer->seconds =
        metrics_histogram("helpdesk_bus_commit_seconds", "From a sealed batch to its commit", NULL);
    wake_init(&committer->wake, loop, committer_finished, committer);
    pthread_mutex_init(&committer->lock, NULL);
    pthread_cond_init(&committer->changed, NULL);
    if (pthread_create(&committer->thread, NULL, committer_main, committer) != 0) {
        log_error("no thread for the committer");
        abort();
    }
    return committer;
}

void bus_committer_submit(
    struct bus_committer *committer, struct bus_batch *batch, bus_committed *done, void *arg)
{
    for (size_t i = 0; i < batch->offset_count; i++) {
        struct batch_offset *offset = &batch->offsets[i];
        if (!offset->submitted) {
            offset->submitted = true;
            offset->ownership = consumer_ownership(committer->consumer, offset->topic, offset->partition);
        }
    }
    committer->busy = true;
    committer->done = done;
    committer->arg = arg;
    pthread_mutex_lock(&committer->lock);
    committer->batch = batch;
    committer->working = true;
    pthread_cond_signal(&committer->changed);
    pthread_mutex_unlock(&committer->lock);
}

bool bus_committer_busy(const struct bus_committer *committer)
{
    return committer->busy;
}

void bus_committer_free(struct bus_committer *committer)
{
    if (!committer) {
        return;
    }
    pthread_mutex_lock(&committer->lock);
    committer->closing = true;
    committer->close_due_ms = clock_mono_ms() + CLOSE_LIMIT_MS;
    pthread_cond_signal(&committer->changed);
    pthread_mutex_unlock(&committer->lock);
    pthread_join(committer->thread, NULL);
    wake_fini(&committer->wake);
    rd_kafka_queue_destroy(committer->answers);
    bus_batch_free(committer->batch);
    pthread_cond_destroy(&committer->changed);
    pthread_mutex_destroy(&committer->lock);
    free(committer);
}
