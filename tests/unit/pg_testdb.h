/* A database of its own for a test program, in the cluster that HELPDESK_TEST_DATABASE_URL names; dropped at
 * the end. */
#ifndef HELPDESK_TESTS_PG_TESTDB_H
#define HELPDESK_TESTS_PG_TESTDB_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "db/db.h"
#include "db/migrate.h"

struct pg_testdb {
    char name[64];
    char url[1024];
};

static inline void pg_testdb_admin(const char *sql)
{
    struct error err;
    const char *base = getenv("HELPDESK_TEST_DATABASE_URL");
    struct db_session *session = base != NULL ? db_session_open(base, &err) : NULL;
    if (session == NULL || !db_session_script(session, sql, &err)) {
        (void)fprintf(stderr, "%s\n",
            base != NULL ? err.text : "HELPDESK_TEST_DATABASE_URL is not set: tests/with_postgres.sh");
        exit(1);
    }
    db_session_close(session);
}

static inline struct db_session *pg_testdb_open(const struct pg_testdb *test)
{
    struct error err;
    struct db_session *session = db_session_open(test->url, &err);
    if (session == NULL) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return session;
}

static inline void pg_testdb_script(const struct pg_testdb *test, const char *sql)
{
    struct error err;
    struct db_session *session = pg_testdb_open(test);
    if (!db_session_script(session, sql, &err)) {
        (void)fprintf(stderr, "%s: %s\n", sql, err.text);
        exit(1);
    }
    db_session_close(session);
}

static inline void pg_testdb_create(struct pg_testdb *test, bool migrated)
{
    char sql[128];
    (void)snprintf(test->name, sizeof(test->name), "test_%ld", (long)getpid());
    (void)snprintf(sql, sizeof(sql), "CREATE DATABASE %s", test->name);
    pg_testdb_admin(sql);
    const char *base = getenv("HELPDESK_TEST_DATABASE_URL");
    if (base == NULL) { /* pg_testdb_admin has ended the test then */
        return;
    }
    (void)snprintf(test->url, sizeof(test->url), "%s%cdbname=%s", base, strchr(base, '?') != NULL ? '&' : '?',
        test->name);
    if (migrated) {
        struct error err;
        struct buf report;
        buf_init(&report, 64 * 1024);
        struct db_session *session = pg_testdb_open(test);
        if (!migrate_up(session, &report, &err)) {
            (void)fprintf(stderr, "%s\n", err.text);
            exit(1);
        }
        db_session_close(session);
        buf_fini(&report);
    }
}

static inline void pg_testdb_drop(const struct pg_testdb *test)
{
    char sql[128];
    (void)snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", test->name);
    pg_testdb_admin(sql);
}

/* The first value of a query as text, in a static buffer; "" for NULL, "(none)" for no row. */
static inline const char *pg_testdb_value(const struct pg_testdb *test, const char *sql)
{
    static char text[128 * 1024];
    struct error err;
    struct db_session *session = pg_testdb_open(test);
    struct db_result *result = db_session_query(session, &(struct db_query){.sql = sql}, &err);
    if (result == NULL) {
        (void)fprintf(stderr, "%s: %s\n", sql, err.text);
        exit(1);
    }
    const char *value = db_rows(result) > 0 ? db_value(result, 0, 0) : "(none)";
    (void)snprintf(text, sizeof(text), "%s", value != NULL ? value : "");
    db_result_free(result);
    db_session_close(session);
    return text;
}

#endif
