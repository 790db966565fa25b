/* One connection on the loop, kept alive: connects, sets the session up, and connects again after every loss.
 */
#ifndef HELPDESK_DB_DB_LINK_H
#define HELPDESK_DB_DB_LINK_H

#include <libpq-fe.h>
#include <stdbool.h>
#include "base/error.h"
#include "loop/loop.h"

enum db_link_state {
    DB_LINK_DOWN,       /* the timer will connect */
    DB_LINK_CONNECTING, /* libpq's handshake */
    DB_LINK_SETUP,      /* the session's settings are on their way */
    DB_LINK_UP,
};

/* Where links connect to; of all links of a pool. */
struct db_server {
    char *url; /* the next attempt takes what is there then */
    /* A login with a password was turned down; NULL: nobody wants to know. Loop thread, not inside a db call.
     */
    void (*refused)(void *arg);
    void *arg;
};

struct db_link;

/* All on the loop thread, never inside a db_link call. */
struct db_link_events {
    void (*up)(struct db_link *link, void *arg);    /* a session with its settings, no query under way */
    void (*input)(struct db_link *link, void *arg); /* PQconsumeInput was called: take what is there */
    /* Every failed attempt too. PGconn is gone when it returns. */
    void (*down)(struct db_link *link, const struct error *why, void *arg);
};

struct db_link {
    PGconn *conn; /* NULL when down */
    enum db_link_state state;
    struct loop *loop;
    const struct db_server *server; /* borrowed */
    int64_t statement_timeout_ms;
    const struct db_link_events *events;
    void *arg;
    struct event *event;
    short watched; /* EV_READ, EV_WRITE: what `event` waits for */
    struct loop_timer *timer;
    unsigned attempts; /* since it was last up */
    bool lost_soon;    /* db_link_lose was called */
};

void db_link_init(struct db_link *link, struct loop *loop, const struct db_server *server,
    int64_t statement_timeout_ms, const struct db_link_events *events, void *arg);
void db_link_fini(struct db_link *link); /* without `down` */

/* Sends what libpq holds; waits for a writable socket when it must. */
void db_link_flush(struct db_link *link);
/* Gives the connection up soon and connects anew. */
void db_link_lose(struct db_link *link);

#endif
