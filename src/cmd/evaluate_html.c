/* The report of an evaluation as one page: no scripts, nothing from elsewhere, all text of others escaped. */
#include <stdarg.h>
#include <stdio.h>

#include "cmd/evaluate.h"

#define MAX_PAIRS 10
#define MAX_FLIPS 50

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, "
    "initial-scale=1\">\n<title>Evaluation</title>\n<style>\n"
    ":root{color-scheme:light "
    "dark;--ink:#1c2430;--soft:#5d6878;--line:#d9dee6;--page:#fff;--card:#f6f8fa;--good:#157347;"
    "--warn:#9a5b00}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b6;--line:#333c49;--page:#14181e;--"
    "card:#1c222b;"
    "--good:#5fd39a;--warn:#f0b45a}}\n"
    "body{font:16px/1.5 "
    "system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:60rem;margin:0 auto;"
    "padding:1rem}\n"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}p,li,td,th{overflow-wrap:anywhere}\n"
    ".soft{color:var(--soft)}.scroll{overflow-x:auto}table{border-collapse:collapse;min-width:20rem}\n"
    "th,td{padding:.3rem .8rem .3rem 0;border-bottom:1px solid "
    "var(--line);text-align:left;vertical-align:top}\n"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\n"
    "article{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.2rem "
    "1rem;margin:1rem 0;"
    "break-inside:avoid}\n"
    "article h3{font-size:1rem}blockquote{margin:.5rem 0;padding-left:.8rem;border-left:3px solid "
    "var(--line)}\n"
    "blockquote,.q{white-space:pre-wrap;overflow-wrap:anywhere}.good{color:var(--good)}.warn{color:var(--"
    "warn)}\n"
    "@media print{body{max-width:none;font-size:11pt}article{background:none}}\n"
    "</style></head><body>\n";

/* Text of others: without control characters and marks of direction, and nothing that HTML would obey. */
static void put(struct buf *out, const char *text)
{
    struct buf clean;
    buf_init(&clean, out->max);
    term_clean(&clean, text);
    for (const char *at = buf_text(&clean); *at; at++) {
        switch (*at) {
        case '&':
            buf_puts(out, "&amp;");
            break;
        case '<':
            buf_puts(out, "&lt;");
            break;
        case '>':
            buf_puts(out, "&gt;");
            break;
        case '"':
            buf_puts(out, "&quot;");
            break;
        case '\'':
            buf_puts(out, "&#39;");
            break;
        default:
            buf_putc(out, *at);
        }
    }
    buf_fini(&clean);
}

static double percent(size_t part, size_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static void open_table(struct buf *out, const char *headings)
{
    buf_printf(out, "<div class=\"scroll\"><table><thead><tr>%s</tr></thead><tbody>\n", headings);
}

static void close_table(struct buf *out)
{
    buf_puts(out, "</tbody></table></div>\n");
}

/* A row: a name of others, then cells of ours. */
static void put_row(struct buf *out, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void put_row(struct buf *out, const char *name, const char *format, ...)
{
    char cells[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(cells, sizeof(cells), format, args);
    va_end(args);
    buf_puts(out, "<tr><td>");
    put(out, name);
    buf_printf(out, "</td>%s</tr>\n", cells);
}

#define N "<td class=\"n\">"
#define TH_N "<th class=\"n\">"

static void put_labels(const struct evaluate_report *report, struct buf *out)
{
    buf_puts(out, "<h2>Against the file's labels</h2>\n");
    open_table(out, "<th>label</th>" TH_N "right</th>" TH_N "tickets</th>" TH_N "95 % interval</th>");
    for (int i = 0; i < EVALUATE_LABELS; i++) {
        const struct evaluate_table *table = &report->tables[i];
        double low, high;
        evaluate_interval(table->right, table->total, &low, &high);
        if (table->total == 0) {
            put_row(out, evaluate_label_names[i], "<td class=\"soft\" colspan=\"3\">%s</td>",
                report->evaluate->labelled[i] ? "no label that could be compared"
                                              : "no such column: not judged");
        } else {
            put_row(out, evaluate_label_names[i], N "%.1f %%</td>" N "%zu</td>" N "%.1f to %.1f</td>",
                percent(table->right, table->total), table->total, 100 * low, 100 * high);
        }
    }
    close_table(out);
}

static void put_categories(const struct evaluate_report *report, struct buf *out)
{
    const struct evaluate_table *table = &report->tables[EVALUATE_CATEGORY];
    size_t label, answer, tickets;
    if (table->total == 0) {
        return;
    }
    buf_printf(out,
        "<p>Calibration error of the category's confidence: <b>%.3f</b> (15 bins; 0 is best)</p>\n",
        report->calibration);
    open_table(out, "<th>category</th>" TH_N "tickets</th>" TH_N "precision</th>" TH_N "recall</th>");
    for (size_t i = 0; i < table->count; i++) {
        size_t labelled = evaluate_table_labelled(table, i), hits = evaluate_table_hits(table, i);
        put_row(out, table->names[i], N "%zu</td>" N "%.1f %%</td>" N "%.1f %%</td>", labelled,
            percent(hits, evaluate_table_answered(table, i)), percent(hits, labelled));
    }
    close_table(out);
    buf_puts(out, "<h2>Worst confusions</h2>\n<ul>\n");
    for (size_t rank = 0; rank < MAX_PAIRS && evaluate_table_worst(table, rank, &label, &answer, &tickets);
         rank++) {
        buf_printf(out, "<li>%zu: <b>", tickets);
        put(out, table->names[label]);
        buf_puts(out, "</b> answered as <b>");
        put(out, table->names[answer]);
        buf_puts(out, "</b></li>\n");
    }
    buf_puts(out, "</ul>\n");
}

static void put_flips(const struct evaluate_report *report, struct buf *out)
{
    const struct evaluate *evaluate = report->evaluate;
    size_t shown = 0;
    if (evaluate->candidate == NULL) {
        return;
    }
    buf_printf(out,
        "<h2>Against the current settings</h2>\n<p>%zu of %zu tickets get another category: %zu become "
        "right, %zu become wrong.</p>\n",
        report->flips, evaluate->ticket_count, report->flips_better, report->flips_worse);
    open_table(out, "<th>ticket</th>" TH_N "line</th><th>from</th><th>to</th>");
    for (size_t i = 0; i < evaluate->ticket_count && shown < MAX_FLIPS; i++) {
        const struct evaluate_ticket *ticket = &evaluate->tickets[i];
        if (evaluate_flipped(ticket)) {
            buf_puts(out, "<tr><td>");
            put(out, ticket->subject);
            buf_printf(out, "</td>" N "%zu</td><td>", ticket->line);
            put(out, ticket->current);
            buf_puts(out, "</td><td>");
            put(out, ticket->answers[EVALUATE_CATEGORY]);
            buf_puts(out, "</td></tr>\n");
            shown++;
        }
    }
    close_table(out);
}

static void put_outcomes(const struct evaluate_report *report, struct buf *out)
{
    size_t n = report->evaluate->ticket_count;
    buf_puts(out, "<h2>What becomes of the tickets</h2>\n");
    open_table(out, "<th>outcome</th>" TH_N "tickets</th>" TH_N "share</th>");
    for (int i = 0; i < EVALUATE_OUTCOMES; i++) {
        put_row(out, evaluate_outcome_names[i], N "%zu</td>" N "%.1f %%</td>", report->outcomes[i],
            percent(report->outcomes[i], n));
    }
    put_row(out, "of them degraded", N "%zu</td>" N "%.1f %%</td>", report->degraded,
        percent(report->degraded, n));
    close_table(out);
    buf_puts(out, "<h2>Reasons</h2>\n");
    open_table(out, "<th>reason</th>" TH_N "tickets</th>");
    for (size_t i = 0; i < report->reason_count; i++) {
        put_row(out, report->reasons[i].name, N "%zu</td>", report->reasons[i].tickets);
    }
    close_table(out);
}

static void put_measures(const struct evaluate_report *report, struct buf *out)
{
    buf_puts(out, "<h2>Latency, measured</h2>\n");
    open_table(out, "<th>step</th>" TH_N "median</th>" TH_N "95 %</th>");
    for (int i = 0; i <= MSG_STEP_COUNT; i++) {
        put_row(out, i < MSG_STEP_COUNT ? msg_step_name((enum msg_step)i) : "all steps",
            N "%.1f ms</td>" N "%.1f ms</td>", report->median_ms[i], report->p95_ms[i]);
    }
    close_table(out);
    buf_puts(out, "<h2>Projected cost</h2>\n");
    open_table(out, "<th>for</th>" TH_N "USD</th>" TH_N "tokens in</th>" TH_N "tokens out</th>");
    put_row(out, "a ticket", N "%.6f</td>" N "%.0f</td>" N "%.0f</td>", report->cost_usd,
        report->input_tokens, report->output_tokens);
    put_row(out, "1,000 tickets", N "%.2f</td>" N "%.0f</td>" N "%.0f</td>", 1000 * report->cost_usd,
        1000 * report->input_tokens, 1000 * report->output_tokens);
    double month = 30 * report->per_day;
    if (report->per_day > 0) {
        put_row(out, "a month of 30 days", N "%.2f</td>" N "%.0f</td>" N "%.0f</td>",
            month * report->cost_usd, month * report->input_tokens, month * report->output_tokens);
    }
    close_table(out);
    buf_printf(out, "<p class=\"soft\">%s %.1f tickets a day.</p>\n",
        report->per_day > 0 ? "The month is counted at"
                            : "The file has no dates: give --per-day for a month;",
        report->per_day);
    open_table(out, "<th>model</th>" TH_N "tickets</th>");
    for (size_t i = 0; i < report->model_count; i++) {
        put_row(out, report->models[i].name, N "%zu</td>", report->models[i].tickets);
    }
    close_table(out);
}

static void put_list(struct buf *out, const char *title, const char *const *texts, size_t count)
{
    if (count == 0) {
        return;
    }
    buf_printf(out, "<p class=\"soft\">%s</p><ol>\n", title);
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, "<li>");
        put(out, texts[i]);
        buf_puts(out, "</li>\n");
    }
    buf_puts(out, "</ol>\n");
}

static void put_draft(const struct evaluate_ticket *ticket, struct buf *out)
{
    buf_puts(out, "<article><h3>");
    put(out, ticket->subject);
    buf_printf(out, "</h3>\n<p class=\"soft\">line %zu, <span class=\"%s\">%s</span></p>\n<div class=\"q\">",
        ticket->line, ticket->outcome == EVALUATE_READY ? "good" : "warn",
        evaluate_outcome_names[ticket->outcome]);
    put(out, ticket->description);
    buf_puts(out, "</div>\n<blockquote>");
    put(out, ticket->draft);
    buf_puts(out, "</blockquote>\n");
    put_list(out, "Cites", ticket->citations, ticket->citation_count);
    put_list(out, "Flags", ticket->flags, ticket->flag_count);
    put_list(out, "Why a person should look", ticket->reasons, ticket->reason_count);
    buf_puts(out, "</article>\n");
}

void evaluate_html(const struct evaluate_report *report, struct buf *out)
{
    const struct evaluate *evaluate = report->evaluate;
    buf_puts(out, head);
    buf_printf(out, "<h1>%zu tickets, %d documents</h1>\n<p class=\"soft\">", evaluate->ticket_count,
        evaluate->documents);
    put(out, evaluate->file);
    buf_printf(out,
        "; %.1f s with %d tickets at once; %zu rows left out; %d documents could not be read</p>\n",
        evaluate->seconds, evaluate->in_flight, evaluate->bad_rows, evaluate->documents_failed);
    put_list(out, "About the file", evaluate->notes, evaluate->note_count);
    put_labels(report, out);
    put_categories(report, out);
    put_flips(report, out);
    put_outcomes(report, out);
    put_measures(report, out);
    buf_printf(out, "<h2>%zu drafts to judge</h2>\n", report->draft_count);
    for (size_t i = 0; i < report->draft_count; i++) {
        put_draft(&evaluate->tickets[report->drafts[i]], out);
    }
    buf_puts(out, "</body></html>\n");
}
