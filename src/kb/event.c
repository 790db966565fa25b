/* Notifications of object stores: envelopes are opened until a record is found. */
#include "kb/event.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "aws/endpoint.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

#define NESTED_MAX 6 /* texts within texts, and objects within objects */
#define BUCKET_MAX 255
#define KEY_MAX 1024 /* bytes, S3's own limit */
#define SEQUENCER_MAX 64
#define ARN_MAX 512
#define TOKEN_MAX 1024

struct reading {
    struct arena *arena;
    struct kb_events *out;
    struct error *err;
    size_t capacity;
};

static bool read_any(struct reading *reading, const cJSON *json, const char *where, int depth);

static bool wrong(struct reading *reading, const char *where, const char *what)
{
    return error_set(
        reading->err, ERROR_REJECT, "kb_event", "%.120s %s", *where ? where : "the notification", what);
}

static const char *member(struct reading *reading, const char *where, const char *name)
{
    return arena_printf(reading->arena, "%s%s%s", where, *where ? "." : "", name);
}

static const char *element(struct reading *reading, const char *where, int index)
{
    return arena_printf(reading->arena, "%s[%d]", where, index);
}

static bool has(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name) != NULL;
}

static bool starts_with(const char *text, const char *start)
{
    return !strncmp(text, start, strlen(start));
}

/* ---- single values ---- */

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The encoding of HTML forms, in which S3 writes keys. NULL: not well-formed. */
static char *form_decode(struct arena *arena, const char *text)
{
    char *out = arena_alloc(arena, strlen(text) + 1), *to = out;
    for (const char *c = text; *c; c++) {
        if (*c == '+') {
            *to++ = ' ';
        } else if (*c != '%') {
            *to++ = *c;
        } else {
            int high = hex_digit(c[1]), low = high < 0 ? -1 : hex_digit(c[2]);
            if (low < 0 || high + low == 0) {
                return NULL;
            }
            *to++ = (char)(high * 16 + low);
            c += 2;
        }
    }
    *to = '\0';
    return out;
}

static bool read_bucket(
    struct reading *reading, const cJSON *bucket, const char *where, struct kb_event *event)
{
    const char *name = json_str(bucket, "name");
    size_t len = name ? strlen(name) : 0;
    bool ok = len > 0 && len <= BUCKET_MAX;
    for (size_t i = 0; ok && i < len; i++) {
        ok = isalnum((unsigned char)name[i]) || strchr("._-", name[i]);
    }
    event->bucket = ok ? arena_strdup(reading->arena, name) : NULL;
    return ok || wrong(reading, member(reading, where, "name"), "must be the name of a bucket");
}

static bool is_key(const char *key)
{
    size_t len = key ? strlen(key) : 0;
    return len > 0 && len <= KEY_MAX && utf8_valid(key, len);
}

static bool bad_key(struct reading *reading, const char *where)
{
    return wrong(
        reading, member(reading, where, "key"), "must be an object's key of 1 to 1024 bytes of UTF-8");
}

/* One that is not a number orders nothing: it is as good as none. */
static const char *read_sequencer(struct reading *reading, const cJSON *object)
{
    const char *sequencer = json_str(object, "sequencer");
    size_t len = sequencer ? strlen(sequencer) : 0;
    bool ok = len <= SEQUENCER_MAX;
    for (size_t i = 0; ok && i < len; i++) {
        ok = hex_digit(sequencer[i]) >= 0;
    }
    return ok && len ? arena_strdup(reading->arena, sequencer) : "";
}

static int64_t read_time(const cJSON *json, const char *name)
{
    int64_t wall_ms;
    const char *text = json_str(json, name);
    return text && clock_parse(text, &wall_ms) && wall_ms > 0 ? wall_ms : 0;
}

static bool add_event(struct reading *reading, const struct kb_event *event, const char *where)
{
    struct kb_events *out = reading->out;
    if (out->count == KB_EVENTS_MAX) {
        return wrong(reading, where, "is one event more than the 1000 that a notification may hold");
    }
    if (out->count == reading->capacity) {
        size_t capacity = reading->capacity ? 4 * reading->capacity : 4;
        struct kb_event *items = arena_array(reading->arena, capacity, sizeof(*items));
        if (out->count) {
            memcpy(items, out->items, out->count * sizeof(*items));
        }
        out->items = items;
        reading->capacity = capacity;
    }
    out->items[out->count++] = *event;
    return true;
}

/* ---- records ---- */

/* S3 writes the key encoded, some servers with its API as it is. Where that makes a difference, both are told
 * of: it costs one look. */
static bool add_both(struct reading *reading, struct kb_event *event, const char *key, const char *where)
{
    bool fits = key && strlen(key) <= 3 * (size_t)KEY_MAX;
    const char *decoded = fits ? form_decode(reading->arena, key) : NULL;
    bool encoded = is_key(decoded), plain = fits && is_key(key) && (!encoded || strcmp(key, decoded) != 0);
    if (!encoded && !plain) {
        return bad_key(reading, where);
    }
    event->key = decoded;
    if (encoded && !add_event(reading, event, where)) {
        return false;
    }
    event->key = plain ? arena_strdup(reading->arena, key) : NULL;
    return !plain || add_event(reading, event, where);
}

/* S3's own, and MinIO's. */
static bool read_record(struct reading *reading, const cJSON *json, const char *where)
{
    const char *name = json_str(json, "eventName");
    const cJSON *s3 = cJSON_GetObjectItemCaseSensitive(json, "s3");
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(s3, "object");
    if (!name) {
        return wrong(
            reading, member(reading, where, "eventName"), "must be a text such as ObjectCreated:Put");
    }
    name += starts_with(name, "s3:") ? 3 : 0;
    bool removed = starts_with(name, "ObjectRemoved:") || starts_with(name, "LifecycleExpiration:");
    if (!removed && !starts_with(name, "ObjectCreated:")) {
        reading->out->ignored++;
        return true;
    }
    struct kb_event event = {.removed = removed,
        .sequencer = read_sequencer(reading, object),
        .wall_ms = read_time(json, "eventTime")};
    where = member(reading, where, "s3");
    return read_bucket(reading, cJSON_GetObjectItemCaseSensitive(s3, "bucket"),
               member(reading, where, "bucket"), &event) &&
           add_both(reading, &event, json_str(object, "key"), member(reading, where, "object"));
}

/* EventBridge's, whose keys are not encoded. */
static bool read_event_bridge(struct reading *reading, const cJSON *json, const char *where)
{
    const char *type = json_str(json, "detail-type");
    const cJSON *detail = cJSON_GetObjectItemCaseSensitive(json, "detail");
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(detail, "object");
    if (!type) {
        return wrong(reading, member(reading, where, "detail-type"), "must be a text such as Object Created");
    }
    bool removed = !strcmp(type, "Object Deleted");
    if (!removed && strcmp(type, "Object Created") != 0) {
        reading->out->ignored++;
        return true;
    }
    struct kb_event event = {
        .removed = removed, .sequencer = read_sequencer(reading, object), .wall_ms = read_time(json, "time")};
    where = member(reading, where, "detail");
    const char *key = json_str(object, "key");
    event.key = key && strlen(key) <= KEY_MAX ? arena_strdup(reading->arena, key) : NULL;
    if (!read_bucket(reading, cJSON_GetObjectItemCaseSensitive(detail, "bucket"),
            member(reading, where, "bucket"), &event)) {
        return false;
    }
    where = member(reading, where, "object");
    return is_key(event.key) ? add_event(reading, &event, where) : bad_key(reading, where);
}

/* ---- envelopes ---- */

static bool read_text(struct reading *reading, const cJSON *text, const char *where, int depth)
{
    struct error why;
    if (!cJSON_IsString(text)) {
        return wrong(reading, where, "must be a text that holds a notification in JSON");
    }
    cJSON *json = json_parse(text->valuestring, strlen(text->valuestring), &why);
    if (!json) {
        return error_set(reading->err, ERROR_REJECT, "kb_event",
            "%.120s must hold a notification in JSON: %.200s", where, why.text);
    }
    bool ok = read_any(reading, json, where, depth + 1);
    cJSON_Delete(json);
    return ok;
}

static bool read_array(struct reading *reading, const cJSON *array, const char *where, int depth)
{
    if (!cJSON_IsArray(array)) {
        return wrong(reading, where, "must be an array");
    }
    int index = 0;
    for (const cJSON *item = array->child; item; item = item->next) {
        if (!read_any(reading, item, element(reading, where, index++), depth + 1)) {
            return false;
        }
    }
    return true;
}

/* "arn:aws:sns:eu-central-1:123456789012:name": its region; NULL: it is not one. */
static const char *topic_region(struct arena *arena, const char *arn)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    const char *parts[6];
    size_t count = 0;
    for (char *part = arena_strdup(arena, arn); part && count < 6; count++) {
        parts[count] = strsep(&part, ":");
        if (part && count == 5) {
            return NULL;
        }
    }
    bool ok = count == 6 && !strcmp(parts[0], "arn") && starts_with(parts[1], "aws") &&
              !strcmp(parts[2], "sns") && aws_region_valid(parts[3]) && *parts[5] &&
              !parts[5][strspn(parts[5], letters)];
    return ok ? parts[3] : NULL;
}

static bool read_confirmation(
    struct reading *reading, const cJSON *json, const char *topic, const char *where)
{
    struct kb_events *out = reading->out;
    const char *token = json_str(json, "Token");
    out->confirm_region = topic && strlen(topic) <= ARN_MAX ? topic_region(reading->arena, topic) : NULL;
    if (!out->confirm_region) {
        return wrong(reading, member(reading, where, "TopicArn"), "must be the ARN of a topic of SNS");
    }
    if (!token || !*token || strlen(token) > TOKEN_MAX) {
        return wrong(reading, member(reading, where, "Token"), "must be a text of 1 to 1024 bytes");
    }
    out->confirm = arena_strdup(reading->arena, topic);
    out->confirm_token = arena_strdup(reading->arena, token);
    return true;
}

static bool read_sns(struct reading *reading, const cJSON *json, const char *where, int depth)
{
    const char *type = json_str(json, "Type");
    const char *topic = json_str(json, "TopicArn");
    if (type && !strcmp(type, "Notification")) {
        return read_text(reading, cJSON_GetObjectItemCaseSensitive(json, "Message"),
            member(reading, where, "Message"), depth);
    }
    if (type && !strcmp(type, "SubscriptionConfirmation")) {
        return read_confirmation(reading, json, topic, where);
    }
    if (type && !strcmp(type, "UnsubscribeConfirmation")) {
        reading->out->ignored++;
        return true;
    }
    return wrong(reading, member(reading, where, "Type"),
        "must be Notification, SubscriptionConfirmation or UnsubscribeConfirmation");
}

static bool read_cloud_event(struct reading *reading, const cJSON *json, const char *where, int depth)
{
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(json, "data");
    where = member(reading, where, "data");
    return cJSON_IsString(data) ? read_text(reading, data, where, depth)
                                : read_any(reading, data, where, depth + 1);
}

static bool read_object(struct reading *reading, const cJSON *json, const char *where, int depth)
{
    static const char *const lists[] = {"Records", "Messages"}, *const texts[] = {"Body", "body"};
    if (has(json, "s3")) {
        return read_record(reading, json, where);
    }
    if (has(json, "detail-type")) {
        return read_event_bridge(reading, json, where);
    }
    if (has(json, "specversion")) {
        return read_cloud_event(reading, json, where, depth);
    }
    for (size_t i = 0; i < 2; i++) {
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, lists[i]);
        if (list) {
            return read_array(reading, list, member(reading, where, lists[i]), depth);
        }
    }
    if (cJSON_GetObjectItemCaseSensitive(json, "TopicArn")) {
        return read_sns(reading, json, where, depth);
    }
    const cJSON *sns = cJSON_GetObjectItemCaseSensitive(json, "Sns");
    if (sns) {
        return read_any(reading, sns, member(reading, where, "Sns"), depth + 1);
    }
    for (size_t i = 0; i < 2; i++) {
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(json, texts[i]);
        if (text) {
            return read_text(reading, text, member(reading, where, texts[i]), depth);
        }
    }
    const char *test = json_str(json, "Event");
    if (test && !strcmp(test, "s3:TestEvent")) {
        reading->out->ignored++;
        return true;
    }
    return wrong(reading, where,
        "must have one of the members Records (S3), detail-type (EventBridge), specversion (CloudEvents), "
        "TopicArn "
        "(SNS), Messages or Body (SQS)");
}

static bool read_any(struct reading *reading, const cJSON *json, const char *where, int depth)
{
    if (depth > NESTED_MAX) {
        return wrong(reading, where, "lies in too many envelopes");
    }
    if (cJSON_IsArray(json)) {
        return read_array(reading, json, where, depth);
    }
    if (!cJSON_IsObject(json)) {
        return wrong(reading, where, "must be a JSON object");
    }
    return read_object(reading, json, where, depth);
}

bool kb_events_parse(
    struct arena *arena, const char *text, size_t len, struct kb_events *out, struct error *err)
{
    struct error why;
    struct reading reading = {.arena = arena, .out = out, .err = err};
    *out = (struct kb_events){0};
    cJSON *json = json_parse(text, len, &why);
    if (!json) {
        return error_set(err, ERROR_REJECT, "kb_event", "the notification must be JSON: %.200s", why.text);
    }
    bool ok = read_any(&reading, json, "", 0);
    cJSON_Delete(json);
    return ok;
}

int kb_sequencer_compare(const char *a, const char *b)
{
    a += strspn(a, "0");
    b += strspn(b, "0");
    size_t len_a = strlen(a), len_b = strlen(b);
    if (len_a != len_b) {
        return len_a < len_b ? -1 : 1;
    }
    return strcasecmp(a, b);
}
