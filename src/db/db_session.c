/* A connection for commands: one statement after the other, blocking. */
#include <stdlib.h>

#include "base/alloc.h"
#include "db/db_error.h"
#include "db/db_pool.h"

struct db_session {
    PGconn *conn;
};

static bool usable(PGconn *conn, struct error *err)
{
    if (PQstatus(conn) != CONNECTION_OK) {
        db_error_from_connection(err, conn);
        return false;
    }
    PGresult *result = PQexec(conn, "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'");
    bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!ok) {
        db_error_from_result(err, result);
    }
    PQclear(result);
    return ok;
}

struct db_session *db_session_open(const char *url, struct error *err)
{
    if (!db_url_check(url, err)) {
        return NULL;
    }
    struct error why; /* `err` may be NULL */
    PGconn *conn = db_connect(url, true);
    if (!usable(conn, &why)) {
        error_set(err, why.disposition, why.code, "%s", why.text);
        PQfinish(conn);
        return NULL;
    }
    struct db_session *session = xcalloc(1, sizeof(*session));
    session->conn = conn;
    return session;
}

static bool accept_result(PGresult *result, struct error *err)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) {
        return true;
    }
    struct error why;
    db_error_from_result(&why, result);
    return error_set(err, why.disposition, why.code, "%s", why.text);
}

struct db_result *db_session_query(
    struct db_session *session, const struct db_query *query, struct error *err)
{
    PGresult *rows =
        PQexecParams(session->conn, query->sql, query->param_count, NULL, query->params, NULL, NULL, 0);
    if (!accept_result(rows, err)) {
        PQclear(rows);
        return NULL;
    }
    struct db_result *result = xmalloc(sizeof(*result));
    result->rows = rows;
    return result;
}

bool db_session_script(struct db_session *session, const char *sql, struct error *err)
{
    PGresult *result = PQexec(session->conn, sql);
    bool ok = accept_result(result, err);
    PQclear(result);
    return ok;
}

void db_session_close(struct db_session *session)
{
    if (session != NULL) {
        PQfinish(session->conn);
        free(session);
    }
}
