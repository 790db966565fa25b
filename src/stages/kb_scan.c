/* Looks through the source at intervals; whoever holds the lease does. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "stages/kb_sync.h"

#define LEASE_MS 5000 /* beyond the interval: how long others wait for a holder that died */

static void scan_again(struct kb_stage *stage)
{
    if (kb_stage_leave(stage)) {
        loop_timer_arm(stage->timer, stage->interval_ms);
    }
}

/* ---- gauges ---- */

static void on_counts(void *arg, const struct db_result *result, const struct error *err)
{
    struct kb_stage *stage = arg;
    if (!err && db_rows(result) == 1) {
        metric_set(stage->documents_ready, (double)db_int(result, 0, 0));
        metric_set(stage->documents_failed, (double)db_int(result, 0, 1));
        metric_set(stage->passages, (double)db_int(result, 0, 2));
        stage->counted = true;
    }
    scan_again(stage);
}

static void count_documents(struct kb_stage *stage)
{
    struct db_query query = {
        .sql = "SELECT count(*) FILTER (WHERE state = 'ready'), count(*) FILTER (WHERE state = 'failed'), "
               "(SELECT coalesce(sum(texts), 0) FROM kb_corpora WHERE tenant = $1 AND corpus = 'kb') "
               "FROM kb_documents WHERE tenant = $1 AND source = $2",
        .param_count = 2,
        .params = {stage->tenant, blob_name(stage->env.source)},
    };
    db_query(stage->env.db, &query, on_counts, stage);
}

/* ---- the lease ---- */

static void claim(struct kb_stage *stage, db_done *done)
{
    char lease[32];
    snprintf(lease, sizeof(lease), "%" PRId64, stage->interval_ms + LEASE_MS);
    struct db_query query = {
        .sql = "WITH claim AS ("
               "INSERT INTO kb_scans AS s (tenant, source, holder, lease_until) "
               "VALUES ($1, $2, $3, now() + $4::bigint * interval '1 millisecond') "
               "ON CONFLICT (tenant, source) DO UPDATE SET holder = EXCLUDED.holder, lease_until = "
               "EXCLUDED.lease_until "
               "WHERE s.holder = EXCLUDED.holder OR s.lease_until < now() RETURNING 1) "
               "SELECT EXISTS (SELECT 1 FROM claim), "
               "coalesce((SELECT revision FROM kb_revisions WHERE tenant = $1), 0)",
        .param_count = 4,
        .params = {stage->tenant, blob_name(stage->env.source), stage->holder, lease},
    };
    stage->claimed_mono_ms = clock_mono_ms();
    db_query(stage->env.db, &query, done, stage);
}

static void on_claimed_again(void *arg, const struct db_result *result, const struct error *err)
{
    (void)result;
    (void)err; /* a lost lease does no harm: documents are switched whole whoever does it */
    kb_stage_leave(arg);
}

static void on_progress(void *arg, const struct kb_sync_counts *counts)
{
    struct kb_stage *stage = arg;
    (void)counts;
    if (!stage->closing && clock_mono_ms() - stage->claimed_mono_ms > LEASE_MS / 3) {
        kb_stage_enter(stage);
        claim(stage, on_claimed_again);
    }
}

/* ---- the scan ---- */

static bool scan_stopped(void *arg)
{
    const struct kb_stage *stage = arg;
    return stage->closing;
}

static void scan_report(
    struct kb_stage *stage, const struct kb_sync_counts *counts, const char *why, const struct error *err)
{
    kb_stage_count(stage, counts->changed, counts->removed, counts->failed);
    if (counts->changed || counts->removed) {
        log_info("knowledge base synchronised", LOG_INT("found", counts->found),
            LOG_INT("changed", counts->changed), LOG_INT("removed", counts->removed),
            LOG_INT("failed", counts->failed));
    }
    bool away = err || *why;
    if (away && !stage->source_away) {
        log_warn("source of documents cannot be read in full", LOG_STR("why", err ? err->text : why));
    } else if (!away && stage->source_away) {
        log_info("source of documents can be read again");
    }
    stage->source_away = away;
    if (!err) {
        metric_set(stage->last_scan, (double)clock_wall_ms() / 1000);
    }
}

static void on_scanned(
    void *arg, const struct kb_sync_counts *counts, const char *why, const struct error *err)
{
    struct kb_stage *stage = arg;
    if (!stage->closing) {
        scan_report(stage, counts, why, err);
    }
    if (stage->closing || err ||
        (stage->counted && !counts->changed && !counts->removed && !counts->failed)) {
        scan_again(stage);
    } else {
        count_documents(stage);
    }
}

static void on_claimed(void *arg, const struct db_result *result, const struct error *err)
{
    struct kb_stage *stage = arg;
    if (stage->closing || err || !db_bool(result, 0, 0)) {
        stage->memory = (struct kb_sync_memory){{0}};
        scan_again(stage);
        return;
    }
    int64_t revision = db_int(result, 0, 1);
    if (revision != stage->revision) { /* someone changed the base: compare it again */
        stage->memory = (struct kb_sync_memory){{0}};
        stage->counted = false;
    }
    stage->revision = revision;
    struct kb_sync_request request = {
        .tenant = stage->tenant,
        .memory = &stage->memory,
        .progress = on_progress,
        .stopped = scan_stopped,
        .done = on_scanned,
        .arg = stage,
    };
    kb_sync_run(&stage->env, &request);
}

static void on_timer(void *arg)
{
    struct kb_stage *stage = arg;
    kb_stage_enter(stage);
    claim(stage, on_claimed);
}

void kb_scan_start(struct kb_stage *stage, const char *instance, int64_t interval_ms)
{
    char own[UUID_TEXT_SIZE];
    uuid_v7(own);
    stage->holder = xstrdup(*instance ? instance : own);
    stage->interval_ms = interval_ms;
    stage->timer = loop_timer_new(stage->env.loop, on_timer, stage);
    loop_timer_arm(stage->timer, 0);
}

/* ---- the stage's life ---- */

void kb_stage_enter(struct kb_stage *stage)
{
    stage->under_way++;
}

static void stage_free(struct kb_stage *stage)
{
    blob_close(stage->env.source);
    kb_parser_free(stage->env.parser);
    free(stage->tenant);
    free(stage->public_url);
    free(stage->holder);
    free(stage);
}

bool kb_stage_leave(struct kb_stage *stage)
{
    stage->under_way--;
    if (!stage->closing) {
        return true;
    }
    if (stage->under_way == 0) {
        stage_free(stage);
    }
    return false;
}

void kb_stage_close(struct kb_stage *stage)
{
    stage->closing = true;
    loop_timer_free(stage->timer);
    stage->timer = NULL;
    if (stage->under_way == 0) {
        stage_free(stage);
    }
}

void kb_stage_metrics(struct kb_stage *stage)
{
    stage->documents_ready =
        metrics_gauge("helpdesk_kb_documents", "Documents of the knowledge base", "state=\"ready\"");
    stage->documents_failed =
        metrics_gauge("helpdesk_kb_documents", "Documents of the knowledge base", "state=\"failed\"");
    stage->passages = metrics_gauge("helpdesk_kb_passages", "Passages of the knowledge base", NULL);
    stage->last_scan = metrics_gauge(
        "helpdesk_kb_last_scan_timestamp_seconds", "When this process last looked through the source", NULL);
    stage->changed_total =
        metrics_counter("helpdesk_kb_changed_total", "Documents switched to a new content", NULL);
    stage->removed_total = metrics_counter("helpdesk_kb_removed_total", "Documents removed", NULL);
    stage->failures_total =
        metrics_counter("helpdesk_kb_failures_total", "Readings of a document that failed", NULL);
}

void kb_stage_count(struct kb_stage *stage, int changed, int removed, int failed)
{
    metric_add(stage->changed_total, changed);
    metric_add(stage->removed_total, removed);
    metric_add(stage->failures_total, failed);
}
