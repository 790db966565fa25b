/* One place that credentials come from, and the fetch that asks it. Used inside aws only. */
#ifndef HELPDESK_AWS_SOURCE_H
#define HELPDESK_AWS_SOURCE_H

#include <stdbool.h>
#include "aws/answer.h"
#include "base/arena.h"
#include "base/error.h"
#include "http/call.h"

/* How a fetch ends: label of the metric, and code and disposition of the error. */
enum aws_outcome { AWS_OK, AWS_UNAVAILABLE, AWS_LATE, AWS_MISSING, AWS_REFUSED };

struct aws_fetch;

struct aws_source {
    const char *name;   /* "container": label of the metric, field of log lines */
    const char *server; /* who is asked, in errors; NULL: nobody */
    /* False: nothing is configured here, and the next place is asked. Else `fetch` ends once, by
     * aws_fetch_found or aws_fetch_fail, inside this call or later. */
    bool (*start)(struct aws_fetch *fetch);
};

extern const struct aws_source aws_source_environment;
extern const struct aws_source aws_source_web_identity;
extern const struct aws_source aws_source_profile;
extern const struct aws_source aws_source_container;
extern const struct aws_source aws_source_instance;

typedef void aws_fetch_answered(struct aws_fetch *fetch, int status, const char *body, size_t len);

/* From its start to its end; one at a time for each aws_credentials. */
struct aws_fetch {
    struct http_calls *calls;
    struct arena *arena; /* of this fetch */
    const struct aws_source *source;
    struct http_call *call; /* under way; NULL: none */
    aws_fetch_answered *answered;
    const char *const *token; /* of the instance's metadata service: headers with its session token */
    /* `found` is NULL when `err` is not. */
    void (*ended)(
        void *arg, enum aws_outcome outcome, const struct aws_found *found, const struct error *err);
    void *arg;
};

/* Asks the first place that is configured. `ended` may be called inside. */
void aws_fetch_start(struct aws_fetch *fetch);
void aws_fetch_cancel(struct aws_fetch *fetch); /* also of one that has ended */

/* For sources. `answered` is called for any status; no answer at all ends the fetch. */
void aws_fetch_call(struct aws_fetch *fetch, const struct http_call_request *request, int64_t timeout_ms,
    aws_fetch_answered *answered);
void aws_fetch_found(struct aws_fetch *fetch, const struct aws_found *found);
void aws_fetch_fail(struct aws_fetch *fetch, enum aws_outcome outcome, const char *text);
/* Ends with what `status`, which is not 200, means; `code` is what the server calls it, or "". */
void aws_fetch_refused(struct aws_fetch *fetch, int status, const char *code);
/* The text of a small file that the environment names, white space at its end gone; NULL: the fetch ended. */
const char *aws_fetch_read_file(struct aws_fetch *fetch, const char *variable);

/* Where the container's credentials are, by the environment: the address in the arena. NULL with `err`
 * (NULL and ERROR_NONE: not configured). Plain http only to hosts that never leave the machine. */
const char *aws_container_url(struct arena *arena, struct error *err);

#endif
