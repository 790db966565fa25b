/* What came out of an evaluation, counted. */
#include <stdlib.h>
#include <string.h>

#include "cmd/evaluate.h"

#define BINS 15
#define DAY_MS (24.0 * 3600 * 1000)

const char *const evaluate_outcome_names[EVALUATE_OUTCOMES] = {
    "ready", "held back", "flagged", "escalated", "guardrails failed", "failed"};

/* ---- labels ---- */

static void count_labels(
    const struct evaluate *evaluate, enum evaluate_label which, struct evaluate_table *table)
{
    const char **labels = arena_array(evaluate->arena, evaluate->ticket_count, sizeof(*labels));
    const char **answers = arena_array(evaluate->arena, evaluate->ticket_count, sizeof(*answers));
    for (size_t i = 0; i < evaluate->ticket_count; i++) {
        labels[i] = evaluate->tickets[i].labels[which];
        answers[i] = evaluate->tickets[i].answers[which];
    }
    evaluate_table_make(evaluate->arena, labels, answers, evaluate->ticket_count, table);
}

static bool is_right(const struct evaluate_ticket *ticket, const char *category)
{
    return category != NULL && ticket->labels[EVALUATE_CATEGORY] != NULL &&
           strcmp(category, ticket->labels[EVALUATE_CATEGORY]) == 0;
}

static void calibrate(struct evaluate_report *report)
{
    const struct evaluate *evaluate = report->evaluate;
    double *confidence = arena_array(evaluate->arena, evaluate->ticket_count, sizeof(*confidence));
    bool *right = arena_array(evaluate->arena, evaluate->ticket_count, sizeof(*right));
    size_t count = 0;
    for (size_t i = 0; i < evaluate->ticket_count; i++) {
        const struct evaluate_ticket *ticket = &evaluate->tickets[i];
        if (ticket->labels[EVALUATE_CATEGORY] != NULL && ticket->answers[EVALUATE_CATEGORY] != NULL) {
            confidence[count] = ticket->confidence;
            right[count++] = is_right(ticket, ticket->answers[EVALUATE_CATEGORY]);
        }
    }
    report->calibration = evaluate_calibration(confidence, right, count, BINS);
}

bool evaluate_flipped(const struct evaluate_ticket *ticket)
{
    const char *answer = ticket->answers[EVALUATE_CATEGORY];
    return ticket->current != NULL && answer != NULL && strcmp(ticket->current, answer) != 0;
}

static void count_flips(struct evaluate_report *report)
{
    const struct evaluate *evaluate = report->evaluate;
    for (size_t i = 0; i < evaluate->ticket_count; i++) {
        const struct evaluate_ticket *ticket = &evaluate->tickets[i];
        if (evaluate_flipped(ticket)) {
            report->flips++;
            report->flips_better += is_right(ticket, ticket->answers[EVALUATE_CATEGORY]);
            report->flips_worse += is_right(ticket, ticket->current);
        }
    }
}

/* ---- tallies ---- */

static int by_tickets(const void *a, const void *b)
{
    const struct evaluate_tally *x = a, *y = b;
    return x->tickets != y->tickets ? (x->tickets < y->tickets ? 1 : -1) : strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts `names` (each once a ticket) and counts them. */
static struct evaluate_tally *tally(struct arena *arena, const char **names, size_t count, size_t *made)
{
    struct evaluate_tally *tallies = arena_array(arena, count + 1, sizeof(*tallies));
    *made = 0;
    qsort(names, count, sizeof(*names), by_name);
    for (size_t i = 0; i < count; i++) {
        if (*made == 0 || strcmp(tallies[*made - 1].name, names[i]) != 0) {
            tallies[(*made)++].name = names[i];
        }
        tallies[*made - 1].tickets++;
    }
    qsort(tallies, *made, sizeof(*tallies), by_tickets);
    return tallies;
}

/* The same reason with another number each time is one. */
static const char *general(struct arena *arena, const char *reason)
{
    static const char start[] = "confidence ";
    const char *rest = strstr(reason, " is not above");
    bool numbered = strncmp(reason, start, strlen(start)) == 0 && rest != NULL;
    return numbered ? arena_printf(arena, "the confidence%s", rest) : reason;
}

static void count_reasons(struct evaluate_report *report)
{
    const struct evaluate *evaluate = report->evaluate;
    size_t count = 0;
    for (size_t i = 0; i < evaluate->ticket_count; i++) {
        count += evaluate->tickets[i].reason_count;
    }
    const char **names = arena_array(evaluate->arena, count + 1, sizeof(*names));
    count = 0;
    for (size_t i = 0; i < evaluate->ticket_count; i++) {
        const struct evaluate_ticket *ticket = &evaluate->tickets[i];
        for (size_t k = 0; k < ticket->reason_count; k++) {
            names[count++] = general(evaluate->arena, ticket->reasons[k]);
        }
    }
    report->reasons = tally(evaluate->arena, names, count, &report->reason_count);
}

static void count_models(struct evaluate_report *report)
{
    const struct evaluate *evaluate = report->evaluate;
    const char **names =
        arena_array(evaluate->arena, MSG_STEP_COUNT * evaluate->ticket_count, sizeof(*names));
    size_t count = 0;
    for (size_t i = 0; i < evaluate->ticket_count; i++) {
        for (int step = 0; step < MSG_STEP_COUNT; step++) {
            if (evaluate->tickets[i].ran[step]) {
                names[count++] = arena_printf(evaluate->arena, "%s: %s", msg_step_name((enum msg_step)step),
                    evaluate->tickets[i].models[step]);
            }
        }
    }
    report->models = tally(evaluate->arena, names, count, &report->model_count);
}

/* ---- time and money ---- */

/* The time of `step`, or with MSG_STEP_COUNT of all steps. */
static bool latency_of(const struct evaluate_ticket *ticket, int step, double *ms)
{
    *ms = 0;
    if (step < MSG_STEP_COUNT) {
        *ms = ticket->latency_ms[step];
        return ticket->ran[step];
    }
    for (int i = 0; i < MSG_STEP_COUNT; i++) {
        *ms += ticket->latency_ms[i];
    }
    return ticket->ran[MSG_STEP_GENERATE];
}

static void measure(struct evaluate_report *report)
{
    const struct evaluate *evaluate = report->evaluate;
    double *values = arena_array(evaluate->arena, evaluate->ticket_count, sizeof(*values));
    for (int step = 0; step <= MSG_STEP_COUNT; step++) {
        size_t count = 0;
        for (size_t i = 0; i < evaluate->ticket_count; i++) {
            count += latency_of(&evaluate->tickets[i], step, &values[count]);
        }
        report->median_ms[step] = evaluate_percentile(values, count, 0.5);
        report->p95_ms[step] = evaluate_percentile(values, count, 0.95);
    }
}

static void count_cost(struct evaluate_report *report)
{
    const struct evaluate *evaluate = report->evaluate;
    double n = (double)evaluate->ticket_count;
    int64_t first = INT64_MAX, last = INT64_MIN;
    size_t dated = 0;
    for (size_t i = 0; i < evaluate->ticket_count; i++) {
        const struct evaluate_ticket *ticket = &evaluate->tickets[i];
        report->input_tokens += (double)ticket->input_tokens / n;
        report->output_tokens += (double)ticket->output_tokens / n;
        report->cost_usd += ticket->cost_usd / n;
        if (ticket->has_created_at) {
            first = ticket->created_at < first ? ticket->created_at : first;
            last = ticket->created_at > last ? ticket->created_at : last;
            dated++;
        }
    }
    report->per_day = evaluate->per_day;
    if (report->per_day == 0 && dated > 0) {
        double days = ((double)last - (double)first) / DAY_MS;
        report->per_day = (double)dated / (days > 1 ? days : 1);
    }
}

static void choose_drafts(struct evaluate_report *report)
{
    const struct evaluate *evaluate = report->evaluate;
    int *group = arena_array(evaluate->arena, evaluate->ticket_count, sizeof(*group));
    for (size_t i = 0; i < evaluate->ticket_count; i++) {
        group[i] = evaluate->tickets[i].draft != NULL ? (int)evaluate->tickets[i].outcome : -1;
    }
    report->draft_count = evaluate_choose(
        group, evaluate->ticket_count, EVALUATE_OUTCOMES, EVALUATE_DRAFTS, evaluate->arena, report->drafts);
}

void evaluate_report_make(const struct evaluate *evaluate, struct evaluate_report *report)
{
    *report = (struct evaluate_report){.evaluate = evaluate};
    for (int i = 0; i < EVALUATE_LABELS; i++) {
        count_labels(evaluate, (enum evaluate_label)i, &report->tables[i]);
    }
    for (size_t i = 0; i < evaluate->ticket_count; i++) {
        report->outcomes[evaluate->tickets[i].outcome]++;
        report->degraded += evaluate->tickets[i].degraded;
    }
    calibrate(report);
    count_flips(report);
    count_reasons(report);
    count_models(report);
    measure(report);
    count_cost(report);
    choose_drafts(report);
}
