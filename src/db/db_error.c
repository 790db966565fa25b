/* Maps PostgreSQL's errors by SQLSTATE, and opens connections that never leak a password or a row into a
 * message. */
#include <string.h>

#include "base/buf.h"
#include "db/db_error.h"

/* Classes and codes of Appendix A of PostgreSQL's manual. A whole code stands before its class. */
static const struct {
    const char *state; /* prefix */
    enum error_disposition disposition;
    const char *code;
    bool quotes; /* the message may quote values */
} mapping[] = {
    {"57014", ERROR_RETRY, "db_timeout", false},     /* query canceled: statement_timeout */
    {"55P03", ERROR_RETRY, "db_conflict", false},    /* lock not available */
    {"40", ERROR_RETRY, "db_conflict", false},       /* serialization failure, deadlock */
    {"08P01", ERROR_FATAL, "db_schema", false},      /* protocol violation: a wrong number of parameters */
    {"08", ERROR_RETRY, "db_unavailable", false},    /* connection */
    {"25006", ERROR_RETRY, "db_unavailable", false}, /* read-only: a standby that is not yet promoted */
    {"53", ERROR_RETRY, "db_unavailable", false},    /* out of memory, disk, connections */
    {"57", ERROR_RETRY, "db_unavailable", false},    /* shut down, starting up */
    {"58", ERROR_RETRY, "db_unavailable", false},    /* input/output of the server */
    {"XX", ERROR_RETRY, "db_internal", false},       /* internal error: it may be this statement's alone */
    {"21", ERROR_REJECT, "db_data", true},           /* one row hit twice */
    {"22", ERROR_REJECT, "db_data", true},           /* bad value */
    {"23", ERROR_REJECT, "db_data", true},           /* constraint */
    {"54", ERROR_REJECT, "db_data", true},           /* too large for an index or a tsvector */
    {"44", ERROR_REJECT, "db_data", true},           /* check option */
    {"P0001", ERROR_REJECT, "db_data", true},        /* raised by a function */
    {"", ERROR_FATAL, "db_schema", false},           /* the rest: no such table, column, right; wrong SQL */
};

static void put_field(struct buf *out, const char *label, const char *value)
{
    if (value != NULL) {
        buf_printf(out, ", %s %s", label, value);
    }
}

static void describe_data_error(struct buf *out, const PGresult *result, const char *state)
{
    buf_printf(out, "PostgreSQL refused the data: SQLSTATE %s", state);
    put_field(out, "table", PQresultErrorField(result, PG_DIAG_TABLE_NAME));
    put_field(out, "column", PQresultErrorField(result, PG_DIAG_COLUMN_NAME));
    put_field(out, "constraint", PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME));
}

bool db_error_is_stale_plan(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    if (state == NULL) {
        return false;
    }
    /* 0A000 is any unsupported feature; this function of the server raises "cached plan must not change
     * result type". */
    return strcmp(state, "26000") == 0 || (strcmp(state, "0A000") == 0 && function != NULL &&
                                              strcmp(function, "RevalidateCachedQuery") == 0);
}

void db_error_from_result(struct error *err, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state == NULL) { /* made by libpq itself: the connection broke */
        error_set(err, ERROR_RETRY, "db_unavailable", "the connection to the database was lost");
        return;
    }
    if (db_error_is_stale_plan(result)) {
        error_set(
            err, ERROR_RETRY, "db_conflict", "the statement must be prepared again (SQLSTATE %s)", state);
        return;
    }
    size_t i = 0;
    while (strncmp(state, mapping[i].state, strlen(mapping[i].state)) != 0) {
        i++;
    }
    struct buf text;
    buf_init(&text, 1024);
    if (mapping[i].quotes) {
        describe_data_error(&text, result, state);
    } else {
        const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        buf_printf(&text, "%.300s (SQLSTATE %s)", message != NULL ? message : "no message", state);
    }
    error_set(err, mapping[i].disposition, mapping[i].code, "%s", buf_text(&text));
    buf_fini(&text);
}

static void append_without(struct buf *out, const char *text, const char *secret)
{
    size_t len = secret != NULL ? strlen(secret) : 0;
    while (*text != '\0') {
        if (len > 0 && strncmp(text, secret, len) == 0) {
            buf_puts(out, "***");
            text += len;
        } else if (*text == '\n') {
            buf_puts(out, text[1] != '\0' ? "; " : "");
            text++;
        } else {
            buf_putc(out, *text == '\t' ? ' ' : *text);
            text++;
        }
    }
}

void db_error_from_connection(struct error *err, const PGconn *conn)
{
    struct buf text;
    buf_init(&text, 4096);
    append_without(&text, PQerrorMessage(conn), PQpass(conn));
    const char *said = buf_text(&text);
    error_set(err, ERROR_RETRY, "db_unavailable", "%s",
        *said != '\0' ? said : "the connection to the database was lost");
    buf_fini(&text);
}

bool db_url_check(const char *url, struct error *err)
{
    if (*url == '\0') {
        return error_set(err, ERROR_FATAL, "db_url", "database.url is not set");
    }
    char *message = NULL; /* may quote the string, password and all: not shown */
    PQconninfoOption *options = PQconninfoParse(url, &message);
    PQfreemem(message);
    if (options == NULL) {
        return error_set(err, ERROR_FATAL, "db_url",
            "database.url is no connection string; write postgresql://user:password@host:port/database");
    }
    PQconninfoFree(options);
    return true;
}

static void drop_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result; /* a notice may quote rows, and libpq would print it on standard error */
}

PGconn *db_connect(const char *url, bool wait)
{
    /* Of two of the same name the later one wins: those before dbname are defaults. */
    static const char *const names[] = {"connect_timeout", "keepalives_idle", "keepalives_interval",
        "keepalives_count", "tcp_user_timeout", "fallback_application_name", "dbname", "client_encoding",
        NULL};
    const char *const values[] = {"10", "30", "10", "3", "30000", "helpdesk", url, "UTF8", NULL};
    PGconn *conn = wait ? PQconnectdbParams(names, values, 1) : PQconnectStartParams(names, values, 1);
    if (conn != NULL) {
        PQsetNoticeReceiver(conn, drop_notice, NULL);
    }
    return conn;
}
