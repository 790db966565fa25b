/* The ledger's functions in a real PostgreSQL: limits that hold for all connections together, days, calls
 * whose process died. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pg_testdb.h"

#define NOON "'2026-03-01 12:00:00+00'"
#define THREADS 12
#define CALLS_EACH 40
#define MONEY 30 /* USD; a call reserves 1 and uses 0.4 */

static struct pg_testdb testdb;

static const char *value(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *value(const char *format, ...)
{
    char sql[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    return pg_testdb_value(&testdb, sql);
}

/* Reserves 10 + 10 tokens and `usd` for a minute. */
static const char *hold(const char *id, const char *usd, const char *limits, bool patient, const char *now)
{
    return value(
        "SELECT outcome FROM cost_hold('t', '%s', 'm', 's', 10, 10, %s, %s, %s, interval '1 min', %s)", id,
        usd, limits, patient ? "true" : "false", now);
}

static void settle(const char *id, const char *outcome, const char *used, const char *now)
{
    value("SELECT on_day FROM cost_settle('t', '%s', 'm', 's', '%s', %s, %s)", id, outcome, used, now);
}

#define LEDGER                                                                                               \
    "SELECT concat_ws(' ', day, calls, lost, refused, input_tokens, output_tokens, usd) FROM costs WHERE "   \
    "day = "

static int empty(void **state)
{
    (void)state;
    pg_testdb_script(&testdb, "TRUNCATE costs, cost_holds");
    return 0;
}

static void what_was_used_replaces_what_was_reserved(void **state)
{
    (void)state;
    assert_string_equal(hold("a", "2", "3, 0", false, NOON), "held");
    assert_string_equal(value("SELECT d::text FROM cost_day('t', '2026-03-01') d"), "(0,0,2,20)");
    assert_string_equal(hold("b", "2", "3, 0", false, NOON), "used_up");
    settle("a", "answered", "7, 8, 0.25", NOON);
    assert_string_equal(value("SELECT d::text FROM cost_day('t', '2026-03-01') d"), "(0.25,15,0,0)");
    settle("a", "answered", "7, 8, 0.25", NOON); /* whose answer got lost on the way */
    assert_string_equal(value(LEDGER "'2026-03-01'"), "2026-03-01 1 0 1 7 8 0.25");
    assert_string_equal(hold("c", "2", "3, 0", false, NOON), "held");
    settle("c", "released", "0, 0, 0", NOON);
    assert_string_equal(value(LEDGER "'2026-03-01'"), "2026-03-01 1 0 1 7 8 0.25");
    assert_string_equal(value("SELECT count(*) FROM cost_holds"), "0");
}

static void a_day_ends_at_midnight_in_utc(void **state)
{
    (void)state;
    assert_string_equal(hold("a", "2", "3, 0", false, "'2026-03-02 00:59:59+01'"), "held");
    settle("a", "answered", "1, 1, 2", "'2026-03-02 00:00:01+00'"); /* it began the day before */
    assert_string_equal(value(LEDGER "'2026-03-01'"), "2026-03-01 1 0 0 1 1 2");
    assert_string_equal(hold("b", "2", "3, 0", false, "'2026-03-01 23:59:59.9+00'"), "used_up");
    assert_string_equal(hold("c", "2", "3, 0", false, "'2026-03-02 00:00:00+00'"), "held");
    assert_string_equal(value("SELECT count(*) FROM costs WHERE day = '2026-03-02'"), "0");
}

static void what_others_reserved_may_be_waited_for(void **state)
{
    (void)state;
    assert_string_equal(hold("a", "2", "3, 0", true, NOON), "held");
    assert_string_equal(hold("b", "2", "3, 0", true, NOON), "wait");
    assert_string_equal(value("SELECT count(*) FROM costs"), "0");
    settle("a", "answered", "1, 1, 0.5", NOON);
    assert_string_equal(hold("b", "2", "3, 0", true, NOON), "held");
    assert_string_equal(hold("c", "3.1", "3, 0", true, NOON), "used_up"); /* no waiting helps */
}

static void a_dead_process_counts_as_the_most(void **state)
{
    (void)state;
    assert_string_equal(hold("a", "2", "3, 0", false, NOON), "held");
    assert_string_equal(hold("b", "2", "3, 0", false, "'2026-03-01 12:00:59+00'"), "used_up");
    assert_string_equal(hold("c", "1", "3, 0", false, "'2026-03-01 12:01:00+00'"), "held"); /* 2 + 1 */
    assert_string_equal(value(LEDGER "'2026-03-01'"), "2026-03-01 1 1 1 10 10 2");
    settle("a", "answered", "1, 1, 0.1", "'2026-03-01 12:01:01+00'"); /* it was only slow: counted already */
    assert_string_equal(value(LEDGER "'2026-03-01'"), "2026-03-01 1 1 1 10 10 2");
    settle("c", "lost", "0, 0, 0", NOON);
    assert_string_equal(value(LEDGER "'2026-03-01'"), "2026-03-01 2 2 1 20 20 3");
}

static void tokens_and_free_models(void **state)
{
    (void)state;
    assert_string_equal(
        hold("a", "0", "0, 0", false, NOON), "held"); /* no money is needed, tokens are not limited */
    assert_string_equal(hold("b", "0.1", "0, 0", false, NOON), "used_up");
    assert_string_equal(hold("c", "0", "0, 40", false, NOON), "held");
    assert_string_equal(hold("d", "0", "0, 40", true, NOON), "wait");
    settle("a", "answered", "10, 10, 0", NOON);
    settle("c", "answered", "10, 9, 0", NOON);
    assert_string_equal(hold("d", "0", "0, 40", true, NOON), "used_up");
    value("SELECT on_day FROM cost_settle('t', NULL, 'free', 's', 'answered', 3, 4, 0, " NOON ")");
    assert_string_equal(value("SELECT input_tokens + output_tokens FROM costs WHERE model = 'free'"), "7");
}

static void tenants_do_not_share(void **state)
{
    (void)state;
    assert_string_equal(hold("a", "3", "3, 0", false, NOON), "held");
    assert_string_equal(
        value("SELECT outcome FROM cost_hold('u', 'a', 'm', 's', 1, 1, 3, 3, 0, false, '1 min', " NOON ")"),
        "held");
}

/* ---- many at once ---- */

struct worker {
    pthread_t thread;
    int number;
    int held;
    bool exceeded;
};

static bool ask(struct db_session *session, const char *sql, const char *id, char *out, size_t size)
{
    struct error err;
    const struct db_query query = {.sql = sql, .param_count = id != NULL, .params = {id}};
    struct db_result *result = db_session_query(session, &query, &err);
    if (result == NULL) {
        (void)snprintf(out, size, "%s", err.text);
        return false;
    }
    (void)snprintf(out, size, "%s", db_value(result, 0, 0));
    db_result_free(result);
    return true;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct db_session *session = pg_testdb_open(&testdb);
    char id[32], said[400];
    for (int i = 0; i < CALLS_EACH; i++) {
        (void)snprintf(id, sizeof(id), "%d-%d", worker->number, i);
        bool ok = ask(session,
            "SELECT outcome FROM cost_hold('t', $1, 'm', 's', 10, 10, 1, 30, 0, true, '1 min', " NOON ")", id,
            said, sizeof(said));
        bool held = ok && strcmp(said, "held") == 0;
        ok = ok && ask(session, "SELECT spent_usd + held_usd <= 30 FROM cost_day('t', '2026-03-01')", NULL,
                       said, sizeof(said));
        worker->exceeded = worker->exceeded || !ok || strcmp(said, "t") != 0;
        if (held) {
            worker->held++;
            ok = ask(session,
                "SELECT on_day FROM cost_settle('t', $1, 'm', 's', 'answered', 5, 5, 0.4, " NOON ")", id,
                said, sizeof(said));
            worker->exceeded = worker->exceeded || !ok;
        }
    }
    db_session_close(session);
    return NULL;
}

static void many_connections_stay_within_the_limit(void **state)
{
    (void)state;
    struct worker workers[THREADS];
    int held = 0;
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_false(workers[i].exceeded);
        held += workers[i].held;
    }
    assert_in_range(held, (MONEY - THREADS) * 10 / 4, (MONEY - 1) * 10 / 4 + 1); /* to the last that fits */
    char expected[32];
    (void)snprintf(expected, sizeof(expected), "%d", held * 10);
    assert_string_equal(value("SELECT sum(input_tokens + output_tokens) FROM costs"), expected);
    assert_string_equal(value("SELECT sum(usd) <= %d FROM costs", MONEY), "t");
    assert_string_equal(value("SELECT count(*) FROM cost_holds"), "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_was_used_replaces_what_was_reserved, empty),
        cmocka_unit_test_setup(a_day_ends_at_midnight_in_utc, empty),
        cmocka_unit_test_setup(what_others_reserved_may_be_waited_for, empty),
        cmocka_unit_test_setup(a_dead_process_counts_as_the_most, empty),
        cmocka_unit_test_setup(tokens_and_free_models, empty),
        cmocka_unit_test_setup(tenants_do_not_share, empty),
        cmocka_unit_test_setup(many_connections_stay_within_the_limit, empty),
    };
    pg_testdb_create(&testdb, true);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_testdb_drop(&testdb);
    return failed;
}
