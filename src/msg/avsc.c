/* Reads schemas and refuses those whose values avro-c could not hold safely. */
#include "msg/avsc.h"

#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "msg/fingerprint.h"

/* How far a check has come. */
struct check {
    avro_schema_t open[AVSC_MAX_DEPTH]; /* the types that the current one lies in */
    size_t depth;
    size_t nodes;
    const char *problem;
};

/* Says what is wrong; the first word counts. */
static size_t refuse(struct check *check, const char *problem)
{
    if (check->problem == NULL) {
        check->problem = problem;
    }
    return 0;
}

avro_schema_t avsc_resolve(avro_schema_t schema)
{
    return avro_typeof(schema) == AVRO_LINK ? avro_schema_link_target(schema) : schema;
}

static size_t check_type(struct check *check, avro_schema_t schema);

static size_t check_record(struct check *check, avro_schema_t schema)
{
    size_t bytes = 0;

    for (size_t i = 0; i < avro_schema_record_size(schema) && check->problem == NULL; i++) {
        bytes += check_type(check, avro_schema_record_field_get_by_index(schema, (int)i));
    }
    return bytes;
}

static size_t check_union(struct check *check, avro_schema_t schema)
{
    if (avro_schema_union_size(schema) == 0) {
        return refuse(check, "an empty union");
    }
    for (size_t i = 0; i < avro_schema_union_size(schema) && check->problem == NULL; i++) {
        avro_schema_t branch = avro_schema_union_branch(schema, (int)i);
        if (avro_typeof(branch) == AVRO_UNION) {
            return refuse(check, "a union directly in a union");
        }
        check_type(check, branch);
    }
    return 1;
}

static size_t check_nested(struct check *check, avro_schema_t schema)
{
    int64_t size;

    switch (avro_typeof(schema)) {
    case AVRO_RECORD:
        return check_record(check, schema);
    case AVRO_UNION:
        return check_union(check, schema);
    case AVRO_ARRAY:
        /* Items of no bytes would let six bytes stand for a thousand million of them. */
        if (check_type(check, avro_schema_array_items(schema)) == 0) {
            return refuse(check, "an array whose items take no bytes");
        }
        return 1;
    case AVRO_FIXED:
        size = avro_schema_fixed_size(schema);
        return size >= 1 && size <= AVSC_MAX_FIXED ? (size_t)size : refuse(check, "the size of a fixed");
    case AVRO_ENUM:
        return avro_schema_enum_number_of_symbols(schema) > 0 ? 1 : refuse(check, "an enum without symbols");
    case AVRO_NULL:
        return 0;
    case AVRO_FLOAT:
        return 4;
    case AVRO_DOUBLE:
        return 8;
    case AVRO_MAP: /* avro-c hashes keys without a seed: a chosen set of keys takes hours */
        return refuse(check, "a map, which is not supported");
    default:
        return 1;
    }
}

/* The least bytes a value of the type takes. */
static size_t check_type(struct check *check, avro_schema_t schema)
{
    schema = avsc_resolve(schema);
    if (check->depth == AVSC_MAX_DEPTH) {
        return refuse(check, "it is nested too deep");
    }
    if (++check->nodes > AVSC_MAX_NODES) {
        return refuse(check, "it holds too many types");
    }
    for (size_t i = 0; i < check->depth; i++) {
        if (check->open[i] == schema && is_avro_record(schema)) {
            return refuse(check, "a type that holds itself, which is not supported");
        }
    }
    check->open[check->depth++] = schema;
    size_t bytes = check_nested(check, schema);
    check->depth--;
    return bytes;
}

/* avro-c takes any number for a fixed's size and any depth: both are looked at in the JSON first. */
static const char *check_json(const cJSON *node)
{
    const cJSON *child, *size = cJSON_GetObjectItemCaseSensitive(node, "size");

    if (cJSON_IsNumber(size) && !(size->valuedouble >= 1 && size->valuedouble <= AVSC_MAX_FIXED)) {
        return "the size of a fixed";
    }
    cJSON_ArrayForEach(child, node)
    {
        const char *problem = check_json(child);
        if (problem != NULL) {
            return problem;
        }
    }
    return NULL;
}

static const char *read_schema(struct avsc *avsc, const cJSON *tree, const char *json, size_t len)
{
    struct check check = {.depth = 0};
    struct buf canonical;
    const char *problem = check_json(tree);

    if (problem != NULL) {
        return problem;
    }
    buf_init(&canonical, 2 * AVSC_MAX_BYTES);
    bool ok = fingerprint_canonical(tree, &canonical);
    avsc->fingerprint = fingerprint_crc64(buf_text(&canonical), canonical.len);
    buf_fini(&canonical);
    if (!ok) {
        return "a part of it is missing or of the wrong type";
    }
    if (avro_schema_from_json_length(json, len, &avsc->schema) != 0) {
        avsc->schema = NULL;
        return avro_strerror();
    }
    if (!is_avro_record(avsc->schema)) {
        return "it is not a record";
    }
    check_type(&check, avsc->schema);
    if (check.problem != NULL) {
        return check.problem;
    }
    avsc->record = avro_schema_name(avsc->schema);
    avsc->values = avro_generic_class_from_schema(avsc->schema);
    return avsc->values == NULL ? avro_strerror() : NULL;
}

bool avsc_init(struct avsc *avsc, const char *name, const char *json, size_t len, struct error *err)
{
    struct error why = {.disposition = ERROR_NONE};

    *avsc = (struct avsc){.schema = NULL};
    snprintf(avsc->name, sizeof avsc->name, "%s", name);
    if (len > AVSC_MAX_BYTES) {
        return error_set(
            err, ERROR_FATAL, "schema_invalid", "schema %s is larger than %d bytes", name, AVSC_MAX_BYTES);
    }
    cJSON *tree = json_parse(json, len, &why);
    if (tree == NULL) {
        return error_set(err, ERROR_FATAL, "schema_invalid", "schema %s: %s", name, why.text);
    }
    const char *problem = read_schema(avsc, tree, json, len);
    cJSON_Delete(tree);
    if (problem == NULL) {
        return true;
    }
    error_set(err, ERROR_FATAL, "schema_invalid", "schema %s: %s", name, problem);
    avsc_fini(avsc);
    return false;
}

void avsc_fini(struct avsc *avsc)
{
    if (avsc->values != NULL) {
        avro_value_iface_decref(avsc->values);
    }
    if (avsc->schema != NULL) {
        avro_schema_decref(avsc->schema);
    }
    *avsc = (struct avsc){.schema = NULL};
}
