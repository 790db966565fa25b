/* PostgreSQL on the loop: a pool of connections, queries that complete later, migrations. */
#ifndef HELPDESK_DB_DB_H
#define HELPDESK_DB_DB_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/error.h"
#include "loop/loop.h"

struct db;
struct db_result; /* rows of one query; borrowed inside the callback */

struct db_options {
    const char *url; /* libpq connection string or URI */
    int connections;
    int64_t query_timeout_ms; /* statement_timeout, and how long a query may wait for a connection */
    /* A login with a password was turned down, perhaps because there is a newer one: db_set_url may follow,
     * now or later. NULL: nothing can be done. Loop thread; must not free the pool. */
    void (*refused)(void *arg);
    void *refused_arg;
};

/* Connects in the background and again after every loss, with backoff; sets health part "database". */
struct db *db_new(struct loop *loop, const struct db_options *options);
/* Queries under way complete with an error first (and must not ask again at once). Not from inside a
 * callback. */
void db_free(struct db *db);
bool db_up(const struct db *db);
/* Connects to `url` from now on; connections that are up stay. */
void db_set_url(struct db *db, const char *url);

/* Exactly one of `result` and `err` is not NULL. Loop thread. */
typedef void db_done(void *arg, const struct db_result *result, const struct error *err);

/* A constant within the literal of a statement. */
#define DB_NUMBER(constant) DB_NUMBER_TEXT(constant)
#define DB_NUMBER_TEXT(number) #number

#define DB_MAX_PARAMS 24
struct db_query {
    const char *sql; /* one statement with $1...; a string literal: it is prepared once a connection */
    int param_count;
    const char *params[DB_MAX_PARAMS]; /* text form, NULL is SQL NULL; copied */
};

/* Queues the query; completes on the loop thread, never inside this call. Errors: ERROR_RETRY
 * "db_unavailable", "db_timeout", "db_conflict" (serialization, deadlock), "db_internal"; ERROR_REJECT
 * "db_data" (bad value, constraint); ERROR_FATAL "db_schema" (missing table or column: not migrated). */
void db_query(struct db *db, const struct db_query *query, db_done *done, void *arg);

/* Array parameters: text[] as PostgreSQL writes it, for unnest($1::text[], ...). NULL elements become NULL;
 * see also db/db_table.h. */
char *db_text_array(struct arena *arena, const char *const *items, size_t count);

int db_rows(const struct db_result *result);
int64_t db_affected(const struct db_result *result);
const char *db_value(const struct db_result *result, int row, int column); /* NULL for SQL NULL; borrowed */
int64_t db_int(const struct db_result *result, int row, int column);       /* 0 for NULL */
double db_number(const struct db_result *result, int row, int column);
bool db_bool(const struct db_result *result, int row, int column);

/* Calls `fn` for every NOTIFY on `channel`, and with an empty payload once it listens, at first and after
 * each reconnect (something may have been missed). */
void db_listen(struct db *db, const char *channel, void (*fn)(void *arg, const char *payload), void *arg);
/* Ends what db_listen began with these; not from inside `fn`. */
void db_unlisten(struct db *db, void (*fn)(void *arg, const char *payload), void *arg);
/* Whether every channel is being listened to, as far as is known here: a network that goes silent is found
 * out after a minute. */
bool db_listening(const struct db *db);

/* The same statement without a loop, for commands: blocks. NULL and `err` on failure; free with
 * db_result_free. */
struct db_session;
struct db_session *db_session_open(const char *url, struct error *err);
struct db_result *db_session_query(
    struct db_session *session, const struct db_query *query, struct error *err);
bool db_session_script(
    struct db_session *session, const char *sql, struct error *err); /* several statements */
void db_result_free(struct db_result *result);
void db_session_close(struct db_session *session);

#endif
