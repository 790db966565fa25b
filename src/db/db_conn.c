/* One connection of the pool in pipeline mode: sends queries one behind the other, hands results back in that
 * order. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "db/db_error.h"
#include "db/db_pool.h"

static bool send_statement(struct db_conn *conn, struct db_pending *query)
{
    PGconn *pg = conn->link.conn;
    unsigned char *prepared = query->statement >= 0 ? &conn->prepared[query->statement] : NULL;
    /* A statement whose Parse is still under way may yet fail: until then its text is sent again. */
    if (prepared == NULL || *prepared == DB_PREPARED_SENT) {
        return PQsendQueryParams(pg, query->sql, query->param_count, NULL, query->params, NULL, NULL, 0) == 1;
    }
    char name[24];
    (void)snprintf(name, sizeof(name), "hd_%d", query->statement);
    if (*prepared == DB_PREPARED_NOT) {
        query->preparing = true;
        *prepared = DB_PREPARED_SENT;
        if (PQsendPrepare(pg, name, query->sql, 0, NULL) != 1) {
            return false;
        }
    }
    return PQsendQueryPrepared(pg, name, query->param_count, query->params, NULL, NULL, 0) == 1;
}

void db_conn_send(struct db_conn *conn, struct db_pending *query)
{
    if (conn->sent.count == 0) {
        conn->progress_ms = clock_mono_ms();
    }
    db_fifo_push(&conn->sent, query);
    if (send_statement(conn, query) && PQpipelineSync(conn->link.conn) == 1) {
        db_link_flush(&conn->link);
    } else {
        db_link_lose(&conn->link); /* what was sent is told when the connection goes down */
    }
}

static void note_failure(struct db_conn *conn, struct db_pending *query, const PGresult *result)
{
    if (query->failed) {
        return;
    }
    query->failed = true;
    db_error_from_result(&query->err, result);
    if (query->preparing) {
        conn->prepared[query->statement] = DB_PREPARED_NOT;
        query->preparing = false;
    }
    conn->stale = conn->stale || db_error_is_stale_plan(result);
}

/* Takes one result of the oldest query; its sync is the last. */
static void take_result(struct db_conn *conn, PGresult *result)
{
    struct db_pending *query = conn->sent.head;
    conn->progress_ms = clock_mono_ms();
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        (void)db_fifo_pop(&conn->sent);
        db_complete(conn->db, query, query->failed ? &query->err : NULL);
        return;
    case PGRES_PIPELINE_ABORTED:
        break;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (query->preparing) {
            conn->prepared[query->statement] = DB_PREPARED_YES;
            query->preparing = false;
            break;
        }
        PQclear(query->result);
        query->result = result;
        return;
    default:
        note_failure(conn, query, result);
        break;
    }
    PQclear(result);
}

static void on_input(struct db_link *link, void *arg)
{
    struct db_conn *conn = arg;
    int ends = 0; /* NULLs in a row: one ends a query's results; more mean that nothing is there */
    while (conn->sent.head != NULL && ends < 2 && PQisBusy(link->conn) == 0) {
        PGresult *result = PQgetResult(link->conn);
        if (result == NULL) {
            ends++;
            continue;
        }
        ends = 0;
        take_result(conn, result);
    }
    if (conn->stale && conn->sent.count == 0) {
        db_link_lose(link);
    }
    db_dispatch(conn->db);
}

static void on_up(struct db_link *link, void *arg)
{
    struct db_conn *conn = arg;
    memset(conn->prepared, DB_PREPARED_NOT, sizeof(conn->prepared));
    conn->stale = false;
    if (PQenterPipelineMode(link->conn) != 1) {
        db_link_lose(link);
        return;
    }
    db_connections_changed(conn->db, NULL);
    db_dispatch(conn->db);
}

static void fail_sent(struct db_conn *conn, const struct error *why)
{
    struct db_fifo sent = conn->sent;
    conn->sent = (struct db_fifo){0};
    for (struct db_pending *query = db_fifo_pop(&sent); query != NULL; query = db_fifo_pop(&sent)) {
        struct error own = query->err; /* the server may have said why before it hung up */
        db_complete(conn->db, query, query->failed ? &own : why);
    }
}

static void on_down(struct db_link *link, const struct error *why, void *arg)
{
    (void)link;
    struct db_conn *conn = arg;
    db_connections_changed(conn->db, why);
    struct error lost = *why; /* whatever was wrong with the connection, the query may succeed later */
    lost.disposition = ERROR_RETRY;
    (void)snprintf(lost.code, sizeof(lost.code), "db_unavailable");
    fail_sent(conn, &lost);
}

bool db_conn_usable(const struct db_conn *conn)
{
    return conn->link.state == DB_LINK_UP && !conn->link.lost_soon && !conn->stale;
}

void db_conn_init(struct db_conn *conn, struct db *db, struct loop *loop, const struct db_server *server,
    int64_t timeout_ms)
{
    static const struct db_link_events events = {.up = on_up, .input = on_input, .down = on_down};
    *conn = (struct db_conn){.db = db};
    db_link_init(&conn->link, loop, server, timeout_ms, &events, conn);
}

void db_conn_fini(struct db_conn *conn, const struct error *why)
{
    db_link_fini(&conn->link);
    fail_sent(conn, why);
}
