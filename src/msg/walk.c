/* Checks bytes against the writer's schema without making anything of them. */
#include "msg/walk.h"

#include "base/utf8.h"
#include "msg/path.h"

struct walk {
    const uint8_t *at;
    const uint8_t *end;
    size_t items;
    struct error *err;
};

static bool walk_value(struct walk *walk, avro_schema_t schema, const struct msg_path *path);

static bool malformed(struct walk *walk, const struct msg_path *path, const char *what)
{
    return msg_path_reject(path, walk->err, "record_malformed", what);
}

static size_t left(const struct walk *walk)
{
    return (size_t)(walk->end - walk->at);
}

/* A zigzag number of at most 10 bytes. */
static bool read_long(struct walk *walk, const struct msg_path *path, int64_t *out)
{
    uint64_t raw = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (walk->at == walk->end) {
            return malformed(walk, path, "the record ends inside a number");
        }
        uint64_t byte = *walk->at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        raw |= (byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *out = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
            return true;
        }
    }
    return malformed(walk, path, "a number is longer than 64 bits");
}

static bool skip(struct walk *walk, const struct msg_path *path, int64_t bytes)
{
    if (bytes < 0 || (uint64_t)bytes > left(walk)) {
        return malformed(walk, path, "its length is not within the record");
    }
    walk->at += bytes;
    return true;
}

static bool walk_int(struct walk *walk, const struct msg_path *path)
{
    int64_t value = 0;

    if (!read_long(walk, path, &value)) {
        return false;
    }
    return (value >= INT32_MIN && value <= INT32_MAX) ||
           malformed(walk, path, "an int is longer than 32 bits");
}

static bool walk_boolean(struct walk *walk, const struct msg_path *path)
{
    const uint8_t *byte = walk->at;

    return skip(walk, path, 1) && (*byte <= 1 || malformed(walk, path, "a boolean is neither 0 nor 1"));
}

static bool walk_text(struct walk *walk, const struct msg_path *path, bool utf8)
{
    int64_t len = 0;

    if (!read_long(walk, path, &len)) {
        return false;
    }
    const char *text = (const char *)walk->at;
    if (!skip(walk, path, len)) {
        return false;
    }
    return !utf8 || utf8_valid(text, (size_t)len) || malformed(walk, path, "not UTF-8, or it holds a NUL");
}

/* An ordinal below `count`: of a symbol or of a branch. */
static bool walk_ordinal(struct walk *walk, const struct msg_path *path, size_t count, int *out)
{
    int64_t value = 0;

    if (!read_long(walk, path, &value)) {
        return false;
    }
    if (value < 0 || (uint64_t)value >= count) {
        return malformed(walk, path, "an ordinal that its type does not have");
    }
    *out = (int)value;
    return true;
}

/* The head of a block of items: how many, 0 at the end of the array, and where the block says it ends (NULL:
 * it does not). */
static bool read_block(struct walk *walk, const struct msg_path *path, int64_t *count, const uint8_t **end)
{
    int64_t bytes = 0;

    *end = NULL;
    if (!read_long(walk, path, count)) {
        return false;
    }
    if (*count < 0) {
        if (!read_long(walk, path, &bytes)) {
            return false;
        }
        if (bytes < 0 || (uint64_t)bytes > left(walk)) {
            return malformed(walk, path, "the size of a block is not within the record");
        }
        *end = walk->at + bytes;
        *count = *count == INT64_MIN ? INT64_MAX : -*count;
    }
    /* Every item takes at least a byte: avsc_init saw to that. */
    if ((uint64_t)*count > left(walk)) {
        return malformed(walk, path, "more items than the record has bytes");
    }
    walk->items += (size_t)*count;
    return walk->items <= WALK_MAX_ITEMS || malformed(walk, path, "too many items");
}

static bool walk_array(struct walk *walk, avro_schema_t schema, const struct msg_path *path)
{
    avro_schema_t items = avro_schema_array_items(schema);
    const uint8_t *end;
    int64_t count = 0;

    for (size_t index = 0;;) {
        if (!read_block(walk, path, &count, &end)) {
            return false;
        }
        if (count == 0) {
            return end == NULL || end == walk->at || malformed(walk, path, "an empty block with bytes in it");
        }
        for (int64_t i = 0; i < count; i++, index++) {
            if (!walk_value(walk, items, &MSG_PATH_ITEM(path, index))) {
                return false;
            }
        }
        if (end != NULL && end != walk->at) {
            return malformed(walk, path, "the size of a block is wrong");
        }
    }
}

static bool walk_record(struct walk *walk, avro_schema_t schema, const struct msg_path *path)
{
    size_t count = avro_schema_record_size(schema);

    for (size_t i = 0; i < count; i++) {
        const char *name = avro_schema_record_field_name(schema, (int)i);
        if (!walk_value(
                walk, avro_schema_record_field_get_by_index(schema, (int)i), &MSG_PATH_FIELD(path, name))) {
            return false;
        }
    }
    return true;
}

/* The depth of the recursion is that of the schema, which avsc_init bounds. */
static bool walk_value(struct walk *walk, avro_schema_t schema, const struct msg_path *path)
{
    int64_t number = 0;
    int ordinal = 0;

    schema = avsc_resolve(schema);
    switch (avro_typeof(schema)) {
    case AVRO_NULL:
        return true;
    case AVRO_BOOLEAN:
        return walk_boolean(walk, path);
    case AVRO_INT32:
        return walk_int(walk, path);
    case AVRO_INT64:
        return read_long(walk, path, &number);
    case AVRO_FLOAT:
        return skip(walk, path, 4);
    case AVRO_DOUBLE:
        return skip(walk, path, 8);
    case AVRO_BYTES:
    case AVRO_STRING:
        return walk_text(walk, path, avro_typeof(schema) == AVRO_STRING);
    case AVRO_FIXED:
        return skip(walk, path, avro_schema_fixed_size(schema));
    case AVRO_ENUM:
        return walk_ordinal(walk, path, (size_t)avro_schema_enum_number_of_symbols(schema), &ordinal);
    case AVRO_UNION:
        return walk_ordinal(walk, path, avro_schema_union_size(schema), &ordinal) &&
               walk_value(walk, avro_schema_union_branch(schema, ordinal), path);
    case AVRO_ARRAY:
        return walk_array(walk, schema, path);
    case AVRO_RECORD:
        return walk_record(walk, schema, path);
    default:
        return malformed(walk, path, "its type is not supported");
    }
}

bool walk_check(const struct avsc *avsc, const uint8_t *data, size_t len, struct error *err)
{
    struct walk walk = {.at = data, .end = data + len, .err = err};

    if (!walk_value(&walk, avsc->schema, &MSG_PATH_ROOT)) {
        return false;
    }
    return walk.at == walk.end || malformed(&walk, &MSG_PATH_ROOT, "bytes are left over after it");
}
