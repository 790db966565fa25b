/* Which revision the base of each tenant has now, kept up by notifications of the database: asking costs no
 * statement. Loop thread. */
#ifndef HELPDESK_KB_REVISION_H
#define HELPDESK_KB_REVISION_H

#include <stdint.h>
#include "db/db.h"

struct kb_revisions;

struct kb_revisions *kb_revisions_new(struct db *db);   /* `db` outlives it */
void kb_revisions_free(struct kb_revisions *revisions); /* NULL is fine */

/* 0: a base that nothing was ever put into. -1: not known now, since notifications do not come in. */
int64_t kb_revisions_of(struct kb_revisions *revisions, const char *tenant);

#endif
