/* What is told of a source in metrics: counters of what happens to its documents, and how many there are,
 * which is counted soon after something changed, by whoever changed it. Where they have become many,
 * PostgreSQL is told to look at its tables. */
#include <stdio.h>
#include "base/log.h"
#include "stages/kb_sync.h"

#define ANALYZE_FROM 100    /* documents */
#define COUNT_AFTER_MS 2000 /* a change; what changes meanwhile is counted too */

/* ---- statistics ---- */

static void on_analyzed(void *arg, const struct db_result *result, const struct error *err)
{
    struct kb_stage_source *source = arg;
    (void)result;
    if (kb_stage_leave(source->stage) && err) {
        log_warn("PostgreSQL does not look at the tables of the knowledge base",
            LOG_STR("source", source->settings->place.name), LOG_STR("why", err->text));
    }
}

/* PostgreSQL keeps what it planned for tables that were almost empty until it has looked at them again, which
 * by itself takes a minute: in a base that is being filled each document would cost more than the one before.
 */
static void analyze(struct kb_stage_source *source, int64_t documents)
{
    if (documents < ANALYZE_FROM || documents < 2 * source->analyzed) {
        return;
    }
    source->analyzed = documents;
    struct db_query query = {.sql = "ANALYZE kb_documents, kb_passages, kb_terms, kb_history, kb_contents"};
    kb_stage_enter(source->stage);
    db_query(source->env.db, &query, on_analyzed, source);
}

/* ---- gauges ---- */

static void on_counts(void *arg, const struct db_result *result, const struct error *err)
{
    struct kb_stage_source *source = arg;
    if (!kb_stage_leave(source->stage)) {
        return;
    }
    if (err || db_rows(result) != 1) {
        kb_source_count_soon(source);
        return;
    }
    metric_set(source->documents_ready, (double)db_int(result, 0, 0));
    metric_set(source->documents_failed, (double)db_int(result, 0, 1));
    metric_set(source->passages, (double)db_int(result, 0, 2));
    metric_set(source->documents_withdrawn, (double)db_int(result, 0, 3));
    analyze(source, db_int(result, 0, 0) + db_int(result, 0, 1) + db_int(result, 0, 3));
}

static void count_documents(void *arg)
{
    struct kb_stage_source *source = arg;
    struct db_query query = {
        .sql = "SELECT count(*) FILTER (WHERE state = 'ready'), count(*) FILTER (WHERE state = 'failed'), "
               "(SELECT count(*) FROM kb_passages WHERE tenant = $1 AND source = $2), "
               "count(*) FILTER (WHERE state = 'withdrawn') "
               "FROM kb_documents WHERE tenant = $1 AND source = $2",
        .param_count = 2,
        .params = {source->settings->tenant, source->settings->place.name},
    };
    kb_stage_enter(source->stage);
    source->count_armed = false;
    db_query(source->env.db, &query, on_counts, source);
}

void kb_source_count_soon(struct kb_stage_source *source)
{
    if (source->count_timer && !source->count_armed) {
        source->count_armed = true;
        loop_timer_arm(source->count_timer, COUNT_AFTER_MS);
    }
}

void kb_source_gauges_open(struct kb_stage_source *source)
{
    char labels[128], ready[160], failed[160], withdrawn[160];
    (void)snprintf(labels, sizeof(labels), "source=\"%s\"", source->settings->place.name);
    (void)snprintf(ready, sizeof(ready), "%s,state=\"ready\"", labels);
    (void)snprintf(failed, sizeof(failed), "%s,state=\"failed\"", labels);
    (void)snprintf(withdrawn, sizeof(withdrawn), "%s,state=\"withdrawn\"", labels);
    source->documents_ready =
        metrics_gauge("helpdesk_kb_documents", "Documents of the knowledge base", ready);
    source->documents_failed =
        metrics_gauge("helpdesk_kb_documents", "Documents of the knowledge base", failed);
    source->documents_withdrawn =
        metrics_gauge("helpdesk_kb_documents", "Documents of the knowledge base", withdrawn);
    source->passages = metrics_gauge("helpdesk_kb_passages", "Passages of the knowledge base", labels);
    source->keys_refused = metrics_gauge(
        "helpdesk_kb_keys_refused", "Objects that are left out since their keys are not valid", labels);
    source->last_scan = metrics_gauge("helpdesk_kb_last_scan_timestamp_seconds",
        "When this process last looked through all of the source", labels);
    source->oldest_change = metrics_gauge("helpdesk_kb_oldest_change_timestamp_seconds",
        "When the oldest change was made that was seen and is not yet in the base; 0: there is none", labels);
    source->changed_total =
        metrics_counter("helpdesk_kb_changed_total", "Documents switched to a new content", labels);
    source->removed_total = metrics_counter("helpdesk_kb_removed_total", "Documents removed", labels);
    source->failures_total =
        metrics_counter("helpdesk_kb_failures_total", "Readings of a document that failed", labels);
    source->count_timer = loop_timer_new(source->stage->loop, count_documents, source);
}

void kb_source_gauges_close(struct kb_stage_source *source)
{
    loop_timer_free(source->count_timer);
    source->count_timer = NULL;
}

void kb_source_count(struct kb_stage_source *source, int changed, int removed, int failed)
{
    metric_add(source->changed_total, changed);
    metric_add(source->removed_total, removed);
    metric_add(source->failures_total, failed);
    if (changed || removed || failed) {
        kb_source_count_soon(source);
    }
}
