/* Ending work in good order: partitions that leave, partitions that are lost, the whole engine. */
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "engine/internal.h"

#define COMMIT_LIMIT_MS 5000 /* for the last commit, when jobs had to be given up */

void drain_forget(struct engine_partition *partition)
{
    if (!partition->gone || !TAILQ_EMPTY(&partition->jobs)) {
        return;
    }
    window_fini(&partition->window);
    free(partition);
}

static void drop_unstarted(struct engine_partition *partition)
{
    struct engine_job *job;
    struct engine_job *next;
    for (job = TAILQ_FIRST(&partition->jobs); job; job = next) {
        next = TAILQ_NEXT(job, of_partition);
        if (job_unstarted(job)) {
            job_drop(job);
        }
    }
}

static void cancel_running(struct engine_partition *partition)
{
    struct engine_job *job;
    TAILQ_FOREACH(job, &partition->jobs, of_partition)
    {
        if (job->state == JOB_RUNNING) {
            job_cancel(job);
        }
    }
}

static void drop_finished(struct engine_partition *partition)
{
    struct engine_job *job;
    struct engine_job *next;
    for (job = TAILQ_FIRST(&partition->jobs); job; job = next) {
        next = TAILQ_NEXT(job, of_partition);
        if (job->state == JOB_FINISHED) {
            job_drop(job);
        }
    }
}

/* Takes the partition off; its struct lives on while a job of it runs or is in the batch under way. */
static void set_gone(struct engine_partition *partition)
{
    LIST_REMOVE(partition, link);
    struct engine_job *job;
    struct engine_job *next;
    for (job = TAILQ_FIRST(&partition->jobs); job; job = next) {
        next = TAILQ_NEXT(job, of_partition);
        if (job->state == JOB_DROPPED) {
            job_free(job);
        }
    }
    partition->gone = true;
    drain_forget(partition);
}

void drain_lose(struct engine *engine, struct engine_partition *partition)
{
    drop_unstarted(partition);
    drop_finished(partition);
    cancel_running(partition);
    set_gone(partition);
    engine_kick(engine);
}

static void let_go(struct engine *engine, struct engine_partition *partition)
{
    const char *topic = partition->topic;
    int32_t id = partition->id;
    drain_lose(engine, partition);
    bus_consumer_release(engine->consumer, topic, id);
}

void drain_revoked(void *arg, const char *topic, int32_t id, bool lost)
{
    struct engine *engine = arg;
    struct engine_partition *partition;
    LIST_FOREACH(partition, &engine->partitions, link)
    {
        if (partition->id == id && partition->topic == topic) {
            break;
        }
    }
    if (!partition) {
        return;
    }
    if (lost || engine->refused || engine->stopped) { /* then nothing of it can be committed */
        let_go(engine, partition);
        return;
    }
    partition->leaving = true;
    drop_unstarted(partition);
    loop_timer_arm(engine->revoke_timer, engine->revoke_bound_ms);
    engine_kick(engine);
}

void drain_give_up_leaving(struct engine *engine)
{
    struct engine_partition *partition = LIST_FIRST(&engine->partitions);
    while (partition) {
        struct engine_partition *next = LIST_NEXT(partition, link);
        if (partition->leaving) {
            let_go(engine, partition);
        }
        partition = next;
    }
}

/* What still runs is done again by the next owner; the rest is committed now. */
void drain_revoke_overdue(void *arg)
{
    struct engine *engine = arg;
    struct engine_partition *partition;
    LIST_FOREACH(partition, &engine->partitions, link)
    {
        if (partition->leaving) {
            cancel_running(partition);
        }
    }
    engine_kick(engine);
}

/* Not while a batch is under way: it may hold the partition's offset, and would be refused as a whole. */
static void release_finished(struct engine *engine)
{
    if (bus_committer_busy(engine->committer)) {
        return;
    }
    struct engine_partition *partition = LIST_FIRST(&engine->partitions);
    while (partition) {
        struct engine_partition *next = LIST_NEXT(partition, link);
        if (partition->leaving && partition->live == 0 && !partition->dirty) {
            const char *topic = partition->topic;
            int32_t id = partition->id;
            set_gone(partition);
            bus_consumer_release(engine->consumer, topic, id);
        }
        partition = next;
    }
}

static void consumer_closed(void *arg)
{
    struct engine *engine = arg;
    log_info("drained", LOG_STR("stage", engine->stage->name));
    engine->drained(engine->drained_arg);
}

static void close_consumer(struct engine *engine)
{
    engine->closing = true;
    loop_timer_cancel(engine->drain_timer);
    bus_consumer_close(engine->consumer, consumer_closed, engine);
}

static bool any_live(const struct engine *engine)
{
    const struct engine_partition *partition;
    LIST_FOREACH(partition, &engine->partitions, link)
    {
        /* The analyzer loses track of the list that release_finished shortens. */
        if (partition->live > 0) { /* NOLINT(clang-analyzer-unix.Malloc) */
            return true;
        }
    }
    return false;
}

void drain_step(struct engine *engine)
{
    release_finished(engine);
    if (engine->draining && !engine->closing && !any_live(engine) && !commit_pending(engine)) {
        close_consumer(engine);
    }
}

void drain_timed_out(void *arg)
{
    struct engine *engine = arg;
    if (engine->drain_overdue) {
        log_warn("leaving without the last commit", LOG_STR("stage", engine->stage->name));
        close_consumer(engine);
        return;
    }
    engine->drain_overdue = true;
    log_warn("jobs are given up", LOG_STR("stage", engine->stage->name), LOG_INT("count", engine->running));
    struct engine_partition *partition;
    LIST_FOREACH(partition, &engine->partitions, link)
    cancel_running(partition);
    loop_timer_arm(engine->drain_timer, COMMIT_LIMIT_MS);
    engine_kick(engine);
}

void engine_drain(struct engine *engine, void (*drained)(void *arg), void *arg)
{
    engine->draining = true;
    engine->drained = drained;
    engine->drained_arg = arg;
    struct engine_partition *partition;
    LIST_FOREACH(partition, &engine->partitions, link)
    drop_unstarted(partition);
    if (engine->stopped) { /* nothing can be committed any more */
        close_consumer(engine);
        return;
    }
    loop_timer_arm(engine->drain_timer, engine->drain_timeout_ms);
    engine_kick(engine);
}
