/* Key, headers and topic of a ticket event. */
#include "stages/ticket_record.h"

#include <inttypes.h>
#include <string.h>
#include "bus/topics.h"
#include "stages/ticket_event.h"

#define HEADERS_MAX 9

static const char *first_topic(const struct msg_ticket_event *event)
{
    switch (event->plan_count ? event->plan[0] : MSG_STEP_CLASSIFY) {
    case MSG_STEP_CLASSIFY:
        return TOPIC_SUBMITTED;
    case MSG_STEP_RETRIEVE:
        return TOPIC_CLASSIFIED;
    case MSG_STEP_GENERATE:
        return TOPIC_ENRICHED;
    }
    return TOPIC_SUBMITTED;
}

static void add_header(
    struct bus_record *record, struct bus_header *headers, const char *name, const char *value)
{
    headers[record->header_count++] = (struct bus_header){.name = name, .value = value, .len = strlen(value)};
}

/* Copies of what the record says, for those who must route without decoding. */
static void add_headers(struct arena *arena, const struct msg_ticket_event *event, struct bus_record *record)
{
    struct bus_header *headers = arena_array(arena, HEADERS_MAX, sizeof(*headers));
    record->headers = headers;
    add_header(record, headers, "correlation-id", event->correlation_id);
    add_header(record, headers, "event-id", event->event_id);
    add_header(record, headers, "tenant", event->tenant);
    add_header(record, headers, "kind", msg_kind_name(event->kind));
    add_header(record, headers, "state", msg_state_name(event->state));
    add_header(record, headers, "content-type", msg_content_type());
    add_header(record, headers, "priority", msg_priority_name(ticket_event_priority(event)));
    if (event->has_reply_to) {
        add_header(record, headers, "reply-to", arena_printf(arena, "%d", event->reply_to));
    }
    if (event->has_deadline_at) {
        add_header(record, headers, "deadline-at", arena_printf(arena, "%" PRId64, event->deadline_at));
    }
}

bool ticket_record_make(
    struct arena *arena, const struct msg_ticket_event *event, struct bus_record *out, struct error *err)
{
    struct buf value;
    const char *key = arena_printf(arena, "%s/%s", event->tenant, event->ticket.ticket_id);
    *out =
        (struct bus_record){.topic = first_topic(event), .partition = -1, .key = key, .key_len = strlen(key)};
    buf_init(&value, MSG_MAX_RECORD + 64);
    bool ok = msg_encode(&msg_ticket_event, event, &value, err);
    if (ok && value.len + TICKET_RECORD_OVERHEAD > (size_t)bus_topic_find(out->topic)->max_bytes) {
        ok = error_set(
            err, ERROR_REJECT, "record_too_large", "%zu bytes are more than %s takes", value.len, out->topic);
    }
    if (ok) {
        void *copy = arena_alloc(arena, value.len);
        memcpy(copy, value.data, value.len);
        out->value = copy;
        out->value_len = value.len;
        add_headers(arena, event, out);
    }
    buf_fini(&value);
    return ok;
}
