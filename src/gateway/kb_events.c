/* POST /kb/events takes the notifications of object stores and publishes an event each. Whoever sends them
 * knows gateway.kb-events-token; without one the route is not there. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "bus/topics.h"
#include "gateway/internal.h"
#include "gateway/publish.h"
#include "kb/event.h"

#define CREDENTIALS_MAX 1024 /* characters of an Authorization header */

/* In the request's arena; the request is answered when the last event is on the broker, or will never be. */
struct kb_posted {
    struct gateway *gateway;
    struct http_request *request;
    struct kb_events events;
    size_t open; /* events not yet reported, and one while they are handed over */
    struct error err;
};

void kb_events_count(const char *outcome, size_t amount)
{
    char labels[48];
    snprintf(labels, sizeof labels, "outcome=\"%s\"", outcome);
    metric_add(metrics_counter("helpdesk_gateway_kb_events_total",
                   "Events of object stores posted to /kb/events, by what came of them", labels),
        (double)amount);
}

/* ---- who sends it ---- */

static bool is_token(const char *list, const char *given)
{
    size_t given_len = strlen(given);
    bool found = false;
    while (*list) { /* all of them, so that the time does not tell which */
        size_t len = strcspn(list, ",");
        found |= len > 0 && len == given_len && CRYPTO_memcmp(list, given, len) == 0;
        list += len + (list[len] == ',');
    }
    return found;
}

/* The password of basic authentication (RFC 7617), which is all that SNS can send; NULL: malformed. */
static const char *basic_password(struct arena *arena, const char *text)
{
    size_t len = strlen(text);
    unsigned char *decoded = arena_alloc(arena, len + 1);
    int bytes = len % 4 == 0 ? EVP_DecodeBlock(decoded, (const unsigned char *)text, (int)len) : -1;
    if (bytes < 0) {
        return NULL;
    }
    decoded[bytes] = '\0'; /* what '=' fills up decodes to NUL */
    const char *colon = strchr((char *)decoded, ':');
    return colon != NULL ? colon + 1 : NULL;
}

static bool is_allowed(struct gateway *gateway, struct http_request *request)
{
    const char *given = http_request_header(request, "Authorization");
    const char *tokens = conf_text(gateway->conf, CONF_GATEWAY_KB_EVENTS_TOKEN);
    if (given == NULL || strlen(given) > CREDENTIALS_MAX) {
        return false;
    }
    if (!strncasecmp(given, "Basic ", 6)) {
        given = basic_password(http_request_arena(request), given + 6);
    } else {
        given = !strncasecmp(given, "Bearer ", 7) ? given + 7 : NULL;
    }
    return given != NULL && is_token(tokens, given);
}

/* ---- publishing ---- */

static void answer(struct kb_posted *posted)
{
    if (posted->err.disposition != ERROR_NONE) {
        kb_events_count("failed", posted->events.count);
        request_fail(posted->request, &posted->err);
        return;
    }
    kb_events_count("published", posted->events.count);
    http_respond_json(posted->request, 200,
        arena_printf(http_request_arena(posted->request), "{\"published\":%zu,\"ignored\":%zu}",
            posted->events.count, posted->events.ignored));
}

static void event_done(struct kb_posted *posted, const struct error *err)
{
    if (err != NULL && posted->err.disposition == ERROR_NONE) {
        posted->err = *err;
    }
    if (--posted->open == 0) {
        answer(posted);
    }
}

static void delivered(void *arg, const struct error *err)
{
    event_done(arg, err);
}

static void publish_one(struct kb_posted *posted, const struct kb_event *event)
{
    struct error err = {0};
    struct gateway *gateway = posted->gateway;
    struct msg_kb_notification record = {
        .action = event->removed ? MSG_KB_ACTION_REMOVED : MSG_KB_ACTION_CHANGED,
        .tenant = gateway->tenant,
        .source = "",
        .object_key = event->key,
        .bucket = event->bucket,
        .sequencer = event->sequencer,
        .has_happened_at = event->wall_ms > 0,
        .happened_at = event->wall_ms,
    };
    const char *key = arena_printf(http_request_arena(posted->request), "%s/%s", event->bucket, event->key);
    posted->open++;
    if (!publish_record(gateway, TOPIC_KB_NOTIFICATIONS, &msg_kb_notification, &record, key,
            http_request_correlation_id(posted->request), delivered, posted, &err)) {
        event_done(posted, &err);
    }
}

static void publish_all(struct kb_posted *posted)
{
    posted->open = 1;
    for (size_t i = 0; i < posted->events.count; i++) {
        publish_one(posted, &posted->events.items[i]);
    }
    kb_events_count("ignored", posted->events.ignored);
    event_done(posted, NULL);
}

static void refuse(struct http_request *request, const struct error *err)
{
    struct http_field_error error = {"", err->text};
    kb_events_count("refused", 1);
    http_respond_invalid(request, &error, 1);
}

void handle_kb_events(struct http_request *request, void *arg)
{
    struct gateway *gateway = arg;
    struct error err = {0};
    size_t len;
    const char *body = http_request_body(request, &len);
    if (conf_text(gateway->conf, CONF_GATEWAY_KB_EVENTS_TOKEN)[0] == '\0') {
        http_respond_problem(request, 404, "There is nothing at this path.");
        return;
    }
    if (!is_allowed(gateway, request)) {
        kb_events_count("unauthorized", 1);
        /* Those who receive from Amazon SNS say that it shows the password of its address only to who asks
         * for Basic. */
        http_response_header(request, "WWW-Authenticate", "Basic realm=\"kb events\"");
        http_response_header(request, "WWW-Authenticate", "Bearer realm=\"kb events\"");
        http_respond_problem(request, 401,
            "An Authorization header with the token of this route is needed: Bearer, or Basic with it as "
            "password.");
        return;
    }
    struct kb_posted *posted = ARENA_NEW(http_request_arena(request), struct kb_posted);
    *posted = (struct kb_posted){.gateway = gateway, .request = request};
    if (!kb_events_parse(http_request_arena(request), body, len, &posted->events, &err)) {
        refuse(request, &err);
    } else if (posted->events.confirm != NULL && posted->events.count > 0) {
        error_set(&err, ERROR_REJECT, "kb_event", "a confirmation of a subscription must come by itself");
        refuse(request, &err);
    } else if (posted->events.confirm != NULL) {
        kb_confirm(gateway, request, &posted->events);
    } else if (request_check_ready(request)) {
        publish_all(posted);
    }
}
