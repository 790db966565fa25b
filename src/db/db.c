/* The pool: queries wait here until a connection takes them, the least busy one first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/log.h"
#include "base/metrics.h"
#include "db/db_error.h"
#include "db/db_pool.h"

#define HEALTH_PART "database"
#define MAX_SENT 16       /* queries under way on one connection */
#define MAX_WAITING 20000 /* queries without a connection: more are refused */
#define GRACE_MS 2000     /* beyond statement_timeout: then the server is taken for dead */

struct db {
    struct loop *loop;
    struct db_server server;
    int64_t timeout_ms;
    struct db_conn *conns;
    int conn_count;
    struct db_fifo waiting;
    struct db_fifo refused; /* complete with `refusal` at the next turn of the loop */
    struct error refusal;
    struct loop_timer *tick;
    bool ticking; /* the tick is armed: something is under way */
    bool waited;  /* the log tells already that the database is awaited */
    struct loop_timer *refuse;
    char *statements[DB_MAX_STATEMENTS];
    int statement_count;
    struct db_listen *listen;
    struct metric *queries, *seconds, *connections;
    bool closing;
};

void db_fifo_push(struct db_fifo *fifo, struct db_pending *query)
{
    query->next = NULL;
    if (fifo->tail != NULL) {
        fifo->tail->next = query;
    } else {
        fifo->head = query;
    }
    fifo->tail = query;
    fifo->count++;
}

struct db_pending *db_fifo_pop(struct db_fifo *fifo)
{
    struct db_pending *query = fifo->head;
    if (query != NULL) {
        fifo->head = query->next;
        fifo->tail = fifo->head != NULL ? fifo->tail : NULL;
        fifo->count--;
    }
    return query;
}

static void count_error(const char *code)
{
    char labels[64];
    (void)snprintf(labels, sizeof(labels), "code=\"%s\"", code);
    metric_add(
        metrics_counter("helpdesk_db_errors_total", "Queries that failed, by what it means to us", labels),
        1);
}

void db_complete(struct db *db, struct db_pending *query, const struct error *err)
{
    metric_add(db->queries, 1);
    metric_observe(db->seconds, (double)(clock_mono_us() - query->queued_us) / 1e6);
    struct db_result result = {.rows = query->result};
    if (err != NULL) {
        count_error(err->code);
        query->done(query->arg, NULL, err);
    } else {
        query->done(query->arg, &result, NULL);
    }
    PQclear(query->result);
    free(query);
}

bool db_up(const struct db *db)
{
    for (int i = 0; i < db->conn_count; i++) {
        if (db->conns[i].link.state == DB_LINK_UP) {
            return true;
        }
    }
    return false;
}

void db_connections_changed(struct db *db, const struct error *why)
{
    int up = 0;
    for (int i = 0; i < db->conn_count; i++) {
        up += db->conns[i].link.state == DB_LINK_UP;
    }
    metric_set(db->connections, up);
    if (up > 0) {
        health_set(HEALTH_PART, true, "");
        db->waited = false;
    } else if (why != NULL) {
        if (!health_ok(HEALTH_PART) && !db->waited) {
            log_warn("waiting for the database", LOG_STR("error", why->text));
        }
        db->waited = true;
        health_set(HEALTH_PART, false, why->text);
    }
}

static struct db_conn *least_busy(struct db *db)
{
    struct db_conn *best = NULL;
    for (int i = 0; i < db->conn_count; i++) {
        struct db_conn *conn = &db->conns[i];
        if (db_conn_usable(conn) && conn->sent.count < MAX_SENT &&
            (best == NULL || conn->sent.count < best->sent.count)) {
            best = conn;
        }
    }
    return best;
}

void db_dispatch(struct db *db)
{
    while (db->waiting.head != NULL && !db->closing) {
        struct db_conn *conn = least_busy(db);
        if (conn == NULL) {
            return;
        }
        db_conn_send(conn, db_fifo_pop(&db->waiting));
    }
}

static void arm_tick(struct db *db)
{
    int64_t interval = db->timeout_ms / 4;
    interval = interval < 20 ? 20 : interval > 1000 ? 1000 : interval;
    loop_timer_arm(db->tick, interval);
    db->ticking = true;
}

static void expire_waiting(struct db *db)
{
    int64_t oldest_us = clock_mono_us() - db->timeout_ms * 1000;
    struct error err;
    if (db_up(db)) {
        error_set(&err, ERROR_RETRY, "db_timeout", "no connection to the database was free in time");
    } else {
        error_set(&err, ERROR_RETRY, "db_unavailable", "the database is not reachable");
    }
    while (db->waiting.head != NULL && db->waiting.head->queued_us <= oldest_us) {
        db_complete(db, db_fifo_pop(&db->waiting), &err);
    }
}

/* Gives up queries that waited too long, and connections on which the server has gone silent. */
static void on_tick(void *arg)
{
    struct db *db = arg;
    db->ticking = false;
    expire_waiting(db);
    int sent = 0;
    for (int i = 0; i < db->conn_count; i++) {
        struct db_conn *conn = &db->conns[i];
        sent += conn->sent.count;
        if (conn->sent.count > 0 && clock_mono_ms() - conn->progress_ms > db->timeout_ms + GRACE_MS) {
            db_link_lose(&conn->link);
        }
    }
    if ((sent > 0 || db->waiting.count > 0) && !db->ticking) {
        arm_tick(db);
    }
}

static void on_refuse(void *arg)
{
    struct db *db = arg;
    struct db_fifo refused = db->refused;
    db->refused = (struct db_fifo){0};
    for (struct db_pending *query = db_fifo_pop(&refused); query != NULL; query = db_fifo_pop(&refused)) {
        db_complete(db, query, &db->refusal);
    }
}

/* The statement's number; -1 when too many are known. Few and long-lived: a scan is enough. */
static int find_statement(struct db *db, const char *sql)
{
    for (int i = 0; i < db->statement_count; i++) {
        if (strcmp(db->statements[i], sql) == 0) {
            return i;
        }
    }
    if (db->statement_count == DB_MAX_STATEMENTS) {
        return -1;
    }
    db->statements[db->statement_count] = xstrdup(sql);
    return db->statement_count++;
}

static struct db_pending *pending_new(struct db *db, const struct db_query *query)
{
    int statement = find_statement(db, query->sql);
    size_t size = sizeof(struct db_pending) + (statement < 0 ? strlen(query->sql) + 1 : 0);
    for (int i = 0; i < query->param_count; i++) {
        size += query->params[i] != NULL ? strlen(query->params[i]) + 1 : 0;
    }
    struct db_pending *pending = xmalloc(size);
    *pending = (struct db_pending){
        .statement = statement, .param_count = query->param_count, .queued_us = clock_mono_us()};
    char *at = (char *)(pending + 1);
    for (int i = 0; i < query->param_count; i++) {
        if (query->params[i] != NULL) {
            size_t len = strlen(query->params[i]) + 1;
            pending->params[i] = memcpy(at, query->params[i], len);
            at += len;
        }
    }
    pending->sql =
        statement >= 0 ? db->statements[statement] : memcpy(at, query->sql, strlen(query->sql) + 1);
    return pending;
}

void db_query(struct db *db, const struct db_query *query, db_done *done, void *arg)
{
    struct db_pending *pending = pending_new(db, query);
    pending->done = done;
    pending->arg = arg;
    if (db->waiting.count >= MAX_WAITING) {
        db_fifo_push(&db->refused, pending);
        loop_timer_arm(db->refuse, 0);
        return;
    }
    db_fifo_push(&db->waiting, pending);
    db_dispatch(db);
    if (!db->ticking) {
        arm_tick(db);
    }
}

void db_listen(struct db *db, const char *channel, void (*fn)(void *arg, const char *payload), void *arg)
{
    if (db->listen == NULL) {
        db->listen = db_listen_new(db->loop, &db->server);
    }
    db_listen_add(db->listen, channel, fn, arg);
}

void db_unlisten(struct db *db, void (*fn)(void *arg, const char *payload), void *arg)
{
    db_listen_remove(db->listen, fn, arg);
}

bool db_listening(const struct db *db)
{
    return db->listen != NULL && db_listen_up(db->listen);
}

void db_set_url(struct db *db, const char *url)
{
    free(db->server.url);
    db->server.url = xstrdup(url);
}

struct db *db_new(struct loop *loop, const struct db_options *options)
{
    struct db *db = xcalloc(1, sizeof(*db));
    db->loop = loop;
    db->server = (struct db_server){
        .url = xstrdup(options->url), .refused = options->refused, .arg = options->refused_arg};
    db->timeout_ms = options->query_timeout_ms;
    db->tick = loop_timer_new(loop, on_tick, db);
    db->refuse = loop_timer_new(loop, on_refuse, db);
    error_set(&db->refusal, ERROR_RETRY, "db_unavailable", "too many queries wait for the database");
    db->queries = metrics_counter("helpdesk_db_queries_total", "Queries that ended", NULL);
    db->seconds = metrics_histogram("helpdesk_db_query_seconds", "Time from asking to the answer", NULL);
    db->connections =
        metrics_gauge("helpdesk_db_connections", "Connections to the database that are up", NULL);
    health_set(HEALTH_PART, false, "connecting");
    db->conn_count = options->connections;
    db->conns = xcalloc((size_t)options->connections, sizeof(*db->conns));
    for (int i = 0; i < db->conn_count; i++) {
        db_conn_init(&db->conns[i], db, loop, &db->server, db->timeout_ms);
    }
    return db;
}

void db_free(struct db *db)
{
    struct error closing;
    error_set(&closing, ERROR_RETRY, "db_unavailable", "the connections to the database are being closed");
    db->closing = true;
    db_listen_free(db->listen);
    for (int i = 0; i < db->conn_count; i++) {
        db_conn_fini(&db->conns[i], &closing);
    }
    on_refuse(db);
    for (struct db_pending *query = db_fifo_pop(&db->waiting); query != NULL;
         query = db_fifo_pop(&db->waiting)) {
        db_complete(db, query, &closing);
    }
    for (int i = 0; i < db->statement_count; i++) {
        free(db->statements[i]);
    }
    loop_timer_free(db->tick);
    loop_timer_free(db->refuse);
    free(db->conns);
    free(db->server.url);
    free(db);
}
