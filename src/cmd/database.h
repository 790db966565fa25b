/* The database of the settings: database.url, with what the secret of database.secret-arn says put over it.
 */
#ifndef HELPDESK_CMD_DATABASE_H
#define HELPDESK_CMD_DATABASE_H

#include "conf/conf.h"
#include "db/db.h"

/* Whether the settings name a database. False: ERROR_FATAL "setting_missing". */
bool database_named(const struct conf *conf, struct error *err);

/* Its connection string, to be freed with database_url_free; NULL with `err`. Blocks while the secret is read
 * (some seconds at most). Any thread without a running loop. */
char *database_url(const struct conf *conf, struct error *err);
void database_url_free(char *url); /* its bytes are wiped; NULL is fine */

/* For commands. NULL with `err`; blocks. */
struct db_session *database_session(const struct conf *conf, struct error *err);

/* A pool; when a password is turned down, the secret is read again (at most every 3 s, and until that
 * succeeds), so that a rotation needs no restart. `conf` is borrowed. NULL with `err`; blocks while the
 * secret is read. */
struct database;
struct database *database_open(
    struct loop *loop, const struct conf *conf, int64_t query_timeout_ms, struct error *err);
struct db *database_pool(const struct database *database);
void database_close(struct database *database); /* as db_free; NULL is fine */

#endif
