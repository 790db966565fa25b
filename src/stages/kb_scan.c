/* Looks through the source at intervals; whoever holds the lease does. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "stages/kb_sync.h"

#define FORGET_EVERY_MS 60000
#define FORGET_AT_ONCE 100 /* changes; the contents of each may go with it */
#define LEASE_MS 5000      /* beyond the interval: how long others wait for a holder that died */

static void scan_again(struct kb_stage_source *source)
{
    if (kb_stage_leave(source->stage)) {
        loop_timer_arm(source->timer, source->stage->interval_ms);
    }
}

/* ---- history ---- */

static void on_forgotten(void *arg, const struct db_result *result, const struct error *err)
{
    struct kb_stage_source *source = arg;
    if (err) {
        log_warn("the history of documents is not pruned", LOG_STR("source", source->settings->place.name),
            LOG_STR("why", err->text));
    } else if (db_int(result, 0, 0) >= FORGET_AT_ONCE) { /* there may be more */
        source->forget_mono_ms = 0;
    }
    scan_again(source);
}

/* The end of a scan: the history is pruned by whoever scans. */
static void scan_end(struct kb_stage_source *source)
{
    int64_t now = clock_mono_ms();
    if (source->stage->closing || now < source->forget_mono_ms) {
        scan_again(source);
        return;
    }
    source->forget_mono_ms = now + FORGET_EVERY_MS;
    char keep[32], most[16];
    snprintf(keep, sizeof(keep), "%" PRId64, source->stage->history_ms);
    snprintf(most, sizeof(most), "%d", FORGET_AT_ONCE);
    struct db_query query = {
        .sql = "SELECT kb_forget($1, $2, $3::bigint * interval '1 millisecond', $4::int)",
        .param_count = 4,
        .params = {source->settings->tenant, source->settings->place.name, keep, most},
    };
    db_query(source->env.db, &query, on_forgotten, source);
}

/* ---- the lease ---- */

static void claim(struct kb_stage_source *source, db_done *done)
{
    char lease[32];
    snprintf(lease, sizeof(lease), "%" PRId64, source->stage->interval_ms + LEASE_MS);
    struct db_query query = {
        .sql = "WITH claim AS ("
               "INSERT INTO kb_scans AS s (tenant, source, holder, lease_until, metadata) "
               "VALUES ($1, $2, $3, now() + $4::bigint * interval '1 millisecond', $5) "
               "ON CONFLICT (tenant, source) DO UPDATE SET holder = EXCLUDED.holder, lease_until = "
               "EXCLUDED.lease_until, metadata = EXCLUDED.metadata "
               "WHERE s.holder = EXCLUDED.holder OR s.lease_until < now() RETURNING 1) "
               "SELECT EXISTS (SELECT 1 FROM claim), "
               "coalesce((SELECT revision FROM kb_revisions WHERE tenant = $1), 0), "
               "EXISTS (SELECT 1 FROM kb_documents WHERE tenant = $1 AND source = $2 AND state = 'ready' "
               "AND expires_at <= now())",
        .param_count = 5,
        .params = {source->settings->tenant, source->settings->place.name, source->stage->holder, lease,
            source->settings->metadata},
    };
    source->claimed_mono_ms = clock_mono_ms();
    db_query(source->env.db, &query, done, source);
}

static void on_claimed_again(void *arg, const struct db_result *result, const struct error *err)
{
    (void)result;
    (void)err; /* a lost lease does no harm: documents are switched whole whoever does it */
    const struct kb_stage_source *source = arg;
    kb_stage_leave(source->stage);
}

static void on_progress(void *arg, const struct kb_sync_counts *counts)
{
    struct kb_stage_source *source = arg;
    metric_set(source->oldest_change, (double)counts->oldest_ms / 1000);
    if (counts->changed > 0) {
        kb_source_count_soon(source); /* it may take long until all is read */
    }
    if (!source->stage->closing && clock_mono_ms() - source->claimed_mono_ms > LEASE_MS / 3) {
        kb_stage_enter(source->stage);
        claim(source, on_claimed_again);
    }
}

/* ---- the scan ---- */

static bool scan_stopped(void *arg)
{
    const struct kb_stage_source *source = arg;
    return source->stage->closing;
}

/* Objects that cannot be documents whatever is done: said when their number changes. */
static void report_refused(struct kb_stage_source *source, int refused)
{
    metric_set(source->keys_refused, refused);
    if (refused > 0 && refused != source->refused) {
        log_warn("objects are left out since their keys are not valid",
            LOG_STR("source", source->settings->place.name), LOG_INT("objects", refused));
    }
    source->refused = refused;
}

static void report_away(struct kb_stage_source *source, const char *why)
{
    if (*why && !source->away) {
        log_warn("source of documents cannot be read in full",
            LOG_STR("source", source->settings->place.name), LOG_STR("why", why));
    } else if (!*why && source->away) {
        log_info("source of documents can be read again", LOG_STR("source", source->settings->place.name));
    }
    source->away = *why;
}

static void scan_report(struct kb_stage_source *source, const struct kb_sync_counts *counts, const char *why,
    const struct error *err)
{
    kb_source_count(source, counts->changed, counts->removed, counts->failed);
    if (counts->changed || counts->removed) {
        log_info("knowledge base synchronised", LOG_STR("source", source->settings->place.name),
            LOG_INT("found", counts->found), LOG_INT("changed", counts->changed),
            LOG_INT("removed", counts->removed), LOG_INT("failed", counts->failed));
    }
    report_away(source, err ? err->text : why);
    if (!err) {
        report_refused(source, counts->refused);
        metric_set(source->oldest_change, (double)counts->oldest_ms / 1000);
    }
    if (!err && !*why) {
        metric_set(source->last_scan, (double)clock_wall_ms() / 1000);
    }
}

static void on_scanned(
    void *arg, const struct kb_sync_counts *counts, const char *why, const struct error *err)
{
    struct kb_stage_source *source = arg;
    if (!source->stage->closing) {
        scan_report(source, counts, why, err);
    }
    scan_end(source);
}

static void on_claimed(void *arg, const struct db_result *result, const struct error *err)
{
    struct kb_stage_source *source = arg;
    int64_t revision = err ? source->revision : db_int(result, 0, 1);
    bool ours = !err && db_bool(result, 0, 0);
    bool differs =
        revision != source->revision || (!err && db_bool(result, 0, 2)); /* others or time did that */
    if (!ours || differs) { /* who has the lease compares it again */
        kb_sync_memory_forget(&source->memory);
    }
    if (differs) {
        source->revision = revision;
        kb_source_count_soon(source);
    }
    if (source->stage->closing || !ours) {
        scan_again(source);
        return;
    }
    struct kb_sync_request request = {
        .memory = &source->memory,
        .progress = on_progress,
        .stopped = scan_stopped,
        .done = on_scanned,
        .arg = source,
    };
    kb_sync_run(&source->env, &request);
}

static void on_timer(void *arg)
{
    struct kb_stage_source *source = arg;
    kb_stage_enter(source->stage);
    claim(source, on_claimed);
}

void kb_scan_start(struct kb_stage_source *source)
{
    source->timer = loop_timer_new(source->stage->loop, on_timer, source);
    loop_timer_arm(source->timer, 0);
}

/* ---- the stage's life ---- */

void kb_stage_enter(struct kb_stage *stage)
{
    stage->under_way++;
}

static void stage_free(struct kb_stage *stage)
{
    for (size_t i = 0; i < stage->source_count; i++) {
        blob_close(stage->sources[i].env.source);
        kb_sync_memory_forget(&stage->sources[i].memory);
    }
    kb_sources_free(stage->settings);
    free(stage->sources);
    kb_parser_free(stage->parser);
    free(stage->holder);
    kb_seen_free(stage->seen);
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
    kb_stage_enter(stage); /* what is aborted must not free it in between */
    for (size_t i = 0; i < stage->source_count; i++) {
        loop_timer_free(stage->sources[i].timer);
        stage->sources[i].timer = NULL;
        kb_source_gauges_close(&stage->sources[i]);
        blob_abort(stage->sources[i].env.source);
    }
    kb_stage_leave(stage);
}

struct kb_stage_source *kb_stage_find(struct kb_stage *stage, const char *tenant, const char *name)
{
    const struct kb_source *settings = kb_sources_find(stage->settings, tenant, name);
    return settings ? &stage->sources[settings - stage->settings->items] : NULL;
}
