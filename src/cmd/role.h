/* The skeleton that every role's process has: settings, log, loop, admin listener, database, drain on
 * SIGTERM. */
#ifndef HELPDESK_CMD_ROLE_H
#define HELPDESK_CMD_ROLE_H

#include "cmd/database.h"
#include "conf/conf.h"
#include "db/db.h"
#include "http/admin.h"
#include "loop/loop.h"

struct role {
    const char *name;
    struct conf *conf;
    struct loop *loop;
    struct http_server *admin;
    struct database *database; /* NULL unless role_open_db */
    struct db *db;             /* its pool */
    bool registry;             /* role_open_registry succeeded */
};

/* Loads the settings, sets up log and loop and the admin listener. 0, or the code to exit with (already
 * explained). */
int role_open(struct role *role, const char *name, int argc);
/* Connects to the database of the settings; an error when they name none, or its secret cannot be read. */
bool role_open_db(struct role *role, struct error *err);
/* Opens the schema registry of the settings, for a role that produces to `topics` (logical names,
 * NULL-terminated). */
bool role_open_registry(struct role *role, const char *const *topics, struct error *err);
/* Writes "host:port" to <run.dir>/<instance>.<what> when run.dir was given: how `up` and tests find a free
 * port. */
void role_publish_address(const struct role *role, const char *what, const char *host, int port);
/* Runs until a signal: then `drain` is called, which ends with loop_stop. Returns the exit code; frees what
 * role_open made. */
int role_run(struct role *role, loop_fn *drain, void *arg);
void role_close(struct role *role);
/* Logs a start error, closes, and gives the exit code. */
int role_fail(struct role *role, const struct error *err);

#endif
