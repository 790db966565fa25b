/* Frames records as single objects or as Confluent does, and reads both. */
#include "msg/codec.h"

#include <avro.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "msg/bind.h"
#include "msg/learned.h"
#include "msg/registry.h"
#include "msg/store.h"
#include "msg/walk.h"

#define SINGLE_OBJECT_HEAD 10 /* C3 01 and the fingerprint */
#define CONFLUENT_HEAD 5      /* 00 and the schema id */

static bool too_large(struct error *err)
{
    return error_set(
        err, ERROR_REJECT, "record_too_large", "the record: larger than %d bytes", MSG_MAX_RECORD);
}

/* ---- encoding ---- */

struct head {
    unsigned char bytes[SINGLE_OBJECT_HEAD];
    size_t len;
};

/* The head that records of the type are written with. */
static bool make_head(const struct msg_type *type, uint64_t fingerprint, struct head *head, struct error *err)
{
    const struct msg_registry *registry = learned_registry();

    *head = (struct head){.bytes = {0xc3, 0x01}, .len = SINGLE_OBJECT_HEAD};
    for (int i = 0; i < 8; i++) {
        head->bytes[2 + i] = (unsigned char)(fingerprint >> (8 * i));
    }
    if (registry == NULL || !registry->confluent) {
        return true;
    }
    int64_t id = learned_write_id(type);
    if (id < 0) {
        registry->no_id(registry->arg, err);
        return false;
    }
    *head = (struct head){.len = CONFLUENT_HEAD};
    for (int i = 0; i < 4; i++) {
        head->bytes[1 + i] = (unsigned char)(id >> (8 * (3 - i)));
    }
    return true;
}

/* Appends the framed datum, or nothing. */
static bool put_value(const struct head *head, avro_value_t *value, struct buf *out, struct error *err)
{
    size_t size;

    if (avro_value_sizeof(value, &size) != 0) {
        return error_set(err, ERROR_REJECT, "record_invalid", "the record: not writable");
    }
    if (size > MSG_MAX_RECORD - head->len || out->len + size + head->len > out->max) {
        return too_large(err);
    }
    char *datum = xmalloc(size);
    avro_writer_t writer = avro_writer_memory(datum, (int64_t)size);
    if (writer == NULL) {
        alloc_failed();
    }
    bool ok = avro_value_write(writer, value) == 0 && avro_writer_tell(writer) == (int64_t)size;
    if (ok) {
        buf_append(out, head->bytes, head->len);
        buf_append(out, datum, size);
    } else {
        error_set(err, ERROR_REJECT, "record_invalid", "the record: not writable");
    }
    avro_writer_free(writer);
    free(datum);
    return ok;
}

bool msg_writable(const struct msg_type *type, struct error *err)
{
    struct head head;
    return make_head(type, 0, &head, err);
}

bool msg_encode(const struct msg_type *type, const void *record, struct buf *out, struct error *err)
{
    const struct avsc *avsc = store_current(type);
    struct head head;
    avro_value_t value;

    if (!make_head(type, avsc->fingerprint, &head, err)) {
        return false;
    }
    if (avro_generic_value_new(avsc->values, &value) != 0) {
        alloc_failed();
    }
    bool ok = bind_write(type, record, &value, &MSG_PATH_ROOT, err) && put_value(&head, &value, out, err);
    avro_value_decref(&value);
    return ok;
}

/* ---- decoding ---- */

/* A pinned id, else one that the registry taught, else what the registry says of it. */
static const struct avsc *find_id(uint32_t id, struct error *err)
{
    const struct msg_registry *registry = learned_registry();
    const struct avsc *avsc = store_by_confluent_id(id);

    if (avsc == NULL) {
        avsc = learned_by_id(id);
    }
    if (avsc == NULL && registry != NULL) {
        registry->unknown_id(registry->arg, id, err);
    } else if (avsc == NULL) {
        error_set(err, ERROR_REJECT, "schema_unknown", "no schema is pinned to id %" PRIu32, id);
    }
    return avsc;
}

/* Finds the writer's schema and moves `data` and `len` to the datum. */
static const struct avsc *take_head(const uint8_t **data, size_t *len, struct error *err)
{
    const struct avsc *avsc = NULL;
    const uint8_t *bytes = *data;
    size_t head = 0;

    if (*len >= SINGLE_OBJECT_HEAD && bytes[0] == 0xc3 && bytes[1] == 0x01) {
        uint64_t fingerprint = 0;
        for (int i = 0; i < 8; i++) {
            fingerprint |= (uint64_t)bytes[2 + i] << (8 * i);
        }
        head = SINGLE_OBJECT_HEAD;
        avsc = store_by_fingerprint(fingerprint);
        if (avsc == NULL) {
            error_set(
                err, ERROR_REJECT, "schema_unknown", "no schema with fingerprint %016" PRIx64, fingerprint);
        }
    } else if (*len >= CONFLUENT_HEAD && bytes[0] == 0x00) {
        uint32_t id =
            (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 8 | bytes[4];
        head = CONFLUENT_HEAD;
        avsc = find_id(id, err);
    } else {
        error_set(err, ERROR_REJECT, "record_malformed",
            "the record: neither an Avro single object (C3 01) nor Confluent's framing (00)");
    }
    *data += head;
    *len -= head;
    return avsc;
}

/* The datum as avro-c's value; the caller ends it with avro_value_decref. The bytes have passed walk_check.
 */
static bool read_datum(
    const struct avsc *avsc, const uint8_t *data, size_t len, avro_value_t *value, struct error *err)
{
    avro_reader_t reader = avro_reader_memory((const char *)data, (int64_t)len);

    if (reader == NULL || avro_generic_value_new(avsc->values, value) != 0) {
        alloc_failed();
    }
    bool ok = avro_value_read(reader, value) == 0;
    avro_reader_free(reader);
    if (ok) {
        return true;
    }
    avro_value_decref(value);
    return error_set(err, ERROR_REJECT, "record_malformed", "the record: unreadable");
}

void *msg_decode(
    const struct msg_type *type, struct arena *arena, const void *data, size_t len, struct error *err)
{
    const uint8_t *datum = data;
    avro_value_t value;

    if (len > MSG_MAX_RECORD) {
        too_large(err);
        return NULL;
    }
    const struct avsc *avsc = take_head(&datum, &len, err);
    if (avsc == NULL) {
        return NULL;
    }
    if (strcmp(avsc->record, type->name) != 0) {
        error_set(
            err, ERROR_REJECT, "record_malformed", "the record: a %s, not a %s", avsc->record, type->name);
        return NULL;
    }
    if (!walk_check(avsc, datum, len, err) || !read_datum(avsc, datum, len, &value, err)) {
        return NULL;
    }
    void *record = arena_alloc(arena, type->size);
    bool ok = bind_read(type, arena, &value, record, &MSG_PATH_ROOT, err);
    avro_value_decref(&value);
    return ok ? record : NULL;
}
