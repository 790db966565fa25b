/* Reads a caller's own classification and context: what a former answer said, or what the caller knows. */
#include "gateway/question_in.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES 128
#define ITEMS_MAX 200
#define ITEM_BYTES 64            /* of an item in a record, besides its texts */
#define CONTEXT_MAX (120 * 1024) /* a little less than the budget of a record's context */

FIELD_NAME_OF(priority)
FIELD_NAME_OF(sentiment)
FIELD_NAME_OF(item_type)

static const char *required_token(
    struct field_errors *errors, const cJSON *object, const char *parent, const char *name, size_t max)
{
    if (!field_require(errors, object, parent, name)) {
        return "";
    }
    const char *text = field_token(errors, object, parent, name, max);
    return text != NULL ? text : "";
}

static unsigned required_choice(struct field_errors *errors, const cJSON *object, const char *parent,
    const char *name, field_name_of *name_of, unsigned count)
{
    unsigned value = 0;
    if (field_require(errors, object, parent, name)) {
        field_choice(errors, object, parent, name, name_of, count, &value);
    }
    return value;
}

static const char *optional_text(
    struct field_errors *errors, const cJSON *object, const char *parent, const char *name)
{
    const char *text = field_string(errors, object, parent, name);
    return text != NULL ? text : "";
}

struct msg_classification *classification_read(struct field_errors *errors, const cJSON *body, bool required)
{
    const char *at = "/classification";
    if (required && !field_require(errors, body, "", "classification")) {
        return NULL;
    }
    const cJSON *object = field_object(errors, body, "", "classification");
    if (object == NULL) {
        return NULL;
    }
    struct msg_classification *out = ARENA_NEW(errors->arena, struct msg_classification);
    out->category = required_token(errors, object, at, "category", NAME_BYTES);
    out->priority =
        (enum msg_priority)required_choice(errors, object, at, "priority", priority_at, MSG_PRIORITY_COUNT);
    out->department = required_token(errors, object, at, "department", NAME_BYTES);
    out->sentiment = (enum msg_sentiment)required_choice(
        errors, object, at, "sentiment", sentiment_at, MSG_SENTIMENT_COUNT);
    if (field_require(errors, object, at, "confidence")) {
        field_number(errors, object, at, "confidence", 0, 1, &out->confidence);
    }
    out->reasoning_snippet = optional_text(errors, object, at, "reasoning_snippet");
    return out;
}

static void read_item(
    struct field_errors *errors, const cJSON *object, const char *at, struct msg_context_item *item)
{
    item->source_id = required_token(errors, object, at, "source_id", 0);
    item->excerpt = required_token(errors, object, at, "excerpt", 0);
    item->type =
        (enum msg_item_type)required_choice(errors, object, at, "type", item_type_at, MSG_ITEM_TYPE_COUNT);
    item->citation_uri = optional_text(errors, object, at, "citation_uri");
    item->title = optional_text(errors, object, at, "title");
    item->locale = optional_text(errors, object, at, "locale");
    item->metadata = "{}"; /* it is for those who are shown the passage, not for who writes the answer */
    if (field_require(errors, object, at, "score")) {
        field_number(errors, object, at, "score", 0, 1, &item->score);
    }
}

static void read_items(struct field_errors *errors, const cJSON *array, struct msg_context *out)
{
    const char *parent = "/context/context_package";
    int count = cJSON_GetArraySize(array);
    if (count > ITEMS_MAX) {
        field_error(errors, "/context", "context_package", "must have at most %d items", ITEMS_MAX);
        return;
    }
    size_t bytes = 0;
    out->items = arena_array(errors->arena, (size_t)count, sizeof *out->items);
    const cJSON *object;
    cJSON_ArrayForEach(object, array)
    {
        char index[24];
        snprintf(index, sizeof index, "%zu", out->items_count);
        struct msg_context_item *item = &out->items[out->items_count++];
        if (!cJSON_IsObject(object)) {
            field_error(errors, parent, index, "must be an object with source_id, excerpt, score and type");
            continue;
        }
        read_item(errors, object, field_pointer(errors->arena, parent, index), item);
        bytes += ITEM_BYTES + strlen(item->source_id) + strlen(item->excerpt) + strlen(item->citation_uri) +
                 strlen(item->title) + strlen(item->locale);
    }
    if (bytes > CONTEXT_MAX) {
        field_error(errors, "/context", "context_package",
            "must have at most %d bytes of texts, and each item counts as %d more", CONTEXT_MAX, ITEM_BYTES);
    }
}

struct msg_context *context_read(struct field_errors *errors, const cJSON *body)
{
    if (!field_require(errors, body, "", "context")) {
        return NULL;
    }
    const cJSON *object = field_object(errors, body, "", "context");
    if (object == NULL) {
        return NULL;
    }
    struct msg_context *out = ARENA_NEW(errors->arena, struct msg_context);
    out->customer_state = MSG_CUSTOMER_STATE_PENDING;
    const cJSON *array = field_get(object, "context_package");
    if (!cJSON_IsArray(array)) {
        field_error(
            errors, "/context", "context_package", array == NULL ? "is required" : "must be an array");
    } else {
        read_items(errors, array, out);
    }
    if (field_require(errors, object, "/context", "aggregate_confidence")) {
        field_number(errors, object, "/context", "aggregate_confidence", 0, 1, &out->aggregate_confidence);
    }
    return out;
}
