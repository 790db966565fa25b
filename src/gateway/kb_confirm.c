/* Confirms the subscription of an SNS topic to /kb/events, which SNS asks of an address before it sends to
 * it. The topic's region is asked at an address made here of the topic's name: where the message says to go
 * (its SubscribeURL) nobody goes. https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html */
#include "aws/endpoint.h"
#include "aws/sigv4.h"
#include "base/log.h"
#include "gateway/internal.h"
#include "http/call.h"

#define TIMEOUT_MS 10000 /* SNS itself waits 15 s for the answer */
#define ANSWER_MAX ((size_t)64 * 1024)

struct confirming { /* in the request's arena */
    struct http_request *request;
    const struct kb_events *events;
};

static void refused(const struct confirming *confirming, const char *why)
{
    struct http_field_error error = {"", arena_printf(http_request_arena(confirming->request),
                                             "SNS does not confirm the subscription: %s", why)};
    http_respond_invalid(confirming->request, &error, 1);
}

static void on_answer(void *arg, const struct http_call_result *result, const struct error *err)
{
    const struct confirming *confirming = arg;
    int status = result ? result->status : 0;
    if (status == 200) {
        log_info(
            "subscription of a topic to /kb/events confirmed", LOG_STR("topic", confirming->events->confirm));
        kb_events_count("confirmed", 1);
        http_respond_json(confirming->request, 200, "{\"status\":\"confirmed\"}");
        return;
    }
    log_warn("subscription of a topic to /kb/events is not confirmed",
        LOG_STR("topic", confirming->events->confirm), LOG_INT("status", status),
        LOG_STR("why", err ? err->text : ""));
    kb_events_count("unconfirmed", 1);
    if (status >= 400 && status < 500) {
        refused(confirming, "it does not take the token");
    } else { /* SNS asks again */
        struct error away;
        error_set(&away, ERROR_RETRY, "sns_unavailable", "SNS does not answer");
        request_fail(confirming->request, &away);
    }
}

void kb_confirm(struct gateway *gateway, struct http_request *request, const struct kb_events *events)
{
    struct arena *arena = http_request_arena(request);
    struct confirming *confirming = ARENA_NEW(arena, struct confirming);
    struct aws_endpoint endpoint;
    struct error err;
    *confirming = (struct confirming){request, events};
    if (!aws_endpoint_find(arena, "SNS", "sns", events->confirm_region, &endpoint, &err)) {
        request_fail(request, &err);
        return;
    }
    const struct http_call_request ask = {
        .method = "GET",
        .url = arena_printf(arena, "%s?Action=ConfirmSubscription&Token=%s&TopicArn=%s&Version=2010-03-31",
            endpoint.url, sigv4_encode(arena, events->confirm_token), sigv4_encode(arena, events->confirm)),
        .timeout_ms = TIMEOUT_MS,
        .max_body = ANSWER_MAX,
        .reach = HTTP_REACH_NO_METADATA, /* a private address may be that of a VPC's endpoint */
    };
    http_call_start(gateway->calls, &ask, on_answer, confirming);
}
