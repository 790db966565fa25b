/* helpdesk ask: sends a ticket to a gateway and shows the answer. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "cmd/answer_view.h"
#include "cmd/cmd.h"
#include "http/client.h"

#define ASK_PATH "/tickets/auto-orchestrate"
#define ASK_TIMEOUT_MS 90000 /* beyond any wait of a gateway, which then answers 202 */
#define ASK_MAX_INPUT ((size_t)4 << 20)
#define ASK_MAX_OUTPUT ((size_t)16 << 20)

struct ask {
    const char *url; /* NULL: from the settings */
    const char *customer;
    const char *priority;
    const char *locale;
    const char *file; /* "-": standard input */
    bool json;
    bool render;
    const char *subject;
    const char *text;
};

static const char usage[] =
    "helpdesk ask [--url URL] [--customer ID] [--priority P] [--locale L] [--json] SUBJECT TEXT\n"
    "helpdesk ask [--url URL] [--json] --file TICKET.json    (- is standard input)\n"
    "helpdesk ask --render < ANSWER.json\n"
    "\n"
    "  --url URL       address of a gateway; else gateway.host and gateway.port of the settings\n"
    "  --customer ID   the customer's external id (anonymous)\n"
    "  --priority P    critical, high, medium or low\n"
    "  --locale L      language of the ticket, such as de-DE; else it is detected\n"
    "  --json          print the answer as it came\n"
    "  --file FILE     send this JSON\n"
    "  --render        render an answer's JSON from standard input, ask nobody\n";

/* 0, or the code to exit with. */
static int check_arguments(const struct ask *ask, int given)
{
    bool described = ask->customer || ask->priority || ask->locale;
    if (ask->render && (given > 0 || described || ask->file || ask->url || ask->json)) {
        return cmd_fail(2, "ask", "--render takes an answer from standard input and nothing else");
    }
    if (ask->file && (given > 0 || described)) {
        return cmd_fail(
            2, "ask", "--file sends the ticket as it is: leave out subject, text and the ticket's options");
    }
    if (!ask->file && !ask->render && given != 2) {
        return cmd_fail(
            2, "ask", "give a subject and a text, each as one argument; `helpdesk ask --help` tells more");
    }
    return 0;
}

/* -1, or the code to exit with. */
static int read_arguments(int argc, char **argv, struct ask *ask)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'},
        {"customer", required_argument, NULL, 'c'},
        {"priority", required_argument, NULL, 'p'},
        {"locale", required_argument, NULL, 'l'},
        {"file", required_argument, NULL, 'f'},
        {"json", no_argument, NULL, 'j'},
        {"render", no_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    optind = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'u':
            ask->url = optarg;
            break;
        case 'c':
            ask->customer = optarg;
            break;
        case 'p':
            ask->priority = optarg;
            break;
        case 'l':
            ask->locale = optarg;
            break;
        case 'f':
            ask->file = optarg;
            break;
        case 'j':
            ask->json = true;
            break;
        case 'r':
            ask->render = true;
            break;
        case 'h':
            cmd_print(usage);
            return 0;
        default:
            return 2;
        }
    }
    int wrong = check_arguments(ask, argc - optind);
    if (wrong != 0) {
        return wrong;
    }
    if (argc - optind == 2) {
        ask->subject = argv[optind];
        ask->text = argv[optind + 1];
    }
    return -1;
}

static bool read_all(const char *path, struct buf *out)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!file) {
        cmd_fail(1, "ask", "cannot read %s: %s", path, strerror(errno));
        return false;
    }
    char chunk[16384];
    size_t got;
    while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        buf_append(out, chunk, got);
    }
    bool ok = !ferror(file) && !out->failed;
    if (!ok) {
        cmd_fail(
            1, "ask", "cannot read %s: %s", path, out->failed ? "it is larger than 4 MiB" : strerror(errno));
    }
    if (file != stdin) {
        fclose(file);
    }
    return ok;
}

static void put_member(struct buf *body, const char *name, const char *value)
{
    if (!value) {
        return;
    }
    buf_puts(body, body->len > 0 ? "," : "{");
    json_put_string(body, name);
    buf_putc(body, ':');
    json_put_string(body, value);
}

static bool make_ticket(const struct ask *ask, struct buf *body)
{
    if (ask->file) {
        return read_all(ask->file, body);
    }
    put_member(body, "subject", ask->subject);
    put_member(body, "description", ask->text);
    put_member(body, "customer_external_id", ask->customer ? ask->customer : "anonymous");
    put_member(body, "channel", "web");
    put_member(body, "priority", ask->priority);
    put_member(body, "locale", ask->locale);
    buf_putc(body, '}');
    return true;
}

/* Writes what a view made; false when `shown` says that there is nothing to view. */
static bool print_view(FILE *file, const struct buf *out, bool shown)
{
    if (shown) {
        fwrite(buf_text(out), 1, out->len, file);
    }
    fflush(file);
    return shown;
}

static int show_json(const struct http_fetch_result *result)
{
    struct buf out;
    buf_init(&out, ASK_MAX_OUTPUT);
    term_clean(&out, buf_text(&result->body)); /* of JSON it takes only what a terminal would obey */
    buf_putc(&out, '\n');
    print_view(stdout, &out, true);
    buf_fini(&out);
    return result->status == 200 || result->status == 202 ? 0 : 1;
}

static int show_result(const struct http_fetch_result *result, const char *url)
{
    cJSON *body = json_parse(buf_text(&result->body), result->body.len, NULL);
    bool good = result->status == 200 || result->status == 202;
    FILE *file = good ? stdout : stderr;
    struct buf out;
    buf_init(&out, ASK_MAX_OUTPUT);
    struct term term = term_for(file, &out);
    bool shown = true;
    if (result->status == 200) {
        shown = answer_view(&term, body);
    } else if (result->status == 202) {
        answer_view_accepted(&term, body, url, result->location);
    } else {
        answer_view_problem(&term, result->status, body, result->correlation_id);
    }
    if (!print_view(file, &out, shown)) {
        cmd_fail(1, "ask", "%s answered 200, but not with a ticket's answer", url);
    }
    buf_fini(&out);
    cJSON_Delete(body);
    return good && shown ? 0 : 1;
}

static int send_ticket(const struct ask *ask, const struct buf *body)
{
    static const char *const headers[] = {
        "Content-Type: application/json", "Accept: application/json, application/problem+json", NULL};
    char url[CMD_URL_SIZE];
    char address[CMD_URL_SIZE + sizeof(ASK_PATH)];
    if (!cmd_gateway_url(ask->url, url)) {
        return 2;
    }
    snprintf(address, sizeof(address), "%s%s", url, ASK_PATH);
    struct http_fetch_request request = {.method = "POST",
        .url = address,
        .headers = headers,
        .body = buf_text(body),
        .body_len = body->len,
        .timeout_ms = ASK_TIMEOUT_MS};
    struct http_fetch_result result;
    struct error err = {0};
    int code;
    if (!http_fetch(&request, &result, &err)) {
        code = cmd_fail(1, "ask", "%s: %s", url, err.text);
    } else if (ask->json) {
        code = show_json(&result);
    } else {
        code = show_result(&result, url);
    }
    http_fetch_result_fini(&result);
    return code;
}

static int render_input(void)
{
    struct http_fetch_result result = {.status = 200};
    struct error err = {0};
    struct buf out;
    buf_init(&result.body, ASK_MAX_INPUT);
    buf_init(&out, ASK_MAX_OUTPUT);
    int code = 1;
    if (read_all("-", &result.body)) {
        cJSON *answer = json_parse(buf_text(&result.body), result.body.len, &err);
        struct term term = term_for(stdout, &out);
        if (!answer) {
            cmd_fail(1, "ask", "standard input is not JSON: %s", err.text);
        } else if (!print_view(stdout, &out, answer_view(&term, answer))) {
            cmd_fail(1, "ask", "standard input is not an answer of %s", ASK_PATH);
        } else {
            code = 0;
        }
        cJSON_Delete(answer);
    }
    buf_fini(&out);
    buf_fini(&result.body);
    return code;
}

int cmd_ask(int argc, char **argv)
{
    struct ask ask = {0};
    int code = read_arguments(argc, argv, &ask);
    if (code >= 0) {
        return code;
    }
    if (ask.render) {
        return render_input();
    }
    struct buf body;
    buf_init(&body, ASK_MAX_INPUT);
    code = make_ticket(&ask, &body) ? send_ticket(&ask, &body) : 1;
    buf_fini(&body);
    return code;
}
