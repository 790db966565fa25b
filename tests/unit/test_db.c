/* The pool against a real PostgreSQL: pipelining, errors, loss and return of the server, notifications. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/metrics.h"
#include "pg_testdb.h"

static struct pg_testdb testdb;
static struct loop *loop;
static struct db *db;

/* What became of one query. */
struct outcome {
    int done;
    int rows;
    char value[256];
    struct error err;
    bool stop; /* ends the loop */
};

static void note(void *arg, const struct db_result *result, const struct error *err)
{
    struct outcome *outcome = arg;
    outcome->done++;
    assert_true((result == NULL) != (err == NULL));
    outcome->err = err != NULL ? *err : (struct error){0};
    if (result != NULL) {
        outcome->rows = db_rows(result);
        const char *value = outcome->rows > 0 ? db_value(result, 0, 0) : "";
        (void)snprintf(outcome->value, sizeof(outcome->value), "%s", value != NULL ? value : "NULL");
    }
    if (outcome->stop) {
        loop_stop(loop, 0);
    }
}

static void too_late(void *arg)
{
    (void)arg;
    fail_msg("the loop did not end");
}

static void run_loop(void)
{
    struct loop_timer *limit = loop_timer_new(loop, too_late, NULL);
    loop_timer_arm(limit, 60000);
    (void)loop_run(loop);
    loop_timer_free(limit);
}

static struct outcome ask(const char *sql, const char *param)
{
    struct outcome outcome = {.stop = true};
    db_query(
        db, &(struct db_query){.sql = sql, .param_count = param != NULL, .params = {param}}, note, &outcome);
    assert_int_equal(outcome.done, 0);
    run_loop();
    assert_int_equal(outcome.done, 1);
    return outcome;
}

static void open_pool(int connections, int64_t timeout_ms, const char *url)
{
    loop = loop_new(1);
    db = db_new(
        loop, &(struct db_options){.url = url, .connections = connections, .query_timeout_ms = timeout_ms});
}

static int setup(void **state)
{
    (void)state;
    open_pool(2, 10000, testdb.url);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    db_free(db);
    loop_free(loop);
    return 0;
}

static void test_values(void **state)
{
    (void)state;
    struct outcome outcome = ask("SELECT upper($1)", "gr\xc3\xbc\xc3\x9f");
    assert_string_equal(outcome.value, "GR\xc3\x9c\xc3\x9f");
    assert_true(db_up(db));
    assert_true(health_ok("database"));
    assert_string_equal(ask("SELECT NULL", NULL).value, "NULL");
    assert_string_equal(
        ask("SELECT timestamptz '2026-01-02 03:04:05+01'", NULL).value, "2026-01-02 02:04:05+00");
    assert_int_equal(ask("SELECT 1 WHERE false", NULL).rows, 0);
}

static void test_many_at_once(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    struct outcome *outcomes = calloc(MANY, sizeof(*outcomes));
    assert_non_null(outcomes);
    for (int i = 0; i < MANY; i++) {
        char number[16];
        (void)snprintf(number, sizeof(number), "%d", i);
        const char *sql = i % 7 == 3 ? "SELECT 1 / ($1::int * 0)" : "SELECT $1::int + 1";
        db_query(
            db, &(struct db_query){.sql = sql, .param_count = 1, .params = {number}}, note, &outcomes[i]);
    }
    (void)ask("SELECT pg_sleep(0)", NULL);
    int done = 0;
    while (
        done < MANY) { /* the last one asked need not be the last one answered: there are two connections */
        done = 0;
        for (int i = 0; i < MANY; i++) {
            done += outcomes[i].done;
        }
        if (done < MANY) {
            (void)ask("SELECT 1", NULL);
        }
    }
    for (int i = 0; i < MANY; i++) {
        char expected[16];
        (void)snprintf(expected, sizeof(expected), "%d", i + 1);
        assert_int_equal(outcomes[i].done, 1);
        if (i % 7 == 3) {
            assert_string_equal(outcomes[i].err.code, "db_data");
        } else {
            assert_string_equal(outcomes[i].value, expected);
        }
    }
    free(outcomes);
}

static void check_error(
    const char *sql, const char *param, enum error_disposition disposition, const char *code)
{
    struct outcome outcome = ask(sql, param);
    assert_string_equal(outcome.err.code, code);
    assert_int_equal(outcome.err.disposition, disposition);
    assert_null(strstr(outcome.err.text, "geheim"));
}

static void test_errors(void **state)
{
    (void)state;
    check_error("SELECT * FROM no_such_table", NULL, ERROR_FATAL, "db_schema");
    check_error("SELECT no_such_column", NULL, ERROR_FATAL, "db_schema");
    check_error("SELECT no_such_function()", NULL, ERROR_FATAL, "db_schema");
    check_error("SELECT $1::text::int", "geheim", ERROR_REJECT, "db_data");
    check_error("SELECT $1::int", "geheim", ERROR_REJECT, "db_data");
    check_error("INSERT INTO things VALUES (1, $1), (1, $1)", "geheim", ERROR_REJECT, "db_data");
    check_error("INSERT INTO things VALUES (2, NULL)", NULL, ERROR_REJECT, "db_data");
    check_error("SELECT $1::int", NULL, ERROR_FATAL, "db_schema");
    check_error("SELECT $1::jsonb", "{\"a\":\"geheim\\u0000\"}", ERROR_REJECT, "db_data");
    /* The connection lives on. */
    assert_string_equal(ask("SELECT count(*) FROM things", NULL).value, "0");
}

static void test_statement_timeout(void **state)
{
    (void)state;
    db_free(db);
    db = db_new(loop, &(struct db_options){.url = testdb.url, .connections = 1, .query_timeout_ms = 200});
    assert_string_equal(ask("SELECT 1", NULL).value, "1");
    check_error("SELECT pg_sleep(60)", NULL, ERROR_RETRY, "db_timeout");
    assert_string_equal(ask("SELECT 2", NULL).value, "2");
}

/* Until a query need not wait behind another one. */
static void wait_for_both(void)
{
    struct metric *up = metrics_gauge("helpdesk_db_connections", "", NULL);
    while (metric_value(up) < 2) {
        (void)ask("SELECT 1", NULL);
    }
}

static void test_lost_connections(void **state)
{
    (void)state;
    struct outcome slow = {0};
    wait_for_both();
    db_query(db, &(struct db_query){.sql = "SELECT pg_sleep(60)"}, note, &slow);
    (void)ask("SELECT 1", NULL);
    pg_testdb_script(&testdb, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                              "WHERE datname = current_database() AND pid <> pg_backend_pid()");
    /* Waits for the new connection, however many attempts were lost with the old ones. */
    struct outcome outcome = ask("SELECT 3", NULL);
    while (outcome.err.disposition == ERROR_RETRY) {
        outcome = ask("SELECT 3", NULL);
    }
    assert_string_equal(outcome.value, "3");
    assert_int_equal(slow.done, 1);
    assert_int_equal(slow.err.disposition, ERROR_RETRY);
    assert_string_equal(slow.err.code, "db_unavailable");
}

static void test_a_silent_server(void **state)
{
    (void)state;
    db_free(db);
    db = db_new(loop, &(struct db_options){.url = testdb.url, .connections = 1, .query_timeout_ms = 200});
    struct outcome outcome = ask("SELECT pg_backend_pid()", NULL);
    pid_t pid = (pid_t)strtol(outcome.value, NULL, 10);
    assert_true(pid > 1);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    outcome = ask("SELECT 1", NULL);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(outcome.err.disposition, ERROR_RETRY);
    assert_string_equal(outcome.err.code, "db_unavailable");
    while (outcome.err.disposition == ERROR_RETRY) {
        outcome = ask("SELECT 4", NULL);
    }
    assert_string_equal(outcome.value, "4");
}

static void test_plans_after_a_change(void **state)
{
    (void)state;
    const char *sql = "SELECT * FROM changing";
    wait_for_both();
    pg_testdb_script(&testdb, "CREATE TABLE changing (a int); INSERT INTO changing VALUES (1)");
    for (int i = 0; i < 4; i++) { /* prepared on both connections */
        assert_string_equal(ask(sql, NULL).value, "1");
    }
    pg_testdb_script(&testdb, "ALTER TABLE changing ALTER a TYPE text USING 'one'");
    struct outcome outcome = ask(sql, NULL);
    for (int i = 0; i < 4 && outcome.err.disposition == ERROR_RETRY; i++) {
        assert_string_equal(outcome.err.code, "db_conflict");
        outcome = ask(sql, NULL);
    }
    assert_string_equal(outcome.value, "one");
    pg_testdb_script(&testdb, "DROP TABLE changing");
}

static void test_no_server(void **state)
{
    (void)state;
    open_pool(2, 300, "postgresql://someone:geheim@127.0.0.1:1/nowhere");
    struct outcome outcome = ask("SELECT 1", NULL);
    assert_string_equal(outcome.err.code, "db_unavailable");
    assert_int_equal(outcome.err.disposition, ERROR_RETRY);
    assert_false(db_up(db));
    assert_false(health_ok("database"));
    struct buf health;
    buf_init(&health, 4096);
    health_render(&health);
    assert_null(strstr(buf_text(&health), "geheim"));
    buf_fini(&health);
    teardown(NULL);
}

static void test_closing_answers_all(void **state)
{
    (void)state;
    struct outcome sent = {0}, waiting = {0};
    open_pool(1, 10000, testdb.url);
    (void)ask("SELECT 1", NULL);
    db_query(db, &(struct db_query){.sql = "SELECT pg_sleep(60)"}, note, &sent);
    for (int i = 0; i < 20; i++) {
        db_query(db, &(struct db_query){.sql = "SELECT 1"}, note, &waiting);
    }
    db_free(db);
    loop_free(loop);
    assert_int_equal(sent.done, 1);
    assert_int_equal(waiting.done, 20);
    assert_string_equal(waiting.err.code, "db_unavailable");
}

struct heard {
    int connected;
    char last[64];
};

static void on_notify(void *arg, const char *payload)
{
    struct heard *heard = arg;
    if (*payload == '\0') {
        heard->connected++;
    } else {
        (void)snprintf(heard->last, sizeof(heard->last), "%s", payload);
    }
    loop_stop(loop, 0);
}

static void test_listen(void **state)
{
    (void)state;
    struct heard heard = {0}, other = {0};
    db_listen(db, "Odd \"channel\"", on_notify, &heard);
    while (heard.connected < 1) {
        run_loop();
    }
    db_listen(db, "second", on_notify, &other);
    while (other.connected < 1) {
        run_loop();
    }
    assert_int_equal(heard.connected, 1);
    pg_testdb_script(&testdb, "NOTIFY \"Odd \"\"channel\"\"\", 'hello 7'");
    while (heard.last[0] == '\0') {
        run_loop();
    }
    assert_string_equal(heard.last, "hello 7");
    pg_testdb_script(&testdb, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                              "WHERE datname = current_database() AND pid <> pg_backend_pid()");
    while (heard.connected < 2 || other.connected < 2) {
        run_loop();
    }
    pg_testdb_script(&testdb, "NOTIFY second, 'again'");
    while (other.last[0] == '\0') {
        run_loop();
    }
    assert_string_equal(other.last, "again");
    assert_string_equal(heard.last, "hello 7");
}

static void test_text_arrays(void **state)
{
    (void)state;
    const char *const items[] = {
        "plain", "", NULL, "NULL", "a \"quote\", a \\ and {braces}\nline", "gr\xc3\xbc\xc3\x9f"};
    struct arena *arena = arena_new(0);
    char *array = db_text_array(arena, items, 6);
    assert_string_equal(ask("SELECT array_length($1::text[], 1)", array).value, "6");
    assert_string_equal(
        ask("SELECT ($1::text[])[2] = '' AND ($1::text[])[3] IS NULL AND ($1::text[])[4] = 'NULL'", array)
            .value,
        "t");
    assert_string_equal(ask("SELECT ($1::text[])[5]", array).value, items[4]);
    assert_string_equal(ask("SELECT ($1::text[])[6]", array).value, items[5]);
    assert_string_equal(db_text_array(arena, items, 0), "{}");
    arena_free(arena);
}

static void test_session(void **state)
{
    (void)state;
    struct error err;
    assert_null(db_session_open("postgresql://u:geheim@127.0.0.1:1/x", &err));
    assert_string_equal(err.code, "db_unavailable");
    assert_null(strstr(err.text, "geheim"));
    assert_null(db_session_open("postgresql://u:geheim@[broken", &err));
    assert_string_equal(err.code, "db_url");
    assert_null(strstr(err.text, "geheim"));
    assert_null(db_session_open("", &err));
    assert_int_equal(err.disposition, ERROR_FATAL);

    struct db_session *session = pg_testdb_open(&testdb);
    struct db_result *result = db_session_query(session,
        &(struct db_query){
            .sql = "SELECT $1::int * 2, 1.5, true, NULL::int", .param_count = 1, .params = {"21"}},
        &err);
    assert_non_null(result);
    assert_int_equal(db_int(result, 0, 0), 42);
    assert_true(db_number(result, 0, 1) == 1.5);
    assert_true(db_bool(result, 0, 2));
    assert_int_equal(db_int(result, 0, 3), 0);
    db_result_free(result);
    assert_null(db_session_query(session, &(struct db_query){.sql = "SELECT 1/0"}, &err));
    assert_string_equal(err.code, "db_data");
    result =
        db_session_query(session, &(struct db_query){.sql = "UPDATE things SET name = '' WHERE false"}, NULL);
    assert_int_equal(db_affected(result), 0);
    db_result_free(result);
    db_session_close(session);
}

int main(void)
{
    pg_testdb_create(&testdb, false);
    pg_testdb_script(&testdb, "CREATE TABLE things (id int PRIMARY KEY, name text NOT NULL)");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_statement_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_silent_server, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plans_after_a_change, setup, teardown),
        cmocka_unit_test(test_no_server),
        cmocka_unit_test(test_closing_answers_all),
        cmocka_unit_test_setup_teardown(test_listen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_arrays, setup, teardown),
        cmocka_unit_test(test_session),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_testdb_drop(&testdb);
    return failed;
}
