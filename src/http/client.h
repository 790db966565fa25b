/* A small blocking HTTP client (libcurl) for our own commands. */
#ifndef HELPDESK_HTTP_CLIENT_H
#define HELPDESK_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/error.h"

#define HTTP_FETCH_MAX_BODY (4 * 1024 * 1024)

struct http_fetch_request {
    const char *method;
    const char *url;            /* http or https; redirects are not followed */
    const char *const *headers; /* "Name: value", NULL-terminated; NULL: none */
    const char *body;           /* NULL: none */
    size_t body_len;
    int64_t timeout_ms; /* for all of it; 0: HTTP_CALL_TIMEOUT_MS */
};

struct http_fetch_result {
    int status;
    struct buf body;         /* at most HTTP_FETCH_MAX_BODY */
    char location[512];      /* Location header, "" if none */
    char correlation_id[64]; /* X-Correlation-Id header, "" if none */
};

/* Any thread; blocks. False: the errors of http_call_done (http/call.h). The caller ends with
 * http_fetch_result_fini in either case. */
bool http_fetch(
    const struct http_fetch_request *request, struct http_fetch_result *result, struct error *err);
void http_fetch_result_fini(struct http_fetch_result *result);

#endif
