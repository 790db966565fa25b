/* HTTP calls on the loop, thousands in flight: libcurl's multi interface driven by the loop's events. */
#ifndef HELPDESK_HTTP_CALL_H
#define HELPDESK_HTTP_CALL_H

#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/error.h"
#include "loop/loop.h"

#define HTTP_CALL_TIMEOUT_MS 30000 /* when a request names none */
#define HTTP_ERROR_TYPE_MAX 128

/* The calls of one loop, and the connections they leave open for each other. */
struct http_calls;
/* A call under way: from http_call_start until `done` is called or it is cancelled. */
struct http_call;

/* Where a call may lead, after its host's name was resolved. With a proxy in the environment the address is
 * the proxy's, which the operator has chosen: then HTTP_REACH_PUBLIC is HTTP_REACH_NO_METADATA. */
enum http_reach {
    HTTP_REACH_ANY,
    HTTP_REACH_NO_METADATA, /* not where clouds tell a machine its credentials: 169.254.0.0/16, fe80::/10,
                             * fd00:ec2::254, 100.100.100.200 */
    HTTP_REACH_PUBLIC,      /* nor to this machine or a private network */
};

struct http_call_request {
    const char *method;
    const char *url;            /* http or https; redirects are not followed */
    const char *const *headers; /* "Name: value" without line breaks, NULL-terminated; NULL: none */
    const void *body;           /* NULL: none */
    size_t body_len;
    int64_t timeout_ms; /* for all of it, connecting included; 0: HTTP_CALL_TIMEOUT_MS */
    size_t max_body;    /* of the answer, above 0 */
    enum http_reach reach;
};

struct http_call_result {
    int status;
    struct buf body;
    int64_t retry_after_ms; /* Retry-After (RFC 9110, 10.2.3), seconds or date, at most a day; 0: none */
    /* x-amzn-ErrorType, by which AWS names what is wrong; "" when there is none, or a longer one. */
    char error_type[HTTP_ERROR_TYPE_MAX];
    struct http_call *call; /* for http_call_header */
};

/* `err` NULL: the server answered, with whatever status; `result` is borrowed until this returns. Else
 * `result` is NULL and nothing of an answer is kept: ERROR_RETRY "connect_failed" (nothing was sent),
 * "timeout", "connection_broken" (the server may have done the work); ERROR_REJECT "bad_url", "too_large",
 * "address_refused" (out of the request's reach).
 * May start and cancel calls; must not free the pool. */
typedef void http_call_done(void *arg, const struct http_call_result *result, const struct error *err);

/* All on the loop's thread. */
struct http_calls *http_calls_new(struct loop *loop);
/* Calls under way are dropped: `done` is not called. Before loop_free. NULL is fine. */
void http_calls_free(struct http_calls *calls);

/* Everything of `request` is copied. `done` is called once, never inside this call. */
struct http_call *http_call_start(
    struct http_calls *calls, const struct http_call_request *request, http_call_done *done, void *arg);
void http_call_cancel(struct http_call *call); /* `done` is not called */

/* The answer's header of that name in `out`, "" when there is none or it does not fit. Inside `done` only. */
void http_call_header(const struct http_call_result *result, const char *name, char *out, size_t size);

#endif
