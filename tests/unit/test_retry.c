/* The wait before a further attempt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine/engine.h"
#include "engine/retry.h"

static const struct retry_policy policy = {.retries = 10, .base_ms = 200, .cap_ms = 30000};

static void test_doubles_up_to_the_cap(void **state)
{
    (void)state;
    static const int64_t bounds[] = {200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
    for (int attempt = 1; attempt <= 10; attempt++) {
        assert_int_equal(retry_delay_ms(&policy, attempt, 0, UINT32_MAX), bounds[attempt - 1]);
        assert_int_equal(retry_delay_ms(&policy, attempt, 0, 0), 0);
    }
    assert_int_equal(retry_delay_ms(&policy, 1000000, 0, UINT32_MAX), 30000);
}

static void test_full_jitter(void **state)
{
    (void)state;
    int64_t sum = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        int64_t delay = retry_delay_ms(&policy, 3, 0, (uint32_t)(i * UINT32_MAX / 999));
        assert_in_range(delay, 0, 800);
        sum += delay;
    }
    assert_in_range(sum / 1000, 398, 402);
}

static void test_retry_after_is_obeyed_within_reason(void **state)
{
    (void)state;
    assert_int_equal(retry_delay_ms(&policy, 1, 45000, UINT32_MAX), 45000);
    assert_int_equal(retry_delay_ms(&policy, 9, 1, UINT32_MAX), 30000);
    assert_int_equal(retry_delay_ms(&policy, 1, INT64_MAX, 0), RETRY_AFTER_MAX_MS);
    assert_int_equal(retry_delay_ms(&policy, 1, -5, 0), 0);
}

static void test_base_above_cap(void **state)
{
    (void)state;
    const struct retry_policy odd = {.retries = 1, .base_ms = 500, .cap_ms = 100};
    assert_int_equal(retry_delay_ms(&odd, 1, 0, UINT32_MAX), 100);
}

static void test_a_deadline_shortens_the_wait(void **state)
{
    (void)state;
    assert_int_equal(retry_within(30000, INT64_MAX), 30000);
    assert_int_equal(retry_within(30000, 25000), 25000 - ENGINE_RESERVE_MS);
    assert_int_equal(retry_within(100, 25000), 100);
    assert_int_equal(retry_within(30000, ENGINE_RESERVE_MS), ENGINE_RESERVE_MS); /* no third edge */
    assert_int_equal(retry_within(30000, 1), 1);
    assert_int_equal(retry_within(30000, 0), 30000); /* past: nobody waits any more */
    assert_int_equal(retry_within(30000, INT64_MIN), 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_up_to_the_cap),
        cmocka_unit_test(test_full_jitter),
        cmocka_unit_test(test_retry_after_is_obeyed_within_reason),
        cmocka_unit_test(test_base_above_cap),
        cmocka_unit_test(test_a_deadline_shortens_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
