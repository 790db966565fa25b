/* The way between avro-c's values and our structs, by the field tables. Private to src/msg. */
#ifndef HELPDESK_MSG_BIND_H
#define HELPDESK_MSG_BIND_H

#include <avro.h>
#include "base/arena.h"
#include "base/error.h"
#include "msg/path.h"
#include "msg/table.h"

/* Fills `record` (zeroed) from a value of any writer's schema: fields by name, promotions of numbers,
 * defaults for what the writer did not know. ERROR_REJECT "record_malformed" or "record_too_large" naming the
 * field. Any thread. */
bool bind_read(const struct msg_type *type, struct arena *arena, avro_value_t *value, void *record,
    const struct msg_path *path, struct error *err);

/* Fills a value of our current schema from `record`; it borrows the record's texts. ERROR_REJECT
 * "record_invalid" or "record_too_large" naming the field. Any thread. */
bool bind_write(const struct msg_type *type, const void *record, avro_value_t *value,
    const struct msg_path *path, struct error *err);

#endif
