/* Waiting requests: several on one run, replies before and after the acknowledgement, time-outs, aborts,
 * holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "gateway/customer_cache.h"
#include "gateway/waits.h"
#include "kb/customer.h"

#define ID "0190a000-0000-7000-8000-000000000001"
#define NEVER 3600000

static struct loop *loop;
static struct waits *waits;
static size_t released;

struct told {
    int count;
    enum wait_how how;
    enum msg_state state;
    char code[40];
    bool wants_final;
    struct waiter *other; /* cancelled when told */
};

static void closed(void *arg, size_t bytes)
{
    (void)arg;
    released += bytes;
}

static bool tell(void *arg, const struct wait_end *end)
{
    struct told *told = arg;
    told->count++;
    told->how = end->how;
    if (end->how == WAIT_REPLY) {
        told->state = end->event->state;
        assert_true(end->total_ms >= 0);
    }
    if (end->how == WAIT_FAILED) {
        snprintf(told->code, sizeof told->code, "%s", end->err->code);
    }
    if (told->other != NULL) {
        waits_cancel(waits, told->other);
        told->other = NULL;
    }
    return end->how != WAIT_REPLY || !told->wants_final || wait_state_final(end->event->state);
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new(0);
    waits = waits_new(loop, closed, NULL);
    released = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    waits_free(waits);
    loop_free(loop);
    return 0;
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(loop, 0);
}

/* Runs the loop long enough for timers of up to 20 ms. */
static void run_timers(void)
{
    struct loop_timer *timer = loop_timer_new(loop, stop, NULL);
    loop_timer_arm(timer, 60);
    loop_run(loop);
    loop_timer_free(timer);
}

static bool reply(enum msg_state state)
{
    struct msg_ticket_event event = {.state = state};
    return waits_reply(waits, ID, &event);
}

static void test_reply_goes_to_all_who_wait(void **state)
{
    (void)state;
    struct told a = {0}, b = {0};
    assert_true(waits_open(waits, ID, 100, false));
    assert_false(waits_open(waits, ID, 100, false));
    waits_add(waits, ID, NEVER, tell, &a);
    waits_add(waits, ID, NEVER, tell, &b);
    assert_int_equal(waits_waiters(waits), 2);
    assert_true(reply(MSG_STATE_COMPLETED)); /* no acknowledgement was seen before */
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 1);
    assert_int_equal(a.how, WAIT_REPLY);
    assert_int_equal(waits_waiters(waits), 0);
    assert_int_equal(waits_runs(waits), 0);
    assert_int_equal(released, 100);
    assert_false(reply(MSG_STATE_COMPLETED)); /* unknown by now */
}

static void test_early_reply_is_not_enough_for_some(void **state)
{
    (void)state;
    struct told early = {0}, final = {.wants_final = true};
    waits_add(waits, ID, NEVER, tell, &early);
    waits_add(waits, ID, NEVER, tell, &final);
    reply(MSG_STATE_ENRICHED);
    assert_int_equal(early.count, 1);
    assert_int_equal(final.count, 1);
    assert_int_equal(waits_waiters(waits), 1);
    reply(MSG_STATE_COMPLETED);
    assert_int_equal(final.count, 2);
    assert_int_equal(final.state, MSG_STATE_COMPLETED);
    assert_int_equal(waits_runs(waits), 0);
}

static void test_no_expiry_before_the_acknowledgement(void **state)
{
    (void)state;
    struct told a = {0};
    waits_open(waits, ID, 1, false);
    waits_add(waits, ID, 1, tell, &a);
    run_timers();
    assert_int_equal(a.count, 0);
    waits_acknowledged(waits, ID);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.how, WAIT_EXPIRED);
    assert_int_equal(waits_runs(waits), 0);
}

static void test_expiry(void **state)
{
    (void)state;
    struct told a = {0}, b = {0};
    waits_open(waits, ID, 1, false);
    waits_add(waits, ID, 1, tell, &a);
    waits_add(waits, ID, NEVER, tell, &b);
    waits_acknowledged(waits, ID);
    assert_int_equal(a.count, 0);
    run_timers();
    assert_int_equal(a.how, WAIT_EXPIRED);
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 0);
    assert_true(waits_known(waits, ID));
    reply(MSG_STATE_COMPLETED);
    assert_int_equal(b.how, WAIT_REPLY);
}

static void test_failure_and_abort(void **state)
{
    (void)state;
    struct told a = {0}, b = {0}, c = {0};
    struct error err = {0};
    error_set(&err, ERROR_RETRY, "broker_unavailable", "away");
    waits_open(waits, ID, 7, true);
    struct waiter *gone = waits_add(waits, ID, NEVER, tell, &a);
    waits_add(waits, ID, NEVER, tell, &b);
    waits_add(waits, "0190a000-0000-7000-8000-000000000002", NEVER, tell, &c);
    waits_cancel(waits, gone);
    waits_fail(waits, ID, &err);
    assert_int_equal(a.count, 0);
    assert_int_equal(b.how, WAIT_FAILED);
    assert_string_equal(b.code, "broker_unavailable");
    assert_int_equal(released, 7);
    waits_fail_all(waits, &err);
    assert_int_equal(c.how, WAIT_FAILED);
    assert_int_equal(waits_runs(waits), 0);
    assert_int_equal(waits_waiters(waits), 0);
}

static void test_a_waiter_cancels_another_while_told(void **state)
{
    (void)state;
    struct told a = {0}, b = {0};
    struct waiter *first = waits_add(waits, ID, NEVER, tell, &a);
    b.other = first;
    waits_add(waits, ID, NEVER, tell, &b); /* told first: the newest stands in front */
    reply(MSG_STATE_COMPLETED);
    assert_int_equal(b.count, 1);
    assert_int_equal(a.count, 0);
    assert_int_equal(waits_waiters(waits), 0);
    assert_int_equal(waits_runs(waits), 0);
}

static void test_held_run(void **state)
{
    (void)state;
    struct told a = {0};
    const char *ids[4];
    waits_open(waits, ID, 50, true);
    waits_add(waits, ID, NEVER, tell, &a);
    waits_acknowledged(waits, ID);
    assert_int_equal(waits_held(waits, NEVER, ids, 4), 0); /* somebody waits */
    reply(MSG_STATE_ENRICHED);
    assert_int_equal(a.count, 1);
    assert_int_equal(waits_runs(waits), 1);
    assert_int_equal(released, 0);
    assert_int_equal(waits_held(waits, NEVER, ids, 4), 1);
    assert_string_equal(ids[0], ID);
    waits_finished(waits, ID);
    assert_int_equal(waits_runs(waits), 0);
    assert_int_equal(released, 50);
    waits_open(waits, ID, 50, true);
    waits_acknowledged(waits, ID);
    assert_int_equal(waits_held(waits, -1, ids, 4), 0); /* too old: forgotten */
    assert_int_equal(released, 100);
}

static void test_expire_all(void **state)
{
    (void)state;
    struct told a = {0}, b = {0};
    struct error err = {0};
    error_set(&err, ERROR_RETRY, "stopping", "stops");
    waits_open(waits, ID, 1, true);
    waits_add(waits, ID, NEVER, tell, &a);
    waits_acknowledged(waits, ID);
    waits_open(waits, "0190a000-0000-7000-8000-000000000002", 1, false);
    waits_add(waits, "0190a000-0000-7000-8000-000000000002", NEVER, tell, &b);
    waits_expire_all(waits, &err);
    assert_int_equal(a.how, WAIT_EXPIRED);
    assert_int_equal(b.how, WAIT_FAILED);
    assert_int_equal(waits_runs(waits), 0);
    assert_int_equal(released, 2);
}

static void test_thousands(void **state)
{
    (void)state;
    static struct told told[5000];
    char id[40];
    memset(told, 0, sizeof told);
    for (int i = 0; i < 5000; i++) {
        snprintf(id, sizeof id, "0190a000-0000-7000-8000-%012d", i);
        waits_open(waits, id, 1, false);
        waits_add(waits, id, NEVER, tell, &told[i]);
    }
    assert_int_equal(waits_waiters(waits), 5000);
    struct msg_ticket_event event = {.state = MSG_STATE_COMPLETED};
    for (int i = 0; i < 5000; i++) {
        snprintf(id, sizeof id, "0190a000-0000-7000-8000-%012d", i);
        assert_true(waits_reply(waits, id, &event));
        assert_int_equal(told[i].count, 1);
    }
    assert_int_equal(waits_runs(waits), 0);
    assert_int_equal(released, 5000);
}

static void test_customer_cache(void **state)
{
    (void)state;
    int64_t age;
    struct customer_cache *cache = customer_cache_new(2, 100);
    customer_cache_put(cache, "t", "a", "A", 0);
    customer_cache_put(cache, "t", "b", "B", 10);
    assert_string_equal(customer_cache_get(cache, "t", "a", 20, &age), "A");
    assert_int_equal(age, 20);
    assert_null(customer_cache_get(cache, "other", "a", 20, &age));
    customer_cache_put(cache, "t", "c", "C", 30); /* b was used longest ago */
    assert_null(customer_cache_get(cache, "t", "b", 30, &age));
    assert_null(customer_cache_get(cache, "t", "a", 100, &age)); /* too old */
    customer_cache_put(cache, "t", "c", "D", 40);
    assert_string_equal(customer_cache_get(cache, "t", "c", 139, &age), "D");
    customer_cache_free(cache);
    cache = customer_cache_new(0, 100);
    customer_cache_put(cache, "t", "a", "A", 0);
    assert_null(customer_cache_get(cache, "t", "a", 0, &age));
    customer_cache_free(cache);
}

static void test_churn_risk(void **state)
{
    (void)state;
    static const struct {
        double sentiment, days;
        enum msg_tier tier;
        enum msg_churn_risk risk;
    } cases[] = {
        {0, 0, MSG_TIER_STANDARD, MSG_CHURN_RISK_LOW},
        {0, 0, MSG_TIER_ENTERPRISE, MSG_CHURN_RISK_LOW}, /* no score to add to */
        {-0.1, 0, MSG_TIER_STANDARD, MSG_CHURN_RISK_LOW},
        {-0.3, 0, MSG_TIER_ENTERPRISE, MSG_CHURN_RISK_MEDIUM}, /* 1 + 1: -0.3 is not below -0.3 */
        {-0.31, 0, MSG_TIER_STANDARD, MSG_CHURN_RISK_MEDIUM},
        {-0.31, 0, MSG_TIER_ENTERPRISE, MSG_CHURN_RISK_HIGH},
        {0, -1, MSG_TIER_PREMIUM, MSG_CHURN_RISK_MEDIUM}, /* no interaction at all: 2 */
        {0.5, 30, MSG_TIER_STANDARD, MSG_CHURN_RISK_LOW},
        {-0.1, 31, MSG_TIER_STANDARD, MSG_CHURN_RISK_MEDIUM},
        {0, 60, MSG_TIER_STANDARD, MSG_CHURN_RISK_LOW},
        {0, 61, MSG_TIER_STANDARD, MSG_CHURN_RISK_MEDIUM},
        {-0.1, 61, MSG_TIER_STANDARD, MSG_CHURN_RISK_HIGH},
        {-1, -1, MSG_TIER_ENTERPRISE, MSG_CHURN_RISK_HIGH},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(
            customer_churn_risk(cases[i].sentiment, cases[i].days, cases[i].tier), cases[i].risk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reply_goes_to_all_who_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_early_reply_is_not_enough_for_some, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_expiry_before_the_acknowledgement, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failure_and_abort, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_waiter_cancels_another_while_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_held_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expire_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_thousands, setup, teardown),
        cmocka_unit_test(test_customer_cache),
        cmocka_unit_test(test_churn_risk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
