/* Avro records to structs and back (avro-c), framed as single objects (Avro 1.11 specification,
 * "Single-object encoding"): C3 01, CRC-64-AVRO fingerprint of the writer's schema (little-endian), the
 * datum. Confluent's framing (00, 4-byte big-endian schema id, the datum) is read too, for ids pinned with
 * msg_pin_confluent_id and those of a schema registry (msg/registry.h), and written when that says so.
 *
 * The structs and tables are generated from schemas/avro at build: msg/messages.h. A string is NUL-terminated
 * and never NULL unless the schema makes it nullable; a nullable record is a pointer; another nullable value
 * `x` has `bool has_x` beside it; an array `x` has `size_t x_count`. Hostile bytes are checked against the
 * writer's schema (lengths, counts, ordinals, depth, UTF-8, no NUL) before avro-c sees them. A schema's
 * attribute `max_bytes` is the budget of its record, encoded. */
#ifndef HELPDESK_MSG_CODEC_H
#define HELPDESK_MSG_CODEC_H

#include <stddef.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "conf/conf.h"
#include "msg/messages.h" /* generated */

/* One record type. The descriptor of struct msg_ticket_event is the object msg_ticket_event
 * (`&msg_ticket_event`), and so for every record of the schemas, nested ones too; msg_encode, msg_decode,
 * msg_schema and msg_fingerprint are for the top-level ones only: msg_ticket_event, msg_feedback,
 * msg_kb_notification. */
struct msg_type;
struct cJSON;

#define MSG_MAX_RECORD (512 * 1024)

/* A struct with every default of the schema, in the arena; a field without one is "" or 0. */
void *msg_new(const struct msg_type *type, struct arena *arena);

/* Appends the framed record. False: ERROR_REJECT "record_too_large" or "record_invalid" naming the field; in
 * Confluent's framing also what msg_registry.no_id says. Any thread. */
bool msg_encode(const struct msg_type *type, const void *record, struct buf *out, struct error *err);

/* Whether msg_encode could write such a record now. False: the error that it would give, ERROR_RETRY while
 * the schema registry has not told the id of our schema. Any thread. */
bool msg_writable(const struct msg_type *type, struct error *err);

/* The record in the arena, or NULL: ERROR_REJECT "schema_unknown" (names the fingerprint or id),
 * "record_malformed", "record_too_large"; with a registry also what msg_registry.unknown_id says, ERROR_RETRY
 * among it. Fields the writer did not know get their defaults; fields we do not know are skipped. Any thread.
 */
void *msg_decode(
    const struct msg_type *type, struct arena *arena, const void *data, size_t len, struct error *err);

/* Takes the settings schemas.folder and schemas.confluent-ids; every role calls it at its start, later calls
 * change nothing. ERROR_FATAL. Any thread. */
bool msg_setup(const struct conf *conf, struct error *err);
/* Knows further writer schemas: every *.avsc of a folder (bounded in size and depth). Before any decode. */
bool msg_load_schemas(const char *folder, struct error *err);
/* Says that Confluent schema id `id` means the schema called `name` ("TicketEvent": the current one compiled
 * in, or a file name of the loaded folder without .avsc). Before any decode. */
bool msg_pin_confluent_id(int32_t id, const char *name, struct error *err);

/* A record as JSON (enum symbols as text, nulls kept), and back: members we do not know are left out, missing
 * ones get their defaults. NULL: ERROR_REJECT "record_invalid" naming the field. */
struct cJSON *msg_to_json(const struct msg_type *type, const void *record);
void *msg_from_json(
    const struct msg_type *type, struct arena *arena, const struct cJSON *json, struct error *err);

/* Deep copy into another arena. */
void *msg_copy(const struct msg_type *type, struct arena *arena, const void *record);

/* The media type of what msg_encode writes, for a content-type header. */
const char *msg_content_type(void);

/* The schema as JSON text, and its fingerprint. */
const char *msg_schema(const struct msg_type *type);
uint64_t msg_fingerprint(const struct msg_type *type);

#endif
