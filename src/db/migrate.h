/* The database's schema, in numbered steps compiled in from schemas/sql/NNNN_name.{up,down}.sql. */
#ifndef HELPDESK_DB_MIGRATE_H
#define HELPDESK_DB_MIGRATE_H

#include "base/buf.h"
#include "db/db.h"

struct db_migration {
    int number;
    const char *name;
    const char *up;
    const char *down;
};
extern const struct db_migration db_migrations[]; /* generated; ends with number 0 */

/* Each runs under an advisory lock, a step with its row in schema_migrations in one transaction. `report`
 * gets a line for each step. An applied step whose text has changed is an error. */
bool migrate_up(struct db_session *session, struct buf *report, struct error *err);
/* Opens the database at `url`, takes all steps up, and closes it. Blocks. False also as of db_session_open.
 */
bool migrate_to_newest(const char *url, struct error *err);
bool migrate_down(struct db_session *session, int steps, struct buf *report, struct error *err);
bool migrate_status(struct db_session *session, struct buf *report, struct error *err);

#endif
