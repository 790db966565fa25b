/* The writers' schemas this process can read: those compiled in (current and earlier versions), those of a
 * loaded folder, and Confluent ids pinned to them. Filled before the first decode, read-only and for any
 * thread after that; ids learned from a registry are in msg/learned.h. Private to src/msg. */
#ifndef HELPDESK_MSG_STORE_H
#define HELPDESK_MSG_STORE_H

#include "msg/avsc.h"
#include "msg/table.h"

#define STORE_MAX_SCHEMAS 256
#define STORE_MAX_PINS 256

/* The current schema of a top-level type. */
const struct avsc *store_current(const struct msg_type *type);
/* NULL when unknown. */
const struct avsc *store_by_fingerprint(uint64_t fingerprint);
const struct avsc *store_by_confluent_id(uint32_t id);

#endif
