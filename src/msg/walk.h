/* The look at hostile bytes before avro-c sees them: avro-c 1.11.1 allocates what a length says, makes as
 * many items as a count says, does not check ordinals, and leaks what it had read when it fails. Private to
 * src/msg. */
#ifndef HELPDESK_MSG_WALK_H
#define HELPDESK_MSG_WALK_H

#include <stdint.h>
#include "msg/avsc.h"

#define WALK_MAX_ITEMS 65536 /* items of all arrays of one record together */

/* Whether `data` is exactly one value of the schema: every length, count, block size, ordinal, branch and
 * boolean in range, numbers in their shortest-or-longer form of at most 10 bytes, texts UTF-8 without NUL,
 * nothing left over. ERROR_REJECT "record_malformed" naming the field. Any thread. */
bool walk_check(const struct avsc *avsc, const uint8_t *data, size_t len, struct error *err);

#endif
