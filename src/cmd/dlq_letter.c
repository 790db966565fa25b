/* Dead letters as the commands handle them. */
#include "cmd/dlq_letter.h"

#include <string.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "bus/topics.h"
#include "msg/codec.h"

static const struct {
    const char *topic; /* NULL: any other */
    const char *name;
    const struct msg_type *type;
} types[] = {
    {TOPIC_FEEDBACK, "Feedback", &msg_feedback},
    {TOPIC_KB_NOTIFICATIONS, "KbNotification", &msg_kb_notification},
    {NULL, "TicketEvent", &msg_ticket_event},
};

void dlq_letter_init(struct dlq_letter *letter, struct arena *arena, const char *stage,
    const struct bus_record *record, bool handled)
{
    *letter = (struct dlq_letter){.stage = stage, .record = record, .handled = handled};
    letter_read(arena, record, &letter->why);
}

void dlq_letter_fini(struct dlq_letter *letter)
{
    cJSON_Delete(letter->value);
    letter->value = NULL;
}

/* ---- whom it is about ---- */

static void decode(struct dlq_letter *letter, struct arena *arena)
{
    size_t i = 0;
    while (types[i].topic && strcmp(types[i].topic, letter->why.topic) != 0) {
        i++;
    }
    const struct bus_record *record = letter->record;
    void *decoded =
        record->value ? msg_decode(types[i].type, arena, record->value, record->value_len, NULL) : NULL;
    if (decoded) {
        letter->type = types[i].name;
        letter->value = msg_to_json(types[i].type, decoded);
    }
}

static const char *member(const cJSON *object, const char *name)
{
    const char *text = object ? json_str(object, name) : NULL;
    return text ? text : "";
}

/* Our keys are "tenant/ticket". */
static void read_key(struct dlq_letter *letter, struct arena *arena)
{
    const struct bus_record *record = letter->record;
    if (!record->key || !utf8_valid(record->key, record->key_len)) {
        return;
    }
    const char *key = arena_strndup(arena, record->key, record->key_len);
    const char *slash = strchr(key, '/');
    if (!slash) {
        return;
    }
    if (!*letter->tenant) {
        letter->tenant = arena_strndup(arena, key, (size_t)(slash - key));
    }
    if (!*letter->ticket) {
        letter->ticket = slash + 1;
    }
}

void dlq_letter_identify(struct dlq_letter *letter, struct arena *arena)
{
    if (letter->identified) {
        return;
    }
    letter->identified = true;
    decode(letter, arena);
    const cJSON *ticket = letter->value ? cJSON_GetObjectItemCaseSensitive(letter->value, "ticket") : NULL;
    letter->tenant = member(letter->value, "tenant");
    letter->ticket = member(ticket ? ticket : letter->value, "ticket_id");
    letter->correlation = member(letter->value, "correlation_id");
    read_key(letter, arena);
    const struct bus_header *header = bus_record_header(letter->record, "correlation-id");
    if (!*letter->correlation && header && header->value) {
        letter->correlation = utf8_repair(arena, header->value, header->len);
    }
}

/* ---- JSON ---- */

static void add_hex(cJSON *object, const char *name, const unsigned char *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    struct buf hex;
    buf_init(&hex, 2 * len + 1);
    for (size_t i = 0; i < len; i++) {
        buf_putc(&hex, digits[data[i] >> 4]);
        buf_putc(&hex, digits[data[i] & 15]);
    }
    cJSON_AddStringToObject(object, name, buf_text(&hex));
    buf_fini(&hex);
}

/* As text when it is text, else in hexadecimal; null when it is absent. */
static void add_bytes(cJSON *object, struct arena *arena, const char *name, const void *data, size_t len)
{
    if (data && !utf8_valid(data, len)) {
        add_hex(object, arena_printf(arena, "%s_hex", name), data, len);
    } else if (data) {
        cJSON_AddStringToObject(object, name, arena_strndup(arena, data, len));
    } else {
        cJSON_AddNullToObject(object, name);
    }
}

static void add_time(cJSON *object, const char *name, int64_t wall_ms)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_format(wall_ms, text);
    cJSON_AddStringToObject(object, name, text);
}

static void add_origin(cJSON *object, const struct letter *why)
{
    if (!*why->topic) {
        cJSON_AddNullToObject(object, "origin");
        return;
    }
    cJSON *origin = cJSON_AddObjectToObject(object, "origin");
    cJSON_AddStringToObject(origin, "topic", why->topic);
    cJSON_AddNumberToObject(origin, "partition", (double)why->partition);
    cJSON_AddNumberToObject(origin, "offset", (double)why->offset);
}

static void add_whole(cJSON *object, struct arena *arena, const struct dlq_letter *letter)
{
    const struct bus_record *record = letter->record;
    cJSON *headers = cJSON_AddArrayToObject(object, "headers");
    for (size_t i = 0; i < record->header_count; i++) {
        const struct bus_header *header = &record->headers[i];
        cJSON *entry = cJSON_CreateObject();
        add_bytes(entry, arena, "name", header->name, strlen(header->name));
        add_bytes(entry, arena, "value", header->value, header->len);
        cJSON_AddItemToArray(headers, entry);
    }
    if (letter->value) {
        cJSON_AddStringToObject(object, "type", letter->type);
        cJSON_AddItemToObject(object, "record", cJSON_Duplicate(letter->value, true));
    } else if (record->value) {
        add_hex(object, "value_hex", record->value, record->value_len);
    }
}

cJSON *dlq_letter_json(struct dlq_letter *letter, struct arena *arena, bool whole)
{
    const struct bus_record *record = letter->record;
    dlq_letter_identify(letter, arena);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "stage", letter->stage);
    cJSON_AddNumberToObject(object, "partition", record->partition);
    cJSON_AddNumberToObject(object, "offset", (double)record->offset);
    cJSON_AddStringToObject(object, "state", letter->handled ? "handled" : "waiting");
    add_time(object, "died_at", letter->why.died_at);
    cJSON_AddStringToObject(object, "class", letter->why.error_class);
    cJSON_AddStringToObject(object, "message", letter->why.message);
    cJSON_AddNumberToObject(object, "attempts", (double)letter->why.attempts);
    add_origin(object, &letter->why);
    add_bytes(object, arena, "key", record->key, record->key_len);
    cJSON_AddStringToObject(object, "tenant", letter->tenant);
    cJSON_AddStringToObject(object, "ticket_id", letter->ticket);
    cJSON_AddStringToObject(object, "correlation_id", letter->correlation);
    add_time(object, "timestamp", record->timestamp);
    if (record->value) {
        cJSON_AddNumberToObject(object, "bytes", (double)record->value_len);
    } else {
        cJSON_AddNullToObject(object, "bytes");
    }
    if (whole) {
        add_whole(object, arena, letter);
    }
    return object;
}
