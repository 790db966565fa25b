/* Whether this process can do its work: named conditions that its parts set and the admin listener shows. */
#ifndef HELPDESK_BASE_HEALTH_H
#define HELPDESK_BASE_HEALTH_H

#include <stdbool.h>
#include "base/buf.h"

/* Sets condition `part` ("broker", "database", "replies"); `why` says what is wrong while `ok` is false. A
 * change is logged. Any thread. */
void health_set(const char *part, bool ok, const char *why);
bool health_ok(const char *part); /* false when the part never reported */
bool health_ready(void);          /* every part that reported is ok, and at least one did */
/* {"status":"ready"|"not_ready","parts":{"broker":"ok","database":"connection refused"}} */
void health_render(struct buf *out);

#endif
