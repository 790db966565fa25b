/* A fake engine that keeps what was emitted, fake steps, and a ticket stage around each of them. Included
 * once by each test program. */
#ifndef HELPDESK_TESTS_TICKET_STEP_FIXTURE_H
#define HELPDESK_TESTS_TICKET_STEP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/ids.h"
#include "bus/topics.h"
#include "stages/ticket_step.h"

#define MAX_OUT 8
#define CORRELATION "01890a5d-ac96-774b-bcce-b302099a8057"

/* ---- the fake engine ---- */

struct out {
    char topic[40];
    char key[300];
    int32_t partition;
    char headers[600];
    struct msg_ticket_event *event;
};

struct engine_job {
    struct arena *arena;
    struct bus_record record;
    struct out out[MAX_OUT];
    size_t count;
    int finished;
    enum engine_outcome outcome;
    struct error err;
    bool without;
    const char *earlier[2]; /* errors of earlier attempts */
};

const struct bus_record *engine_record(const struct engine_job *job)
{
    return &job->record;
}

struct arena *engine_arena(struct engine_job *job)
{
    return job->arena;
}

int engine_attempt(const struct engine_job *job)
{
    return 1 + (int)engine_error_count(job);
}

void engine_did_without(struct engine_job *job)
{
    job->without = true;
}

size_t engine_error_count(const struct engine_job *job)
{
    return job->earlier[0] == NULL ? 0 : job->earlier[1] == NULL ? 1 : 2;
}

const char *engine_error(const struct engine_job *job, size_t index)
{
    return job->earlier[index];
}

void engine_emit(struct engine_job *job, const struct bus_record *record)
{
    assert_true(job->count < MAX_OUT);
    struct out *out = &job->out[job->count++];
    struct error err = {0};
    snprintf(out->topic, sizeof out->topic, "%s", record->topic);
    snprintf(out->key, sizeof out->key, "%.*s", (int)record->key_len, (const char *)record->key);
    out->partition = record->partition;
    for (size_t i = 0; i < record->header_count; i++) {
        const struct bus_header *h = &record->headers[i];
        size_t len = strlen(out->headers);
        snprintf(out->headers + len, sizeof out->headers - len, "%s=%.*s;", h->name, (int)h->len,
            (const char *)h->value);
    }
    out->event = msg_decode(&msg_ticket_event, job->arena, record->value, record->value_len, &err);
    assert_non_null(out->event);
}

void engine_finish(struct engine_job *job, enum engine_outcome outcome, const struct error *err)
{
    job->finished++;
    job->outcome = outcome;
    job->err = err != NULL ? *err : (struct error){0};
}

/* ---- fake steps ---- */

static struct {
    const char *degrade;
    struct error fail;
    enum msg_state judge; /* what the generator says, or MSG_STATE_ACCEPTED for nothing */
    bool flag;
    int calls;
    int64_t deadline;
    const char *earlier[2];
    size_t grow; /* bytes of context it adds */
} behaviour;

static void *fake_open(const struct stage_env *env, struct error *err)
{
    return env != NULL && err != NULL ? &behaviour : NULL;
}

static void fake_close(void *state)
{
    (void)state;
}

static void fake_process(struct ticket_job *job, void *state)
{
    assert_ptr_equal(state, &behaviour);
    behaviour.calls++;
    behaviour.deadline = job->deadline_mono_ms;
    job->trace->model = "fake/1";
    if (behaviour.fail.disposition != ERROR_NONE) {
        ticket_job_fail(job, &behaviour.fail);
        return;
    }
    if (behaviour.degrade != NULL) {
        ticket_job_degraded(job, behaviour.degrade);
    }
    if (behaviour.judge != MSG_STATE_ACCEPTED || behaviour.flag) {
        job->event->generation = msg_new(&msg_generation, job->arena);
        job->event->generation->primary_draft.text = "Hello";
        job->event->generation->guardrail_triggered = behaviour.flag;
        job->event->state = behaviour.judge != MSG_STATE_ACCEPTED ? behaviour.judge : job->event->state;
    }
    if (behaviour.grow > 0) {
        job->event->context = msg_new(&msg_context, job->arena);
        job->event->context->items = arena_array(job->arena, 1, sizeof(struct msg_context_item));
        job->event->context->items_count = 1;
        char *text = arena_alloc(job->arena, behaviour.grow + 1);
        memset(text, 'x', behaviour.grow);
        job->event->context->items[0] = (struct msg_context_item){.source_id = "s",
            .excerpt = text,
            .citation_uri = "",
            .title = "",
            .locale = "",
            .metadata = "{}"};
    }
    ticket_job_done(job);
}

static const struct ticket_step fakes[MSG_STEP_COUNT] = {
    {"classifier", MSG_STEP_CLASSIFY, NULL, fake_open, fake_close, fake_process},
    {"retriever", MSG_STEP_RETRIEVE, NULL, fake_open, fake_close, fake_process},
    {"generator", MSG_STEP_GENERATE, NULL, fake_open, fake_close, fake_process},
};

/* ---- the fixture ---- */

struct fixture {
    struct conf *conf;
    struct arena *arena;
    void *stages[MSG_STEP_COUNT];
    struct engine_job job;
    struct msg_ticket_event *event; /* what comes in */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct buf problems;
    struct error err = {0};
    memset(&behaviour, 0, sizeof behaviour);
    buf_init(&problems, 65536);
    clearenv(); /* settings of whoever runs the tests */
    f->conf = conf_load(NULL, &problems);
    buf_fini(&problems);
    f->arena = arena_new(0);
    const struct stage_env env = {.conf = f->conf};
    for (int i = 0; i < MSG_STEP_COUNT; i++) {
        f->stages[i] = ticket_stage_open(&fakes[i], &env, &err);
    }
    f->event = msg_new(&msg_ticket_event, f->arena);
    f->event->ticket.subject = "Where is my order?";
    f->event->ticket.description = "It has not arrived and I would like to know when it comes.";
    f->event->ticket.customer_external_id = "C-1";
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < MSG_STEP_COUNT; i++) {
        ticket_stage_close(f->stages[i]);
    }
    arena_free(f->job.arena);
    arena_free(f->arena);
    conf_free(f->conf);
    free(f);
    return 0;
}

static void start_job(
    struct fixture *f, const void *value, size_t len, const struct bus_header *headers, size_t header_count)
{
    arena_free(f->job.arena);
    memset(&f->job, 0, sizeof f->job);
    f->job.arena = arena_new(0);
    memcpy(f->job.earlier, behaviour.earlier, sizeof f->job.earlier);
    f->job.record = (struct bus_record){.topic = TOPIC_SUBMITTED,
        .partition = 3,
        .offset = 42,
        .timestamp = 1700000000000,
        .key = "default/T-1",
        .key_len = 11,
        .value = value,
        .value_len = len,
        .headers = headers,
        .header_count = header_count};
}

/* Runs the fixture's event through the stage of `step`; a reject goes on to the dead letter as in the engine.
 */
static struct engine_job *run_with(
    struct fixture *f, enum msg_step step, const struct bus_header *headers, size_t header_count)
{
    struct buf value;
    struct error err = {0};
    buf_init(&value, MSG_MAX_RECORD);
    if (!msg_encode(&msg_ticket_event, f->event, &value, &err)) {
        fail_msg("%s", err.text);
    }
    char *copy = arena_strndup(f->arena, value.data, value.len);
    start_job(f, copy, value.len, headers, header_count);
    buf_fini(&value);
    ticket_stage_process(&f->job, f->stages[step]);
    assert_int_equal(f->job.finished, 1);
    if (f->job.outcome == ENGINE_FAILED && f->job.err.disposition == ERROR_REJECT) {
        ticket_stage_rejected(&f->job, &f->job.err, f->stages[step]);
    }
    return &f->job;
}

static struct engine_job *run(struct fixture *f, enum msg_step step)
{
    return run_with(f, step, NULL, 0);
}

static void set_plan(struct fixture *f, size_t count, const enum msg_step *steps)
{
    f->event->plan = arena_array(f->arena, count, sizeof *steps);
    memcpy(f->event->plan, steps, count * sizeof *steps);
    f->event->plan_count = count;
}

#endif
