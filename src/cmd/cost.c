/* `helpdesk cost`: what models have cost, by tenant, model, stage and day, and what is left of today's
 * budgets. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/term.h"
#include "db/db.h"
#include "model/budget.h"

#define NAME "cost"
#define DAYS_MOST 3660
#define OUTPUT_BYTES ((size_t)64 << 20)
#define TODAY "(now() AT TIME ZONE 'UTC')::date"

static const char usage[] =
    "helpdesk cost [--days N] [--tenant T] [--by tenant|model|stage|day] [--json]\n\n"
    "What calls of models used and cost, as the ledger in the database has it, and what is left of today's\n"
    "budgets (budget.usd-per-day, budget.tokens-per-day). Days are UTC. A call counts when it was made, "
    "whatever\n"
    "became of its ticket; `lost` are calls of which nobody saw what they used: they count as the most that "
    "they\n"
    "can have used. `refused` were not made, because the budget was used up.\n\n"
    "  --days N      today and the N-1 days before it (7)\n"
    "  --tenant T    of this tenant only\n"
    "  --by WHAT     one line for each tenant, model, stage or day; else for each tenant, model and stage\n"
    "  --json        for programs\n";

/* What a line is about, in the order of the columns. */
static const struct column {
    const char *name;
    int width;
    bool by_default;
} columns[] = {{"day", 12, false}, {"tenant", 15, true}, {"model", 23, true}, {"stage", 12, true}};
#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

/* What it counts: SQL and JSON name. */
static const struct figure {
    const char *name;
    const char *sql;
} figures[] = {{"calls", "sum(calls)::bigint"}, {"lost", "sum(lost)::bigint"},
    {"refused", "sum(refused)::bigint"}, {"input_tokens", "sum(input_tokens)::bigint"},
    {"output_tokens", "sum(output_tokens)::bigint"}, {"cost_usd", "sum(usd)"}};
enum { CALLS, LOST, REFUSED, INPUT, OUTPUT, COST, FIGURES };

struct cost {
    const char *days;
    const char *tenant; /* or NULL */
    const char *by;     /* or NULL */
    bool json;
    struct budget_limits usd, tokens;
    const char *own_tenant;
    struct db_result *rows;  /* the columns that are shown, then the figures */
    struct db_result *today; /* tenant, spent_usd, spent_tokens, held_usd, held_tokens, day */
};

static bool is_shown(const struct cost *cost, const struct column *column)
{
    return cost->by != NULL ? strcmp(cost->by, column->name) == 0 : column->by_default;
}

/* ---- arguments ---- */

static int check_arguments(const struct cost *cost)
{
    int64_t days;
    bool known = cost->by == NULL;
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        known = known || is_shown(cost, &columns[i]);
    }
    if (!known) {
        return cmd_fail(2, NAME, "--by is \"%s\", should be tenant, model, stage or day", cost->by);
    }
    if (!parse_int64(cost->days, &days) || days < 1 || days > DAYS_MOST) {
        return cmd_fail(
            2, NAME, "--days is \"%s\", should be a whole number from 1 to %d", cost->days, DAYS_MOST);
    }
    return -1;
}

/* -1: go on; else the exit code. */
static int read_arguments(int argc, char **argv, struct cost *cost)
{
    static const struct option known[] = {{"days", required_argument, NULL, 'd'},
        {"tenant", required_argument, NULL, 't'}, {"by", required_argument, NULL, 'b'},
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    int option;
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (option) {
        case 'd':
            cost->days = optarg;
            break;
        case 't':
            cost->tenant = optarg;
            break;
        case 'b':
            cost->by = optarg;
            break;
        case 'j':
            cost->json = true;
            break;
        case 'h':
            cmd_print(usage);
            return 0;
        default:
            return 2;
        }
    }
    if (optind < argc) {
        return cmd_fail(2, NAME, "does not know what %s is for; --help tells more", argv[optind]);
    }
    return check_arguments(cost);
}

/* ---- the ledger ---- */

/* Names and figures are constants of this file: nothing of a user's is in the text. */
static struct db_result *ask_rows(const struct cost *cost, struct db_session *session, struct error *err)
{
    struct buf names, sql;
    buf_init(&names, 256);
    buf_init(&sql, 2048);
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        if (is_shown(cost, &columns[i])) {
            buf_printf(&names, "%s%s", names.len > 0 ? ", " : "", columns[i].name);
        }
    }
    buf_printf(&sql, "SELECT %s", buf_text(&names));
    for (size_t i = 0; i < FIGURES; i++) {
        buf_printf(&sql, ", %s", figures[i].sql);
    }
    buf_printf(&sql,
        " FROM costs WHERE day > " TODAY
        " - $1::int AND ($2::text IS NULL OR tenant = $2) GROUP BY %s ORDER BY %s",
        buf_text(&names), buf_text(&names));
    const struct db_query query = {
        .sql = buf_text(&sql), .param_count = 2, .params = {cost->days, cost->tenant}};
    struct db_result *rows = db_session_query(session, &query, err);
    buf_fini(&names);
    buf_fini(&sql);
    return rows;
}

/* Of the tenant that was asked for; else of those that have spent or have a limit of their own. */
static struct db_result *ask_today(const struct cost *cost, struct db_session *session, struct error *err)
{
    struct arena *arena = arena_new(0);
    const char **names = arena_array(arena, cost->usd.count + cost->tokens.count + 1, sizeof *names);
    size_t count = 0;
    names[count++] = cost->own_tenant;
    for (size_t i = 0; i < cost->usd.count; i++) {
        names[count++] = cost->usd.of[i].tenant;
    }
    for (size_t i = 0; i < cost->tokens.count; i++) {
        names[count++] = cost->tokens.of[i].tenant;
    }
    const struct db_query query = {
        .sql =
            "SELECT t.tenant, d.spent_usd, d.spent_tokens, d.held_usd, d.held_tokens, " TODAY " FROM (SELECT "
            "tenant FROM costs WHERE day = " TODAY " UNION SELECT tenant FROM cost_holds WHERE day = " TODAY
            " UNION SELECT unnest($1::text[]) UNION SELECT $2::text) t, cost_day(t.tenant, " TODAY
            ") d WHERE t.tenant = coalesce($2::text, t.tenant) ORDER BY t.tenant",
        .param_count = 2,
        .params = {db_text_array(arena, names, count), cost->tenant}};
    struct db_result *today = db_session_query(session, &query, err);
    arena_free(arena);
    return today;
}

static bool ask(struct cost *cost, const char *url, struct error *err)
{
    struct db_session *session = db_session_open(url, err);
    if (session == NULL) {
        return false;
    }
    cost->rows = ask_rows(cost, session, err);
    cost->today = cost->rows != NULL ? ask_today(cost, session, err) : NULL;
    db_session_close(session);
    return cost->today != NULL;
}

/* ---- as text ---- */

static void put_figures(struct term *term, enum term_style style, const double sums[FIGURES])
{
    term_printf(term, style, "%8.0f%6.0f%9.0f%12.0f%11.0f%12.4f", sums[CALLS], sums[LOST], sums[REFUSED],
        sums[INPUT], sums[OUTPUT], sums[COST]);
    term_newline(term);
}

static void put_heading(const struct cost *cost, struct term *term)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        if (is_shown(cost, &columns[i])) {
            term_pad(term, TERM_DIM, columns[i].name, columns[i].width);
        }
    }
    term_printf(
        term, TERM_DIM, "%8s%6s%9s%12s%11s%12s", "calls", "lost", "refused", "tokens read", "written", "USD");
    term_newline(term);
}

static void put_rows(const struct cost *cost, struct term *term)
{
    double total[FIGURES] = {0};
    int wide = 0;
    for (int row = 0; row < db_rows(cost->rows); row++) {
        double sums[FIGURES];
        int at = 0;
        wide = 0;
        for (size_t i = 0; i < COLUMN_COUNT; i++) {
            if (is_shown(cost, &columns[i])) {
                term_pad(term, TERM_PLAIN, db_value(cost->rows, row, at++), columns[i].width - 1);
                term_put(term, TERM_PLAIN, " ");
                wide += columns[i].width;
            }
        }
        for (int i = 0; i < FIGURES; i++) {
            sums[i] = db_number(cost->rows, row, at + i);
            total[i] += sums[i];
        }
        put_figures(term, TERM_PLAIN, sums);
    }
    term_pad(term, TERM_BOLD, "in all", wide);
    put_figures(term, TERM_BOLD, total);
}

static void put_today(const struct cost *cost, struct term *term)
{
    term_newline(term);
    term_printf(
        term, TERM_BOLD, "Today, %s (UTC)", db_rows(cost->today) > 0 ? db_value(cost->today, 0, 5) : "");
    term_newline(term);
    for (int row = 0; row < db_rows(cost->today); row++) {
        const char *tenant = db_value(cost->today, row, 0);
        double limit = budget_limit_of(&cost->usd, tenant), tokens = budget_limit_of(&cost->tokens, tenant);
        double spent = db_number(cost->today, row, 1), held = db_number(cost->today, row, 3);
        double left = limit - spent - held;
        term_pad(term, TERM_PLAIN, tenant, 15);
        term_printf(term, TERM_PLAIN, "%.4f of %.2f USD spent, ", spent, limit);
        term_printf(term, left > 0 ? TERM_GREEN : TERM_YELLOW, "%.4f left", left > 0 ? left : 0);
        if (held > 0) {
            term_printf(term, TERM_DIM, ", %.4f reserved by calls under way", held);
        }
        if (tokens > 0) {
            term_printf(term, TERM_PLAIN, "; %.0f of %.0f tokens", db_number(cost->today, row, 2), tokens);
        }
        term_newline(term);
    }
}

static void put_text(const struct cost *cost, struct buf *out)
{
    struct term term = term_for(stdout, out);
    if (db_rows(cost->rows) == 0) {
        term_printf(&term, TERM_PLAIN, "No model was asked%s%s%s.",
            strcmp(cost->days, "1") == 0 ? " today" : " in the last days", cost->tenant ? " for tenant " : "",
            cost->tenant ? cost->tenant : "");
        term_newline(&term);
    } else {
        put_heading(cost, &term);
        put_rows(cost, &term);
    }
    put_today(cost, &term);
}

/* ---- as JSON ---- */

static cJSON *json_row(const struct cost *cost, int row)
{
    cJSON *json = cJSON_CreateObject();
    int at = 0;
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        if (is_shown(cost, &columns[i])) {
            cJSON_AddStringToObject(json, columns[i].name, db_value(cost->rows, row, at++));
        }
    }
    for (int i = 0; i < FIGURES; i++) {
        cJSON_AddNumberToObject(json, figures[i].name, db_number(cost->rows, row, at + i));
    }
    return json;
}

static cJSON *json_today(const struct cost *cost, int row)
{
    cJSON *json = cJSON_CreateObject();
    const char *tenant = db_value(cost->today, row, 0);
    double limit = budget_limit_of(&cost->usd, tenant), tokens = budget_limit_of(&cost->tokens, tenant);
    double spent = db_number(cost->today, row, 1), held = db_number(cost->today, row, 3);
    double used = db_number(cost->today, row, 2), held_tokens = db_number(cost->today, row, 4);
    cJSON_AddStringToObject(json, "tenant", tenant);
    cJSON_AddStringToObject(json, "day", db_value(cost->today, row, 5));
    cJSON_AddNumberToObject(json, "limit_usd", limit);
    cJSON_AddNumberToObject(json, "spent_usd", spent);
    cJSON_AddNumberToObject(json, "reserved_usd", held);
    cJSON_AddNumberToObject(json, "left_usd", limit > spent + held ? limit - spent - held : 0);
    cJSON_AddNumberToObject(json, "spent_tokens", used);
    cJSON_AddNumberToObject(json, "reserved_tokens", held_tokens);
    if (tokens > 0) {
        cJSON_AddNumberToObject(json, "limit_tokens", tokens);
        cJSON_AddNumberToObject(
            json, "left_tokens", tokens > used + held_tokens ? tokens - used - held_tokens : 0);
    }
    return json;
}

static void put_json(const struct cost *cost, struct buf *out)
{
    struct buf plain;
    cJSON *json = cJSON_CreateObject();
    cJSON *rows = cJSON_AddArrayToObject(json, "rows");
    cJSON *today = cJSON_AddArrayToObject(json, "today");
    for (int row = 0; row < db_rows(cost->rows); row++) {
        cJSON_AddItemToArray(rows, json_row(cost, row));
    }
    for (int row = 0; row < db_rows(cost->today); row++) {
        cJSON_AddItemToArray(today, json_today(cost, row));
    }
    buf_init(&plain, OUTPUT_BYTES);
    json_put_and_delete(&plain, json);
    term_escape_json(out, buf_text(&plain));
    buf_putc(out, '\n');
    buf_fini(&plain);
}

/* ---- the command ---- */

static int tell(const struct cost *cost)
{
    struct buf out;
    buf_init(&out, OUTPUT_BYTES);
    if (cost->json) {
        put_json(cost, &out);
    } else {
        put_text(cost, &out);
    }
    int code = out.failed ? cmd_fail(1, NAME, "the report is too large: take fewer days") : 0;
    cmd_print(out.failed ? "" : buf_text(&out));
    buf_fini(&out);
    return code;
}

static int run(struct cost *cost, const struct conf *conf)
{
    struct error err = {0};
    const char *url = conf_text(conf, CONF_DATABASE_URL);
    if (url[0] == '\0') {
        return cmd_fail(2, NAME, "database.url is not set (DATABASE_URL works too): the ledger is there");
    }
    if (!budget_limits_of(conf, &cost->usd, &cost->tokens, &err)) {
        return cmd_fail(2, NAME, "%s", err.text);
    }
    cost->own_tenant = conf_text(conf, CONF_TENANT);
    int code = ask(cost, url, &err)
                   ? tell(cost)
                   : cmd_fail(1, NAME, "%s%s", err.text,
                         err.disposition == ERROR_FATAL ? ": run `helpdesk migrate up`" : "");
    db_result_free(cost->rows);
    db_result_free(cost->today);
    budget_limits_fini(&cost->usd);
    budget_limits_fini(&cost->tokens);
    return code;
}

int cmd_cost(int argc, char **argv)
{
    struct cost cost = {.days = "7"};
    int code = read_arguments(argc, argv, &cost);
    if (code >= 0) {
        return code;
    }
    struct conf *conf = cmd_load_conf();
    if (conf == NULL) {
        return 2;
    }
    code = run(&cost, conf);
    conf_free(conf);
    return code;
}
