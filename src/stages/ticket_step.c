/* The common half of the ticket stages: decode, check, run the step if the plan wants it, trace it, route the
 * result. */
#include "stages/ticket_step.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/parse.h"
#include "bus/topics.h"
#include "stages/ticket_check.h"
#include "stages/ticket_event.h"

#define HEADERS_MAX 9
#define LATE "nobody waits for this question any more: the step was skipped"

struct ticket_stage {
    const struct ticket_step *step;
    void *state;
    int64_t reply_partitions;
    int64_t clock_skew_ms;
    struct metric *seconds;
    struct metric *bad_reply_to;
};

/* A step under way, on the job's arena; behind struct ticket_job's `owner`. */
struct ticket_run {
    struct ticket_job job;
    struct msg_step_trace trace;
    const struct ticket_step *step;
    int64_t started_mono_us;
    /* in a stage: */
    struct ticket_stage *stage;
    struct engine_job *engine;
    /* in a trial: */
    void (*tried)(void *arg, struct msg_ticket_event *event, const struct error *err);
    void *tried_arg;
};

/* ---- the step's side ---- */

void ticket_job_done(struct ticket_job *job)
{
    job->finished(job, NULL);
}

void ticket_job_fail(struct ticket_job *job, const struct error *err)
{
    job->finished(job, err);
}

void ticket_job_degraded(struct ticket_job *job, const char *reason)
{
    struct msg_step_trace *trace = job->trace;
    const char **reasons = arena_array(job->arena, trace->degraded_count + 1, sizeof *reasons);
    if (trace->degraded_count > 0) {
        memcpy(reasons, trace->degraded, trace->degraded_count * sizeof *reasons);
    }
    reasons[trace->degraded_count++] = arena_strdup(job->arena, reason);
    trace->degraded = reasons;
}

/* ---- running it ---- */

static struct ticket_run *run_new(struct arena *arena, const struct ticket_step *step)
{
    struct ticket_run *run = ARENA_NEW(arena, struct ticket_run);
    run->step = step;
    run->started_mono_us = clock_mono_us();
    run->trace = (struct msg_step_trace){.step = step->step,
        .started_at = clock_wall_ms(),
        .attempts = 1,
        .event_id = "",
        .model = "",
        .prompt_version = "",
        .policy_version = ""};
    run->job = (struct ticket_job){
        .arena = arena, .trace = &run->trace, .deadline_mono_ms = INT64_MAX, .owner = run};
    return run;
}

/* When nobody waits any more, on our monotonic clock. A ticket that is late is still answered in full, by the
 * log: its deadline means nothing then. */
static int64_t run_deadline(const struct msg_ticket_event *event, int64_t clock_skew_ms, bool *late)
{
    *late = false;
    if (!event->has_deadline_at) {
        return INT64_MAX;
    }
    int64_t left;
    if (__builtin_sub_overflow(event->deadline_at, clock_wall_ms() - clock_skew_ms, &left) ||
        left > INT32_MAX) {
        return INT64_MAX;
    }
    *late = left <= 0;
    return *late ? INT64_MAX : clock_mono_ms() + left;
}

/* Checks the event and fills what is missing. */
static bool prepare(
    struct arena *arena, struct msg_ticket_event *event, const struct bus_record *record, struct error *err)
{
    if (!ticket_check(event, err)) {
        return false;
    }
    ticket_event_identify(arena, event, record);
    ticket_event_locate(arena, event);
    return true;
}

/* What the engine knows of earlier attempts at this step. */
static void trace_attempts(struct ticket_run *run)
{
    size_t count = engine_error_count(run->engine);
    const char **errors = arena_array(run->job.arena, count + 1, sizeof *errors);
    for (size_t i = 0; i < count; i++) {
        errors[i] = engine_error(run->engine, i);
    }
    run->trace.attempts = engine_attempt(run->engine);
    run->trace.errors = errors;
    run->trace.errors_count = count;
}

static void run_trace(struct ticket_run *run)
{
    struct msg_ticket_event *event = run->job.event;
    char id[UUID_TEXT_SIZE];
    uuid_child(event->event_id, msg_step_name(run->step->step), 0, id);
    run->trace.event_id = arena_strdup(run->job.arena, id);
    run->trace.latency_ms = (double)(clock_mono_us() - run->started_mono_us) / 1000;
    ticket_event_add_step(run->job.arena, event, &run->trace);
}

/* What the event has become by this step; the generator may have judged it already. */
static void run_state(struct ticket_run *run)
{
    struct msg_ticket_event *event = run->job.event;
    enum msg_step next;
    if (!ticket_event_next(event, run->step->step, &next)) {
        event->state = ticket_event_final_state(event);
    } else if (ticket_event_wants(event, run->step->step)) {
        event->state = run->step->step == MSG_STEP_CLASSIFY ? MSG_STATE_CLASSIFIED : MSG_STATE_ENRICHED;
    }
}

/* ---- sending on ---- */

struct headers {
    struct bus_header list[HEADERS_MAX];
    size_t count;
};

static void put_header(struct headers *headers, const char *name, const char *value)
{
    headers->list[headers->count++] = (struct bus_header){.name = name, .value = value, .len = strlen(value)};
}

static void put_headers(struct headers *headers, struct arena *arena, const struct msg_ticket_event *event)
{
    put_header(headers, "correlation-id", event->correlation_id);
    put_header(headers, "event-id", event->event_id);
    put_header(headers, "tenant", event->tenant);
    put_header(headers, "kind", msg_kind_name(event->kind));
    put_header(headers, "state", msg_state_name(event->state));
    put_header(headers, "content-type", msg_content_type());
    put_header(headers, "priority", msg_priority_name(ticket_event_priority(event)));
    if (event->has_deadline_at) {
        put_header(headers, "deadline-at", arena_printf(arena, "%" PRId64, event->deadline_at));
    }
    if (event->has_reply_to) {
        put_header(headers, "reply-to", arena_printf(arena, "%d", (int)event->reply_to));
    }
}

/* `partition` -1: by key. */
static bool emit(struct engine_job *engine, const struct msg_ticket_event *event, const char *topic,
    const char *key, int32_t partition, struct error *err)
{
    struct buf value;
    buf_init(&value, MSG_MAX_RECORD);
    bool ok = msg_encode(&msg_ticket_event, event, &value, err);
    if (ok) {
        struct headers headers = {0};
        put_headers(&headers, engine_arena(engine), event);
        const struct bus_record out = {.topic = topic,
            .partition = partition,
            .key = key,
            .key_len = strlen(key),
            .value = value.data,
            .value_len = value.len,
            .headers = headers.list,
            .header_count = headers.count};
        engine_emit(engine, &out);
    }
    buf_fini(&value);
    return ok;
}

static bool emit_ticket(
    struct engine_job *engine, const struct msg_ticket_event *event, const char *topic, struct error *err)
{
    const char *key = arena_printf(engine_arena(engine), "%s/%s", event->tenant, event->ticket.ticket_id);
    return emit(engine, event, topic, key, -1, err);
}

static bool emit_reply(struct engine_job *engine, const struct msg_ticket_event *event, struct error *err)
{
    return emit(
        engine, event, TOPIC_REPLIES, event->correlation_id, event->has_reply_to ? event->reply_to : -1, err);
}

/* The answer: a question's goes to the asking gateway only, and to the log, which reads the replies too. */
static bool emit_answer(struct engine_job *engine, const struct msg_ticket_event *event, struct error *err)
{
    metric_add(metrics_counter("helpdesk_answers_total", "Answers by final state",
                   arena_printf(engine_arena(engine), "state=\"%s\"", msg_state_name(event->state))),
        1);
    if (event->kind == MSG_KIND_QUESTION) {
        return emit_reply(engine, event, err);
    }
    return emit_ticket(engine, event, TOPIC_ANSWERED, err) &&
           (!event->has_reply_to || emit_reply(engine, event, err));
}

/* A reply goes only where a gateway can listen. */
static void check_reply_to(const struct ticket_stage *stage, struct msg_ticket_event *event)
{
    if (event->has_reply_to && (event->reply_to < 0 || event->reply_to >= stage->reply_partitions)) {
        log_warn("reply-to names no partition: ignored", LOG_STR("correlation_id", event->correlation_id),
            LOG_INT("reply_to", event->reply_to));
        metric_add(stage->bad_reply_to, 1);
        event->has_reply_to = false;
    }
}

/* The end of this stage for the event: to the next step's topic, or the answer. */
static bool run_route(struct ticket_run *run, struct error *err)
{
    static const char *const topics[MSG_STEP_COUNT] = {[MSG_STEP_CLASSIFY] = TOPIC_SUBMITTED,
        [MSG_STEP_RETRIEVE] = TOPIC_CLASSIFIED,
        [MSG_STEP_GENERATE] = TOPIC_ENRICHED};
    struct msg_ticket_event *event = run->job.event;
    enum msg_step next;
    if (!ticket_event_next(event, run->step->step, &next)) {
        return emit_answer(run->engine, event, err);
    }
    if (event->has_answer_after && event->answer_after <= run->step->step && event->has_reply_to) {
        if (!emit_reply(run->engine, event, err)) {
            return false;
        }
        event->has_reply_to = false;
        event->has_answer_after = false;
    }
    return emit_ticket(run->engine, event, topics[next], err);
}

static void stage_end(struct ticket_run *run)
{
    struct error err = {0};
    run_state(run);
    if (run_route(run, &err)) {
        engine_finish(run->engine, ENGINE_DONE, NULL);
    } else {
        engine_finish(run->engine, ENGINE_FAILED, &err);
    }
}

static void stage_finished(struct ticket_job *job, const struct error *err)
{
    struct ticket_run *run = job->owner;
    if (err != NULL) {
        engine_finish(run->engine, ENGINE_FAILED, err);
        return;
    }
    trace_attempts(run);
    run_trace(run);
    metric_observe(run->stage->seconds, run->trace.latency_ms / 1000);
    if (job->without) {
        engine_did_without(run->engine);
    }
    stage_end(run);
}

void ticket_stage_process(struct engine_job *job, void *stage_state)
{
    struct ticket_stage *stage = stage_state;
    struct arena *arena = engine_arena(job);
    const struct bus_record *record = engine_record(job);
    struct ticket_run *run = run_new(arena, stage->step);
    struct error err = {0};
    if (!msg_writable(&msg_ticket_event, &err)) { /* before any work that costs something */
        engine_finish(job, ENGINE_FAILED, &err);
        return;
    }
    struct msg_ticket_event *event =
        msg_decode(&msg_ticket_event, arena, record->value, record->value_len, &err);
    if (event == NULL || !prepare(arena, event, record, &err)) {
        engine_finish(job, ENGINE_FAILED, &err);
        return;
    }
    if (stage->step->step == MSG_STEP_CLASSIFY) { /* whoever may publish a ticket writes to this topic */
        ticket_event_admit(event);
    }
    check_reply_to(stage, event);
    bool late;
    run->stage = stage;
    run->engine = job;
    run->job.event = event;
    run->job.finished = stage_finished;
    run->job.deadline_mono_ms = run_deadline(event, stage->clock_skew_ms, &late);
    if (!ticket_event_wants(event, stage->step->step)) {
        engine_did_without(job);
        stage_end(run);
    } else if (late && event->kind == MSG_KIND_QUESTION) {
        ticket_job_degraded(&run->job, LATE);
        run->job.without = true;
        ticket_job_done(&run->job);
    } else {
        stage->step->process(&run->job, stage->state);
    }
}

/* ---- what became a dead letter ---- */

/* A record that cannot be decoded, made from its headers: enough to tell the gateway that waits. */
static struct msg_ticket_event *event_from_headers(struct arena *arena, const struct bus_record *record)
{
    const struct bus_header *reply_to = bus_record_header(record, "reply-to");
    int64_t partition;
    if (reply_to == NULL || reply_to->value == NULL || bus_record_header(record, "correlation-id") == NULL ||
        !parse_int64(arena_strndup(arena, reply_to->value, reply_to->len), &partition) || partition < 0 ||
        partition > INT32_MAX) {
        return NULL;
    }
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, arena);
    event->kind = MSG_KIND_QUESTION; /* answered to the gateway only: there is no ticket to log */
    event->has_reply_to = true;
    event->reply_to = (int32_t)partition;
    return event;
}

void ticket_stage_rejected(struct engine_job *job, const struct error *err, void *stage_state)
{
    struct ticket_stage *stage = stage_state;
    struct arena *arena = engine_arena(job);
    const struct bus_record *record = engine_record(job);
    struct msg_ticket_event *event =
        msg_decode(&msg_ticket_event, arena, record->value, record->value_len, NULL);
    if (event == NULL) {
        event = event_from_headers(arena, record);
    }
    if (event == NULL || !ticket_event_fail(arena, event, record, stage->step->step, err)) {
        return;
    }
    check_reply_to(stage, event);
    event->context = NULL; /* what was found is of no use without an answer, and might not fit again */
    event->generation = NULL;
    struct error problem = {0};
    if (!emit_answer(job, event, &problem)) {
        log_error("the failed answer cannot be sent", LOG_STR("correlation_id", event->correlation_id),
            LOG_STR("why", problem.text));
    }
}

/* ---- the stage ---- */

void *ticket_stage_open(const struct ticket_step *step, const struct stage_env *env, struct error *err)
{
    struct ticket_stage *stage = xcalloc(1, sizeof *stage);
    stage->step = step;
    stage->reply_partitions = conf_int(env->conf, CONF_KAFKA_PARTITIONS);
    stage->clock_skew_ms = conf_int(env->conf, CONF_STAGE_CLOCK_SKEW);
    stage->state = step->open(env, err);
    if (stage->state == NULL) {
        free(stage);
        return NULL;
    }
    char labels[64];
    snprintf(labels, sizeof labels, "step=\"%s\"", msg_step_name(step->step));
    stage->seconds = metrics_histogram(
        "helpdesk_step_seconds", "Time a step takes, from the record to its result", labels);
    stage->bad_reply_to =
        metrics_counter("helpdesk_reply_to_invalid_total", "Records whose reply-to names no partition", NULL);
    return stage;
}

void ticket_stage_close(void *state)
{
    struct ticket_stage *stage = state;
    stage->step->close(stage->state);
    free(stage);
}

/* ---- a trial without a broker ---- */

static void try_finished(struct ticket_job *job, const struct error *err)
{
    struct ticket_run *run = job->owner;
    if (err == NULL) {
        run_trace(run);
        run_state(run);
    }
    run->tried(run->tried_arg, job->event, err);
}

void ticket_step_try(const struct ticket_step *step, void *state, struct arena *arena,
    struct msg_ticket_event *event,
    void (*done)(void *arg, struct msg_ticket_event *event, const struct error *err), void *arg)
{
    struct ticket_run *run = run_new(arena, step);
    struct error err = {0};
    run->job.event = event;
    run->job.finished = try_finished;
    run->tried = done;
    run->tried_arg = arg;
    if (!prepare(arena, event, NULL, &err)) {
        done(arg, event, &err);
        return;
    }
    step->process(&run->job, state);
}
