/* Answers: the status line and headers, JSON, problem documents (RFC 9457), and their metrics. */
#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "http/internal.h"

#define PROBLEM_MAX (64 * 1024)
#define HEADER_VALUE_MAX 2048

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } table[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {302, "Found"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].status == status) {
            return table[i].text;
        }
    }
    return status < 400 ? "Success" : "Error";
}

void http_stats_init(struct http_stats *stats, const char *server, const char *route)
{
    char labels[256];
    snprintf(labels, sizeof(labels), "server=\"%s\",route=\"%s\"", server, route);
    stats->server = server;
    stats->route = route;
    stats->seconds =
        metrics_histogram("helpdesk_http_request_seconds", "Time from a whole request to its answer", labels);
}

void http_stats_count(struct http_stats *stats, int status, double seconds)
{
    metric_observe(stats->seconds, seconds);
    size_t i = 0;
    while (i < stats->count && stats->by_status[i].status != status) {
        i++;
    }
    if (i == HTTP_STATUSES_MAX) {
        return;
    }
    if (i == stats->count) {
        char labels[256];
        snprintf(labels, sizeof(labels), "server=\"%s\",route=\"%s\",status=\"%d\"", stats->server,
            stats->route, status);
        stats->by_status[i].status = status;
        stats->by_status[i].requests =
            metrics_counter("helpdesk_http_requests_total", "Requests answered", labels);
        stats->count++;
    }
    metric_add(stats->by_status[i].requests, 1);
}

/* Values may carry a client's words: control characters would end the header. */
void http_response_header(struct http_request *request, const char *name, const char *value)
{
    struct buf *headers = &request->headers;
    size_t len = utf8_clip(value, HEADER_VALUE_MAX);
    if (headers->len + strlen(name) + len + 4 > headers->max) {
        log_warn("header left out of an answer: no room", LOG_STR("header", name));
        return;
    }
    buf_printf(headers, "%s: ", name);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        buf_putc(headers, c < ' ' || c == 0x7f ? ' ' : (char)c);
    }
    buf_puts(headers, "\r\n");
}

static const char *date_now(struct http_server *server)
{
    time_t now = time(NULL);
    if (now != server->date_at) {
        struct tm utc;
        gmtime_r(&now, &utc);
        strftime(server->date, sizeof(server->date), "%a, %d %b %Y %H:%M:%S GMT", &utc);
        server->date_at = now;
    }
    return server->date;
}

static void write_answer(struct http_request *request, int status, const char *content_type, const char *body,
    size_t len, bool keep)
{
    const struct http_reader *reader = &request->reader;
    bool refused = reader->state == HTTP_READER_REFUSED;
    bool bodiless = status == 204 || status == 304;
    bool is_head = !refused && strcmp(http_reader_method(reader), "HEAD") == 0;
    const char *connection =
        keep ? (reader->http_1_0 ? "Connection: keep-alive\r\n" : "") : "Connection: close\r\n";
    struct evbuffer *out = bufferevent_get_output(request->conn->bev);
    evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n%sX-Correlation-Id: %s\r\n", status,
        http_status_text(status), date_now(request->server), connection, request->correlation_id);
    if (!bodiless) {
        evbuffer_add_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type, len);
    }
    evbuffer_add(out, buf_text(&request->headers), request->headers.len);
    evbuffer_add(out, "\r\n", 2);
    if (!bodiless && !is_head) {
        evbuffer_add(out, body, len);
    }
}

void http_respond(
    struct http_request *request, int status, const char *content_type, const char *body, size_t len)
{
    struct http_conn *conn = request->conn;
    bool keep = request->reader.state == HTTP_READER_DONE && http_reader_keep_alive(&request->reader) &&
                !request->server->draining;
    if (conn) {
        write_answer(request, status, content_type, body, len, keep);
    }
    double seconds = (double)(clock_mono_us() - request->arrived_us) / 1e6;
    http_stats_count(request->stats, status, seconds);
    log_debug("request answered", LOG_STR("server", request->server->name),
        LOG_STR("route", request->stats->route), LOG_INT("status", status), LOG_NUM("seconds", seconds),
        LOG_STR("correlation_id", request->correlation_id));
    http_request_free(request);
    if (conn) {
        http_conn_answered(conn, keep);
    }
}

void http_respond_json(struct http_request *request, int status, const char *json)
{
    http_respond(request, status, "application/json", json, strlen(json));
}

static void respond_problem(struct http_request *request, int status, const char *detail,
    const struct http_field_error *errors, size_t count)
{
    const char *title = http_status_text(status);
    struct buf out;
    buf_init(&out, PROBLEM_MAX);
    buf_puts(&out, "{\"type\":\"about:blank\",\"title\":");
    json_put_string(&out, title);
    buf_printf(&out, ",\"status\":%d,\"detail\":", status);
    json_put_string(&out, detail);
    buf_puts(&out, ",\"correlation_id\":");
    json_put_string(&out, request->correlation_id);
    buf_puts(&out, ",\"error\":");
    json_put_string(&out, title);
    buf_puts(&out, ",\"message\":");
    json_put_string(&out, detail);
    for (size_t i = 0; i < count; i++) {
        buf_puts(&out, i == 0 ? ",\"errors\":[{\"pointer\":" : ",{\"pointer\":");
        json_put_string(&out, errors[i].pointer);
        buf_puts(&out, ",\"detail\":");
        json_put_string(&out, errors[i].detail);
        buf_puts(&out, i + 1 == count ? "}]" : "}");
    }
    buf_putc(&out, '}');
    http_respond(request, status, "application/problem+json", buf_text(&out), out.len);
    buf_fini(&out);
}

void http_respond_problem(struct http_request *request, int status, const char *detail)
{
    respond_problem(request, status, detail, NULL, 0);
}

void http_respond_invalid(struct http_request *request, const struct http_field_error *errors, size_t count)
{
    const char *detail = "The request is not valid.";
    if (count > 0 && errors[0].pointer[0] == '\0') { /* the body as a whole */
        detail = errors[0].detail;
    } else if (count > 0) {
        detail = arena_printf(request->arena, "%s: %s", errors[0].pointer, errors[0].detail);
    }
    respond_problem(request, 400, detail, errors, count);
}

void http_respond_retry(struct http_request *request, int status, const char *detail, int retry_after_s)
{
    http_response_header(request, "Retry-After", arena_printf(request->arena, "%d", retry_after_s));
    http_respond_problem(request, status, detail);
}
