/* The life of a job: from a record through the stage to its outputs, a retry or a dead letter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/utf8.h"
#include "bus/topics.h"
#include "engine/hints.h"
#include "engine/internal.h"

#define OUTPUT_OVERHEAD 1024             /* Kafka's framing of a record, against the topic's limit */
#define OUTPUT_UNKNOWN_MAX (1024 * 1024) /* for a topic that is not in the table */

struct engine_job *job_new(
    struct engine_partition *partition, struct engine *engine, const struct bus_record *record, void *handle)
{
    struct engine_job *job = xcalloc(1, sizeof(*job));
    job->engine = engine;
    job->partition = partition;
    job->record = record;
    job->handle = handle;
    job->slot = -1;
    job->taken_ms = clock_mono_ms();
    job->place.priority = hints_priority(record);
    int64_t left = hints_deadline_left_ms(record, clock_wall_ms() - engine->clock_skew_ms);
    job->deadline_ms = left == INT64_MAX ? INT64_MAX : job->taken_ms + left;
    job->outputs_end = &job->outputs;
    job->bytes = bus_record_bytes(record) + JOB_OVERHEAD;
    engine->bytes += job->bytes;
    engine->buffered++;
    partition->live++;
    window_add(&partition->window, &job->node, record->offset);
    TAILQ_INSERT_TAIL(&partition->jobs, job, of_partition);
    return job;
}

static void remember_error(struct engine_job *job, const struct error *err)
{
    char text[sizeof(err->code) + sizeof(err->text) + 2];
    snprintf(text, sizeof(text), "%s: %s", err->code, err->text);
    text[utf8_clip(text, JOB_ERROR_MAX)] = '\0';
    if (job->error_count == JOB_ERRORS) {
        free(job->errors[0]);
        job->error_count--;
        memmove(&job->errors[0], &job->errors[1], job->error_count * sizeof(job->errors[0]));
    }
    job->errors[job->error_count++] = xstrdup(text);
}

void job_take_crashes(struct engine_job *job, int crashes)
{
    struct error err;
    error_set(&err, ERROR_RETRY, "crashed", "the process died while this record ran");
    job->crashes = crashes;
    job->attempt = crashes;
    for (int i = 0; i < crashes && i < JOB_ERRORS; i++) {
        remember_error(job, &err);
    }
}

bool job_unstarted(const struct engine_job *job)
{
    return job->state == JOB_WAITING || job->state == JOB_READY || job->state == JOB_BACKOFF ||
           job->state == JOB_HELD;
}

void job_make_ready(struct engine_job *job)
{
    job->state = JOB_READY;
    gate_add(job);
    engine_kick(job->engine);
}

static void leave_turn(struct engine_job *job)
{
    struct order_entry *next = order_leave(job->partition->order, &job->turn);
    if (next) {
        job_make_ready((struct engine_job *)(void *)((char *)next - offsetof(struct engine_job, turn)));
    }
}

static void free_output(struct engine_job *job, struct engine_output *output)
{
    size_t bytes = bus_record_bytes(output->record);
    job->bytes -= bytes;
    job->engine->bytes -= bytes;
    free(output->record);
    free(output);
}

static void drop_outputs(struct engine_job *job)
{
    while (job->outputs) {
        struct engine_output *output = job->outputs;
        job->outputs = output->next;
        free_output(job, output);
    }
    job->outputs_end = &job->outputs;
    job->emit_error = (struct error){0};
}

void job_drop_output(struct engine_job *job, struct engine_output *output)
{
    struct engine_output **link = &job->outputs;
    while (*link != output) {
        link = &(*link)->next;
    }
    *link = output->next;
    if (job->outputs_end == &output->next) {
        job->outputs_end = link;
    }
    free_output(job, output);
}

static void free_arena(struct engine_job *job)
{
    arena_free(job->arena);
    job->arena = NULL;
}

static void free_resources(struct engine_job *job)
{
    drop_outputs(job);
    free_arena(job);
    loop_timer_free(job->timer);
    job->timer = NULL;
    job->engine->bytes -= job->bytes;
    job->bytes = 0;
    for (size_t i = 0; i < job->error_count; i++) {
        free(job->errors[i]);
    }
    job->error_count = 0;
    bus_consumer_free_record(job->handle);
    job->handle = NULL;
    job->record = NULL;
}

void job_free(struct engine_job *job)
{
    struct engine_partition *partition = job->partition;
    if (job->state != JOB_DROPPED && !job->cancelled) {
        partition->live--;
    }
    window_remove(&partition->window, &job->node);
    TAILQ_REMOVE(&partition->jobs, job, of_partition);
    if (job->state != JOB_DROPPED) {
        free_resources(job);
    }
    free(job);
    drain_forget(partition);
}

/* Its time with the stage is over, or nobody takes what comes of it. */
static void leave_journal(struct engine_job *job)
{
    if (job->engine->journal && job->slot >= 0) {
        journal_leave(job->engine->journal, job->slot);
    }
    job->slot = -1;
    job->taken_ms = clock_mono_ms();
}

static void stop_running(struct engine_job *job, enum engine_outcome outcome, const struct error *err)
{
    leave_journal(job);
    gate_ended(job, outcome, err);
}

/* ---- not ours any more ---- */

static void set_dropped(struct engine_job *job)
{
    if (!job->cancelled) {
        job->partition->live--;
    }
    free_resources(job);
    job->state = JOB_DROPPED;
    metric_add(job->engine->metric.dropped, 1);
    if (job->partition->gone) {
        job_free(job);
    }
}

void job_drop(struct engine_job *job)
{
    struct engine *engine = job->engine;
    if (job->state == JOB_READY) {
        gate_remove(job);
    }
    if (job->state == JOB_FINISHED) {
        TAILQ_REMOVE(&engine->finished, job, link);
    } else if (job->state == JOB_HELD) {
        job->partition->held--;
    } else {
        engine->buffered--;
    }
    leave_turn(job);
    set_dropped(job);
}

void job_cancel(struct engine_job *job)
{
    if (job->cancelled) {
        return;
    }
    job->cancelled = true;
    stop_running(job, ENGINE_FAILED, NULL);
    job->partition->live--;
    leave_turn(job); /* the key does not wait for a result that nobody takes */
}

/* ---- running ---- */

void job_start(struct engine_job *job)
{
    struct engine *engine = job->engine;
    job->state = JOB_RUNNING;
    job->attempt++;
    job->arena = arena_new(0);
    job->started_us = clock_mono_us();
    job->without = false;
    engine->running++;
    job->slot = engine->journal ? journal_enter(engine->journal, job->record) : -1;
    crash_point("engine.job_started");
    engine->stage->process(job, engine->stage_state); /* last: may have ended the job */
}

const struct bus_record *engine_record(const struct engine_job *job)
{
    return job->record;
}

struct arena *engine_arena(struct engine_job *job)
{
    return job->arena;
}

int64_t engine_taken_ms(const struct engine_job *job)
{
    return job->taken_ms;
}

int engine_attempt(const struct engine_job *job)
{
    return job->attempt;
}

size_t engine_error_count(const struct engine_job *job)
{
    return job->error_count;
}

const char *engine_error(const struct engine_job *job, size_t index)
{
    return job->errors[index];
}

void engine_did_without(struct engine_job *job)
{
    job->without = true;
}

bool engine_cancelled(const struct engine_job *job)
{
    return job->cancelled;
}

void engine_offload(struct engine_job *job, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    loop_offload(job->engine->loop, work, done, arg);
}

static void add_output(struct engine_job *job, const struct bus_record *out, bool lone)
{
    struct engine_output *output = xcalloc(1, sizeof(*output));
    output->record = bus_record_copy(out);
    output->lone = lone;
    *job->outputs_end = output;
    job->outputs_end = &output->next;
    size_t bytes = bus_record_bytes(output->record);
    job->bytes += bytes;
    job->engine->bytes += bytes;
}

void engine_emit(struct engine_job *job, const struct bus_record *out)
{
    const struct bus_topic *topic = bus_topic_find(out->topic);
    size_t max = topic ? (size_t)topic->max_bytes : OUTPUT_UNKNOWN_MAX;
    size_t bytes = bus_record_bytes(out);
    if (bytes + OUTPUT_OVERHEAD > max) {
        error_set(&job->emit_error, ERROR_REJECT, "output_too_large", "An output of %zu bytes; %s takes %zu",
            bytes, out->topic, max);
        return;
    }
    add_output(job, out, false);
}

/* ---- ended ---- */

static void finish_job(struct engine_job *job)
{
    free_arena(job);
    loop_timer_free(job->timer);
    job->timer = NULL;
    job->engine->buffered--;
    leave_turn(job);
    job_back_to_finished(job);
}

void job_back_to_finished(struct engine_job *job)
{
    job->state = JOB_FINISHED;
    TAILQ_INSERT_TAIL(&job->engine->finished, job, link);
    engine_kick(job->engine);
}

static void retry_now(void *arg)
{
    struct engine_job *job = arg;
    job_make_ready(job);
}

static void wait_before_retry(struct engine_job *job, int64_t delay)
{
    job->state = JOB_BACKOFF;
    if (!job->timer) {
        job->timer = loop_timer_new(job->engine->loop, retry_now, job);
    }
    loop_timer_arm(job->timer, delay);
}

static int64_t delay_before_retry(const struct engine_job *job, const struct error *err)
{
    const struct engine *engine = job->engine;
    int64_t left = job->deadline_ms == INT64_MAX ? INT64_MAX : job->deadline_ms - clock_mono_ms();
    bool urgent = left > 0 && left <= ENGINE_RESERVE_MS;
    if (!urgent && gate_shut(engine) && outcome_outage(ENGINE_FAILED, err)) {
        return 0; /* the breaker waits for all */
    }
    int64_t delay = retry_delay_ms(&engine->retry, job->attempt, err->retry_after_ms, arc4random());
    return retry_within(delay, left);
}

static void retry_later(struct engine_job *job, const struct error *err)
{
    struct engine *engine = job->engine;
    drop_outputs(job);
    free_arena(job);
    remember_error(job, err);
    metric_add(engine->metric.retries, 1);
    int64_t delay = delay_before_retry(job, err);
    log_info("a job is tried again", LOG_STR("stage", engine->stage->name), LOG_STR("code", err->code),
        LOG_STR("text", err->text), LOG_INT("attempt", job->attempt), LOG_INT("in_ms", delay));
    wait_before_retry(job, delay);
    if (job->partition->leaving || engine->draining) {
        job_drop(job);
    }
}

/* Puts the dead letter, and what the stage tells of it, in place of the job's outputs. */
void job_dead_letter(struct engine_job *job, const struct error *err)
{
    struct engine *engine = job->engine;
    const struct error why = *err; /* it may be the job's own, which goes with the outputs */
    drop_outputs(job);
    if (!job->arena) {
        job->arena = arena_new(0);
    }
    struct bus_record letter =
        outcome_dead_letter(job->arena, engine->stage->name, job->record, &why, job->attempt);
    add_output(job, &letter, true);
    /* Not for a record whose last words, too, have killed a process. */
    if (engine->stage->rejected && job->crashes <= JOB_CRASHES_MAX) {
        enum job_state state = job->state;
        job->state = JOB_REJECTING;
        engine->stage->rejected(job, &why, engine->stage_state);
        job->state = state;
    }
    if (job->emit_error.disposition != ERROR_NONE) {
        log_error("a record that tells of a dead letter is too large", LOG_STR("text", job->emit_error.text));
    }
    metric_add(engine->metric.dead, 1);
    log_warn("dead letter", LOG_STR("stage", engine->stage->name), LOG_STR("code", why.code),
        LOG_STR("text", why.text), LOG_INT("attempts", job->attempt), LOG_STR("topic", job->record->topic),
        LOG_INT("partition", job->record->partition), LOG_INT("offset", job->record->offset));
}

void job_bury(struct engine_job *job)
{
    struct error err;
    error_set(&err, ERROR_REJECT, "crashed", "the process died %d times while this record ran", job->crashes);
    metric_add(job->engine->metric.crashed, 1);
    job->slot = job->engine->journal ? journal_enter(job->engine->journal, job->record) : -1;
    job_dead_letter(job, &err);
    leave_journal(job);
    finish_job(job);
}

static void apply(struct engine_job *job, enum outcome_action action, const struct error *err)
{
    switch (action) {
    case ACTION_COMMIT:
        finish_job(job);
        break;
    case ACTION_SKIP:
        drop_outputs(job);
        finish_job(job);
        break;
    case ACTION_RETRY:
        retry_later(job, err);
        break;
    case ACTION_DEAD_LETTER:
        job_dead_letter(job, err);
        finish_job(job);
        break;
    case ACTION_STOP:
        job->state = JOB_WAITING; /* no longer the stage's; it goes with the engine */
        engine_stop(job->engine, err);
        break;
    }
}

void engine_finish(struct engine_job *job, enum engine_outcome outcome, const struct error *err)
{
    struct engine *engine = job->engine;
    if (job->state != JOB_RUNNING) {
        log_error("a job was finished twice", LOG_STR("stage", engine->stage->name));
        abort();
    }
    const struct error why = err ? *err : (struct error){0}; /* it may live in the job's arena */
    engine->running--;
    if (engine->freed) {
        job_free(job);
        engine_free_last(engine);
        return;
    }
    crash_point("engine.job_finished");
    engine_kick(engine);
    if (job->cancelled) { /* its partition left: the result belongs to nobody */
        engine->buffered--;
        set_dropped(job);
        return;
    }
    if (outcome == ENGINE_DONE && job->emit_error.disposition != ERROR_NONE) {
        metric_add(engine->metric.oversized, 1);
        outcome = ENGINE_FAILED;
        err = &job->emit_error;
    } else {
        err = &why;
    }
    stop_running(job, outcome, err);
    metric_observe(engine->metric.seconds, (double)(clock_mono_us() - job->started_us) / 1e6);
    job->outages += outcome_outage(outcome, err);
    enum outcome_action action = outcome_action(outcome, err, job->attempt - job->outages, &engine->retry);
    metric_add(engine->metric.jobs[action], 1);
    apply(job, action, err);
}
