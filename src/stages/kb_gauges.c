/* What is told of a source in metrics: counters of what happens to its documents, and how many there are,
 * which is counted soon after something changed, by whoever changed it. */
#include <stdio.h>
#include "stages/kb_sync.h"

#define COUNT_AFTER_MS 2000 /* a change; what changes meanwhile is counted too */

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
