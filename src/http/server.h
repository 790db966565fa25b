/* A strict HTTP/1.1 server on the loop: our own request reader on libevent's bufferevents. It refuses what
 * smuggling is made of (duplicate Content-Length, Host or Transfer-Encoding, any Transfer-Encoding on a
 * request, bare LF, folded headers, NUL; RFC 9112 sections 2.2, 5.2, 6.3, 11.2), and has an absolute deadline
 * for reading each request. */
#ifndef HELPDESK_HTTP_SERVER_H
#define HELPDESK_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/error.h"
#include "loop/loop.h"

struct http_server;
struct http_request; /* one exchange: lives until it was answered and its bytes were handed to the socket */

/* A path pattern has literal segments and {name} segments: "/tickets/{ticket_id}/feedback". A literal wins
 * over a name. */
struct http_route {
    const char *method;
    const char *pattern;
    void (*handle)(struct http_request *request, void *arg);
};

struct http_server_options {
    const char *name; /* "gateway", "admin": label of the metrics */
    const char *host;
    int port;                 /* 0 picks a free one */
    size_t max_body;          /* over it: 413 */
    size_t max_arriving;      /* bytes of all bodies that are not whole yet; over it: 503. 0: no bound */
    int64_t read_deadline_ms; /* for a whole request; over it: 408 and the connection is closed */
    const struct http_route *routes; /* ends with a NULL method; borrowed */
    void *arg;                       /* for the handlers */
};

/* Listens and serves, or NULL with ERROR_FATAL "port_busy"/"listen_failed" naming host and port. Unknown
 * paths answer 404, known paths with another method 405 with Allow, HEAD as GET without the body; each as a
 * problem document. Counts helpdesk_http_requests_total{server,route,status} and
 * helpdesk_http_request_seconds{server,route}; `route` is the pattern. */
struct http_server *http_server_new(
    struct loop *loop, const struct http_server_options *options, struct error *err);
int http_server_port(const struct http_server *server);
/* Stops accepting; requests under way are still answered. */
void http_server_drain(struct http_server *server);
size_t http_server_open(const struct http_server *server); /* requests not yet answered */
void http_server_free(struct http_server *server);         /* open requests are dropped */

/* Reading a request; everything borrowed until it is answered. */
struct arena *http_request_arena(struct http_request *request); /* freed with the request */
const char *http_request_param(
    struct http_request *request, const char *name); /* {name}, percent-decoded; NULL if none */
const char *http_request_query(struct http_request *request, const char *name); /* decoded; NULL if absent */
const char *http_request_header(struct http_request *request, const char *name);
const char *http_request_body(struct http_request *request, size_t *len);
const char *http_request_correlation_id(struct http_request *request); /* UUIDv7, minted at arrival */
void http_request_set_correlation_id(
    struct http_request *request, const char *id);             /* copied; echoed in the answer */
int64_t http_request_arrived_ms(struct http_request *request); /* monotonic */

/* The client went away before the answer: `fn` is called once, and the request must still be answered (to
 * nobody), in `fn` or later. A client that closed only its sending side while it waits counts as gone. */
void http_request_on_abort(struct http_request *request, void (*fn)(void *arg), void *arg);

/* Answering, exactly once, on the loop thread, now or later. X-Correlation-Id is added to every answer. */
void http_response_header(struct http_request *request, const char *name, const char *value);
void http_respond(
    struct http_request *request, int status, const char *content_type, const char *body, size_t len);
void http_respond_json(struct http_request *request, int status, const char *json);

/* A problem document (RFC 9457): type, title, status, detail, correlation_id, and the reference's `error` (=
 * title) and `message` (= detail). `detail` is for the client: no internal names. */
struct http_field_error {
    const char *pointer; /* JSON pointer (RFC 6901) */
    const char *detail;  /* what is wrong and what would be right */
};
void http_respond_problem(struct http_request *request, int status, const char *detail);
void http_respond_invalid(
    struct http_request *request, const struct http_field_error *errors, size_t count); /* 400 */
void http_respond_retry(
    struct http_request *request, int status, const char *detail, int retry_after_s); /* 429, 503 */

#endif
