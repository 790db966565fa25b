/* Encodes a record, gives it its key and headers, and hands it to the producer. */
#include "gateway/publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "bus/topics.h"
#include "stages/ticket_event.h"

#define RECORD_OVERHEAD 1024 /* key, headers and framing, which count against the topic's limit */

static struct bus_header header(const char *name, const char *value)
{
    return (struct bus_header){.name = name, .value = value, .len = strlen(value)};
}

static bool publish(struct gateway *gateway, struct bus_record *record, const struct msg_type *type,
    const void *message, const char *key, bus_delivered *done, void *arg, struct error *err)
{
    struct buf value;
    buf_init(&value, MSG_MAX_RECORD + 64);
    bool ok = msg_encode(type, message, &value, err);
    if (ok && value.len + RECORD_OVERHEAD > (size_t)bus_topic_find(record->topic)->max_bytes) {
        ok = error_set(err, ERROR_REJECT, "record_too_large", "%zu bytes are more than %s takes", value.len,
            record->topic);
    }
    if (ok) {
        record->partition = -1;
        record->key = key;
        record->key_len = strlen(key);
        record->value = value.data;
        record->value_len = value.len;
        gateway_produce(gateway, record, done, arg);
    }
    buf_fini(&value);
    return ok;
}

static const char *first_topic(const struct msg_ticket_event *event)
{
    switch (event->plan[0]) {
    case MSG_STEP_CLASSIFY:
        return TOPIC_SUBMITTED;
    case MSG_STEP_RETRIEVE:
        return TOPIC_CLASSIFIED;
    case MSG_STEP_GENERATE:
        return TOPIC_ENRICHED;
    }
    return TOPIC_SUBMITTED;
}

bool publish_event(struct gateway *gateway, const struct msg_ticket_event *event, bus_delivered *done,
    void *arg, struct error *err)
{
    char key[1024]; /* a tenant's name is short, and a ticket id has at most 128 characters of 4 bytes */
    char reply_to[16];
    char deadline_at[32];
    snprintf(key, sizeof key, "%s/%s", event->tenant, event->ticket.ticket_id);
    snprintf(reply_to, sizeof reply_to, "%d", event->reply_to);
    snprintf(deadline_at, sizeof deadline_at, "%" PRId64, event->deadline_at);
    const struct bus_header headers[] = {
        header("correlation-id", event->correlation_id), header("event-id", event->event_id),
        header("tenant", event->tenant), header("kind", msg_kind_name(event->kind)),
        header("state", msg_state_name(event->state)), header("content-type", msg_content_type()),
        header("reply-to", reply_to), header("priority", msg_priority_name(ticket_event_priority(event))),
        header("deadline-at", deadline_at), /* the last: not every event has one */
    };
    size_t count = sizeof headers / sizeof headers[0];
    struct bus_record record = {.topic = first_topic(event),
        .headers = headers,
        .header_count = event->has_deadline_at ? count : count - 1};
    return publish(gateway, &record, &msg_ticket_event, event, key, done, arg, err);
}

bool publish_record(struct gateway *gateway, const char *topic, const struct msg_type *type,
    const void *message, const char *key, const char *correlation_id, bus_delivered *done, void *arg,
    struct error *err)
{
    const struct bus_header headers[] = {
        header("correlation-id", correlation_id),
        header("tenant", gateway->tenant),
        header("content-type", msg_content_type()),
    };
    struct bus_record record = {
        .topic = topic, .headers = headers, .header_count = sizeof headers / sizeof headers[0]};
    return publish(gateway, &record, type, message, key, done, arg, err);
}
