/* The parts of the kb-sync stage: what a record asks for (kb_sync.c), notifications of single objects
 * (kb_events.c), the scan of the source (kb_scan.c), the metrics (kb_gauges.c), the rows that tell of a job's
 * progress (kb_jobs.c). Private to the stage. Everything on the loop thread. */
#ifndef HELPDESK_STAGES_KB_SYNC_H
#define HELPDESK_STAGES_KB_SYNC_H

#include <sys/queue.h>

#include "base/metrics.h"
#include "kb/seen.h"
#include "kb/sources.h"
#include "kb/sync.h"
#include "stages/kb_vectors.h"
#include "stages/stage.h"

struct kb_stage;
struct kb_errand; /* of kb_events.c: an object that somebody told of */
TAILQ_HEAD(kb_errands, kb_errand);

/* One source, with its own scan. */
struct kb_stage_source {
    struct kb_stage *stage;
    const struct kb_source *settings;
    struct kb_sync_env env;
    struct loop_timer *timer;
    int64_t claimed_mono_ms;
    int64_t forget_mono_ms; /* when the history is to be looked through again */
    struct kb_sync_memory memory;
    int64_t revision; /* of the base at the last scan */
    struct loop_timer *count_timer;
    bool count_armed;
    int64_t analyzed; /* documents when PostgreSQL was last asked to look at its tables */
    bool away;        /* said so in the log */
    int refused;      /* objects whose keys are not valid, as said in the log */
    struct metric *documents_ready, *documents_failed, *documents_withdrawn, *passages, *keys_refused,
        *last_scan, *oldest_change;
    struct metric *changed_total, *removed_total, *failures_total;
};

struct kb_stage {
    struct loop *loop;
    struct db *db;
    struct kb_sources *settings;
    struct kb_parser *parser;   /* of all sources */
    struct kb_vectors *vectors; /* NULL: none are wanted */
    struct kb_stage_source *sources;
    size_t source_count; /* 0: none is set */
    int under_way;       /* operations that will call back */
    bool closing;        /* the last of them frees the stage */
    int64_t interval_ms; /* of scans */
    int64_t history_ms;  /* what has not held for longer is forgotten */
    struct kb_seen *seen;
    struct kb_errands reading; /* no two of the same object */
    struct kb_errands waiting; /* for one that is being read */
    int64_t foreign_said_ms;   /* monotonic: when the log was last told of a bucket that is no source */
    char *holder; /* this process in kb_scans: its instance, so that it goes on at once after a restart */
};

/* Around each operation: leave is false when the stage is closing, and then `stage` may be gone. */
void kb_stage_enter(struct kb_stage *stage);
bool kb_stage_leave(struct kb_stage *stage);
void kb_stage_close(struct kb_stage *stage);

/* The tenant's source of that name, "" for the only one; NULL: there is none. */
struct kb_stage_source *kb_stage_find(struct kb_stage *stage, const char *tenant, const char *name);

/* kb_gauges.c */
void kb_source_gauges_open(struct kb_stage_source *source);
void kb_source_gauges_close(struct kb_stage_source *source);
void kb_source_count_soon(struct kb_stage_source *source); /* how many documents there are */
/* Tells what became of so many documents. */
void kb_source_count(struct kb_stage_source *source, int changed, int removed, int failed);

/* What somebody tells of one object; borrowed. */
struct kb_told {
    const char *bucket; /* "": `tenant` and `source` say where, `key` is relative to the source */
    const char *tenant;
    const char *source;
    const char *key;
    const char *sequencer;
    int64_t happened_ms; /* wall time; 0: not said */
};

/* Ends the job when the base holds what the source does, of all these objects. */
void kb_events_start(
    struct kb_stage *stage, struct engine_job *job, const struct kb_told *told, size_t count);

void kb_scan_start(struct kb_stage_source *source);

struct kb_job_row {
    const char *tenant;
    const char *id;
    const char *source; /* "": all of the tenant */
    bool full;
    int64_t written_mono_ms; /* the newest progress */
};

/* Tells the counts, about once a second. */
void kb_job_progress(struct kb_stage *stage, struct kb_job_row *row, const struct kb_sync_counts *counts);
/* `done` after the row says so. The arena lives until then. */
void kb_job_finish(struct kb_stage *stage, struct arena *arena, struct kb_job_row *row,
    const struct kb_sync_counts *counts, const char *why, void (*done)(void *arg, const struct error *err),
    void *arg);
void kb_job_fail(struct kb_stage *stage, struct arena *arena, const struct kb_job_row *row, const char *why);

#endif
