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

struct http_call_request {
    const char *method;
    const char *url;            /* http or https; redirects are not followed */
    const char *const *headers; /* "Name: value" without line breaks, NULL-terminated; NULL: none */
    const void *body;           /* NULL: none */
    size_t body_len;
    int64_t timeout_ms; /* for all of it, connecting included; 0: HTTP_CALL_TIMEOUT_MS */
    size_t max_body;    /* of the answer, above 0 */
};

struct http_call_result {
    int status;
    struct buf body;
    int64_t retry_after_ms; /* Retry-After (RFC 9110, 10.2.3), seconds or date, at most a day; 0: none */
    /* x-amzn-ErrorType, by which AWS names what is wrong; "" when there is none, or a longer one. */
    char error_type[HTTP_ERROR_TYPE_MAX];
    int64_t input_tokens; /* X-Amzn-Bedrock-Input-Token-Count; 0: none */
};

/* `err` NULL: the server answered, with whatever status; `result` is borrowed until this returns. Else
 * `result` is NULL and nothing of an answer is kept: ERROR_RETRY "connect_failed" (nothing was sent),
 * "timeout", "connection_broken" (the server may have done the work); ERROR_REJECT "bad_url", "too_large".
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

#endif
