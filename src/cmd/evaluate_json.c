/* The report of an evaluation for programs. */
#include <cjson/cJSON.h>

#include "base/json.h"
#include "cmd/evaluate.h"

static cJSON *json_table(const struct evaluate_table *table)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "right", (double)table->right);
    cJSON_AddNumberToObject(json, "compared", (double)table->total);
    cJSON *names = cJSON_AddObjectToObject(json, "names");
    for (size_t i = 0; i < table->count; i++) {
        cJSON *name = cJSON_AddObjectToObject(names, table->names[i]);
        cJSON_AddNumberToObject(name, "labelled", (double)evaluate_table_labelled(table, i));
        cJSON_AddNumberToObject(name, "answered", (double)evaluate_table_answered(table, i));
        cJSON_AddNumberToObject(name, "right", (double)evaluate_table_hits(table, i));
    }
    return json;
}

static void add_texts(cJSON *json, const char *name, const char *const *texts, size_t count)
{
    cJSON *array = cJSON_AddArrayToObject(json, name);
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(array, cJSON_CreateString(texts[i]));
    }
}

static void add_tallies(cJSON *json, const char *name, const struct evaluate_tally *tallies, size_t count)
{
    cJSON *object = cJSON_AddObjectToObject(json, name);
    for (size_t i = 0; i < count; i++) {
        cJSON_AddNumberToObject(object, tallies[i].name, (double)tallies[i].tickets);
    }
}

static void add_flips(cJSON *json, const struct evaluate_report *report)
{
    const struct evaluate *evaluate = report->evaluate;
    cJSON *flips = cJSON_AddArrayToObject(json, "flips");
    for (size_t i = 0; i < evaluate->ticket_count; i++) {
        const struct evaluate_ticket *ticket = &evaluate->tickets[i];
        if (evaluate_flipped(ticket)) {
            cJSON *flip = cJSON_CreateObject();
            cJSON_AddNumberToObject(flip, "line", (double)ticket->line);
            cJSON_AddStringToObject(flip, "current", ticket->current);
            cJSON_AddStringToObject(flip, "candidate", ticket->answers[EVALUATE_CATEGORY]);
            cJSON_AddItemToArray(flips, flip);
        }
    }
}

static void add_measures(cJSON *json, const struct evaluate_report *report)
{
    cJSON *latency = cJSON_AddObjectToObject(json, "latency_ms");
    for (int i = 0; i <= MSG_STEP_COUNT; i++) {
        cJSON *step =
            cJSON_AddObjectToObject(latency, i < MSG_STEP_COUNT ? msg_step_name((enum msg_step)i) : "all");
        cJSON_AddNumberToObject(step, "median", report->median_ms[i]);
        cJSON_AddNumberToObject(step, "p95", report->p95_ms[i]);
    }
    cJSON *cost = cJSON_AddObjectToObject(json, "per_ticket");
    cJSON_AddNumberToObject(cost, "input_tokens", report->input_tokens);
    cJSON_AddNumberToObject(cost, "output_tokens", report->output_tokens);
    cJSON_AddNumberToObject(cost, "cost_usd", report->cost_usd);
    cJSON_AddNumberToObject(json, "tickets_per_day", report->per_day);
    cJSON_AddNumberToObject(json, "cost_usd_per_month", 30 * report->per_day * report->cost_usd);
}

static void add_drafts(cJSON *json, const struct evaluate_report *report)
{
    cJSON *drafts = cJSON_AddArrayToObject(json, "drafts");
    for (size_t i = 0; i < report->draft_count; i++) {
        const struct evaluate_ticket *ticket = &report->evaluate->tickets[report->drafts[i]];
        cJSON *draft = cJSON_CreateObject();
        cJSON_AddNumberToObject(draft, "line", (double)ticket->line);
        cJSON_AddStringToObject(draft, "ticket_id", ticket->id);
        cJSON_AddStringToObject(draft, "subject", ticket->subject);
        cJSON_AddStringToObject(draft, "outcome", evaluate_outcome_names[ticket->outcome]);
        cJSON_AddStringToObject(draft, "draft", ticket->draft);
        add_texts(draft, "citations", ticket->citations, ticket->citation_count);
        add_texts(draft, "flags", ticket->flags, ticket->flag_count);
        add_texts(draft, "reasons", ticket->reasons, ticket->reason_count);
        cJSON_AddItemToArray(drafts, draft);
    }
}

void evaluate_json(const struct evaluate_report *report, struct buf *out)
{
    const struct evaluate *evaluate = report->evaluate;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "tickets", (double)evaluate->ticket_count);
    cJSON_AddNumberToObject(json, "bad_rows", (double)evaluate->bad_rows);
    add_texts(json, "notes", evaluate->notes, evaluate->note_count);
    cJSON_AddNumberToObject(json, "documents", evaluate->documents);
    cJSON_AddNumberToObject(json, "documents_failed", evaluate->documents_failed);
    cJSON *labels = cJSON_AddObjectToObject(json, "labels");
    for (int i = 0; i < EVALUATE_LABELS; i++) {
        if (report->tables[i].total > 0) {
            cJSON_AddItemToObject(labels, evaluate_label_names[i], json_table(&report->tables[i]));
        }
    }
    if (report->tables[EVALUATE_CATEGORY].total > 0) {
        cJSON_AddNumberToObject(json, "calibration_error", report->calibration);
    }
    if (evaluate->candidate != NULL) {
        add_flips(json, report);
    }
    cJSON *outcomes = cJSON_AddObjectToObject(json, "outcomes");
    for (int i = 0; i < EVALUATE_OUTCOMES; i++) {
        cJSON_AddNumberToObject(outcomes, evaluate_outcome_names[i], (double)report->outcomes[i]);
    }
    cJSON_AddNumberToObject(json, "degraded", (double)report->degraded);
    add_tallies(json, "reasons", report->reasons, report->reason_count);
    add_tallies(json, "models", report->models, report->model_count);
    add_measures(json, report);
    add_drafts(json, report);
    json_put_and_delete(out, json);
}
