/* Messages of queues as records. */
#include <string.h>

#include "base/ids.h"
#include "bridge/queue.h"
#include "bus/topics.h"
#include "gateway/ticket_in.h"
#include "kb/event.h"
#include "stages/ticket_event.h"
#include "stages/ticket_record.h"

/* kb-sync reads what object stores write as it is. */
bool queue_convert_event(struct arena *arena, const struct conf *conf, const struct sqs_message *message,
    struct bus_record *out, struct error *err)
{
    (void)conf;
    struct kb_events events;
    *out = (struct bus_record){.topic = TOPIC_KB_NOTIFICATIONS,
        .partition = -1,
        .key = message->id,
        .key_len = strlen(message->id),
        .value = message->body,
        .value_len = strlen(message->body)};
    return kb_events_parse(arena, message->body, out->value_len, &events, err);
}

static bool first_error(const struct field_errors *errors, struct error *err)
{
    const struct http_field_error *first = &errors->list[0];
    return error_set(err, ERROR_REJECT, "ticket_invalid", "%s%s%s", first->pointer,
        *first->pointer ? ": " : "", first->detail);
}

/* A message that is received again gives the same event. */
bool queue_convert_ticket(struct arena *arena, const struct conf *conf, const struct sqs_message *message,
    struct bus_record *out, struct error *err)
{
    static const struct ticket_in_rules rules = {.intake = true};
    struct ticket_in in;
    struct field_errors *errors = ARENA_NEW(arena, struct field_errors);
    char id[UUID_TEXT_SIZE];
    field_errors_init(errors, arena);
    int64_t most = conf_int(conf, CONF_GATEWAY_MAX_BODY);
    if (strlen(message->body) > (size_t)most) {
        return error_set(
            err, ERROR_REJECT, "ticket_too_large", "the body has more than %lld bytes", (long long)most);
    }
    if (!ticket_in_read(arena, message->body, strlen(message->body), &rules, &in, errors)) {
        return first_error(errors, err);
    }
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, arena);
    const struct bus_record origin = {.topic = "", .timestamp = message->sent_ms};
    uuid_v5(message->id, strlen(message->id), id);
    event->event_id = arena_strdup(arena, id);
    event->tenant = conf_text(conf, CONF_TENANT);
    event->ticket = in.ticket;
    if (!event->ticket.has_priority) { /* as the gateway does */
        event->ticket.has_priority = true;
        event->ticket.priority = MSG_PRIORITY_MEDIUM;
    }
    ticket_event_identify(arena, event, &origin);
    return ticket_record_make(arena, event, out, err);
}
