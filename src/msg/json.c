/* Records as JSON and back, by the field tables. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "msg/codec.h"
#include "msg/path.h"
#include "msg/tree.h"

#define EXACT_INTEGER 9007199254740992.0 /* 2^53: up to here cJSON's doubles are exact */

/* ---- to JSON ---- */

static cJSON *integer_to_json(int64_t value)
{
    char text[24];

    if ((double)value >= -EXACT_INTEGER && (double)value <= EXACT_INTEGER) {
        return cJSON_CreateNumber((double)value);
    }
    snprintf(text, sizeof text, "%" PRId64, value);
    return cJSON_CreateRaw(text);
}

static cJSON *value_to_json(const struct msg_field *field, const void *value)
{
    switch (field->shape) {
    case MSG_SHAPE_STRING:
        return cJSON_CreateString(*(const char *const *)value);
    case MSG_SHAPE_BOOL:
        return cJSON_CreateBool(*(const bool *)value);
    case MSG_SHAPE_INT:
        return cJSON_CreateNumber(*(const int32_t *)value);
    case MSG_SHAPE_LONG:
        return integer_to_json(*(const int64_t *)value);
    case MSG_SHAPE_DOUBLE:
        return cJSON_CreateNumber(*(const double *)value);
    case MSG_SHAPE_ENUM:
        return cJSON_CreateString(msg_enum_symbol(field->enumeration, *(const int *)value));
    case MSG_SHAPE_RECORD:
        return msg_to_json(field->record, value);
    }
    return NULL;
}

static cJSON *field_to_json(const struct msg_field *field, const void *record)
{
    size_t count = tree_count(field, record);

    if (!field->array) {
        return count > 0 ? value_to_json(field, tree_value(field, record, 0)) : cJSON_CreateNull();
    }
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(array, value_to_json(field, tree_value(field, record, i)));
    }
    return array;
}

struct cJSON *msg_to_json(const struct msg_type *type, const void *record)
{
    cJSON *object = cJSON_CreateObject();

    for (size_t i = 0; i < type->field_count; i++) {
        cJSON_AddItemToObject(object, type->fields[i].name, field_to_json(&type->fields[i], record));
    }
    return object;
}

/* ---- from JSON ---- */

static bool read_object(const struct msg_type *type, struct arena *arena, const cJSON *json, void *record,
    const struct msg_path *path, struct error *err);

static bool invalid(const struct msg_path *path, struct error *err, const char *what)
{
    return msg_path_reject(path, err, "record_invalid", what);
}

static bool read_integer(const cJSON *json, double least, double most, int64_t *out,
    const struct msg_path *path, struct error *err)
{
    if (!cJSON_IsNumber(json)) {
        return invalid(path, err, "not a number");
    }
    if (json->valuedouble != floor(json->valuedouble) || json->valuedouble < least ||
        json->valuedouble > most) {
        return invalid(path, err, "not an integer in range");
    }
    *out = (int64_t)json->valuedouble;
    return true;
}

static bool read_enum(const struct msg_enum *enumeration, const cJSON *json, int *out,
    const struct msg_path *path, struct error *err)
{
    *out = msg_enum_find(enumeration, cJSON_GetStringValue(json));
    return *out >= 0 || invalid(path, err, "not a value of its enum");
}

/* One value, not null, into `out`. */
static bool read_value(const struct msg_field *field, struct arena *arena, const cJSON *json, void *out,
    const struct msg_path *path, struct error *err)
{
    int64_t integer = 0;

    switch (field->shape) {
    case MSG_SHAPE_STRING:
        if (!cJSON_IsString(json)) {
            return invalid(path, err, "not a string");
        }
        *(const char **)out = arena_strdup(arena, json->valuestring);
        return true;
    case MSG_SHAPE_BOOL:
        *(bool *)out = cJSON_IsTrue(json);
        return cJSON_IsBool(json) || invalid(path, err, "neither true nor false");
    case MSG_SHAPE_INT:
        if (!read_integer(json, INT32_MIN, INT32_MAX, &integer, path, err)) {
            return false;
        }
        *(int32_t *)out = (int32_t)integer;
        return true;
    case MSG_SHAPE_LONG:
        return read_integer(json, -EXACT_INTEGER, EXACT_INTEGER, out, path, err);
    case MSG_SHAPE_DOUBLE:
        *(double *)out = cJSON_IsNumber(json) ? json->valuedouble : NAN;
        return isfinite(*(double *)out) || invalid(path, err, "not a finite number");
    case MSG_SHAPE_ENUM:
        return read_enum(field->enumeration, json, out, path, err);
    case MSG_SHAPE_RECORD:
        return read_object(field->record, arena, json, out, path, err);
    }
    return false;
}

static bool read_array(const struct msg_field *field, struct arena *arena, const cJSON *json, void *record,
    const struct msg_path *path, struct error *err)
{
    const cJSON *item;
    size_t count = 0, index = 0;

    if (!cJSON_IsArray(json)) {
        return invalid(path, err, "not an array");
    }
    cJSON_ArrayForEach(item, json) count++;
    char *room = tree_room(field, arena, record, count);
    cJSON_ArrayForEach(item, json)
    {
        if (!read_value(field, arena, item, room + index * field->size, &MSG_PATH_ITEM(path, index), err)) {
            return false;
        }
        index++;
    }
    return true;
}

static bool read_field(const struct msg_field *field, struct arena *arena, const cJSON *json, void *record,
    const struct msg_path *path, struct error *err)
{
    if (json == NULL) {
        if (field->required) {
            return invalid(path, err, "missing");
        }
        tree_default(field, record);
        return true;
    }
    if (field->array) {
        return read_array(field, arena, json, record, path, err);
    }
    if (cJSON_IsNull(json)) {
        return field->nullable || invalid(path, err, "null");
    }
    return read_value(field, arena, json, tree_room(field, arena, record, 1), path, err);
}

/* The depth of the recursion is that of our types, which do not hold themselves. */
static bool read_object(const struct msg_type *type, struct arena *arena, const cJSON *json, void *record,
    const struct msg_path *path, struct error *err)
{
    if (!cJSON_IsObject(json)) {
        return invalid(path, err, "not an object");
    }
    for (size_t i = 0; i < type->field_count; i++) {
        const struct msg_field *field = &type->fields[i];
        if (!read_field(field, arena, cJSON_GetObjectItemCaseSensitive(json, field->name), record,
                &MSG_PATH_FIELD(path, field->name), err)) {
            return false;
        }
    }
    return true;
}

void *msg_from_json(
    const struct msg_type *type, struct arena *arena, const struct cJSON *json, struct error *err)
{
    void *record = arena_alloc(arena, type->size);

    return read_object(type, arena, json, record, &MSG_PATH_ROOT, err) ? record : NULL;
}
