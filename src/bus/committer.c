/* The committer thread: delivers batches, one at a time, as engine.delivery says, and retries weather.
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
#include "bus/delivery.h"

#define CLOSE_LIMIT_MS 5000
#define BACKOFF_FIRST_MS 50
#define BACKOFF_LAST_MS 2000
#define TELL_AFTER_MS 5000

struct bus_committer {
    struct wake wake;
    struct delivery delivery; /* the thread's, after the start */
    bool unwell;              /* said so in the health part; the thread's */
    int64_t tell_due_ms;      /* of an attempt that waits; the thread's */

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

static bool is_over(struct bus_committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    bool up = committer->closing && clock_mono_ms() >= committer->close_due_ms;
    pthread_mutex_unlock(&committer->lock);
    return up;
}

static void report_unwell(struct bus_committer *committer, const struct error *err);

/* Asked for as long as an attempt waits for a broker, so it is here that long waiting is told. */
static bool given_up(void *arg)
{
    struct bus_committer *committer = arg;
    if (!committer->unwell && clock_mono_ms() >= committer->tell_due_ms) {
        struct error err;
        error_set(
            &err, ERROR_RETRY, "broker_unavailable", "No answer to a commit for %d s", TELL_AFTER_MS / 1000);
        report_unwell(committer, &err);
    }
    return is_over(committer);
}

static void pause_for(struct bus_committer *committer, int64_t ms)
{
    for (int64_t until = clock_mono_ms() + ms; clock_mono_ms() < until && !is_over(committer);) {
        const struct timespec step = {.tv_nsec = 10 * 1000000};
        nanosleep(&step, NULL);
    }
}

static void report_unwell(struct bus_committer *committer, const struct error *err)
{
    if (!committer->unwell) {
        log_warn("a commit has to wait", LOG_STR("code", err->code), LOG_STR("text", err->text));
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

/* ---- the thread ---- */

static bool attempt(struct bus_committer *committer, struct bus_batch *batch, struct commit_result *result)
{
    *result = (struct commit_result){.output = -1};
    committer->tell_due_ms = clock_mono_ms() + TELL_AFTER_MS;
    return committer->delivery.mode->attempt(&committer->delivery, batch, result);
}

static bool brokers_answered(const struct commit_result *result)
{
    return result->end != BUS_COMMIT_FATAL && strcmp(result->err.code, "partition_lost") != 0;
}

static void commit_batch(
    struct bus_committer *committer, struct bus_batch *batch, struct commit_result *result)
{
    int64_t start = clock_mono_us();
    int64_t backoff = BACKOFF_FIRST_MS;
    while (!attempt(committer, batch, result)) {
        if (is_over(committer)) {
            return;
        }
        metric_add(committer->retries, 1);
        report_unwell(committer, &result->err);
        pause_for(committer, backoff);
        backoff = backoff * 2 < BACKOFF_LAST_MS ? backoff * 2 : BACKOFF_LAST_MS;
    }
    if (brokers_answered(result)) {
        report_well(committer);
    }
    if (result->end == BUS_COMMITTED) {
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
        warm = rd_kafka_metadata(committer->delivery.sender.producer, 0, NULL, &metadata, 500) ==
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
    if (committer->delivery.mode->start) {
        committer->delivery.mode->start(&committer->delivery);
    }
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
    committer->delivery.mode->close(&committer->delivery);
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
    if (result.end != BUS_GIVEN_BACK) {
        bus_batch_free(batch);
        batch = NULL;
    }
    committer->done(
        committer->arg, result.end, result.end == BUS_COMMITTED ? NULL : &result.err, batch, result.output);
}

enum bus_delivery bus_delivery_setting(const struct conf *conf)
{
    bool once = strcmp(conf_text(conf, CONF_ENGINE_DELIVERY), "exactly_once") == 0;
    return once ? BUS_EXACTLY_ONCE : BUS_AT_LEAST_ONCE;
}

struct bus_committer *bus_committer_new(struct loop *loop, const struct conf *conf,
    struct bus_consumer *consumer, enum bus_delivery delivery, struct error *err)
{
    struct bus_committer *committer = xcalloc(1, sizeof(*committer));
    committer->tell_due_ms = INT64_MAX;
    committer->delivery = (struct delivery){
        .mode = delivery == BUS_EXACTLY_ONCE ? &delivery_exactly_once : &delivery_at_least_once,
        .consumer = consumer,
        .conf = conf,
        .give_up = given_up,
        .give_up_arg = committer,
        .sender = {.conf = conf, .give_up = given_up, .give_up_arg = committer}};
    if (!committer->delivery.mode->open(&committer->delivery, err)) {
        free(committer);
        return NULL;
    }
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
            offset->ownership =
                consumer_ownership(committer->delivery.consumer, offset->topic, offset->partition);
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
    bus_batch_free(committer->batch);
    pthread_cond_destroy(&committer->changed);
    pthread_mutex_destroy(&committer->lock);
    free(committer);
}
