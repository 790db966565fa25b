/* `helpdesk kb`: what the knowledge base holds (kb_report.c), reading it again, returning it to what it was
 * (kb_rollback.c), and forgetting a source (kb_forget.c). */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/kb.h"
#include "cmd/term.h"
#include "http/client.h"

#define SYNC_PATH "/kb/sync"
#define LINES_MOST 10000
#define POLL_MS 500
#define FETCH_MS 10000
#define ADDRESS_SIZE (CMD_URL_SIZE + 128)

static const char usage[] =
    "helpdesk kb status [--source S] [--json]\n"
    "helpdesk kb failures|withdrawn [--source S] [--last N] [--json]\n"
    "helpdesk kb history [--source S] [--last N] [--json] [KEY]\n"
    "helpdesk kb sync [--url URL] [--source S] [--full] [--wait] [--json]\n"
    "helpdesk kb rollback KEY|--all --to REVISION [--source S] [--dry-run] [--yes] [--json]\n"
    "helpdesk kb forget SOURCE [--dry-run] [--yes] [--json]\n\n"
    "status tells of each source how many documents and passages the base has, failures which documents "
    "cannot be\n"
    "read and why, withdrawn which ones say themselves that nobody is to be shown them, history what became "
    "of "
    "them,\n"
    "newest first (of each the last 100 changes within kb.history-for). sync has the source read again. "
    "rollback\n"
    "writes what a document, or all of them, held at an earlier revision of the base back to the source, and "
    "removes\n"
    "what did not exist then; that is a change like others, and can be taken back; it needs the settings of "
    "kb-sync.\n"
    "forget removes all documents of a source that was taken out of the settings, or has another name now, "
    "from the\n"
    "base.\n\n"
    "  --source S    of this source only; sync, and rollback of a KEY, need it where a tenant has several\n"
    "  --tenant T    of this tenant; else `tenant` of the settings\n"
    "  --last N      at most so many lines (100)\n"
    "  --full        documents that look unchanged are read too\n"
    "  --wait        until it is done; exit code 1 when it failed\n"
    "  --url URL     address of a gateway; else gateway.host and gateway.port of the settings\n"
    "  --to REVISION what it was then, as history shows it\n"
    "  --all         all documents\n"
    "  --dry-run     tell what would be done, do nothing\n"
    "  --yes         do it: with --all, where a document would be removed, and of forget\n"
    "  --json        for programs\n";

/* ---- sync ---- */

static const char *text_of(const cJSON *json, const char *member)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, member));
    return text != NULL ? text : "";
}

/* Says what the gateway says of a call that failed. */
static void tell_refusal(const char *address, int status, const cJSON *problem)
{
    struct buf out;
    buf_init(&out, KB_OUTPUT_BYTES);
    struct term term = term_for(stderr, &out);
    term_put(&term, TERM_PLAIN, text_of(problem, "detail"));
    cmd_fail(1, KB_NAME, "%s answered %d%s%s", address, status, out.len > 0 ? ": " : "", buf_text(&out));
    buf_fini(&out);
}

/* The answer's JSON, NULL when there is none that is good; says so. */
static cJSON *fetch(const char *method, const char *address, const char *body)
{
    static const char *const headers[] = {"Content-Type: application/json", "Accept: application/json", NULL};
    const struct http_fetch_request request = {.method = method,
        .url = address,
        .headers = headers,
        .body = body,
        .body_len = body != NULL ? strlen(body) : 0,
        .timeout_ms = FETCH_MS};
    struct http_fetch_result result;
    struct error err = {0};
    cJSON *json = NULL;
    if (!http_fetch(&request, &result, &err)) {
        cmd_fail(1, KB_NAME, "%s: %s", address, err.text);
    } else {
        json = json_parse(buf_text(&result.body), result.body.len, NULL);
        if (result.status != 200 || !cJSON_IsObject(json)) {
            tell_refusal(address, result.status, json);
            cJSON_Delete(json);
            json = NULL;
        }
    }
    http_fetch_result_fini(&result);
    return json;
}

static int count_of(const cJSON *json, const char *member)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, member);
    return cJSON_IsNumber(item) ? item->valueint : 0;
}

static void put_counts(struct term *term, enum term_style style, const cJSON *job)
{
    term_printf(term, style, "%s: %d found, %d read, %d changed, %d failed, %d removed, %d left",
        text_of(job, "status"), count_of(job, "found"), count_of(job, "read"), count_of(job, "changed"),
        count_of(job, "failed"), count_of(job, "removed"), count_of(job, "left"));
}

static void show_job(const struct kb *kb, const cJSON *job)
{
    struct buf out, plain;
    buf_init(&out, KB_OUTPUT_BYTES);
    buf_init(&plain, KB_OUTPUT_BYTES);
    if (kb->json) {
        json_put_and_delete(&plain, cJSON_Duplicate(job, true));
        term_escape_json(&out, buf_text(&plain));
    } else {
        struct term term = term_for(stdout, &out);
        put_counts(&term, TERM_PLAIN, job);
        if (text_of(job, "why")[0] != '\0') {
            term_printf(&term, TERM_YELLOW, "; %s", text_of(job, "why"));
        }
    }
    buf_putc(&out, '\n');
    cmd_print(buf_text(&out));
    buf_fini(&plain);
    buf_fini(&out);
}

/* On standard error, over the line before it; nothing where nobody would see it move. */
static void show_progress(const struct kb *kb, const cJSON *job, bool last)
{
    struct buf out;
    buf_init(&out, KB_OUTPUT_BYTES);
    struct term term = term_for(stderr, &out);
    if (!kb->json && term.colour) {
        fputs("\r\033[K", stderr);
        if (!last) {
            put_counts(&term, TERM_DIM, job);
            fputs(buf_text(&out), stderr);
        }
        fflush(stderr);
    }
    buf_fini(&out);
}

static int wait_for(const struct kb *kb, const char *url, const char *job_id)
{
    char address[ADDRESS_SIZE];
    snprintf(address, sizeof address, "%s" SYNC_PATH "/%.64s", url, job_id);
    for (;;) {
        cJSON *job = fetch("GET", address, NULL);
        if (job == NULL) {
            return 1;
        }
        bool failed = strcmp(text_of(job, "status"), "failed") == 0;
        bool ended = failed || strcmp(text_of(job, "status"), "done") == 0;
        show_progress(kb, job, ended);
        if (ended) {
            show_job(kb, job);
        }
        cJSON_Delete(job);
        if (ended) {
            return failed ? 1 : 0;
        }
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
}

static int start_sync(const struct kb *kb)
{
    char url[CMD_URL_SIZE], address[ADDRESS_SIZE];
    if (!cmd_gateway_url(kb->url, url)) {
        return 2;
    }
    snprintf(address, sizeof address, "%s" SYNC_PATH, url);
    struct buf body;
    buf_init(&body, KB_OUTPUT_BYTES);
    cJSON *wanted = cJSON_CreateObject();
    cJSON_AddBoolToObject(wanted, "full", kb->full);
    if (kb->source != NULL) {
        cJSON_AddStringToObject(wanted, "source", kb->source);
    }
    json_put_and_delete(&body, wanted);
    cJSON *job = fetch("POST", address, buf_text(&body));
    int code = job != NULL ? 0 : 1;
    if (job != NULL && kb->wait) {
        code = wait_for(kb, url, text_of(job, "job_id"));
    } else if (job != NULL && kb->json) {
        show_job(kb, job);
    } else if (job != NULL) {
        printf("started: %.64s\n", text_of(job, "job_id"));
    }
    cJSON_Delete(job);
    buf_fini(&body);
    return code;
}

/* ---- the command ---- */

static int check_rollback(struct kb *kb)
{
    if ((kb->key != NULL) == kb->all) {
        return cmd_fail(2, KB_NAME, "rollback needs the key of a document, or --all");
    }
    if (kb->to_text == NULL || !parse_int64(kb->to_text, &kb->to) || kb->to < 0) {
        return cmd_fail(2, KB_NAME, "--to should be a revision, as `helpdesk kb history` shows them");
    }
    return -1;
}

/* Options of one of them that another was given. */
static int check_options(const struct kb *kb)
{
    const struct {
        bool given;
        const char *of[2], *problem;
    } options[] = {
        {kb->full || kb->wait || kb->url != NULL, {"sync", ""}, "--full, --wait and --url are for sync"},
        {kb->all || kb->to_text != NULL, {"rollback", ""}, "--all and --to are for rollback"},
        {kb->dry_run || kb->yes, {"rollback", "forget"}, "--dry-run and --yes are for rollback and forget"},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (options[i].given && strcmp(kb->what, options[i].of[0]) != 0 &&
            strcmp(kb->what, options[i].of[1]) != 0) {
            return cmd_fail(2, KB_NAME, "%s", options[i].problem);
        }
    }
    return -1;
}

static int check_sync(const struct kb *kb)
{
    return kb->tenant == NULL ? -1 : cmd_fail(2, KB_NAME, "--tenant is not for sync: the gateway has one");
}

static int check_forget(const struct kb *kb)
{
    return kb->key != NULL && kb->source == NULL
               ? -1
               : cmd_fail(2, KB_NAME, "forget needs the name of a source, as `helpdesk kb status` shows it");
}

/* -1: go on; else the exit code. */
static int check_arguments(struct kb *kb, int given)
{
    int64_t last;
    bool sync = strcmp(kb->what, "sync") == 0, rollback = strcmp(kb->what, "rollback") == 0;
    bool forget = strcmp(kb->what, "forget") == 0;
    if (given > (rollback || forget || strcmp(kb->what, "history") == 0 ? 1 : 0)) {
        return cmd_fail(2, KB_NAME, "too many arguments; --help tells more");
    }
    if (!parse_int64(kb->last, &last) || last < 1 || last > LINES_MOST) {
        return cmd_fail(
            2, KB_NAME, "--last is \"%s\", should be a whole number from 1 to %d", kb->last, LINES_MOST);
    }
    int code = check_options(kb);
    if (code >= 0) {
        return code;
    }
    return sync ? check_sync(kb) : rollback ? check_rollback(kb) : forget ? check_forget(kb) : -1;
}

/* Where the value of an option goes, of the same place in `known` below. */
static void take_option(struct kb *kb, int at, const char *value)
{
    const char **const texts[] = {&kb->source, &kb->tenant, &kb->last, &kb->url, &kb->to_text};
    bool *const flags[] = {&kb->full, &kb->wait, &kb->json, &kb->all, &kb->dry_run, &kb->yes};
    int text_count = (int)(sizeof texts / sizeof texts[0]);
    if (at < text_count) {
        *texts[at] = value;
    } else {
        *flags[at - text_count] = true;
    }
}

static int read_arguments(int argc, char **argv, struct kb *kb)
{
    static const struct option known[] = {{"source", required_argument, NULL, 0},
        {"tenant", required_argument, NULL, 0}, {"last", required_argument, NULL, 0},
        {"url", required_argument, NULL, 0}, {"to", required_argument, NULL, 0},
        {"full", no_argument, NULL, 0}, {"wait", no_argument, NULL, 0}, {"json", no_argument, NULL, 0},
        {"all", no_argument, NULL, 0}, {"dry-run", no_argument, NULL, 0}, {"yes", no_argument, NULL, 0},
        {"help", no_argument, NULL, 'h'}, {0}};
    int option, at;
    while ((option = getopt_long(argc, argv, "h", known, &at)) != -1) {
        if (option == 'h') {
            cmd_print(usage);
            return 0;
        }
        if (option == '?') {
            return 2;
        }
        take_option(kb, at, optarg);
    }
    if (optind == argc) {
        return cmd_fail(2, KB_NAME,
            "say what: status, failures, withdrawn, history, sync, rollback or forget; --help tells more");
    }
    kb->what = argv[optind];
    kb->key = optind + 1 < argc ? argv[optind + 1] : NULL;
    return check_arguments(kb, argc - optind - 1);
}

int cmd_kb(int argc, char **argv)
{
    struct kb kb = {.what = "", .last = "100"};
    int code = read_arguments(argc, argv, &kb);
    if (code >= 0) {
        return code;
    }
    if (strcmp(kb.what, "sync") == 0) {
        return start_sync(&kb);
    }
    if (strcmp(kb.what, "rollback") == 0) {
        return kb_rollback(&kb);
    }
    if (strcmp(kb.what, "forget") == 0) {
        return kb_forget(&kb);
    }
    return kb_report(&kb);
}
