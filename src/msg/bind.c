/* Reads avro-c's values into structs and writes structs into avro-c's values. */
#include "msg/bind.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"
#include "msg/tree.h"

/* Checks a record against the budget of its type, for reading and for writing. */
static bool within_budget(
    const struct msg_type *type, avro_value_t *value, const struct msg_path *path, struct error *err)
{
    size_t bytes;
    char what[64];

    if (type->max_bytes == 0) {
        return true;
    }
    if (avro_value_sizeof(value, &bytes) == 0 && bytes <= type->max_bytes) {
        return true;
    }
    snprintf(what, sizeof what, "larger than %zu bytes", type->max_bytes);
    return msg_path_reject(path, err, "record_too_large", what);
}

/* ---- reading ---- */

struct reader {
    struct arena *arena;
    struct error *err;
};

static bool read_record(struct reader *reader, const struct msg_type *type, avro_value_t *value, void *record,
    const struct msg_path *path);

static bool malformed(struct reader *reader, const struct msg_path *path, const char *what)
{
    return msg_path_reject(path, reader->err, "record_malformed", what);
}

/* Follows a union to the branch that was written. */
static void settle(avro_value_t *value)
{
    avro_value_t branch;

    if (avro_value_get_type(value) == AVRO_UNION && avro_value_get_current_branch(value, &branch) == 0) {
        *value = branch;
    }
}

/* An int or a long, of a writer who may have had the narrower of the two. */
static bool get_long(avro_value_t *value, int64_t *out)
{
    int32_t narrow;

    if (avro_value_get_type(value) == AVRO_INT64) {
        return avro_value_get_long(value, out) == 0;
    }
    if (avro_value_get_type(value) != AVRO_INT32 || avro_value_get_int(value, &narrow) != 0) {
        return false;
    }
    *out = narrow;
    return true;
}

static bool get_double(avro_value_t *value, double *out)
{
    int64_t integer;
    float narrow;

    if (avro_value_get_type(value) == AVRO_DOUBLE) {
        return avro_value_get_double(value, out) == 0;
    }
    if (avro_value_get_type(value) == AVRO_FLOAT && avro_value_get_float(value, &narrow) == 0) {
        *out = (double)narrow;
        return true;
    }
    if (!get_long(value, &integer)) {
        return false;
    }
    *out = (double)integer;
    return true;
}

static bool get_string(struct arena *arena, avro_value_t *value, const char **out)
{
    const char *text;
    size_t size; /* with the NUL */

    if (avro_value_get_type(value) != AVRO_STRING || avro_value_get_string(value, &text, &size) != 0) {
        return false;
    }
    *out = size > 1 ? arena_strndup(arena, text, size - 1) : "";
    return true;
}

/* By symbol: a writer's ordinals are not ours. */
static bool get_enum(const struct msg_enum *enumeration, avro_value_t *value, int *out)
{
    int ordinal;

    if (avro_value_get_type(value) != AVRO_ENUM || avro_value_get_enum(value, &ordinal) != 0) {
        return false;
    }
    *out = msg_enum_find(enumeration, avro_schema_enum_get(avro_value_get_schema(value), ordinal));
    if (*out < 0) {
        *out = enumeration->fallback;
    }
    return *out >= 0;
}

/* One value, not null, into `out`. */
static bool read_value(struct reader *reader, const struct msg_field *field, avro_value_t *value, void *out,
    const struct msg_path *path)
{
    int flag;
    bool ok = false;

    switch (field->shape) {
    case MSG_SHAPE_STRING:
        ok = get_string(reader->arena, value, out);
        break;
    case MSG_SHAPE_BOOL:
        ok = avro_value_get_type(value) == AVRO_BOOLEAN && avro_value_get_boolean(value, &flag) == 0;
        if (ok) {
            *(bool *)out = flag != 0;
        }
        break;
    case MSG_SHAPE_INT:
        ok = avro_value_get_type(value) == AVRO_INT32 && avro_value_get_int(value, out) == 0;
        break;
    case MSG_SHAPE_LONG:
        ok = get_long(value, out);
        break;
    case MSG_SHAPE_DOUBLE:
        ok = get_double(value, out);
        if (ok && !isfinite(*(double *)out)) {
            return malformed(reader, path, "not a finite number");
        }
        break;
    case MSG_SHAPE_ENUM:
        if (avro_value_get_type(value) == AVRO_ENUM && !get_enum(field->enumeration, value, out)) {
            return malformed(reader, path, "a symbol that is not known here");
        }
        ok = avro_value_get_type(value) == AVRO_ENUM;
        break;
    case MSG_SHAPE_RECORD:
        if (avro_value_get_type(value) == AVRO_RECORD) {
            return read_record(reader, field->record, value, out, path);
        }
        break;
    }
    return ok || malformed(reader, path, "of another type than here");
}

static bool read_array(struct reader *reader, const struct msg_field *field, avro_value_t *value,
    void *record, const struct msg_path *path)
{
    size_t count;

    if (avro_value_get_type(value) != AVRO_ARRAY || avro_value_get_size(value, &count) != 0) {
        return malformed(reader, path, "of another type than here");
    }
    char *room = tree_room(field, reader->arena, record, count);
    for (size_t i = 0; i < count; i++) {
        struct msg_path item_path = MSG_PATH_ITEM(path, i);
        avro_value_t item;
        if (avro_value_get_by_index(value, i, &item, NULL) != 0) {
            return malformed(reader, &item_path, "unreadable");
        }
        settle(&item);
        if (!read_value(reader, field, &item, room + i * field->size, &item_path)) {
            return false;
        }
    }
    return true;
}

static bool read_field(struct reader *reader, const struct msg_field *field, avro_value_t *value,
    void *record, const struct msg_path *path)
{
    settle(value);
    if (field->array) {
        return read_array(reader, field, value, record, path);
    }
    if (avro_value_get_type(value) == AVRO_NULL) {
        return field->nullable || malformed(reader, path, "null");
    }
    return read_value(reader, field, value, tree_room(field, reader->arena, record, 1), path);
}

/* The number of our field called `name`, looked for from where the last one was found: both sides have nearly
 * the same order. The number of fields when we have none. */
static size_t find_field(const struct msg_type *type, const char *name, size_t start)
{
    for (size_t i = 0; i < type->field_count; i++) {
        size_t at = (start + i) % type->field_count;
        if (strcmp(type->fields[at].name, name) == 0) {
            return at;
        }
    }
    return type->field_count;
}

static bool default_missing(struct reader *reader, const struct msg_type *type, uint64_t seen, void *record,
    const struct msg_path *path)
{
    for (size_t i = 0; i < type->field_count; i++) {
        if (seen >> i & 1) {
            continue;
        }
        if (type->fields[i].required) {
            return malformed(reader, &MSG_PATH_FIELD(path, type->fields[i].name), "missing");
        }
        tree_default(&type->fields[i], record);
    }
    return true;
}

static bool read_record(struct reader *reader, const struct msg_type *type, avro_value_t *value, void *record,
    const struct msg_path *path)
{
    uint64_t seen = 0; /* a bit for each of our fields; the generator keeps them below 64 */
    size_t written, next = 0;

    if (!within_budget(type, value, path, reader->err)) {
        return false;
    }
    if (avro_value_get_size(value, &written) != 0) {
        return malformed(reader, path, "unreadable");
    }
    for (size_t i = 0; i < written; i++) {
        avro_value_t child;
        const char *name;
        if (avro_value_get_by_index(value, i, &child, &name) != 0) {
            return malformed(reader, path, "unreadable");
        }
        size_t ours = find_field(type, name, next);
        if (ours == type->field_count) {
            continue;
        }
        next = ours + 1;
        seen |= UINT64_C(1) << ours;
        if (!read_field(reader, &type->fields[ours], &child, record,
                &MSG_PATH_FIELD(path, type->fields[ours].name))) {
            return false;
        }
    }
    return default_missing(reader, type, seen, record, path);
}

bool bind_read(const struct msg_type *type, struct arena *arena, avro_value_t *value, void *record,
    const struct msg_path *path, struct error *err)
{
    struct reader reader = {.arena = arena, .err = err};

    return read_record(&reader, type, value, record, path);
}

/* ---- writing ---- */

static bool invalid(const struct msg_path *path, struct error *err, const char *what)
{
    return msg_path_reject(path, err, "record_invalid", what);
}

static bool write_string(
    const char *text, avro_value_t *value, const struct msg_path *path, struct error *err)
{
    avro_wrapped_buffer_t borrowed;

    if (text == NULL) {
        return invalid(path, err, "missing");
    }
    size_t len = strlen(text);
    if (!utf8_valid(text, len)) {
        return invalid(path, err, "not UTF-8");
    }
    return (avro_wrapped_buffer_new(&borrowed, text, len + 1) == 0 &&
               avro_value_give_string_len(value, &borrowed) == 0) ||
           invalid(path, err, "not writable");
}

/* One value, not null, from `in`. */
static bool write_value(const struct msg_field *field, const void *in, avro_value_t *value,
    const struct msg_path *path, struct error *err)
{
    int problem = 0;

    switch (field->shape) {
    case MSG_SHAPE_STRING:
        return write_string(*(const char *const *)in, value, path, err);
    case MSG_SHAPE_BOOL:
        problem = avro_value_set_boolean(value, *(const bool *)in);
        break;
    case MSG_SHAPE_INT:
        problem = avro_value_set_int(value, *(const int32_t *)in);
        break;
    case MSG_SHAPE_LONG:
        problem = avro_value_set_long(value, *(const int64_t *)in);
        break;
    case MSG_SHAPE_DOUBLE:
        if (!isfinite(*(const double *)in)) {
            return invalid(path, err, "not a finite number");
        }
        problem = avro_value_set_double(value, *(const double *)in);
        break;
    case MSG_SHAPE_ENUM:
        if (msg_enum_symbol(field->enumeration, *(const int *)in) == NULL) {
            return invalid(path, err, "not a value of its enum");
        }
        problem = avro_value_set_enum(value, *(const int *)in);
        break;
    case MSG_SHAPE_RECORD:
        return bind_write(field->record, in, value, path, err);
    }
    return problem == 0 || invalid(path, err, "not writable");
}

static bool write_array(const struct msg_field *field, const void *record, avro_value_t *value,
    const struct msg_path *path, struct error *err)
{
    size_t count = tree_count(field, record);

    if (count > 0 && tree_pointer(field, record) == NULL) {
        return invalid(path, err, "missing");
    }
    for (size_t i = 0; i < count; i++) {
        struct msg_path item_path = MSG_PATH_ITEM(path, i);
        avro_value_t item;
        if (avro_value_append(value, &item, NULL) != 0) {
            return invalid(&item_path, err, "not writable");
        }
        if (!write_value(field, tree_value(field, record, i), &item, &item_path, err)) {
            return false;
        }
    }
    return true;
}

static bool write_field(const struct msg_field *field, const void *record, avro_value_t *value,
    const struct msg_path *path, struct error *err)
{
    avro_value_t branch = *value;

    if (field->array) {
        return write_array(field, record, value, path, err);
    }
    bool present = tree_count(field, record) > 0;
    if (field->nullable && avro_value_set_branch(value, present ? 1 : 0, &branch) != 0) {
        return invalid(path, err, "not writable");
    }
    if (!present) {
        return avro_value_set_null(&branch) == 0;
    }
    return write_value(field, tree_value(field, record, 0), &branch, path, err);
}

bool bind_write(const struct msg_type *type, const void *record, avro_value_t *value,
    const struct msg_path *path, struct error *err)
{
    for (size_t i = 0; i < type->field_count; i++) {
        struct msg_path field_path = MSG_PATH_FIELD(path, type->fields[i].name);
        avro_value_t child;
        if (avro_value_get_by_index(value, i, &child, NULL) != 0) {
            return invalid(&field_path, err, "not writable");
        }
        if (!write_field(&type->fields[i], record, &child, &field_path, err)) {
            return false;
        }
    }
    return within_budget(type, value, path, err);
}
