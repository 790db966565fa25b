/* The circuit breaker's states, on a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine/breaker.h"

#define LONGEST UINT32_MAX /* random bits that make the jitter the longest */

static const struct retry_policy policy = {.retries = 3, .base_ms = 100, .cap_ms = 1000};

static bool hear(struct breaker *breaker, enum breaker_sign sign, bool probe, int64_t now_ms)
{
    return breaker_hear(breaker, sign, probe, now_ms, &policy, 0, LONGEST);
}

static struct breaker opened(void)
{
    struct breaker breaker;
    breaker_init(&breaker, 1);
    assert_true(hear(&breaker, BREAKER_OUTAGE, false, 0));
    return breaker;
}

static void test_opens_after_outages_in_a_row(void **state)
{
    struct breaker breaker;
    (void)state;
    breaker_init(&breaker, 3);
    assert_false(hear(&breaker, BREAKER_OUTAGE, false, 0));
    assert_false(hear(&breaker, BREAKER_OUTAGE, false, 0));
    assert_false(hear(&breaker, BREAKER_ANSWERED, false, 0)); /* begins the count again */
    assert_false(hear(&breaker, BREAKER_OUTAGE, false, 0));
    assert_false(hear(&breaker, BREAKER_OUTAGE, false, 0));
    assert_false(hear(&breaker, BREAKER_NOTHING, false, 0)); /* does not */
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_true(hear(&breaker, BREAKER_OUTAGE, false, 1000));
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_false(breaker_due(&breaker, 1099));
    assert_true(breaker_due(&breaker, 1100));
}

static void test_others_say_nothing_once_it_is_open(void **state)
{
    struct breaker breaker = opened();
    (void)state;
    assert_false(hear(&breaker, BREAKER_ANSWERED, false, 50));
    assert_false(hear(&breaker, BREAKER_OUTAGE, false, 50));
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker.until_ms, 100);
    breaker_probe(&breaker);
    assert_false(hear(&breaker, BREAKER_ANSWERED, false, 150));
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    assert_false(breaker_due(&breaker, 1000000)); /* one probe at a time */
}

static void test_probe_closes_it(void **state)
{
    struct breaker breaker = opened();
    (void)state;
    breaker_probe(&breaker);
    assert_true(hear(&breaker, BREAKER_ANSWERED, true, 200));
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_true(hear(&breaker, BREAKER_OUTAGE, false, 300)); /* and all begins anew */
    assert_int_equal(breaker.until_ms, 400);
}

static void test_waits_grow_to_the_cap(void **state)
{
    static const int64_t waits[] = {200, 400, 800, 1000, 1000};
    struct breaker breaker = opened();
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        breaker_probe(&breaker);
        assert_false(hear(&breaker, BREAKER_OUTAGE, true, 10000));
        assert_int_equal(breaker.until_ms, 10000 + waits[i]);
    }
}

static void test_a_probe_that_says_nothing(void **state)
{
    struct breaker breaker = opened();
    (void)state;
    breaker_probe(&breaker);
    assert_false(hear(&breaker, BREAKER_NOTHING, true, 10000));
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker.until_ms, 10100); /* no longer than before */
}

static void test_retry_after_is_obeyed(void **state)
{
    struct breaker breaker = opened();
    (void)state;
    breaker_probe(&breaker);
    breaker_hear(&breaker, BREAKER_OUTAGE, true, 0, &policy, 5000, 0);
    assert_false(breaker_due(&breaker, 4999));
    assert_true(breaker_due(&breaker, 5000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_after_outages_in_a_row),
        cmocka_unit_test(test_others_say_nothing_once_it_is_open),
        cmocka_unit_test(test_probe_closes_it),
        cmocka_unit_test(test_waits_grow_to_the_cap),
        cmocka_unit_test(test_a_probe_that_says_nothing),
        cmocka_unit_test(test_retry_after_is_obeyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
