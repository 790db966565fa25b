/* What a schema is known by: the Parsing Canonical Form of its JSON and its CRC-64-AVRO fingerprint
 * (Avro 1.11 specification, "Schema Fingerprints"). Made from our own JSON: avro-c's printing loses parts of
 * it. Private to src/msg. */
#ifndef HELPDESK_MSG_FINGERPRINT_H
#define HELPDESK_MSG_FINGERPRINT_H

#include <stdint.h>
#include <cjson/cJSON.h>
#include "base/buf.h"

/* Appends the canonical form of `schema`. False when it is no schema (a part is missing or of another type).
 * Any thread. */
bool fingerprint_canonical(const cJSON *schema, struct buf *out);

/* CRC-64-AVRO (Rabin) of the bytes. Any thread. */
uint64_t fingerprint_crc64(const void *data, size_t len);

#endif
