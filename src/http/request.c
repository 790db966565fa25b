/* A request: made when its first byte comes, routed when it is whole, read by its handler. */
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "http/internal.h"

#define ANSWER_HEADERS_MAX 8192

struct http_request *http_request_new(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    struct http_request *request = xcalloc(1, sizeof(*request));
    request->server = server;
    request->conn = conn;
    http_reader_init(&request->reader, server->options.max_body);
    buf_init(&request->headers, ANSWER_HEADERS_MAX);
    TAILQ_INSERT_TAIL(&server->requests, request, link);
    server->request_count++;
    return request;
}

void http_request_free(struct http_request *request)
{
    TAILQ_REMOVE(&request->server->requests, request, link);
    request->server->request_count--;
    request->server->arriving -= request->arriving;
    if (request->conn) {
        request->conn->request = NULL;
    }
    http_reader_fini(&request->reader);
    buf_fini(&request->headers);
    arena_free(request->arena);
    free(request);
}

/* Finds the route and decodes what the target says; the status that answers the request, 200 when a handler
 * does. */
static int request_route(struct http_request *request)
{
    struct http_server *server = request->server;
    const struct http_reader *reader = &request->reader;
    http_router_match(server->options.routes, http_reader_method(reader), http_reader_path(reader),
        request->arena, &request->match);
    if (request->match.status != 200) {
        return request->match.status;
    }
    request->stats = &server->stats[request->match.route - server->options.routes];
    const char *query = http_reader_query(reader);
    bool decoded = !query || uri_parse_query(request->arena, query, &request->query, &request->query_count);
    return decoded ? 200 : 400;
}

void http_request_dispatch(struct http_request *request)
{
    struct http_server *server = request->server;
    const struct http_reader *reader = &request->reader;
    request->arena = arena_new(0);
    request->arrived_us = clock_mono_us();
    request->arrived_ms = request->arrived_us / 1000;
    uuid_v7(request->correlation_id);
    if (reader->state == HTTP_READER_REFUSED) {
        request->stats = &server->stats[server->route_count + 1];
        if (reader->status == 503) {
            http_respond_retry(request, 503, reader->why, 1);
        } else {
            http_respond_problem(request, reader->status, reader->why);
        }
        return;
    }
    request->stats = &server->stats[server->route_count];
    switch (request_route(request)) {
    case 200:
        request->match.route->handle(request, server->options.arg);
        return;
    case 405:
        http_response_header(request, "Allow", request->match.allow);
        http_respond_problem(
            request, 405, "This path does not take this method; the Allow header names those it takes.");
        return;
    case 400:
        http_respond_problem(request, 400, "The path or the query is not valid percent-encoded UTF-8.");
        return;
    default:
        http_respond_problem(request, 404, "There is nothing at this path.");
        return;
    }
}

struct arena *http_request_arena(struct http_request *request)
{
    return request->arena;
}

const char *http_request_param(struct http_request *request, const char *name)
{
    return http_match_param(&request->match, name);
}

const char *http_request_query(struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->query_count; i++) {
        if (strcmp(request->query[i].name, name) == 0) {
            return request->query[i].value;
        }
    }
    return NULL;
}

/* Several lines of one header are one list (RFC 9110 section 5.3). */
const char *http_request_header(struct http_request *request, const char *name)
{
    size_t from = 0;
    const char *value = http_reader_header(&request->reader, name, &from);
    const char *more;
    while (value && (more = http_reader_header(&request->reader, name, &from))) {
        value = arena_printf(request->arena, "%s, %s", value, more);
    }
    return value;
}

const char *http_request_body(struct http_request *request, size_t *len)
{
    *len = request->reader.body.len;
    return buf_text(&request->reader.body);
}

const char *http_request_correlation_id(struct http_request *request)
{
    return request->correlation_id;
}

void http_request_set_correlation_id(struct http_request *request, const char *id)
{
    size_t used = 0;
    for (; id[used] && used < HTTP_CORRELATION_MAX; used++) {
        request->correlation_id[used] = id[used] > ' ' && id[used] < 0x7f ? id[used] : '_';
    }
    request->correlation_id[used] = '\0';
}

int64_t http_request_arrived_ms(struct http_request *request)
{
    return request->arrived_ms;
}

void http_request_on_abort(struct http_request *request, void (*fn)(void *arg), void *arg)
{
    request->on_abort = fn;
    request->on_abort_arg = arg;
}
