/* `helpdesk evaluate`: past tickets through the stages, answering nobody; what would come out, and at what
 * cost. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/database.h"
#include "cmd/evaluate.h"

#define NAME "evaluate"
#define ARENA_BYTES ((size_t)8 << 30)
#define REPORT_BYTES ((size_t)256 << 20)
#define PER_DAY_MOST 1e9
#define BUDGET_MOST 1e6

static const char usage[] =
    "helpdesk evaluate --tickets FILE --kb DIR [options]\n\n"
    "Takes past tickets through the stages as they would run, in a database of its own that is gone "
    "afterwards, and\n"
    "answers nobody. Models that cost money are really asked, within a budget of the evaluation's own: the "
    "tenants'\n"
    "are not touched, and `helpdesk cost` does not know of it.\n\n"
    "  --tickets FILE   CSV with a header, or JSON lines (.jsonl); columns: subject or title, description, "
    "body or text,\n"
    "                   and where there are any: category, label or intent; priority; department; sentiment; "
    "locale;\n"
    "                   customer; created_at; ticket_id\n"
    "  --kb DIR         folder of documents\n"
    "  --config FILE    settings to try; the settings in force are what they are compared with; the "
    "environment goes\n"
    "                   before both\n"
    "  --limit N        only the first N tickets\n"
    "  --budget USD     the most that models may cost, then local ones carry on; else budget.usd-per-day\n"
    "  --per-day N      tickets a day, for the cost of a month; else from the file's dates\n"
    "  --html FILE      the report as one page\n"
    "  --json           the report as JSON on standard output\n\n"
    "database.url names the server; its user must be allowed to create databases.\n"
    "Exit code: 0 a report was made, 1 something failed, 2 wrong usage or settings.\n";

struct options {
    const char *html;
    bool json;
};

static bool take_number(const char *text, const char *name, double most, double *out)
{
    double value;
    if (!parse_double(text, &value) || value <= 0 || value > most) {
        cmd_fail(2, NAME, "%s must be a number above 0, at most %.0f", name, most);
        return false;
    }
    *out = value;
    return true;
}

static bool take_limit(const char *text, size_t *limit)
{
    int64_t value;
    if (!parse_int64(text, &value) || value < 1 || value > EVALUATE_MAX_TICKETS) {
        cmd_fail(2, NAME, "--limit must be a whole number from 1 to %d", EVALUATE_MAX_TICKETS);
        return false;
    }
    *limit = (size_t)value;
    return true;
}

static bool check_options(const struct evaluate *evaluate)
{
    struct stat folder;
    if (evaluate->file == NULL || evaluate->folder == NULL) {
        cmd_fail(2, NAME, "--tickets FILE and --kb DIR are needed; --help tells more");
        return false;
    }
    if (stat(evaluate->folder, &folder) != 0 || !S_ISDIR(folder.st_mode)) {
        cmd_fail(2, NAME, "--kb %s is not a folder", evaluate->folder);
        return false;
    }
    return true;
}

/* -1: go on; else the exit code. */
static int read_options(int argc, char **argv, struct evaluate *evaluate, struct options *options)
{
    static const struct option known[] = {{"tickets", required_argument, NULL, 't'},
        {"kb", required_argument, NULL, 'k'}, {"config", required_argument, NULL, 'c'},
        {"limit", required_argument, NULL, 'l'}, {"per-day", required_argument, NULL, 'd'},
        {"budget", required_argument, NULL, 'b'}, {"html", required_argument, NULL, 'w'},
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *texts[128] = {NULL};
    int option;
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        if (option == 'h') {
            cmd_print(usage);
            return 0;
        }
        if (option == '?') {
            return 2;
        }
        texts[option] = optarg != NULL ? optarg : "";
    }
    if (optind < argc) {
        return cmd_fail(2, NAME, "does not know what %s is for; --help tells more", argv[optind]);
    }
    evaluate->file = texts['t'];
    evaluate->folder = texts['k'];
    evaluate->candidate = texts['c'];
    evaluate->budget = texts['b'];
    double budget;
    *options = (struct options){.html = texts['w'], .json = texts['j'] != NULL};
    bool ok =
        (texts['l'] == NULL || take_limit(texts['l'], &evaluate->limit)) &&
        (texts['d'] == NULL || take_number(texts['d'], "--per-day", PER_DAY_MOST, &evaluate->per_day)) &&
        (texts['b'] == NULL || take_number(texts['b'], "--budget", BUDGET_MOST, &budget)) &&
        check_options(evaluate);
    return ok ? -1 : 2;
}

/* ---- settings ---- */

static struct conf *load_candidate(const char *path)
{
    struct buf problems;
    buf_init(&problems, 64 * 1024);
    struct conf *conf = conf_load(path, &problems);
    if (conf == NULL) {
        (void)fputs(buf_text(&problems), stderr);
    }
    buf_fini(&problems);
    return conf;
}

static int load_settings(struct evaluate *evaluate)
{
    struct error err = {0};
    evaluate->current = cmd_load_conf();
    if (evaluate->current == NULL) {
        return 2;
    }
    evaluate->conf = evaluate->candidate != NULL ? load_candidate(evaluate->candidate) : evaluate->current;
    if (evaluate->conf == NULL) {
        return 2;
    }
    const char *budget = conf_name(CONF_BUDGET_USD_PER_DAY);
    if (evaluate->budget != NULL && !(conf_set(evaluate->conf, budget, evaluate->budget, &err) &&
                                        conf_set(evaluate->current, budget, evaluate->budget, &err))) {
        return cmd_fail(2, NAME, "%s", err.text);
    }
    if (!database_named(evaluate->current, &err)) {
        return cmd_fail(2, NAME, "%s: a server is needed for a database that is gone afterwards", err.text);
    }
    const char *level =
        conf_is_set(evaluate->conf, CONF_LOG_LEVEL) ? conf_text(evaluate->conf, CONF_LOG_LEVEL) : "error";
    log_setup(NAME, (enum log_level)log_level_parse(level));
    return msg_setup(evaluate->current, &err) ? 0 : cmd_fail(2, NAME, "%s", err.text);
}

/* ---- the report ---- */

static bool write_page(const struct evaluate_report *report, const char *path)
{
    struct buf page;
    buf_init(&page, REPORT_BYTES);
    evaluate_html(report, &page);
    FILE *file = page.failed ? NULL : fopen(path, "we");
    bool ok = file != NULL && fwrite(buf_text(&page), 1, page.len, file) == page.len;
    if (file != NULL) {
        ok = fclose(file) == 0 && ok;
    }
    if (!ok) {
        cmd_fail(1, NAME, "%s cannot be written: %s", path,
            page.failed ? "the page is too large" : strerror(errno));
    }
    buf_fini(&page);
    return ok;
}

static int tell(const struct evaluate *evaluate, const struct options *options)
{
    struct evaluate_report report;
    struct buf out, shown;
    evaluate_report_make(evaluate, &report);
    buf_init(&out, REPORT_BYTES);
    buf_init(&shown, REPORT_BYTES);
    if (options->json) {
        evaluate_json(&report, &shown);
        term_escape_json(&out, buf_text(&shown));
        buf_putc(&out, '\n');
    } else {
        struct term term = term_for(stdout, &out);
        evaluate_text(&report, &term);
    }
    cmd_print(buf_text(&out));
    bool ok = !out.failed && !shown.failed;
    if (!ok) {
        cmd_fail(1, NAME, "the report is too large: take fewer tickets with --limit");
    }
    ok = (options->html == NULL || write_page(&report, options->html)) && ok;
    buf_fini(&shown);
    buf_fini(&out);
    return ok ? 0 : 1;
}

static void tell_notes(const struct evaluate *evaluate)
{
    struct buf out;
    buf_init(&out, 1024 * 1024);
    for (size_t i = 0; i < evaluate->note_count; i++) {
        term_clean(&out, evaluate->file);
        buf_puts(&out, ": ");
        term_clean(&out, evaluate->notes[i]);
        buf_putc(&out, '\n');
    }
    (void)fputs(buf_text(&out), stderr);
    buf_fini(&out);
}

static int run(struct evaluate *evaluate, const struct options *options)
{
    struct error err = {0};
    int code = load_settings(evaluate);
    if (code != 0) {
        return code;
    }
    if (!evaluate_tickets_read(evaluate, &err)) {
        return cmd_fail(1, NAME, "%s", err.text);
    }
    tell_notes(evaluate);
    char *server = database_url(evaluate->current, &err);
    if (server == NULL) {
        return cmd_fail(1, NAME, "%s", err.text);
    }
    evaluate_hold_signals(true);
    struct evaluate_db *db = evaluate_db_make(server, evaluate->arena, &err);
    bool ok = db != NULL && evaluate_run(evaluate, evaluate_db_url(db), &err);
    struct error left = {0};
    code = ok ? 0 : cmd_fail(1, NAME, "%s", err.text);
    if (!evaluate_db_remove(db, &left)) {
        code = cmd_fail(1, NAME, "%s", left.text);
    }
    evaluate_hold_signals(false);
    database_url_free(server);
    return ok && tell(evaluate, options) != 0 ? 1 : code;
}

int cmd_evaluate(int argc, char **argv)
{
    struct evaluate evaluate = {.limit = EVALUATE_MAX_TICKETS};
    struct options options = {0};
    int code = read_options(argc, argv, &evaluate, &options);
    if (code >= 0) {
        return code;
    }
    evaluate.arena = arena_new(ARENA_BYTES);
    code = run(&evaluate, &options);
    if (evaluate.conf != evaluate.current) {
        conf_free(evaluate.conf);
    }
    if (evaluate.current != NULL) {
        conf_free(evaluate.current);
    }
    arena_free(evaluate.arena);
    return code;
}
