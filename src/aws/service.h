/* A service of AWS that is called with JSON: signed calls, several at once.
 * https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html */
#ifndef HELPDESK_AWS_SERVICE_H
#define HELPDESK_AWS_SERVICE_H

#include "base/error.h"
#include "http/call.h"
#include "loop/loop.h"

struct aws_service_kind {
    const char *name;         /* as it is signed, and in host names: "sqs" */
    const char *endpoint_id;  /* in variables: "SQS" of AWS_ENDPOINT_URL_SQS */
    const char *content_type; /* the protocol's version: "application/x-amz-json-1.0" */
};

struct aws_service;
struct aws_service_call;

/* `err` NULL: the service answered, with whatever status; `result` is borrowed until this returns. Else
 * `result` is NULL and the error is that of aws_credentials_get, aws_endpoint_find or http_call_done. May
 * start and cancel calls; must not free the service. */
typedef void aws_service_done(void *arg, const struct http_call_result *result, const struct error *err);

/* All on the loop's thread. `kind` is borrowed for ever, `region` copied. */
struct aws_service *aws_service_new(
    struct loop *loop, const struct aws_service_kind *kind, const char *region);
/* Calls under way are dropped. Not from inside `done`. Before loop_free. NULL is fine. */
void aws_service_free(struct aws_service *service);

struct aws_service_request {
    const char *target; /* "AmazonSQS.ReceiveMessage" */
    const char *body;   /* JSON */
    size_t body_len;
    int64_t timeout_ms;
    size_t max_body; /* of the answer */
};

/* Everything is copied. `done` is called once: inside this call when no credentials can be had (then NULL is
 * returned), else later. */
struct aws_service_call *aws_service_start(struct aws_service *service,
    const struct aws_service_request *request, aws_service_done *done, void *arg);
void aws_service_cancel(struct aws_service_call *call); /* `done` is not called */

#endif
