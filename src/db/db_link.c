/* The life of one connection: connecting without blocking, session settings, loss, backoff. (Only the look-up
 * of a host name blocks: libpq has no other way; an address or a socket's folder needs none.) */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "db/db_error.h"
#include "db/db_link.h"

#define CONNECT_TIMEOUT_MS 10000
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

static void on_socket(evutil_socket_t socket, short what, void *arg);

static void unwatch(struct db_link *link)
{
    if (link->event != NULL) {
        event_free(link->event);
        link->event = NULL;
    }
    link->watched = 0;
}

static void watch(struct db_link *link, short what)
{
    if (link->event != NULL && link->watched == what) {
        return;
    }
    unwatch(link);
    link->event =
        event_new(loop_base(link->loop), PQsocket(link->conn), (short)(what | EV_PERSIST), on_socket, link);
    if (link->event == NULL || event_add(link->event, NULL) != 0) {
        db_link_lose(link);
        return;
    }
    link->watched = what;
}

static int64_t backoff_ms(unsigned attempts)
{
    int64_t most = BACKOFF_MIN_MS;
    for (unsigned i = 1; i < attempts && most < BACKOFF_MAX_MS; i++) {
        most *= 2;
    }
    most = most < BACKOFF_MAX_MS ? most : BACKOFF_MAX_MS;
    return most / 2 + (int64_t)arc4random_uniform((uint32_t)most / 2 + 1);
}

static void lose(struct db_link *link, const struct error *why)
{
    unwatch(link);
    link->state = DB_LINK_DOWN;
    link->lost_soon = false;
    link->attempts++;
    link->events->down(link, why, link->arg);
    PQfinish(link->conn);
    link->conn = NULL;
    loop_timer_arm(link->timer, backoff_ms(link->attempts));
}

static void lose_with_message(struct db_link *link)
{
    struct error why;
    db_error_from_connection(&why, link->conn);
    lose(link, &why);
}

/* What libpq tells of a login that failed is a text in the server's language: that a password was asked for
 * is all there is to see. */
static void lose_while_connecting(struct db_link *link)
{
    const struct db_server *server = link->server;
    bool refused = PQconnectionUsedPassword(link->conn);
    lose_with_message(link);
    if (refused && server->refused != NULL) {
        server->refused(server->arg);
    }
}

/* Times are exchanged as ISO 8601 in UTC, whatever the role or the database is set to. Statements are few,
 * used for ever and looked up by keys: one plan each, where the server would else make one for each execution
 * of those whose arrays it takes to be shorter than the average. */
static bool send_setup(struct db_link *link)
{
    char sql[200];
    (void)snprintf(sql, sizeof(sql),
        "SET statement_timeout = %lld; SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; "
        "SET plan_cache_mode = force_generic_plan",
        (long long)link->statement_timeout_ms);
    link->state = DB_LINK_SETUP;
    return PQsetnonblocking(link->conn, 1) == 0 && PQsendQuery(link->conn, sql) == 1 &&
           PQflush(link->conn) >= 0;
}

static void go_on_connecting(struct db_link *link)
{
    unwatch(link); /* libpq may close its socket and get the same number again for another address */
    switch (PQconnectPoll(link->conn)) {
    case PGRES_POLLING_READING:
        watch(link, EV_READ);
        break;
    case PGRES_POLLING_WRITING:
        watch(link, EV_WRITE);
        break;
    case PGRES_POLLING_OK:
        if (send_setup(link)) {
            watch(link, EV_READ);
        } else {
            lose_with_message(link);
        }
        break;
    default:
        lose_while_connecting(link);
        break;
    }
}

static void go_on_with_setup(struct db_link *link)
{
    while (PQisBusy(link->conn) == 0) {
        PGresult *result = PQgetResult(link->conn);
        if (result == NULL) {
            loop_timer_cancel(link->timer);
            link->state = DB_LINK_UP;
            link->attempts = 0;
            link->events->up(link, link->arg);
            return;
        }
        bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
        struct error why;
        if (!ok) {
            db_error_from_result(&why, result);
        }
        PQclear(result);
        if (!ok) {
            lose(link, &why);
            return;
        }
    }
}

static void on_socket(evutil_socket_t socket, short what, void *arg)
{
    (void)socket;
    struct db_link *link = arg;
    if (link->state == DB_LINK_CONNECTING) {
        go_on_connecting(link);
        return;
    }
    if ((what & EV_WRITE) != 0) {
        db_link_flush(link);
    }
    if ((what & EV_READ) == 0) {
        return;
    }
    /* What the server said before it hung up is still to be read. */
    bool alive = PQconsumeInput(link->conn) == 1;
    if (link->state == DB_LINK_SETUP) {
        go_on_with_setup(link);
    } else {
        link->events->input(link, link->arg);
    }
    if (link->state != DB_LINK_DOWN && (!alive || PQstatus(link->conn) == CONNECTION_BAD)) {
        lose_with_message(link);
    }
}

/* Time to connect, to give a slow handshake up, or to do what db_link_lose asked. */
static void on_timer(void *arg)
{
    struct db_link *link = arg;
    if (link->state != DB_LINK_DOWN) {
        struct error why;
        if (link->lost_soon) {
            db_error_from_connection(&why, link->conn);
        } else {
            error_set(&why, ERROR_RETRY, "db_unavailable", "the database did not answer within %d s",
                CONNECT_TIMEOUT_MS / 1000);
        }
        lose(link, &why);
        return;
    }
    link->conn = db_connect(link->server->url, false);
    if (link->conn == NULL || PQstatus(link->conn) == CONNECTION_BAD) {
        lose_with_message(link);
        return;
    }
    link->state = DB_LINK_CONNECTING;
    loop_timer_arm(link->timer, CONNECT_TIMEOUT_MS);
    watch(link, EV_WRITE); /* as PQconnectPoll's manual says: start as if it had asked for writing */
}

void db_link_init(struct db_link *link, struct loop *loop, const struct db_server *server,
    int64_t statement_timeout_ms, const struct db_link_events *events, void *arg)
{
    *link = (struct db_link){.loop = loop,
        .server = server,
        .statement_timeout_ms = statement_timeout_ms,
        .events = events,
        .arg = arg};
    link->timer = loop_timer_new(loop, on_timer, link);
    loop_timer_arm(link->timer, 0);
}

void db_link_fini(struct db_link *link)
{
    unwatch(link);
    loop_timer_free(link->timer);
    PQfinish(link->conn);
    link->conn = NULL;
    link->state = DB_LINK_DOWN;
}

void db_link_flush(struct db_link *link)
{
    int left = PQflush(link->conn);
    if (left < 0) {
        db_link_lose(link);
        return;
    }
    watch(link, left == 0 ? EV_READ : EV_READ | EV_WRITE);
}

void db_link_lose(struct db_link *link)
{
    if (link->state != DB_LINK_DOWN) {
        link->lost_soon = true;
        loop_timer_arm(link->timer, 0);
    }
}
