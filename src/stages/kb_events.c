/* Notifications of single objects: finds the source, leaves out what tells nothing new, and brings the rest
 * into the base. However many tell of an object at once, one reading is under way and one more may follow. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "kb/document.h"
#include "stages/kb_sync.h"

#define AT_ONCE 4 /* documents of one record; each may hold its whole text in memory */
#define SAY_EVERY_MS 60000

/* What one record tells, in an arena of its own, as the engine may be gone before the database. */
struct telling {
    struct kb_stage *stage;
    struct arena *arena;
    struct engine_job *job; /* valid unless the stage is closing */
    int64_t taken_ms;
    struct kb_errand *errands;
    size_t count;
    size_t next;
    size_t under_way;
    bool starting;    /* inside start_some */
    struct error err; /* of the first that failed; ERROR_NONE: none has */
};

/* One object of one source. */
struct kb_errand {
    TAILQ_ENTRY(kb_errand) link; /* in reading or waiting */
    struct telling *telling;
    struct kb_stage_source *source;
    const char *key; /* relative to the source */
    const char *sequencer;
    int64_t happened_ms; /* wall time; 0: not said */
    int64_t began_ms;    /* monotonic */
};

static void count_outcome(const char *outcome)
{
    char labels[48];
    snprintf(labels, sizeof(labels), "outcome=\"%s\"", outcome);
    metric_add(metrics_counter("helpdesk_kb_notifications_total",
                   "Notifications of single objects, by what came of them", labels),
        1);
}

/* ---- their ends ---- */

static void tell_lag(const struct kb_errand *errand)
{
    char labels[160];
    int64_t lag_ms = clock_wall_ms() - errand->happened_ms;
    if (errand->happened_ms > 0) {
        snprintf(labels, sizeof(labels), "source=\"%s\"", errand->source->settings->place.name);
        metric_observe(metrics_histogram("helpdesk_kb_notification_seconds",
                           "From the change of an object to its being in the base", labels),
            lag_ms > 0 ? (double)lag_ms / 1000 : 0);
    }
}

static void end(struct telling *telling)
{
    bool failed = telling->err.disposition != ERROR_NONE;
    if (kb_stage_leave(telling->stage)) { /* else the engine is gone already */
        engine_finish(telling->job, failed ? ENGINE_FAILED : ENGINE_DONE, failed ? &telling->err : NULL);
    }
    arena_free(telling->arena);
}

static void start_some(struct telling *telling);

static void errand_over(struct kb_errand *errand, const char *outcome)
{
    struct telling *telling = errand->telling;
    count_outcome(outcome);
    telling->under_way--;
    if (!telling->starting) {
        start_some(telling);
    }
}

/* ---- reading ---- */

static bool same_object(const struct kb_errand *a, const struct kb_errand *b)
{
    return a->source == b->source && !strcmp(a->key, b->key);
}

static void on_document(void *arg, enum kb_synced what, const struct error *err);

/* Reads the object, waits for who does, or finds that it was read since. */
static void begin(struct kb_errand *errand)
{
    struct kb_stage *stage = errand->telling->stage;
    struct kb_errand *other;
    if (stage->closing || kb_seen_covers(stage->seen, errand->source->settings->place.name, errand->key,
                              errand->sequencer, errand->telling->taken_ms)) {
        errand_over(errand, "known");
        return;
    }
    TAILQ_FOREACH(other, &stage->reading, link)
    {
        if (same_object(other, errand)) {
            TAILQ_INSERT_TAIL(&stage->waiting, errand, link);
            return;
        }
    }
    TAILQ_INSERT_TAIL(&stage->reading, errand, link);
    errand->began_ms = clock_mono_ms();
    kb_sync_document(&errand->source->env, errand->key, on_document, errand);
}

/* Those that waited for the end of this one. */
static void take_waiting(const struct kb_errand *ended, struct kb_errands *out)
{
    struct kb_errands *waiting = &ended->telling->stage->waiting;
    struct kb_errand *errand, *next;
    TAILQ_INIT(out);
    for (errand = TAILQ_FIRST(waiting); errand; errand = next) {
        next = TAILQ_NEXT(errand, link);
        if (same_object(errand, ended)) {
            TAILQ_REMOVE(waiting, errand, link);
            TAILQ_INSERT_TAIL(out, errand, link);
        }
    }
}

static void on_document(void *arg, enum kb_synced what, const struct error *err)
{
    struct kb_errand *errand = arg, *other;
    struct telling *telling = errand->telling;
    struct kb_stage *stage = telling->stage;
    struct kb_errands waiting;
    kb_stage_enter(stage); /* until those that waited have begun */
    TAILQ_REMOVE(&stage->reading, errand, link);
    take_waiting(errand, &waiting);
    if (err) {
        telling->err = telling->err.disposition == ERROR_NONE ? *err : telling->err;
    } else if (!stage->closing) {
        kb_source_count(
            errand->source, what == KB_SYNCED_CHANGED, what == KB_SYNCED_REMOVED, what == KB_SYNCED_FAILED);
        kb_seen_read(stage->seen, errand->source->settings->place.name, errand->key, errand->sequencer,
            errand->began_ms);
        tell_lag(errand);
    }
    errand_over(errand, err ? "failed" : "read");
    while ((other = TAILQ_FIRST(&waiting))) {
        TAILQ_REMOVE(&waiting, other, link);
        begin(other);
    }
    kb_stage_leave(stage);
}

static void start_some(struct telling *telling)
{
    telling->starting = true;
    while (telling->err.disposition == ERROR_NONE && telling->next < telling->count &&
           telling->under_way < AT_ONCE) {
        telling->under_way++;
        begin(&telling->errands[telling->next++]);
    }
    telling->starting = false;
    if (telling->under_way == 0) {
        end(telling);
    }
}

/* ---- whose object it is ---- */

static void add_errand(
    struct telling *telling, struct kb_stage_source *source, const char *key, const struct kb_told *told)
{
    if (kb_format_of(key) == KB_FORMAT_NONE || !blob_wanted(source->env.source, key)) {
        count_outcome("other"); /* a picture, a style sheet: nothing of ours */
        return;
    }
    telling->errands[telling->count++] = (struct kb_errand){.telling = telling,
        .source = source,
        .key = arena_strdup(telling->arena, key),
        .sequencer = arena_strdup(telling->arena, told->sequencer),
        .happened_ms = told->happened_ms};
}

/* Whoever sends it can make the log grow no faster. */
static void say_foreign(struct kb_stage *stage, const char *bucket)
{
    int64_t now = clock_mono_ms();
    count_outcome("foreign");
    if (stage->foreign_said_ms == 0 || now - stage->foreign_said_ms >= SAY_EVERY_MS) {
        stage->foreign_said_ms = now;
        log_warn("notifications of a bucket that is no source here", LOG_STR("bucket", bucket));
    }
}

/* False: it names a source, and there is none of that name. */
static bool find_sources(struct telling *telling, const struct kb_told *told)
{
    struct kb_stage *stage = telling->stage;
    bool ours = false;
    if (!*told->bucket) {
        struct kb_stage_source *source = kb_stage_find(stage, told->tenant, told->source);
        if (source) {
            add_errand(telling, source, told->key, told);
        }
        return source;
    }
    for (size_t i = 0; i < stage->source_count; i++) {
        struct kb_stage_source *source = &stage->sources[i];
        const char *key = blob_place_key(&source->settings->place, told->bucket, told->key);
        if (key) {
            ours = true;
            add_errand(telling, source, key, told);
        }
    }
    if (!ours) {
        say_foreign(stage, told->bucket);
    }
    return true;
}

void kb_events_start(struct kb_stage *stage, struct engine_job *job, const struct kb_told *told, size_t count)
{
    struct arena *arena = arena_new(0);
    struct telling *telling = ARENA_NEW(arena, struct telling);
    *telling = (struct telling){.stage = stage, .arena = arena, .job = job, .taken_ms = engine_taken_ms(job)};
    telling->errands = arena_array(arena, count * (stage->source_count + 1) + 1, sizeof(*telling->errands));
    kb_stage_enter(stage);
    for (size_t i = 0; i < count && telling->err.disposition == ERROR_NONE; i++) {
        if (!find_sources(telling, &told[i])) {
            error_set(&telling->err, ERROR_REJECT, "kb_source", "there is no source called \"%.60s\" here",
                told[i].source);
        }
    }
    start_some(telling);
}
