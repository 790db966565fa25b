/* Credentials, a signature, the call. */
#include "aws/service.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "aws/credentials.h"
#include "aws/endpoint.h"
#include "base/alloc.h"
#include "base/arena.h"
#include "base/clock.h"

LIST_HEAD(aws_service_calls, aws_service_call);

struct aws_service {
    const struct aws_service_kind *kind;
    char *region;
    struct aws_credentials *credentials;
    struct http_calls *calls;
    struct aws_service_calls open;
};

struct aws_service_call {
    LIST_ENTRY(aws_service_call) link;
    struct aws_service *service;
    struct arena *arena; /* of all that the call needs */
    struct aws_service_request request;
    struct aws_credentials_wait *wait;
    struct http_call *call;
    bool starting; /* inside aws_service_start */
    bool over;
    aws_service_done *done;
    void *arg;
};

struct aws_service *aws_service_new(
    struct loop *loop, const struct aws_service_kind *kind, const char *region)
{
    struct aws_service *service = xcalloc(1, sizeof(*service));
    service->kind = kind;
    service->region = xstrdup(region);
    service->credentials = aws_credentials_new(loop);
    service->calls = http_calls_new(loop);
    return service;
}

static void call_free(struct aws_service_call *call)
{
    LIST_REMOVE(call, link);
    arena_free(call->arena);
    free(call);
}

void aws_service_cancel(struct aws_service_call *call)
{
    if (call->wait) {
        aws_credentials_wait_cancel(call->wait);
    }
    if (call->call) {
        http_call_cancel(call->call);
    }
    call_free(call);
}

void aws_service_free(struct aws_service *service)
{
    if (!service) {
        return;
    }
    for (struct aws_service_call *call = LIST_FIRST(&service->open), *next; call; call = next) {
        next = LIST_NEXT(call, link);
        aws_service_cancel(call);
    }
    aws_credentials_free(service->credentials);
    http_calls_free(service->calls);
    free(service->region);
    free(service);
}

static void end(struct aws_service_call *call, const struct http_call_result *result, const struct error *err)
{
    call->done(call->arg, result, err);
    call->over = true;
    if (!call->starting) {
        call_free(call);
    }
}

static void on_called(void *arg, const struct http_call_result *result, const struct error *err)
{
    struct aws_service_call *call = arg;
    call->call = NULL;
    end(call, result, err);
}

static void send_signed(struct aws_service_call *call, const struct sigv4_credentials *credentials,
    const struct aws_endpoint *endpoint)
{
    const struct aws_service *service = call->service;
    const char *type = service->kind->content_type, *target = call->request.target;
    char hash[SIGV4_HEX_SIZE];
    sigv4_hash(call->request.body, call->request.body_len, hash);
    const struct sigv4_header signed_headers[] = {
        {"Host", endpoint->host}, {"Content-Type", type}, {"X-Amz-Target", target}};
    const struct sigv4_request request = {.method = "POST",
        .path = endpoint->path,
        .query = "",
        .headers = signed_headers,
        .header_count = 3,
        .payload_hash = hash,
        .region = service->region,
        .service = service->kind->name,
        .wall_ms = clock_wall_ms()};
    struct sigv4_signature signature;
    bool ok = sigv4_sign(call->arena, credentials, &request, &signature);
    assert(ok); /* three headers and no query */
    (void)ok;
    const char *const headers[] = {arena_printf(call->arena, "Host: %s", endpoint->host),
        arena_printf(call->arena, "Content-Type: %s", type),
        arena_printf(call->arena, "X-Amz-Target: %s", target), signature.date, signature.authorization,
        signature.security_token, NULL};
    const struct http_call_request http = {.method = "POST",
        .url = endpoint->url,
        .headers = headers,
        .body = call->request.body,
        .body_len = call->request.body_len,
        .timeout_ms = call->request.timeout_ms,
        .max_body = call->request.max_body};
    call->call = http_call_start(service->calls, &http, on_called, call);
}

static void on_credentials(void *arg, const struct sigv4_credentials *credentials, const struct error *err)
{
    struct aws_service_call *call = arg;
    const struct aws_service *service = call->service;
    struct aws_endpoint endpoint;
    struct error why = {0};
    call->wait = NULL;
    if (!credentials) {
        end(call, NULL, err);
    } else if (!aws_endpoint_find(call->arena, service->kind->endpoint_id, service->kind->name,
                   service->region, &endpoint, &why)) {
        end(call, NULL, &why);
    } else {
        send_signed(call, credentials, &endpoint);
    }
}

struct aws_service_call *aws_service_start(
    struct aws_service *service, const struct aws_service_request *request, aws_service_done *done, void *arg)
{
    struct aws_service_call *call = xcalloc(1, sizeof(*call));
    call->service = service;
    call->arena = arena_new(0);
    call->request = *request;
    call->request.target = arena_strdup(call->arena, request->target);
    call->request.body = arena_strndup(call->arena, request->body, request->body_len);
    call->done = done;
    call->arg = arg;
    LIST_INSERT_HEAD(&service->open, call, link);
    call->starting = true;
    call->wait = aws_credentials_get(service->credentials, on_credentials, call);
    call->starting = false;
    if (call->over) {
        call_free(call);
        return NULL;
    }
    return call;
}
