/* The kb-sync stage: brings documents into the knowledge base when a notification says so, and looks through
 * the source by itself, one process at a time. A notification is ours (Avro), or JSON that an object store
 * wrote to the topic itself. */
#include "stages/kb_sync.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "bus/topics.h"
#include "kb/event.h"
#include "msg/codec.h"

/* ---- a job: synchronising what somebody asked for ---- */

struct notice { /* in its own arena, as the engine may be gone before the database */
    struct kb_stage *stage;
    struct arena *arena;
    struct engine_job *job;         /* valid unless the stage is closing */
    struct kb_stage_source *source; /* whose turn it is */
    struct kb_job_row row;
    struct kb_sync_counts counts; /* of the sources that are done */
    const char *why;              /* of the first of them that could not be read in full */
};

static struct notice *notice_new(struct kb_stage *stage, struct engine_job *job)
{
    struct arena *arena = arena_new(0);
    struct notice *notice = ARENA_NEW(arena, struct notice);
    *notice = (struct notice){.stage = stage, .arena = arena, .job = job, .why = ""};
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

static struct kb_sync_counts sum(const struct kb_sync_counts *a, const struct kb_sync_counts *b)
{
    return (struct kb_sync_counts){.found = a->found + b->found,
        .read = a->read + b->read,
        .changed = a->changed + b->changed,
        .failed = a->failed + b->failed,
        .removed = a->removed + b->removed,
        .left = a->left + b->left,
        .refused = a->refused + b->refused};
}

static void on_run_progress(void *arg, const struct kb_sync_counts *counts)
{
    struct notice *notice = arg;
    const struct kb_sync_counts all = sum(&notice->counts, counts);
    kb_job_progress(notice->stage, &notice->row, &all);
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

/* The first of the tenant's sources from `source` on. */
static struct kb_stage_source *next_source(struct notice *notice, struct kb_stage_source *source)
{
    struct kb_stage_source *end = notice->stage->sources + notice->stage->source_count;
    for (; source < end; source++) {
        if (!strcmp(source->settings->tenant, notice->row.tenant)) {
            return source;
        }
    }
    return NULL;
}

static void start_sync(struct notice *notice);

static void on_run_done(
    void *arg, const struct kb_sync_counts *counts, const char *why, const struct error *err)
{
    struct notice *notice = arg;
    if (err || notice->stage->closing) {
        notice_failed(notice, err);
        return;
    }
    kb_source_count(notice->source, counts->changed, counts->removed, counts->failed);
    notice->counts = sum(&notice->counts, counts);
    notice->why = *notice->why ? notice->why : arena_strdup(notice->arena, why);
    notice->source = *notice->row.source ? NULL : next_source(notice, notice->source + 1);
    if (notice->source) {
        start_sync(notice);
    } else {
        kb_job_finish(
            notice->stage, notice->arena, &notice->row, &notice->counts, notice->why, on_job_row, notice);
    }
}

static void start_sync(struct notice *notice)
{
    struct kb_sync_request request = {
        .full = notice->row.full,
        .progress = on_run_progress,
        .stopped = run_stopped,
        .done = on_run_done,
        .arg = notice,
    };
    kb_sync_run(&notice->source->env, &request);
}

/* ---- what a notification asks for ---- */

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

/* Of one source, or of all of a tenant one after the other. False: there is no such source. */
static bool notice_begin(struct notice *notice, const struct msg_kb_notification *message)
{
    struct kb_stage *stage = notice->stage;
    notice->row = (struct kb_job_row){.tenant = arena_strdup(notice->arena, message->tenant),
        .source = arena_strdup(notice->arena, message->source),
        .full = message->full};
    notice->source = *message->source ? kb_stage_find(stage, message->tenant, message->source)
                                      : next_source(notice, stage->sources);
    if (!notice->source) {
        return false;
    }
    notice->row.id = arena_strdup(notice->arena, job_id(notice->job, message));
    kb_job_progress(stage, &notice->row, &(struct kb_sync_counts){0});
    start_sync(notice);
    return true;
}

static void process_job(
    struct kb_stage *stage, struct engine_job *job, const struct msg_kb_notification *message)
{
    struct error err;
    kb_stage_enter(stage);
    struct notice *notice = notice_new(stage, job);
    if (!notice_begin(notice, message)) {
        error_set(
            &err, ERROR_REJECT, "kb_source", "there is no source called \"%.60s\" here", message->source);
        notice_failed(notice, &err);
    }
}

/* ---- a record ---- */

static void process_avro(struct kb_stage *stage, struct engine_job *job)
{
    const struct bus_record *record = engine_record(job);
    struct error err;
    const struct msg_kb_notification *message =
        msg_decode(&msg_kb_notification, engine_arena(job), record->value, record->value_len, &err);
    if (!message) {
        engine_finish(job, ENGINE_FAILED, &err);
    } else if (message->action == MSG_KB_ACTION_SYNC) {
        process_job(stage, job, message);
    } else {
        const struct kb_told told = {.bucket = message->bucket,
            .tenant = message->tenant,
            .source = message->source,
            .key = message->object_key,
            .sequencer = message->sequencer,
            .happened_ms = message->has_happened_at ? message->happened_at : 0};
        kb_events_start(stage, job, &told, 1);
    }
}

static void process_json(struct kb_stage *stage, struct engine_job *job)
{
    const struct bus_record *record = engine_record(job);
    struct arena *arena = engine_arena(job);
    struct kb_events events;
    struct error err;
    if (!kb_events_parse(arena, record->value, record->value_len, &events, &err)) {
        engine_finish(job, ENGINE_FAILED, &err);
        return;
    }
    struct kb_told *told = arena_array(arena, events.count + 1, sizeof(*told));
    for (size_t i = 0; i < events.count; i++) {
        told[i] = (struct kb_told){.bucket = events.items[i].bucket,
            .key = events.items[i].key,
            .sequencer = events.items[i].sequencer,
            .happened_ms = events.items[i].wall_ms};
    }
    kb_events_start(stage, job, told, events.count);
}

/* No framing of Avro starts like this. */
static bool is_json(const struct bus_record *record)
{
    const char *text = record->value;
    size_t at = 0;
    while (at < record->value_len && strchr(" \t\r\n", text[at]) && text[at]) {
        at++;
    }
    return at < record->value_len && (text[at] == '{' || text[at] == '[');
}

static void kb_sync_process(struct engine_job *job, void *state)
{
    if (is_json(engine_record(job))) {
        process_json(state, job);
    } else {
        process_avro(state, job);
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
        const struct kb_job_row row = {.tenant = message->tenant,
            .id = job_id(job, message),
            .source = message->source,
            .full = message->full};
        kb_job_fail(stage, engine_arena(job), &row, err->text);
    }
}

/* ---- the stage ---- */

static const char *const topics[] = {TOPIC_KB_NOTIFICATIONS, NULL};

static const struct engine_stage engine_stage = {
    .name = "kb-sync",
    .topics = topics,
    .any_order = true, /* a store may write all that it tells under one key */
    .dependencies = (const char *const[]){"db", "blob", NULL},
    .process = kb_sync_process,
    .rejected = kb_sync_rejected,
};

static bool open_source(
    struct kb_stage *stage, const struct kb_source *settings, const struct conf *conf, struct error *err)
{
    struct error why;
    struct blob_source *blob = blob_open(stage->loop, &settings->place, &why);
    if (!blob) {
        return error_set(err, why.disposition, why.code, "source \"%s\": %s", settings->place.name, why.text);
    }
    struct kb_stage_source *source = &stage->sources[stage->source_count++];
    source->stage = stage;
    source->settings = settings;
    source->env = (struct kb_sync_env){
        .loop = stage->loop,
        .db = stage->db,
        .source = blob,
        .tenant = settings->tenant,
        .rules = {.public_url = settings->public_url, .locale = settings->locale},
        .parser = stage->parser,
        .max_document = (size_t)conf_int(conf, CONF_KB_MAX_DOCUMENT),
        .keep = stage->history_ms > 0,
    };
    kb_source_gauges_open(source);
    return true;
}

static void *kb_sync_open(const struct stage_env *env, struct error *err)
{
    struct kb_sources *settings = kb_sources_load(env->conf, err);
    if (!settings) {
        return NULL;
    }
    char own[UUID_TEXT_SIZE];
    uuid_v7(own);
    const char *instance = conf_text(env->conf, CONF_INSTANCE);
    struct kb_stage *stage = xcalloc(1, sizeof(*stage));
    stage->loop = env->loop;
    stage->db = env->db;
    stage->settings = settings;
    stage->parser = kb_parser_new("/proc/self/exe", (size_t)conf_int(env->conf, CONF_KB_PARSE_MEMORY),
        conf_int(env->conf, CONF_KB_PARSE_TIMEOUT));
    stage->seen = kb_seen_new();
    TAILQ_INIT(&stage->reading);
    TAILQ_INIT(&stage->waiting);
    stage->interval_ms = conf_int(env->conf, CONF_KB_SCAN_INTERVAL);
    stage->history_ms = conf_int(env->conf, CONF_KB_HISTORY_FOR);
    stage->holder = xstrdup(*instance ? instance : own);
    stage->sources = xcalloc(settings->count + 1, sizeof(*stage->sources));
    for (size_t i = 0; i < settings->count; i++) {
        if (!open_source(stage, &settings->items[i], env->conf, err)) {
            kb_stage_close(stage);
            return NULL;
        }
    }
    if (kb_vectors_wanted(env->conf)) {
        stage->vectors = kb_vectors_new(env, err);
        if (!stage->vectors) {
            kb_stage_close(stage);
            return NULL;
        }
    }
    for (size_t i = 0; i < stage->source_count; i++) {
        kb_scan_start(&stage->sources[i]);
    }
    if (stage->source_count == 0) {
        log_warn("no source of documents is set (kb.source, kb.sources): nothing to synchronise");
    }
    return stage;
}

static void kb_sync_close(void *state)
{
    struct kb_stage *stage = state;
    kb_vectors_close(stage->vectors);
    kb_stage_close(stage);
}

const struct stage stage_kb_sync = {
    .name = "kb-sync",
    .needs_db = true,
    .engine = &engine_stage,
    .produces = (const char *const[]){NULL},
    .open = kb_sync_open,
    .close = kb_sync_close,
};
