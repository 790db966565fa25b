/* Rows of kb_jobs: how far a synchronisation that someone asked for has come. */
#include "base/clock.h"
#include "base/log.h"
#include "stages/kb_sync.h"

#define PROGRESS_MS 1000

struct job_write {
    struct kb_stage *stage;
    struct arena *own; /* NULL: the caller's arena is used */
    struct kb_job_row *row;
    void (*done)(void *arg, const struct error *err);
    void *arg;
};

/* What is finished stays finished, whichever statement comes last. */
static void write_row(struct kb_stage *stage, struct arena *arena, const struct kb_job_row *row,
    const char *state, const struct kb_sync_counts *counts, const char *why, db_done *done, void *arg)
{
    struct db_query query = {
        .sql = "INSERT INTO kb_jobs AS j (tenant, job_id, source, full_read, state, found, read, changed, "
               "failed, "
               "removed, remaining, why, finished_at) "
               "VALUES ($1, $2, $3, $4::boolean, $5, $6::int, $7::int, $8::int, $9::int, $10::int, $11::int, "
               "$12, CASE WHEN $5 <> 'running' THEN now() END) "
               "ON CONFLICT (tenant, job_id) DO UPDATE SET source = EXCLUDED.source, state = EXCLUDED.state, "
               "found = EXCLUDED.found, read = EXCLUDED.read, changed = EXCLUDED.changed, failed = "
               "EXCLUDED.failed, "
               "removed = EXCLUDED.removed, remaining = EXCLUDED.remaining, why = EXCLUDED.why, finished_at "
               "= EXCLUDED.finished_at "
               "WHERE j.state IN ('started', 'running') OR EXCLUDED.state <> 'running'",
        .param_count = 12,
        .params = {row->tenant, row->id, row->source, row->full ? "true" : "false", state,
            arena_printf(arena, "%d", counts->found), arena_printf(arena, "%d", counts->read),
            arena_printf(arena, "%d", counts->changed), arena_printf(arena, "%d", counts->failed),
            arena_printf(arena, "%d", counts->removed), arena_printf(arena, "%d", counts->left), why},
    };
    db_query(stage->db, &query, done, arg);
}

static void on_progress_written(void *arg, const struct db_result *result, const struct error *err)
{
    (void)result;
    (void)err; /* the next one, or the end, tells more */
    struct job_write *write = arg;
    struct kb_stage *stage = write->stage;
    arena_free(write->own);
    kb_stage_leave(stage);
}

void kb_job_progress(struct kb_stage *stage, struct kb_job_row *row, const struct kb_sync_counts *counts)
{
    int64_t now = clock_mono_ms();
    if (stage->closing || (row->written_mono_ms && now - row->written_mono_ms < PROGRESS_MS)) {
        return;
    }
    row->written_mono_ms = now;
    struct arena *arena = arena_new(0);
    struct job_write *write = ARENA_NEW(arena, struct job_write);
    *write = (struct job_write){.stage = stage, .own = arena};
    kb_stage_enter(stage);
    write_row(stage, arena, row, "running", counts, "", on_progress_written, write);
}

static void on_finish_written(void *arg, const struct db_result *result, const struct error *err)
{
    (void)result;
    struct job_write *write = arg;
    write->done(write->arg, err);
}

void kb_job_finish(struct kb_stage *stage, struct arena *arena, struct kb_job_row *row,
    const struct kb_sync_counts *counts, const char *why, void (*done)(void *arg, const struct error *err),
    void *arg)
{
    struct job_write *write = ARENA_NEW(arena, struct job_write);
    *write = (struct job_write){.stage = stage, .done = done, .arg = arg};
    write_row(stage, arena, row, "done", counts, why, on_finish_written, write);
}

static void on_failure_written(void *arg, const struct db_result *result, const struct error *err)
{
    (void)result;
    struct kb_stage *stage = arg;
    if (err) {
        log_warn("failure of a synchronisation was not written", LOG_STR("why", err->text));
    }
    kb_stage_leave(stage);
}

void kb_job_fail(struct kb_stage *stage, struct arena *arena, const struct kb_job_row *row, const char *why)
{
    if (stage->closing) {
        return;
    }
    kb_stage_enter(stage);
    write_row(stage, arena, row, "failed", &(struct kb_sync_counts){0}, why, on_failure_written, stage);
}
