/* Budgets: how their limits are read, and what a call hears of them, on the loop and with a real ledger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/metrics.h"
#include "model/budget.h"
#include "pg_testdb.h"

#define PATIENCE_MS 30000
#define NOWHERE "postgresql://nobody@127.0.0.1:9/nothing"

static struct pg_testdb testdb;

/* ---- limits ---- */

static void limits_are_read(void **state)
{
    (void)state;
    struct budget_limits limits;
    struct error err = {0};
    assert_true(budget_limits_parse("budget.usd-per-day", "10,acme=50.5,beta=0", false, &limits, &err));
    assert_true(budget_limit_of(&limits, "acme") == 50.5);
    assert_true(budget_limit_of(&limits, "beta") == 0);
    assert_true(budget_limit_of(&limits, "acm") == 10 && budget_limit_of(&limits, "acme2") == 10);
    budget_limits_fini(&limits);
    assert_true(budget_limits_parse("budget.tokens-per-day", "0", true, &limits, &err));
    assert_int_equal(limits.count, 0);
    budget_limits_fini(&limits);
}

static void wrong_limits_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool whole;
        const char *entry, *right;
    } wrong[] = {
        {"", false, "\"\"", "must be a number from 0 to"},
        {"ten", false, "\"ten\"", "must be a number from 0 to"},
        {"-1", false, "\"-1\"", "must be a number"},
        {"1e3", false, "\"1e3\"", "must be a number"},
        {"1.2.3", false, "\"1.2.3\"", "must be a number"},
        {"1.5", true, "\"1.5\"", "must be a whole number"},
        {"2000000000000", true, "\"2000000000000\"", "must be a whole number"},
        {"10,acme", false, "\"acme\"", "must be tenant=number"},
        {"10,=5", false, "\"=5\"", "must be tenant=number"},
        {"10,", false, "\"\"", "must be tenant=number"},
        {"10,acme=", false, "\"acme=\"", "must end in a number from 0 to"},
        {"10,acme=5 ", false, "\"acme=5 \"", "must end in a number"},
        {"10,acme=0.5", true, "\"acme=0.5\"", "must end in a whole number"},
        {"10,acme=5,acme=6", false, "\"acme=6\"", "names a tenant twice"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct budget_limits limits;
        struct error err = {0};
        assert_false(budget_limits_parse("budget.x", wrong[i].text, wrong[i].whole, &limits, &err));
        assert_string_equal(err.code, "setting_invalid");
        assert_int_equal(err.disposition, ERROR_FATAL);
        if (strncmp(err.text, "budget.x: ", 10) != 0 || !strstr(err.text, wrong[i].entry) ||
            !strstr(err.text, wrong[i].right))
            fail_msg("%s: %s", wrong[i].text, err.text);
    }
}

/* ---- calls ---- */

struct fixture {
    struct loop *loop;
    struct conf *conf;
    struct db *db;
    struct budget *budget;
};

struct answer {
    struct fixture *f;
    int times;
    bool settled;
    struct error err;
};

static void open_budget(struct fixture *f, const char *url, const char *usd, const char *tokens)
{
    struct buf problems;
    struct error err = {0};
    buf_init(&problems, 65536);
    f->loop = loop_new(0);
    f->conf = conf_load(NULL, &problems);
    assert_non_null(f->conf);
    assert_true(conf_set(f->conf, "budget.usd-per-day", usd, &err));
    assert_true(conf_set(f->conf, "budget.tokens-per-day", tokens, &err));
    f->db = db_new(f->loop, &(struct db_options){.url = url, .connections = 2, .query_timeout_ms = 10000});
    f->budget = budget_new(f->loop, f->db, f->conf, &err);
    assert_non_null(f->budget);
    buf_fini(&problems);
}

static void close_budget(struct fixture *f)
{
    budget_free(f->budget);
    db_free(f->db);
    loop_free(f->loop);
    conf_free(f->conf);
}

static int empty(void **state)
{
    (void)state;
    pg_testdb_script(&testdb, "TRUNCATE costs, cost_holds");
    return 0;
}

static void too_late(void *arg)
{
    (void)arg;
    fail_msg("nothing comes");
}

static void run(struct fixture *f)
{
    struct loop_timer *guard = loop_timer_new(f->loop, too_late, NULL);
    loop_timer_arm(guard, PATIENCE_MS);
    loop_run(f->loop);
    loop_timer_free(guard);
}

static void stop(void *arg)
{
    loop_stop(((struct fixture *)arg)->loop, 0);
}

static void run_for(struct fixture *f, int64_t ms)
{
    struct loop_timer *timer = loop_timer_new(f->loop, stop, f);
    loop_timer_arm(timer, ms);
    run(f);
    loop_timer_free(timer);
}

static void on_reserved(void *arg, const struct error *err)
{
    struct answer *answer = arg;
    answer->times++;
    if (err)
        answer->err = *err;
    loop_stop(answer->f->loop, 0);
}

static void on_settled(void *arg)
{
    struct answer *answer = arg;
    answer->settled = true;
    loop_stop(answer->f->loop, 0);
}

static struct budget_hold *start(struct fixture *f, const char *tenant, double usd, struct answer *answer)
{
    const struct budget_call call = {.tenant = tenant,
        .model = "m",
        .stage = "generator",
        .most_input_tokens = 100,
        .most_output_tokens = 10,
        .most_usd = usd,
        .timeout_ms = 20000};
    *answer = (struct answer){.f = f};
    return budget_reserve(f->budget, &call, on_reserved, answer);
}

/* NULL: refused, and the answer says why. */
static struct budget_hold *reserve(struct fixture *f, const char *tenant, double usd, struct answer *answer)
{
    struct budget_hold *hold = start(f, tenant, usd, answer);
    assert_int_equal(answer->times, 0); /* never inside the call */
    while (answer->times == 0)          /* another's may come first */
        run(f);
    assert_int_equal(answer->times, 1);
    return answer->err.disposition == ERROR_NONE ? hold : NULL;
}

static void settle(struct fixture *f, struct budget_hold *hold, enum budget_outcome outcome, double usd)
{
    struct answer answer = {.f = f};
    const struct budget_spent spent = {
        .outcome = outcome, .input_tokens = 50, .output_tokens = 5, .usd = usd};
    budget_settle(hold, &spent, on_settled, &answer);
    if (!answer.settled)
        run(f);
    assert_true(answer.settled);
}

static double left_of(const char *tenant)
{
    char labels[64];
    snprintf(labels, sizeof(labels), "tenant=\"%s\"", tenant);
    return metric_value(metrics_gauge("helpdesk_budget_left_usd", "", labels));
}

static double used_up(void)
{
    return metric_value(metrics_counter("helpdesk_budget_used_up_total", "", "stage=\"generator\""));
}

static void a_budget_is_used_up_and_another_is_not(void **state)
{
    (void)state;
    struct fixture f;
    struct answer answer;
    double before = used_up();
    open_budget(&f, testdb.url, "3,rich=100", "0");
    struct budget_hold *hold = reserve(&f, "poor", 2, &answer);
    assert_non_null(hold);
    assert_float_equal(left_of("poor"), 1, 1e-9);
    settle(&f, hold, BUDGET_ANSWERED, 1.5);
    assert_float_equal(left_of("poor"), 1.5, 1e-9);
    assert_null(reserve(&f, "poor", 2, &answer));
    assert_int_equal(answer.err.disposition, ERROR_REJECT);
    assert_string_equal(answer.err.code, "budget_used_up");
    assert_string_equal(answer.err.text,
        "the tenant's budget of the day is used up: 1.5000 of 3.00 USD are spent "
        "or reserved, and this call may cost 2.0000");
    assert_true(used_up() == before + 1);
    assert_false(health_ok("budget"));
    hold = reserve(&f, "rich", 20, &answer);
    assert_non_null(hold);
    assert_false(health_ok("budget")); /* one still is */
    settle(&f, hold, BUDGET_LOST, 0);
    assert_string_equal(pg_testdb_value(&testdb, "SELECT usd FROM costs WHERE tenant = 'rich' AND lost = 1"),
        "20.0000000000");
    pg_testdb_script(&testdb, "UPDATE costs SET day = day - 1"); /* another day */
    hold = reserve(&f, "poor", 2, &answer);
    assert_non_null(hold);
    assert_true(health_ok("budget"));
    settle(&f, hold, BUDGET_RELEASED, 0);
    assert_float_equal(left_of("poor"), 3, 1e-9);
    close_budget(&f);
}

static void tokens_are_limited_for_free_models_too(void **state)
{
    (void)state;
    struct fixture f;
    struct answer answer;
    open_budget(&f, testdb.url, "0", "0,few=150");
    run_for(&f, 300); /* connected */
    struct budget_hold *hold = reserve(&f, "many", 0, &answer);
    assert_non_null(hold);
    settle(&f, hold, BUDGET_ANSWERED, 0);
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT concat_ws(' ', calls, input_tokens, output_tokens) FROM costs"),
        "1 50 5"); /* no reservation, but a record */
    hold = reserve(&f, "few", 0, &answer);
    assert_non_null(hold);
    settle(&f, hold, BUDGET_ANSWERED, 0);
    assert_null(reserve(&f, "few", 0, &answer));
    assert_string_equal(answer.err.text,
        "the tenant's budget of the day is used up: 55 of 150 tokens are used or "
        "reserved, and this call may use 110");
    close_budget(&f);
}

static void settle_soon(void *arg)
{
    budget_settle(arg, &(struct budget_spent){.outcome = BUDGET_RELEASED}, NULL, NULL);
}

static void waits_for_what_others_have_reserved(void **state)
{
    (void)state;
    struct fixture f;
    struct answer answer, second;
    open_budget(&f, testdb.url, "3", "0");
    struct budget_hold *hold = reserve(&f, "t", 2, &answer);
    assert_non_null(hold);
    struct loop_timer *timer = loop_timer_new(f.loop, settle_soon, hold);
    loop_timer_arm(timer, 400);
    int64_t before = clock_mono_ms();
    hold = reserve(&f, "t", 2, &second);
    assert_non_null(hold);
    assert_in_range(clock_mono_ms() - before, 400, 5000);
    settle(&f, hold, BUDGET_ANSWERED, 0.1);
    loop_timer_free(timer);
    close_budget(&f);
}

static void without_the_database_nothing_is_paid(void **state)
{
    (void)state;
    struct fixture f;
    struct answer answer;
    open_budget(&f, NOWHERE, "3", "0");
    assert_null(reserve(&f, "t", 0.1, &answer));
    assert_int_equal(answer.err.disposition, ERROR_RETRY);
    assert_string_equal(answer.err.code, "db_unavailable");
    assert_null(strstr(answer.err.text, "127.0.0.1"));
    struct budget_hold *hold = reserve(&f, "t", 0, &answer); /* what is free goes on */
    assert_non_null(hold);
    answer = (struct answer){.f = &f};
    budget_settle(hold, &(struct budget_spent){.outcome = BUDGET_ANSWERED}, on_settled, &answer);
    assert_true(answer.settled); /* and waits for nobody */
    close_budget(&f);
}

static void a_database_without_tables_is_said(void **state)
{
    (void)state;
    struct fixture f;
    struct answer answer;
    pg_testdb_script(&testdb, "ALTER FUNCTION cost_day RENAME TO cost_day_gone");
    open_budget(&f, testdb.url, "3", "0");
    assert_null(reserve(&f, "t", 0.1, &answer));
    assert_int_equal(answer.err.disposition, ERROR_FATAL);
    assert_string_equal(answer.err.code, "db_schema");
    assert_false(health_ok("budget"));
    close_budget(&f);
    pg_testdb_script(&testdb, "ALTER FUNCTION cost_day_gone RENAME TO cost_day");
}

/* A reservation that comes when nobody waits any more is given back. */
static void a_late_reservation_is_given_back(void **state)
{
    (void)state;
    struct fixture f;
    struct answer answer, other;
    struct error err;
    open_budget(&f, testdb.url, "3", "0");
    settle(&f, reserve(&f, "t", 0.1, &answer), BUDGET_RELEASED, 0); /* connected */
    struct db_session *blocker = pg_testdb_open(&testdb);
    assert_true(
        db_session_script(blocker, "SELECT pg_advisory_lock(hashtextextended('costs/t', 4517208816))", &err));
    struct budget_hold *dropped = start(&f, "t", 0.1, &other);
    assert_null(reserve(&f, "t", 0.1, &answer));
    assert_string_equal(answer.err.code, "db_unavailable");
    if (other.times == 0)
        budget_drop(dropped);
    db_session_close(blocker);
    run_for(&f, 300);
    assert_string_equal(pg_testdb_value(&testdb, "SELECT count(*) FROM cost_holds"), "0");
    assert_string_equal(pg_testdb_value(&testdb, "SELECT count(*) FROM costs"), "0");
    close_budget(&f);
}

static void what_goes_with_its_process_stays_reserved(void **state)
{
    (void)state;
    struct fixture f;
    struct answer answer, asking, waiting;
    open_budget(&f, testdb.url, "3", "0");
    struct budget_hold *hold = reserve(&f, "t", 2, &answer);
    assert_non_null(hold);
    struct budget_hold *waits = start(&f, "t", 2, &waiting);
    run_for(&f, 200);
    struct budget_hold *asks = start(&f, "t", 0.5, &asking);
    budget_drop(hold);
    budget_drop(waits);
    budget_drop(asks);
    close_budget(&f);
    assert_int_equal(waiting.times + asking.times, 0);
    assert_string_equal(pg_testdb_value(&testdb, "SELECT sum(usd) >= 2 FROM cost_holds"), "t");
    pg_testdb_script(&testdb, "SELECT cost_expire('t', now() + interval '1 hour')");
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT sum(usd) >= 2 AND sum(lost) = sum(calls) FROM costs"), "t");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_read),
        cmocka_unit_test(wrong_limits_are_named),
        cmocka_unit_test_setup(a_budget_is_used_up_and_another_is_not, empty),
        cmocka_unit_test_setup(tokens_are_limited_for_free_models_too, empty),
        cmocka_unit_test_setup(waits_for_what_others_have_reserved, empty),
        cmocka_unit_test_setup(without_the_database_nothing_is_paid, empty),
        cmocka_unit_test_setup(a_database_without_tables_is_said, empty),
        cmocka_unit_test_setup(a_late_reservation_is_given_back, empty),
        cmocka_unit_test_setup(what_goes_with_its_process_stays_reserved, empty),
    };
    pg_testdb_create(&testdb, true);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_testdb_drop(&testdb);
    return failed;
}
