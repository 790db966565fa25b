/* Writers' schemas as avro-c holds them, admitted only when values of them are safe to read: avro-c 1.11.1
 * overflows the stack on recursive schemas, aborts on deep ones and crashes on a negative `fixed`. Private to
 * src/msg. */
#ifndef HELPDESK_MSG_AVSC_H
#define HELPDESK_MSG_AVSC_H

#include <avro.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

#define AVSC_MAX_BYTES (256 * 1024)
#define AVSC_MAX_DEPTH 32   /* of values, names resolved */
#define AVSC_MAX_NODES 4096 /* types in it, names resolved: a few names can stand for millions of fields */
#define AVSC_MAX_FIXED 65536
#define AVSC_NAME_SIZE 128

struct avsc {
    char name[AVSC_NAME_SIZE]; /* what msg_pin_confluent_id calls it */
    const char *record;        /* name of the record without namespace; borrowed from `schema` */
    uint64_t fingerprint;
    avro_schema_t schema;
    avro_value_iface_t *values; /* makes values of it */
};

/* Reads the schema of a record. ERROR_FATAL "schema_invalid" naming what is wrong. Not thread-safe: avro-c's
 * error text is global. */
bool avsc_init(struct avsc *avsc, const char *name, const char *json, size_t len, struct error *err);
void avsc_fini(struct avsc *avsc);

/* The schema that a reference by name stands for; any other schema itself. */
avro_schema_t avsc_resolve(avro_schema_t schema);

#endif
