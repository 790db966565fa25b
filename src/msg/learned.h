/* Schemas by the ids that a registry gave them. Append-only: found on any thread without a lock while another
 * learns. Private to src/msg. */
#ifndef HELPDESK_MSG_LEARNED_H
#define HELPDESK_MSG_LEARNED_H

#include "msg/avsc.h"
#include "msg/registry.h"

/* NULL when there is none. */
const struct msg_registry *learned_registry(void);
/* NULL when it was not learned. */
const struct avsc *learned_by_id(uint32_t id);
/* What msg_write_id said of the type; -1 before. */
int64_t learned_write_id(const struct msg_type *type);

#endif
