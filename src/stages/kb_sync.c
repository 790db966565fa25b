/* The kb-sync stage: brings documents into the knowledge base when a notification says so, and looks through
 * the source by itself, one process at a time. */
#include "stages/kb_sync.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "bus/topics.h"
#include "kb/document.h"
#include "msg/codec.h"

/* ---- notifications ---- */

struct notice { /* in its own arena, as the engine may be gone before the database */
    struct kb_stage *stage;
    struct arena *arena;
    struct engine_job *job; /* valid unless the stage is closing */
    struct kb_job_row row;
};

static struct notice *notice_new(struct kb_stage *stage, struct engine_job *job)
{
    struct arena *arena = arena_new(0);
    struct notice *notice = ARENA_NEW(arena, struct notice);
    *notice = (struct notice){.stage = stage, .arena = arena, .job = job};
    return notice;
}

static void notice_finish(struct notice *notice, enum engine_outcome outcome, const struct error *err)
{
    if (kb_stage_leave(notice->stage)) { /* else the engine is gone already */
        engine_finish(notice->job, outcome, err);
    }
    arena_free(notice->arena);
}

static void notice_failed(struct notice *notice, const struct error *err)
{
    notice_finish(notice, ENGINE_FAILED, err);
}

static void on_document(void *arg, enum kb_synced what, const struct error *err)
{
    struct notice *notice = arg;
    if (err) {
        notice_failed(notice, err);
        return;
    }
    kb_stage_count(
        notice->stage, what == KB_SYNCED_CHANGED, what == KB_SYNCED_REMOVED, what == KB_SYNCED_FAILED);
    notice_finish(notice, ENGINE_DONE, NULL);
}

static void on_run_progress(void *arg, const struct kb_sync_counts *counts)
{
    struct notice *notice = arg;
    kb_job_progress(notice->stage, &notice->row, counts);
}

static bool run_stopped(void *arg)
{
    struct notice *notice = arg;
    return notice->stage->closing || engine_cancelled(notice->job);
}

static void on_job_row(void *arg, const struct error *err)
{
    struct notice *notice = arg;
    if (err) {
        notice_failed(notice, err);
    } else {
        notice_finish(notice, ENGINE_DONE, NULL);
    }
}

static void on_run_done(
    void *arg, const struct kb_sync_counts *counts, const char *why, const struct error *err)
{
    struct notice *notice = arg;
    if (err || notice->stage->closing) {
        notice_failed(notice, err);
        return;
    }
    kb_stage_count(notice->stage, counts->changed, counts->removed, counts->failed);
    kb_job_finish(notice->stage, notice->arena, &notice->row, counts, why, on_job_row, notice);
}

static void start_sync(struct notice *notice)
{
    struct kb_stage *stage = notice->stage;
    kb_job_progress(stage, &notice->row, &(struct kb_sync_counts){0});
    struct kb_sync_request request = {
        .tenant = stage->tenant,
        .full = notice->row.full,
        .progress = on_run_progress,
        .stopped = run_stopped,
        .done = on_run_done,
        .arg = notice,
    };
    kb_sync_run(&stage->env, &request);
}

static bool is_ours(const struct kb_stage *stage, const struct msg_kb_notification *message)
{
    return stage->env.source && !strcmp(message->tenant, stage->tenant) &&
           (!*message->source || !strcmp(message->source, blob_name(stage->env.source)));
}

static const char *job_id(struct engine_job *job, const struct msg_kb_notification *message)
{
    if (message->job_id && uuid_valid(message->job_id)) {
        return message->job_id;
    }
    const struct bus_record *record = engine_record(job);
    const char *name = arena_printf(
        engine_arena(job), "%s/%d/%lld", record->topic, (int)record->partition, (long long)record->offset);
    char id[UUID_TEXT_SIZE];
    uuid_v5(name, strlen(name), id);
    return arena_strdup(engine_arena(job), id);
}

static void no_source(const struct msg_kb_notification *message, struct error *err)
{
    error_set(err, ERROR_REJECT, "kb_source", "there is no source called \"%.60s\" here", message->source);
}

static void kb_sync_process(struct engine_job *job, void *state)
{
    struct kb_stage *stage = state;
    struct arena *arena = engine_arena(job);
    const struct bus_record *record = engine_record(job);
    struct error err;
    const struct msg_kb_notification *message =
        msg_decode(&msg_kb_notification, arena, record->value, record->value_len, &err);
    if (message && !is_ours(stage, message)) {
        no_source(message, &err);
        message = NULL;
    }
    if (!message) {
        engine_finish(job, ENGINE_FAILED, &err);
        return;
    }
    if (message->action != MSG_KB_ACTION_SYNC && kb_format_of(message->object_key) == KB_FORMAT_NONE) {
        engine_finish(job, ENGINE_SKIP, NULL); /* a picture, a style sheet: nothing of ours */
        return;
    }
    kb_stage_enter(stage);
    struct notice *notice = notice_new(stage, job);
    if (message->action == MSG_KB_ACTION_SYNC) {
        const char *id = job_id(job, message);
        notice->row = (struct kb_job_row){.id = arena_strdup(notice->arena, id), .full = message->full};
        start_sync(notice);
    } else {
        kb_sync_document(&stage->env, stage->tenant, message->object_key, on_document, notice);
    }
}

/* The job of a sync that is given up is told so. */
static void kb_sync_rejected(struct engine_job *job, const struct error *err, void *state)
{
    struct kb_stage *stage = state;
    const struct bus_record *record = engine_record(job);
    const struct msg_kb_notification *message =
        msg_decode(&msg_kb_notification, engine_arena(job), record->value, record->value_len, NULL);
    if (message && message->action == MSG_KB_ACTION_SYNC) {
        kb_job_fail(
            stage, engine_arena(job), message->tenant, job_id(job, message), message->full, err->text);
    }
}

/* ---- the stage ---- */

static const char *const topics[] = {TOPIC_KB_NOTIFICATIONS, NULL};

static const struct engine_stage engine_stage = {
    .name = "kb-sync",
    .topics = topics,
    .dependencies = (const char *const[]){"db", "blob", NULL},
    .process = kb_sync_process,
    .rejected = kb_sync_rejected,
};

static void *kb_sync_open(const struct stage_env *env, struct error *err)
{
    struct kb_stage *stage = xcalloc(1, sizeof(*stage));
    stage->tenant = xstrdup(conf_text(env->conf, CONF_TENANT));
    stage->public_url = xstrdup(conf_text(env->conf, CONF_KB_PUBLIC_URL));
    stage->env = (struct kb_sync_env){
        .loop = env->loop,
        .db = env->db,
        .parser = kb_parser_new("/proc/self/exe", (size_t)conf_int(env->conf, CONF_KB_PARSE_MEMORY),
            conf_int(env->conf, CONF_KB_PARSE_TIMEOUT)),
        .public_url = stage->public_url,
        .max_document = (size_t)conf_int(env->conf, CONF_KB_MAX_DOCUMENT),
    };
    kb_stage_metrics(stage);
    if (*conf_text(env->conf, CONF_KB_SOURCE)) {
        stage->env.source = blob_open(env->loop, env->conf, err);
        if (!stage->env.source) {
            kb_stage_close(stage);
            return NULL;
        }
        kb_scan_start(stage, conf_text(env->conf, CONF_INSTANCE), conf_int(env->conf, CONF_KB_SCAN_INTERVAL));
    } else {
        log_warn("no source of documents is set (kb.source): nothing to synchronise");
    }
    return stage;
}

static void kb_sync_close(void *state)
{
    kb_stage_close(state);
}

const struct stage stage_kb_sync = {
    .name = "kb-sync",
    .needs_db = true,
    .engine = &engine_stage,
    .produces = (const char *const[]){NULL},
    .open = kb_sync_open,
    .close = kb_sync_close,
};
