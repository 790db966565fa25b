/* One document from its source into the base: look up, read, cut, switch; again when someone else was
 * quicker. */
#include "kb/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "kb/fingerprint.h"
#include "kb/store.h"

#define SYNC_ATTEMPTS 5 /* against others that change the same document */

struct sync_job {
    const struct kb_sync_env *env;
    char *key;
    struct kb_since *since; /* of who asks, or NULL */
    bool unlisted;          /* the source's listing does not have it */
    kb_document_synced *done;
    void *arg;
    int attempt;
    /* Of one attempt, in its arena: */
    struct arena *arena;
    struct blob_content content;
    struct kb_put put;
    struct kb_document document;
    struct error parse_error;
    bool parsed;
};

static void start_attempt(struct sync_job *job);

static void finish(struct sync_job *job, enum kb_synced what, const struct error *err)
{
    if (job->since) {
        job->since->mark = job->put.since.mark;
    }
    job->done(job->arg, what, err);
    arena_free(job->arena);
    free(job->key);
    free(job);
}

/* True when the change met another's and the job starts again. */
static bool start_again(struct sync_job *job, enum kb_change change, const struct error *err)
{
    if (err || change != KB_CONFLICT) {
        return false;
    }
    if (++job->attempt > SYNC_ATTEMPTS) {
        struct error busy;
        error_set(&busy, ERROR_RETRY, "kb_conflict", "the document is being changed by others all the time");
        finish(job, KB_SYNCED_UNCHANGED, &busy);
    } else {
        start_attempt(job);
    }
    return true;
}

static void on_put(void *arg, enum kb_change change, const struct error *err)
{
    struct sync_job *job = arg;
    crash_point("kb.switched");
    if (start_again(job, change, err)) {
        return;
    }
    if (!job->put.document && change == KB_CHANGED) { /* said once, not at every scan */
        log_warn("document cannot be read", LOG_STR("document", job->key), LOG_STR("why", job->put.why));
    }
    if (!job->put.document) {
        finish(job, KB_SYNCED_FAILED, err);
    } else {
        finish(job, change == KB_CHANGED ? KB_SYNCED_CHANGED : KB_SYNCED_UNCHANGED, err);
    }
}

static void on_removed(void *arg, enum kb_change change, const struct error *err)
{
    struct sync_job *job = arg;
    crash_point("kb.removed");
    if (!start_again(job, change, err)) {
        finish(job, change == KB_CHANGED ? KB_SYNCED_REMOVED : KB_SYNCED_UNCHANGED, err);
    }
}

static void put_failed(struct sync_job *job, const struct error *why)
{
    job->put.document = NULL;
    job->put.why = arena_strdup(job->arena, why->text);
    if (!job->put.fingerprint) {
        job->put.fingerprint = arena_printf(job->arena, "%s: %s", why->code, why->text);
    }
    kb_store_put(job->env->db, job->arena, &job->put, on_put, job);
}

/* ---- cutting, by a child process that a pool thread waits for ---- */

static void parse_work(void *arg)
{
    struct sync_job *job = arg;
    const struct blob_content *content = &job->content;
    job->put.fingerprint =
        kb_fingerprint(job->arena, &job->env->rules, job->key, content->data, content->len);
    job->parsed = kb_parser_run(job->env->parser, job->arena, job->key, job->env->rules.locale, content->data,
        content->len, &job->document, &job->parse_error);
}

static void withdraw_expired(struct sync_job *job)
{
    struct kb_document *document = &job->document;
    char text[CLOCK_RFC3339_SIZE];
    if (!*document->withdrawn && document->expires_ms && document->expires_ms <= clock_wall_ms()) {
        clock_format(document->expires_ms, text);
        document->withdrawn = arena_printf(job->arena, "it expired on %s", text);
        document->passage_count = 0;
    }
}

static void parse_finished(void *arg)
{
    struct sync_job *job = arg;
    if (!job->parsed && job->parse_error.disposition != ERROR_REJECT) {
        finish(job, KB_SYNCED_UNCHANGED, &job->parse_error);
        return;
    }
    if (!job->parsed) {
        put_failed(job, &job->parse_error);
        return;
    }
    withdraw_expired(job);
    job->put.document = &job->document;
    crash_point("kb.cut");
    kb_store_put(job->env->db, job->arena, &job->put, on_put, job);
}

/* ---- reading ---- */

static void on_unreadable(struct sync_job *job, const struct error *err)
{
    if (err->disposition != ERROR_REJECT) {
        finish(job, KB_SYNCED_UNCHANGED, err);
    } else if (!strcmp(err->code, "blob_missing") || (job->unlisted && !strcmp(err->code, "blob_denied"))) {
        kb_store_remove(job->env->db, job->arena, &job->put.place, &job->put.since, on_removed, job);
    } else {
        job->put.etag = ""; /* what stands in the way may go without the document changing */
        put_failed(job, err);
    }
}

static void on_read(void *arg, const struct blob_content *content, const struct error *err)
{
    struct sync_job *job = arg;
    if (err) {
        on_unreadable(job, err);
        return;
    }
    crash_point("kb.read");
    job->content = *content;
    job->put.etag = kb_etag(job->arena, &job->env->rules, content->object.etag);
    job->put.size = content->object.size;
    job->put.modified_ms = content->object.modified_ms;
    if (job->env->keep) {
        job->put.bytes = content->data;
        job->put.byte_count = content->len;
    }
    loop_offload(job->env->loop, parse_work, parse_finished, job);
}

static void read_object(struct sync_job *job, const struct kb_since *since)
{
    job->put.since = *since;
    blob_read(job->env->source, job->arena, job->key, job->env->max_document, on_read, job);
}

static void on_looked_up(void *arg, const struct kb_since *since, const struct error *err)
{
    struct sync_job *job = arg;
    if (err) {
        finish(job, KB_SYNCED_UNCHANGED, err);
        return;
    }
    read_object(job, since);
}

static void prepare(struct sync_job *job)
{
    arena_free(job->arena);
    job->arena = arena_new(KB_PARSE_ARENA);
    const char *source = blob_name(job->env->source);
    job->put = (struct kb_put){
        .place = {.tenant = job->env->tenant, .source = source, .key = job->key},
        .uri = kb_uri(job->arena, job->env->rules.public_url, source, job->key),
    };
}

static void start_attempt(struct sync_job *job)
{
    job->unlisted = false; /* the listing is older than what others did */
    prepare(job);
    kb_store_look_up(job->env->db, job->arena, &job->put.place, on_looked_up, job);
}

static struct sync_job *job_new(
    const struct kb_sync_env *env, const char *key, kb_document_synced *done, void *arg)
{
    struct sync_job *job = xcalloc(1, sizeof(*job));
    job->env = env;
    job->key = xstrdup(key);
    job->done = done;
    job->arg = arg;
    return job;
}

void kb_sync_document(const struct kb_sync_env *env, const char *key, kb_document_synced *done, void *arg)
{
    start_attempt(job_new(env, key, done, arg));
}

void kb_sync_known_document(const struct kb_sync_env *env, const char *key, struct kb_since *since,
    const struct blob_object *listed, kb_document_synced *done, void *arg)
{
    struct sync_job *job = job_new(env, key, done, arg);
    struct error err;
    job->since = since;
    job->unlisted = !listed;
    prepare(job);
    if (listed && listed->size > (int64_t)env->max_document) {
        job->put.since = *since;
        blob_too_large(&err, listed->size, env->max_document);
        on_unreadable(job, &err);
    } else {
        read_object(job, since);
    }
}
