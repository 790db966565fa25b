/* Compares revisions; only where the base has moved, or time has passed, passages and answers. */
#include "stages/recheck.h"

#include <stdlib.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "kb/revision.h"
#include "kb/standing.h"

/* A document expires, and an answer is taken back, without a new revision of the base. */
#define FRESH_MS 10000
#define WAIT_MS 2000 /* for the database, and at most a quarter of what is left until the deadline */

struct recheck {
    struct loop *loop;
    struct db *db;
    struct kb_revisions *revisions;
    int under_way;
    bool closing; /* the last statement frees it */
    struct metric *gone;
};

/* A statement under way; it may outlive its job. */
struct look {
    struct recheck *recheck;
    struct ticket_job *job; /* NULL: over */
    struct arena *arena;
    struct loop_timer *timer;
    size_t *items; /* of the context, that are looked up */
    size_t count;
    struct recheck_known *known;
    recheck_done *done;
    void *arg;
};

struct recheck *recheck_new(struct loop *loop, struct db *db)
{
    struct recheck *recheck = xcalloc(1, sizeof(*recheck));
    *recheck = (struct recheck){.loop = loop, .db = db, .revisions = kb_revisions_new(db)};
    recheck->gone = metrics_counter("helpdesk_sources_gone_total",
        "Sources left out of an answer since they did not stand any more when it was made", NULL);
    return recheck;
}

void recheck_close(struct recheck *recheck)
{
    if (!recheck) {
        return;
    }
    kb_revisions_free(recheck->revisions);
    recheck->closing = true;
    if (recheck->under_way == 0) {
        free(recheck);
    }
}

static void look_free(struct look *look)
{
    struct recheck *recheck = look->recheck;
    loop_timer_free(look->timer);
    arena_free(look->arena);
    free(look);
    if (--recheck->under_way == 0 && recheck->closing) {
        free(recheck);
    }
}

static bool is_looked_up(const struct msg_context_item *item)
{
    return item->type == MSG_ITEM_TYPE_KB || item->type == MSG_ITEM_TYPE_TICKET;
}

/* Takes away what is no more. No context is surer than the best of what it still holds. */
static size_t leave_out(struct msg_context *context, const struct look *look, const bool *stands)
{
    size_t kept = 0, looked = 0;
    double best = 0;
    for (size_t i = 0; i < context->items_count; i++) {
        const struct msg_context_item *item = &context->items[i];
        bool was_looked_up = looked < look->count && look->items[looked] == i;
        if (was_looked_up && !stands[looked++]) {
            continue;
        }
        if (is_looked_up(item) && item->score > best) {
            best = item->score;
        }
        context->items[kept++] = *item;
    }
    size_t lost = context->items_count - kept;
    context->items_count = kept;
    if (lost > 0 && context->aggregate_confidence > best) {
        context->aggregate_confidence = best;
    }
    return lost;
}

static void on_stood(void *arg, const bool *stands, int64_t revision, const struct error *err)
{
    struct look *look = arg;
    struct recheck *recheck = look->recheck;
    if (look->job && !recheck->closing) {
        size_t lost = err ? 0 : leave_out(look->job->event->context, look, stands);
        if (!err) {
            *look->known = (struct recheck_known){.revision = revision, .at_ms = clock_wall_ms()};
        }
        if (lost > 0) {
            metric_add(recheck->gone, (double)lost);
            log_info("sources were changed or deleted after they had been found: left out",
                LOG_STR("correlation_id", look->job->event->correlation_id), LOG_INT("sources", lost));
        }
        look->done(look->arg, err ? RECHECK_UNKNOWN : lost > 0 ? RECHECK_LOST : RECHECK_STANDS);
    }
    look_free(look);
}

static void on_timer(void *arg)
{
    struct look *look = arg;
    look->job = NULL;
    if (!look->recheck->closing) {
        look->done(look->arg, RECHECK_UNKNOWN);
    }
}

static int64_t wait_for(const struct ticket_job *job)
{
    int64_t left = job->deadline_mono_ms == INT64_MAX ? INT64_MAX : job->deadline_mono_ms - clock_mono_ms();
    int64_t most = left / 4 < WAIT_MS ? left / 4 : WAIT_MS;
    return most > 0 ? most : 0;
}

static void look_up(struct look *look)
{
    const struct msg_context *context = look->job->event->context;
    struct kb_found *found = arena_array(look->arena, context->items_count + 1, sizeof(*found));
    look->items = arena_array(look->arena, context->items_count + 1, sizeof(*look->items));
    for (size_t i = 0; i < context->items_count; i++) {
        const struct msg_context_item *item = &context->items[i];
        if (is_looked_up(item)) {
            look->items[look->count] = i;
            found[look->count++] = (struct kb_found){.source_id = arena_strdup(look->arena, item->source_id),
                .excerpt = arena_strdup(look->arena, item->excerpt),
                .answer = item->type == MSG_ITEM_TYPE_TICKET};
        }
    }
    kb_standing(look->recheck->db, look->arena, arena_strdup(look->arena, look->job->event->tenant), found,
        look->count, on_stood, look);
}

static bool has_sources(const struct msg_context *context)
{
    bool found = false;
    for (size_t i = 0; context && i < context->items_count && !found; i++) {
        found = is_looked_up(&context->items[i]);
    }
    return found;
}

static bool must_look(
    struct recheck *recheck, const struct msg_ticket_event *event, const struct recheck_known *known)
{
    if (!recheck || known->at_ms <= 0 || event->caller_context || !has_sources(event->context)) {
        return false;
    }
    int64_t now = kb_revisions_of(recheck->revisions, event->tenant);
    return now < 0 || now > known->revision || clock_wall_ms() - known->at_ms > FRESH_MS;
}

struct recheck_known recheck_found_at(const struct msg_ticket_event *event)
{
    struct recheck_known known = {0};
    for (size_t i = 0; i < event->steps_count; i++) {
        const struct msg_step_trace *step = &event->steps[i];
        if (step->has_kb_revision) {
            known = (struct recheck_known){.revision = step->kb_revision, .at_ms = step->started_at};
        }
    }
    return known;
}

void recheck_sources(struct recheck *recheck, struct ticket_job *job, struct recheck_known *known,
    recheck_done *done, void *arg)
{
    if (!must_look(recheck, job->event, known)) {
        done(arg, RECHECK_STANDS);
        return;
    }
    struct look *look = xcalloc(1, sizeof(*look));
    *look = (struct look){.recheck = recheck, .job = job, .arena = arena_new(0), .done = done, .arg = arg};
    look->known = known;
    recheck->under_way++;
    look->timer = loop_timer_new(recheck->loop, on_timer, look);
    loop_timer_arm(look->timer, wait_for(job));
    look_up(look);
}
