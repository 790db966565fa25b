/* The pool's inside: queries that wait, connections that run several at once. Shared by db.c and db_conn.c.
 */
#ifndef HELPDESK_DB_DB_POOL_H
#define HELPDESK_DB_DB_POOL_H

#include "db/db.h"
#include "db/db_link.h"

#define DB_MAX_STATEMENTS 512 /* kept prepared on a connection; others are sent as text each time */

/* A query from db_query until its callback. */
struct db_pending {
    struct db_pending *next;
    const char *sql;
    int statement; /* its number among the pool's, -1: not kept prepared */
    int param_count;
    const char *params[DB_MAX_PARAMS]; /* in the same allocation */
    db_done *done;
    void *arg;
    int64_t queued_us;
    bool preparing; /* sent with a Parse of its own, whose result comes first */
    bool failed;    /* `err` is the first error */
    struct error err;
    PGresult *result;
};

struct db_fifo {
    struct db_pending *head, *tail;
    int count;
};

enum db_prepared { DB_PREPARED_NOT, DB_PREPARED_SENT, DB_PREPARED_YES };

/* A connection in pipeline mode. Each query ends with its own sync: an error aborts that query only. */
struct db_conn {
    struct db *db;
    struct db_link link;
    struct db_fifo sent;
    unsigned char prepared[DB_MAX_STATEMENTS]; /* enum db_prepared */
    int64_t progress_ms; /* monotonic: when the server was last seen working on `sent` */
    bool stale;          /* a prepared statement broke: connect anew when idle */
};

void db_conn_init(struct db_conn *conn, struct db *db, struct loop *loop, const struct db_server *server,
    int64_t timeout_ms);
void db_conn_fini(struct db_conn *conn, const struct error *why); /* what was sent completes with `why` */
bool db_conn_usable(const struct db_conn *conn);
void db_conn_send(struct db_conn *conn, struct db_pending *query); /* takes the query */

void db_fifo_push(struct db_fifo *fifo, struct db_pending *query);
struct db_pending *db_fifo_pop(struct db_fifo *fifo); /* NULL when empty */

/* Tells the one who asked, and frees the query. */
void db_complete(struct db *db, struct db_pending *query, const struct error *err);
void db_dispatch(struct db *db); /* sends what waits to who is free */
void db_connections_changed(
    struct db *db, const struct error *why); /* one came up (`why` NULL) or went down */

/* db_listen.c */
struct db_listen;
struct db_listen *db_listen_new(struct loop *loop, const struct db_server *server);
void db_listen_free(struct db_listen *listen); /* NULL is fine */
void db_listen_add(
    struct db_listen *listen, const char *channel, void (*fn)(void *arg, const char *payload), void *arg);
void db_listen_remove(struct db_listen *listen, void (*fn)(void *arg, const char *payload), void *arg);
bool db_listen_up(const struct db_listen *listen);

/* db_result.c */
struct db_result {
    PGresult *rows;
};

#endif
