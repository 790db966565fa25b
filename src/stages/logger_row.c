/* Turns records into rows of the log. Ids are derived from the record, so that one that comes twice is one
 * row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "bus/topics.h"
#include "stages/logger_row.h"
#include "stages/ticket_check.h"
#include "stages/ticket_event.h"

#define HEADER_MAX 512                 /* bytes of a header that the log keeps */
#define ERROR_HEADER "helpdesk.error." /* the engine's headers on a dead letter */

/* What each topic's records are called, and which members of the event its step added. */
static const struct kind {
    const char *topic;
    const char *name;
    const char *members[5];
} kinds[] = {
    {TOPIC_SUBMITTED, "submitted", {"ticket", "plan"}},
    {TOPIC_CLASSIFIED, "classified", {"classification", "steps"}},
    {TOPIC_ENRICHED, "enriched", {"context", "steps"}},
    {TOPIC_ANSWERED, "answered", {"generation", "steps", "failure"}},
    {TOPIC_REPLIES, "answered", {"generation", "steps", "failure"}},
};

static const struct kind *find_kind(const char *topic)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].topic, topic) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

static const char *child_id(struct arena *arena, const char *parent, const char *step)
{
    char id[UUID_TEXT_SIZE];
    uuid_child(parent, step, 0, id);
    return arena_strdup(arena, id);
}

/* The id of a record that brings none: derived from where it lies. */
static const char *place_id(struct arena *arena, const struct bus_record *record)
{
    char id[UUID_TEXT_SIZE], place[400];
    int len = snprintf(place, sizeof(place), "%.300s/%d/%lld", record->topic, (int)record->partition,
        (long long)record->offset);
    uuid_v5(place, (size_t)len, id);
    return arena_strdup(arena, id);
}

static const char *take_text(struct arena *arena, char *heap)
{
    const char *text = arena_strdup(arena, heap);
    free(heap);
    return text;
}

/* ---- ticket events ---- */

static const char *step_payload(struct arena *arena, const cJSON *event, const struct kind *kind)
{
    cJSON *payload = cJSON_CreateObject();
    for (size_t i = 0; kind->members[i] != NULL; i++) {
        cJSON *member = cJSON_GetObjectItemCaseSensitive(event, kind->members[i]);
        cJSON_AddItemReferenceToObject(payload, kind->members[i], member);
    }
    const char *text = take_text(arena, cJSON_PrintUnformatted(payload));
    cJSON_Delete(payload);
    return text;
}

/* When it happened: the end of the last step that was done. */
static int64_t event_time(const struct msg_ticket_event *event)
{
    int64_t at = event->received_at;
    for (size_t i = 0; i < event->steps_count; i++) {
        double latency = event->steps[i].latency_ms;
        int64_t end;
        if (__builtin_add_overflow(
                event->steps[i].started_at, latency > 0 && latency < 1e9 ? (int64_t)latency : 0, &end)) {
            continue; /* no time that anything happened at */
        }
        at = end > at ? end : at;
    }
    return at;
}

/* A publisher may have written any state. One that is final would keep the result out of the run. */
static const char *event_state(const struct msg_ticket_event *event, const struct kind *kind)
{
    bool raw = strcmp(kind->topic, TOPIC_SUBMITTED) == 0;
    return msg_state_name(raw ? MSG_STATE_ACCEPTED : event->state);
}

static bool make_event_row(struct arena *arena, const struct bus_record *record, const struct kind *kind,
    struct logger_row *row, bool *skip, struct error *err)
{
    struct msg_ticket_event *event =
        msg_decode(&msg_ticket_event, arena, record->value, record->value_len, err);
    if (event == NULL) {
        return false;
    }
    if (!ticket_tenant_valid(event->tenant)) { /* the classifier has refused it: nobody answers it */
        return error_set(err, ERROR_REJECT, "ticket_invalid", "tenant is none");
    }
    *skip = strcmp(record->topic, TOPIC_REPLIES) == 0 && event->kind != MSG_KIND_QUESTION;
    if (*skip) {
        return true;
    }
    ticket_event_drop_bad_ids(event); /* as in the failed answer to it */
    ticket_event_identify(arena, event, record);
    /* A dead letter that is replayed is answered once more: after the failure, which stays in the log. */
    bool answered = strcmp(kind->name, "answered") == 0;
    bool failed = answered && event->state == MSG_STATE_FAILED;
    cJSON *json = msg_to_json(&msg_ticket_event, event);
    *row = (struct logger_row){.tenant = event->tenant,
        .event_id = child_id(arena, event->event_id, failed ? "answered.failed" : kind->name),
        .correlation_id = event->correlation_id,
        .ticket_id = event->ticket.ticket_id,
        .kind = kind->name,
        .state = event_state(event, kind),
        .received_at = event->received_at,
        .at = event_time(event),
        .payload = step_payload(arena, json, kind),
        .event = event};
    if (answered) {
        row->result = take_text(arena, cJSON_PrintUnformatted(json));
    }
    cJSON_Delete(json);
    return true;
}

/* ---- feedback ---- */

static bool in_range(bool has, int32_t value, const char *name, struct error *err)
{
    return !has || (value >= 1 && value <= 5) ||
           error_set(err, ERROR_REJECT, "feedback_invalid", "%s must be 1 to 5", name);
}

static bool check_feedback(const struct msg_feedback *feedback, struct error *err)
{
    if (!ticket_id_valid(feedback->ticket_id)) {
        return error_set(err, ERROR_REJECT, "feedback_invalid", "ticket_id is none");
    }
    if (!ticket_tenant_valid(feedback->tenant)) {
        return error_set(err, ERROR_REJECT, "feedback_invalid", "tenant is none");
    }
    return in_range(feedback->has_rating, feedback->rating, "rating", err) &&
           in_range(feedback->has_csat, feedback->csat, "csat", err);
}

static bool make_feedback_row(
    struct arena *arena, const struct bus_record *record, struct logger_row *row, struct error *err)
{
    struct msg_feedback *feedback = msg_decode(&msg_feedback, arena, record->value, record->value_len, err);
    if (feedback == NULL || !check_feedback(feedback, err)) {
        return false;
    }
    if (feedback->feedback_id == NULL) {
        feedback->feedback_id = place_id(arena, record);
    }
    if (!feedback->has_received_at) {
        feedback->has_received_at = true;
        feedback->received_at = record->timestamp;
    }
    cJSON *json = msg_to_json(&msg_feedback, feedback);
    *row = (struct logger_row){.tenant = feedback->tenant,
        .event_id = child_id(arena, feedback->feedback_id, "feedback"),
        .correlation_id = "",
        .ticket_id = feedback->ticket_id,
        .kind = "feedback",
        .state = "",
        .received_at = feedback->received_at,
        .at = feedback->received_at,
        .payload = take_text(arena, cJSON_PrintUnformatted(json)),
        .feedback = feedback};
    cJSON_Delete(json);
    return true;
}

/* ---- dead letters ---- */

/* A header as text, cut to a length; "" when it is none or not text. */
static const char *header_text(struct arena *arena, const struct bus_record *record, const char *name)
{
    const struct bus_header *header = bus_record_header(record, name);
    if (header == NULL || header->value == NULL || !utf8_valid(header->value, header->len)) {
        return "";
    }
    const char *text = arena_strndup(arena, header->value, header->len);
    return arena_strndup(arena, text, utf8_clip(text, HEADER_MAX));
}

/* Takes "<tenant>/<ticket_id>" of a ticket record's key; leaves the row when the key is something else. */
static void split_key(struct arena *arena, const struct bus_record *record, struct logger_row *row)
{
    if (record->key == NULL || record->key_len > HEADER_MAX || !utf8_valid(record->key, record->key_len)) {
        return;
    }
    char *key = arena_strndup(arena, record->key, record->key_len);
    char *slash = strchr(key, '/');
    if (slash == NULL || slash == key || !ticket_id_valid(slash + 1)) {
        return;
    }
    *slash = '\0';
    if (ticket_tenant_valid(key)) {
        row->tenant = key;
        row->ticket_id = slash + 1;
    }
}

static const char *error_header(struct arena *arena, const struct bus_record *record, const char *name)
{
    return header_text(arena, record, arena_printf(arena, ERROR_HEADER "%s", name));
}

static const char *dead_payload(struct arena *arena, const struct bus_record *record)
{
    static const char *const fields[] = {
        "stage", "class", "message", "attempts", "topic", "partition", "offset"};
    struct buf payload;
    buf_init(&payload, 64 * 1024);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        buf_putc(&payload, i == 0 ? '{' : ',');
        json_put_string(&payload, fields[i]);
        buf_putc(&payload, ':');
        json_put_string(&payload, error_header(arena, record, fields[i]));
    }
    buf_printf(&payload, ",\"bytes\":%zu}", record->value_len);
    const char *text = arena_strdup(arena, buf_text(&payload));
    buf_fini(&payload);
    return text;
}

/* The record as it lay where the stage could not take it. */
static struct bus_record original_record(struct arena *arena, const struct bus_record *letter)
{
    struct bus_record record = *letter;
    const char *topic = error_header(arena, letter, "topic");
    int64_t partition, offset;
    if (*topic != '\0' && parse_int64(error_header(arena, letter, "partition"), &partition) &&
        parse_int64(error_header(arena, letter, "offset"), &offset)) {
        record.topic = topic;
        record.partition = (int32_t)partition;
        record.offset = offset;
    }
    return record;
}

/* A dead letter that can be read although its stage could not take it belongs to a run. */
static bool read_dead_event(struct arena *arena, const struct bus_record *original, struct logger_row *row)
{
    struct msg_ticket_event *event =
        msg_decode(&msg_ticket_event, arena, original->value, original->value_len, NULL);
    if (event == NULL || !ticket_tenant_valid(event->tenant)) {
        return false;
    }
    ticket_event_drop_bad_ids(event);
    ticket_event_identify(arena, event, original);
    row->tenant = event->tenant;
    row->event_id = event->event_id;
    row->correlation_id = event->correlation_id;
    row->ticket_id = event->ticket.ticket_id;
    row->received_at = event->received_at;
    return true;
}

/* Of one that nobody can read, the headers and the key tell what they can. */
static void read_dead_headers(struct arena *arena, const struct bus_record *original, struct logger_row *row)
{
    const char *tenant = header_text(arena, original, "tenant");
    const char *event_id = header_text(arena, original, "event-id");
    const char *correlation_id = header_text(arena, original, "correlation-id");
    row->tenant = ticket_tenant_valid(tenant) ? tenant : "default";
    row->event_id = uuid_valid(event_id) ? event_id : place_id(arena, original);
    row->correlation_id = uuid_valid(correlation_id) ? correlation_id : "";
    row->ticket_id = "";
    row->received_at = original->timestamp;
    split_key(arena, original, row);
}

static void make_dead_row(struct arena *arena, const struct bus_record *record, struct logger_row *row)
{
    struct bus_record original = original_record(arena, record);
    *row = (struct logger_row){
        .kind = "dead_letter", .state = "", .at = record->timestamp, .payload = dead_payload(arena, record)};
    if (!read_dead_event(arena, &original, row)) {
        read_dead_headers(arena, &original, row);
    }
    /* One event may fail in one stage, be replayed, and fail in another. */
    row->event_id = child_id(arena, row->event_id, record->topic);
}

bool logger_row_make(struct arena *arena, const struct bus_record *record, struct logger_row *row, bool *skip,
    struct error *err)
{
    *skip = false;
    const struct kind *kind = find_kind(record->topic);
    if (kind != NULL) {
        return make_event_row(arena, record, kind, row, skip, err);
    }
    if (strcmp(record->topic, TOPIC_FEEDBACK) == 0) {
        return make_feedback_row(arena, record, row, err);
    }
    make_dead_row(arena, record, row);
    return true;
}

size_t logger_row_size(const struct logger_row *row)
{
    return strlen(row->payload) + (row->result != NULL ? strlen(row->result) : 0);
}
