/* Turns a schema into its Parsing Canonical Form and computes CRC-64-AVRO fingerprints. */
#include "msg/fingerprint.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include "base/arena.h"
#include "base/json.h"

/* What the canonical form is written with: names are resolved against the namespace of the enclosing
 * definition. */
struct canonical {
    struct buf *out;
    struct arena *arena; /* for resolved names */
};

static bool put_schema(struct canonical *form, const cJSON *schema, const char *space);

static bool is_primitive(const char *type)
{
    static const char *const names[] = {
        "null", "boolean", "int", "long", "float", "double", "bytes", "string"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(type, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const char *full_name(struct canonical *form, const char *name, const char *space)
{
    if (*space == '\0' || strchr(name, '.') != NULL) {
        return name;
    }
    return arena_printf(form->arena, "%s.%s", space, name);
}

/* The namespace that holds inside a definition called `full`. */
static const char *space_of(struct canonical *form, const char *full)
{
    const char *dot = strrchr(full, '.');
    return dot != NULL ? arena_strndup(form->arena, full, (size_t)(dot - full)) : "";
}

static bool put_list(struct canonical *form, const cJSON *list, const char *space)
{
    const cJSON *item;

    buf_putc(form->out, '[');
    cJSON_ArrayForEach(item, list)
    {
        if (item != list->child) {
            buf_putc(form->out, ',');
        }
        if (!put_schema(form, item, space)) {
            return false;
        }
    }
    buf_putc(form->out, ']');
    return true;
}

static bool put_fields(struct canonical *form, const cJSON *fields, const char *space)
{
    const cJSON *field;

    if (!cJSON_IsArray(fields)) {
        return false;
    }
    buf_puts(form->out, ",\"fields\":[");
    cJSON_ArrayForEach(field, fields)
    {
        const char *name = json_str(field, "name");
        const cJSON *type = cJSON_GetObjectItemCaseSensitive(field, "type");

        if (name == NULL || type == NULL) {
            return false;
        }
        if (field != fields->child) {
            buf_putc(form->out, ',');
        }
        buf_puts(form->out, "{\"name\":");
        json_put_string(form->out, name);
        buf_puts(form->out, ",\"type\":");
        if (!put_schema(form, type, space)) {
            return false;
        }
        buf_putc(form->out, '}');
    }
    buf_putc(form->out, ']');
    return true;
}

static bool put_symbols(struct canonical *form, const cJSON *symbols)
{
    const cJSON *symbol;

    if (!cJSON_IsArray(symbols)) {
        return false;
    }
    buf_puts(form->out, ",\"symbols\":[");
    cJSON_ArrayForEach(symbol, symbols)
    {
        if (!cJSON_IsString(symbol)) {
            return false;
        }
        if (symbol != symbols->child) {
            buf_putc(form->out, ',');
        }
        json_put_string(form->out, symbol->valuestring);
    }
    buf_putc(form->out, ']');
    return true;
}

static bool put_size(struct canonical *form, const cJSON *size)
{
    if (!cJSON_IsNumber(size) || size->valuedouble != floor(size->valuedouble) ||
        fabs(size->valuedouble) > 1e9) {
        return false;
    }
    buf_printf(form->out, ",\"size\":%ld", (long)size->valuedouble);
    return true;
}

/* A record, an enum or a fixed. */
static bool put_named(struct canonical *form, const cJSON *schema, const char *type, const char *space)
{
    const char *name = json_str(schema, "name");
    const char *own_space = json_str(schema, "namespace");

    if (name == NULL) {
        return false;
    }
    name = full_name(form, name, own_space != NULL ? own_space : space);
    buf_puts(form->out, "{\"name\":");
    json_put_string(form->out, name);
    buf_printf(form->out, ",\"type\":\"%s\"", type);
    bool ok;
    if (strcmp(type, "record") == 0) {
        ok = put_fields(form, cJSON_GetObjectItemCaseSensitive(schema, "fields"), space_of(form, name));
    } else if (strcmp(type, "enum") == 0) {
        ok = put_symbols(form, cJSON_GetObjectItemCaseSensitive(schema, "symbols"));
    } else {
        ok = put_size(form, cJSON_GetObjectItemCaseSensitive(schema, "size"));
    }
    buf_putc(form->out, '}');
    return ok;
}

/* An array or a map. */
static bool put_collection(
    struct canonical *form, const cJSON *schema, const char *type, const char *member, const char *space)
{
    const cJSON *inner = cJSON_GetObjectItemCaseSensitive(schema, member);

    if (inner == NULL) {
        return false;
    }
    buf_printf(form->out, "{\"type\":\"%s\",\"%s\":", type, member);
    bool ok = put_schema(form, inner, space);
    buf_putc(form->out, '}');
    return ok;
}

/* Recursion is bounded by the depth that json_parse admits. */
static bool put_schema(struct canonical *form, const cJSON *schema, const char *space)
{
    if (cJSON_IsArray(schema)) {
        return put_list(form, schema, space);
    }
    if (cJSON_IsString(schema)) {
        const char *name = schema->valuestring;
        json_put_string(form->out, is_primitive(name) ? name : full_name(form, name, space));
        return true;
    }
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(schema, "type");
    if (type == NULL) {
        return false;
    }
    if (!cJSON_IsString(type)) {
        return put_schema(form, type, space);
    }
    const char *name = type->valuestring;
    if (strcmp(name, "record") == 0 || strcmp(name, "enum") == 0 || strcmp(name, "fixed") == 0) {
        return put_named(form, schema, name, space);
    }
    if (strcmp(name, "array") == 0) {
        return put_collection(form, schema, name, "items", space);
    }
    if (strcmp(name, "map") == 0) {
        return put_collection(form, schema, name, "values", space);
    }
    return put_schema(form, type, space);
}

bool fingerprint_canonical(const cJSON *schema, struct buf *out)
{
    struct canonical form = {.out = out, .arena = arena_new(0)};
    bool ok = put_schema(&form, schema, "") && !out->failed;

    arena_free(form.arena);
    return ok;
}

/* The specification's polynomial, which is also the fingerprint of nothing. */
#define CRC64_EMPTY UINT64_C(0xc15d213aa4d7a795)

static uint64_t crc64_table[256];
static pthread_once_t crc64_once = PTHREAD_ONCE_INIT;

static void crc64_fill(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t crc = i;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (CRC64_EMPTY & -(crc & 1));
        }
        crc64_table[i] = crc;
    }
}

uint64_t fingerprint_crc64(const void *data, size_t len)
{
    const unsigned char *bytes = data;
    uint64_t crc = CRC64_EMPTY;

    pthread_once(&crc64_once, crc64_fill);
    for (size_t i = 0; i < len; i++) {
        crc = (crc >> 8) ^ crc64_table[(crc ^ bytes[i]) & 0xff];
    }
    return crc;
}
