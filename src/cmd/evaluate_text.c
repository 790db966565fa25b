/* The report of an evaluation on a terminal. */
#include <inttypes.h>

#include "cmd/evaluate.h"

#define MAX_PAIRS 5
#define MAX_FLIPS 5
#define MAX_REASONS 12
#define NAME_COLUMNS 22

static double percent(size_t part, size_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static void put_title(struct term *term, const char *title)
{
    term_newline(term);
    term_put(term, TERM_BOLD, title);
    term_newline(term);
}

static void put_labels(const struct evaluate_report *report, struct term *term)
{
    put_title(term, "Against the file's labels");
    for (int i = 0; i < EVALUATE_LABELS; i++) {
        const struct evaluate_table *table = &report->tables[i];
        double low, high;
        evaluate_interval(table->right, table->total, &low, &high);
        term_put(term, TERM_PLAIN, "  ");
        term_pad(term, TERM_PLAIN, evaluate_label_names[i], NAME_COLUMNS);
        if (table->total == 0) {
            term_put(term, TERM_DIM,
                report->evaluate->labelled[i] ? "no label that could be compared"
                                              : "no such column: not judged");
        } else {
            term_printf(term, TERM_PLAIN, "%5.1f %%  (%zu of %zu; 95 %% interval %.1f to %.1f)",
                percent(table->right, table->total), table->right, table->total, 100 * low, 100 * high);
        }
        term_newline(term);
    }
}

static void put_categories(const struct evaluate_report *report, struct term *term)
{
    const struct evaluate_table *table = &report->tables[EVALUATE_CATEGORY];
    if (table->total == 0) {
        return;
    }
    term_printf(term, TERM_PLAIN, "  calibration error     %.3f (15 bins; 0 is best)", report->calibration);
    term_newline(term);
    put_title(term, "Categories                tickets  precision  recall");
    for (size_t i = 0; i < table->count; i++) {
        size_t labelled = evaluate_table_labelled(table, i), hits = evaluate_table_hits(table, i);
        term_put(term, TERM_PLAIN, "  ");
        term_pad(term, TERM_PLAIN, table->names[i], NAME_COLUMNS);
        term_printf(term, TERM_PLAIN, "%9zu %8.1f %% %5.1f %%", labelled,
            percent(hits, evaluate_table_answered(table, i)), percent(hits, labelled));
        term_newline(term);
    }
    size_t label, answer, tickets;
    for (size_t rank = 0; rank < MAX_PAIRS && evaluate_table_worst(table, rank, &label, &answer, &tickets);
         rank++) {
        term_printf(term, TERM_YELLOW, "  %zu taken for another: %s is answered as %s", tickets,
            table->names[label], table->names[answer]);
        term_newline(term);
    }
}

static void put_flips(const struct evaluate_report *report, struct term *term)
{
    const struct evaluate *evaluate = report->evaluate;
    if (evaluate->candidate == NULL) {
        return;
    }
    put_title(term, "Against the current settings");
    term_printf(term, TERM_PLAIN,
        "  %zu of %zu tickets get another category (%.1f %%): %zu become right, %zu become wrong",
        report->flips, evaluate->ticket_count, percent(report->flips, evaluate->ticket_count),
        report->flips_better, report->flips_worse);
    term_newline(term);
    size_t shown = 0;
    for (size_t i = 0; i < evaluate->ticket_count && shown < MAX_FLIPS; i++) {
        const struct evaluate_ticket *ticket = &evaluate->tickets[i];
        if (evaluate_flipped(ticket)) {
            term_printf(term, TERM_DIM, "  line %zu, %s to %s: %.60s", ticket->line, ticket->current,
                ticket->answers[EVALUATE_CATEGORY], ticket->subject);
            term_newline(term);
            shown++;
        }
    }
}

static void put_outcomes(const struct evaluate_report *report, struct term *term)
{
    size_t n = report->evaluate->ticket_count;
    put_title(term, "What becomes of the tickets");
    for (int i = 0; i < EVALUATE_OUTCOMES; i++) {
        term_put(term, TERM_PLAIN, "  ");
        term_pad(
            term, i == EVALUATE_READY ? TERM_GREEN : TERM_PLAIN, evaluate_outcome_names[i], NAME_COLUMNS);
        term_printf(term, TERM_PLAIN, "%5zu  %5.1f %%", report->outcomes[i], percent(report->outcomes[i], n));
        term_newline(term);
    }
    term_printf(term, TERM_PLAIN, "  of them degraded      %5zu  %5.1f %%", report->degraded,
        percent(report->degraded, n));
    term_newline(term);
    for (size_t i = 0; i < report->reason_count && i < MAX_REASONS; i++) {
        term_printf(term, TERM_DIM, "  %5zu  %s", report->reasons[i].tickets, report->reasons[i].name);
        term_newline(term);
    }
}

static void put_latency(const struct evaluate_report *report, struct term *term)
{
    put_title(term, "Latency, measured           median       p95");
    for (int i = 0; i <= MSG_STEP_COUNT; i++) {
        term_put(term, TERM_PLAIN, "  ");
        term_pad(term, TERM_PLAIN, i < MSG_STEP_COUNT ? msg_step_name((enum msg_step)i) : "all steps",
            NAME_COLUMNS);
        term_printf(term, TERM_PLAIN, "%8.1f ms %8.1f ms", report->median_ms[i], report->p95_ms[i]);
        term_newline(term);
    }
}

static void put_cost(const struct evaluate_report *report, struct term *term)
{
    put_title(term, "Projected cost");
    term_printf(term, TERM_PLAIN, "  a ticket              %.0f + %.0f tokens, %.6f USD",
        report->input_tokens, report->output_tokens, report->cost_usd);
    term_newline(term);
    term_printf(term, TERM_PLAIN, "  1,000 tickets         %.2f USD", 1000 * report->cost_usd);
    term_newline(term);
    if (report->per_day > 0) {
        term_printf(term, TERM_PLAIN, "  a month of 30 days    %.2f USD at %.1f tickets a day (%s)",
            30 * report->per_day * report->cost_usd, report->per_day,
            report->evaluate->per_day > 0 ? "--per-day" : "from the file's dates");
    } else {
        term_put(term, TERM_DIM, "  a month               unknown: the file has no dates; give --per-day");
    }
    term_newline(term);
    for (size_t i = 0; i < report->model_count; i++) {
        term_printf(term, TERM_DIM, "  %5zu  %s", report->models[i].tickets, report->models[i].name);
        term_newline(term);
    }
}

static void put_draft(const struct evaluate_ticket *ticket, struct term *term)
{
    term_newline(term);
    term_printf(term, TERM_CYAN, "line %zu, %s: ", ticket->line, evaluate_outcome_names[ticket->outcome]);
    term_put(term, TERM_BOLD, ticket->subject);
    term_newline(term);
    term_wrap(term, TERM_DIM, "  ", "  ", ticket->description);
    term_wrap(term, TERM_PLAIN, "  | ", "  | ", ticket->draft);
    for (size_t i = 0; i < ticket->citation_count; i++) {
        term_printf(term, TERM_DIM, "  [%zu] %s", i + 1, ticket->citations[i]);
        term_newline(term);
    }
    for (size_t i = 0; i < ticket->flag_count; i++) {
        term_printf(term, TERM_YELLOW, "  flag: %s", ticket->flags[i]);
        term_newline(term);
    }
}

void evaluate_text(const struct evaluate_report *report, struct term *term)
{
    const struct evaluate *evaluate = report->evaluate;
    term_printf(term, TERM_BOLD, "%zu tickets of %s, %d documents of %s", evaluate->ticket_count,
        evaluate->file, evaluate->documents, evaluate->folder);
    term_newline(term);
    term_printf(term, TERM_DIM,
        "%.1f s, %d tickets at once; %zu rows left out; %d documents could not be read", evaluate->seconds,
        evaluate->in_flight, evaluate->bad_rows, evaluate->documents_failed);
    term_newline(term);
    put_labels(report, term);
    put_categories(report, term);
    put_flips(report, term);
    put_outcomes(report, term);
    put_latency(report, term);
    put_cost(report, term);
    put_title(term, "Drafts to judge");
    for (size_t i = 0; i < report->draft_count; i++) {
        put_draft(&evaluate->tickets[report->drafts[i]], term);
    }
}
