/* Which ready job starts next, and which must wait: for a dependency that is away, or because it was running
 * when a process died. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/log.h"
#include "engine/internal.h"

#define ALONE_MS 5000 /* others wait no longer for a job that is to run alone, nor for one that does */
#define URGENT_MS 250 /* between two looks for jobs whose deadline comes while a breaker is open */
#define OUTAGE_SUFFIX "_unavailable"

struct gate_dependency {
    char name[16];
    struct breaker breaker;
    struct metric *open; /* 1 while it is not closed */
    struct metric *openings;
};

static struct engine_job *job_of_place(struct ready_entry *place)
{
    return (struct engine_job *)(void *)((char *)place - offsetof(struct engine_job, place));
}

/* ---- lifecycle ---- */

static void look_again(void *arg)
{
    engine_kick(arg);
}

static void add_dependency(struct engine *engine, const char *name, int64_t breaker_after)
{
    size_t count = ++engine->dependency_count;
    engine->dependencies = xrealloc(engine->dependencies, count * sizeof(*engine->dependencies));
    struct gate_dependency *dependency = &engine->dependencies[count - 1];
    char labels[128];
    snprintf(labels, sizeof(labels), "stage=\"%s\",dependency=\"%s\"", engine->stage->name, name);
    snprintf(dependency->name, sizeof(dependency->name), "%s", name);
    dependency->open = metrics_gauge(
        "helpdesk_engine_breaker_open", "1 while jobs wait because what they need is away", labels);
    dependency->openings =
        metrics_counter("helpdesk_engine_breaker_openings_total", "Times a breaker opened", labels);
    breaker_init(&dependency->breaker, breaker_after);
    metric_set(dependency->open, 0);
}

void gate_init(struct engine *engine, int64_t breaker_after)
{
    ready_init(&engine->ready);
    TAILQ_INIT(&engine->suspects);
    TAILQ_INIT(&engine->last_chance);
    engine->gate_timer = loop_timer_new(engine->loop, look_again, engine);
    for (const char *const *name = engine->stage->dependencies; name && *name; name++) {
        add_dependency(engine, *name, breaker_after);
    }
}

void gate_fini(struct engine *engine)
{
    loop_timer_free(engine->gate_timer);
    free(engine->dependencies);
}

/* ---- who waits ---- */

void gate_add(struct engine_job *job)
{
    struct engine *engine = job->engine;
    if (job->crashes == 1) {
        TAILQ_INSERT_TAIL(&engine->suspects, job, link);
    } else if (job->crashes == JOB_CRASHES_MAX - 1) {
        TAILQ_INSERT_TAIL(&engine->last_chance, job, link);
    } else {
        ready_put(&engine->ready, &job->place);
    }
}

void gate_remove(struct engine_job *job)
{
    struct engine *engine = job->engine;
    if (job->crashes == 1) {
        TAILQ_REMOVE(&engine->suspects, job, link);
    } else if (job->crashes == JOB_CRASHES_MAX - 1) {
        TAILQ_REMOVE(&engine->last_chance, job, link);
        if (TAILQ_EMPTY(&engine->last_chance) && !engine->alone) {
            engine->alone_since_ms = 0; /* nobody waits for it any more */
        }
    } else {
        ready_remove(&engine->ready, &job->place);
    }
}

/* ---- dependencies ---- */

static bool names_outage(const struct gate_dependency *dependency, const struct error *err)
{
    size_t len = strlen(dependency->name);
    return strncmp(err->code, dependency->name, len) == 0 && strcmp(err->code + len, OUTAGE_SUFFIX) == 0;
}

static enum breaker_sign sign_of(const struct gate_dependency *dependency, const struct engine_job *job,
    enum engine_outcome outcome, const struct error *err)
{
    if (outcome == ENGINE_DONE && !job->without) {
        return BREAKER_ANSWERED;
    }
    if (err && outcome_outage(outcome, err) && names_outage(dependency, err)) {
        return BREAKER_OUTAGE;
    }
    return BREAKER_NOTHING;
}

static void show_change(const struct gate_dependency *dependency, const struct error *err)
{
    bool closed = dependency->breaker.state == BREAKER_CLOSED;
    char part[32];
    char why[256];
    snprintf(part, sizeof(part), "breaker.%s", dependency->name);
    snprintf(why, sizeof(why), "jobs wait for it: %.200s", err ? err->text : "");
    metric_set(dependency->open, closed ? 0 : 1);
    if (!closed) {
        metric_add(dependency->openings, 1);
    }
    health_set(part, closed, why); /* logs it */
}

static void tell_dependencies(struct engine_job *job, enum engine_outcome outcome, const struct error *err)
{
    struct engine *engine = job->engine;
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < engine->dependency_count; i++) {
        struct gate_dependency *dependency = &engine->dependencies[i];
        enum breaker_sign sign = sign_of(dependency, job, outcome, err);
        bool probe = job->probe && dependency->breaker.state == BREAKER_HALF_OPEN;
        if (breaker_hear(&dependency->breaker, sign, probe, now_ms, &engine->retry,
                err ? err->retry_after_ms : 0, arc4random())) {
            show_change(dependency, err);
        }
    }
}

bool gate_shut(const struct engine *engine)
{
    for (size_t i = 0; i < engine->dependency_count; i++) {
        if (engine->dependencies[i].breaker.state != BREAKER_CLOSED) {
            return true;
        }
    }
    return false;
}

/* Shut, but what is away has been left alone for long enough: one job may try. */
static bool probe_due(const struct engine *engine, int64_t now_ms)
{
    for (size_t i = 0; i < engine->dependency_count; i++) {
        const struct breaker *breaker = &engine->dependencies[i].breaker;
        if (breaker->state != BREAKER_CLOSED && !breaker_due(breaker, now_ms)) {
            return false;
        }
    }
    return true;
}

static void make_probe(struct engine *engine, struct engine_job *job)
{
    job->probe = true;
    for (size_t i = 0; i < engine->dependency_count; i++) {
        struct breaker *breaker = &engine->dependencies[i].breaker;
        if (breaker->state == BREAKER_OPEN) {
            breaker_probe(breaker);
        }
    }
}

/* ---- starting ---- */

static bool may_start(const struct engine *engine)
{
    return !engine->stopped && !engine->refused && engine->running < engine->max_running;
}

/* Out of the lists, towards the stage. */
static void admit(struct engine_job *job)
{
    struct engine *engine = job->engine;
    if (job->crashes >= JOB_CRASHES_MAX) {
        job_bury(job);
        return;
    }
    job->admitted = true;
    if (job->crashes == 1) {
        engine->suspects_running++;
    }
    job_start(job);
}

/* A job whose deadline is near starts although what it needs is away: its stage can do without, in time. */
static void start_urgent(struct engine *engine, int64_t now_ms)
{
    for (int i = 0; i < READY_PRIORITIES; i++) {
        struct ready_entry *place = TAILQ_FIRST(&engine->ready.lists[i]);
        while (place && may_start(engine)) {
            struct engine_job *job = job_of_place(place);
            struct ready_entry *next = TAILQ_NEXT(place, link);
            if (job->deadline_ms > now_ms && job->deadline_ms - now_ms <= ENGINE_RESERVE_MS) {
                ready_remove(&engine->ready, place);
                admit(job);
            }
            place = next;
        }
    }
}

/* One crash away from the dead letters, a job runs alone: then the next crash is its own and nobody else's.
 * Not at any price: a job that goes on for minutes holds up nobody. */
static struct engine_job *take_last_chance(struct engine *engine, int64_t now_ms)
{
    struct engine_job *job = TAILQ_FIRST(&engine->last_chance);
    if (!engine->alone_since_ms) {
        engine->alone_since_ms = now_ms;
    }
    if (engine->running > 0 && now_ms - engine->alone_since_ms < ALONE_MS) {
        return NULL;
    }
    TAILQ_REMOVE(&engine->last_chance, job, link);
    engine->alone = job;
    engine->alone_since_ms = now_ms;
    return job;
}

static struct engine_job *take_next(struct engine *engine, int64_t now_ms)
{
    if (engine->alone && now_ms - engine->alone_since_ms < ALONE_MS) {
        return NULL;
    }
    if (!engine->alone && !TAILQ_EMPTY(&engine->last_chance)) {
        return take_last_chance(engine, now_ms);
    }
    struct engine_job *job = TAILQ_FIRST(&engine->suspects);
    if (job && engine->suspects_running < engine->suspects_at_once) {
        TAILQ_REMOVE(&engine->suspects, job, link);
        return job;
    }
    struct ready_entry *place = ready_take(&engine->ready);
    return place ? job_of_place(place) : NULL;
}

/* Something waits for nothing but time. */
static void wait_for_time(struct engine *engine, int64_t now_ms)
{
    int64_t wait = INT64_MAX;
    if (gate_shut(engine)) {
        wait = URGENT_MS;
        for (size_t i = 0; i < engine->dependency_count; i++) {
            const struct breaker *breaker = &engine->dependencies[i].breaker;
            int64_t left = breaker->until_ms - now_ms;
            if (breaker->state == BREAKER_OPEN && left > 0 && left < wait) {
                wait = left;
            }
        }
    } else if (engine->alone_since_ms) {
        wait = ALONE_MS;
    }
    if (wait != INT64_MAX) {
        loop_timer_arm(engine->gate_timer, wait);
    }
}

void gate_start(struct engine *engine)
{
    int64_t now_ms = clock_mono_ms();
    bool shut;
    while ((shut = gate_shut(engine), may_start(engine)) && (!shut || probe_due(engine, now_ms))) {
        struct engine_job *job = take_next(engine, now_ms);
        if (!job) {
            break;
        }
        if (shut && job->crashes < JOB_CRASHES_MAX) {
            make_probe(engine, job);
        }
        admit(job);
    }
    if (shut && now_ms >= engine->urgent_after_ms) {
        engine->urgent_after_ms = now_ms + URGENT_MS;
        start_urgent(engine, now_ms);
    }
    wait_for_time(engine, now_ms);
}

void gate_ended(struct engine_job *job, enum engine_outcome outcome, const struct error *err)
{
    struct engine *engine = job->engine;
    if (!job->admitted) {
        return;
    }
    job->admitted = false;
    if (job->crashes == 1) {
        engine->suspects_running--;
    }
    if (engine->alone == job) {
        engine->alone = NULL;
        engine->alone_since_ms = 0;
    }
    tell_dependencies(job, outcome, err);
    job->probe = false;
}
