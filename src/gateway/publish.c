/* Encodes a record, gives it its key and headers, and hands it to the producer. */
#include "gateway/publish.h"

#include <string.h>

#include "base/buf.h"
#include "bus/topics.h"
#include "stages/ticket_record.h"

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
    if (ok && value.len + TICKET_RECORD_OVERHEAD > (size_t)bus_topic_find(record->topic)->max_bytes) {
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

bool publish_event(struct gateway *gateway, const struct msg_ticket_event *event, bus_delivered *done,
    void *arg, struct error *err)
{
    struct arena *arena = arena_new(0);
    struct bus_record record;
    bool ok = ticket_record_make(arena, event, &record, err);
    if (ok) {
        gateway_produce(gateway, &record, done, arg);
    }
    arena_free(arena);
    return ok;
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
