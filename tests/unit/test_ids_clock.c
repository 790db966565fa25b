/* UUIDs and date-times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/ids.h"

#define THREADS 4
#define EACH 20000

static void *make_ids(void *arg)
{
    char(*ids)[UUID_TEXT_SIZE] = arg;
    for (int i = 0; i < EACH; i++) {
        uuid_v7(ids[i]);
    }
    return NULL;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, UUID_TEXT_SIZE);
}

static void v7_is_monotonic_and_unique(void **state)
{
    (void)state;
    char(*ids)[UUID_TEXT_SIZE] = calloc(THREADS * EACH, UUID_TEXT_SIZE);
    assert_non_null(ids);
    pthread_t threads[THREADS];
    int64_t before = clock_wall_ms();
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, make_ids, ids + (size_t)i * EACH), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < THREADS * EACH; i++) {
        int64_t at;
        assert_true(uuid_valid(ids[i]));
        assert_true(uuid_v7_time(ids[i], &at));
        assert_true(at >= before);
        if (i % EACH > 0) {
            assert_true(memcmp(ids[i - 1], ids[i], UUID_TEXT_SIZE) < 0);
        }
    }
    qsort(ids, THREADS * EACH, UUID_TEXT_SIZE, compare_ids);
    for (int i = 1; i < THREADS * EACH; i++) {
        assert_string_not_equal(ids[i - 1], ids[i]);
    }
    free(ids);
}

static void v5_is_derived(void **state)
{
    (void)state;
    char id[UUID_TEXT_SIZE], child[UUID_TEXT_SIZE], again[UUID_TEXT_SIZE];
    /* Reference values: Python's uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, "helpdesk"), name). */
    uuid_v5("tickets.submitted/3/42", 22, id);
    assert_string_equal(id, "ac480525-8870-57f5-a0f0-b37cd2faee84");
    uuid_v5("", 0, id);
    assert_string_equal(id, "a3d1e89a-aff3-5e90-9ff5-9bcd5b29acd7");
    uuid_child("parent", "classify", 7, child);
    uuid_v5("parent/classify/7", 17, again);
    assert_string_equal(child, again);
    int64_t at;
    assert_true(uuid_valid(child));
    assert_false(uuid_v7_time(child, &at));
}

static void validity(void **state)
{
    (void)state;
    int64_t at;
    assert_true(uuid_valid("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"));
    assert_true(uuid_v7_time("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", &at)); /* RFC 9562, appendix A.6 */
    assert_true(at == INT64_C(1645557742000));
    assert_false(uuid_v7_time("017f22e2-79b0-4cc3-98c4-dc0c0c07398f", &at));
    assert_false(uuid_v7_time("017f22e2-79b0-7cc3-18c4-dc0c0c07398f", &at));
    assert_false(uuid_valid(NULL));
    assert_false(uuid_valid(""));
    assert_false(uuid_valid("017f22e2-79b0-7cc3-98c4-dc0c0c07398"));
    assert_false(uuid_valid("017f22e2-79b0-7cc3-98c4-dc0c0c07398f0"));
    assert_false(uuid_valid("017f22e2079b0-7cc3-98c4-dc0c0c07398f"));
    assert_false(uuid_valid("017f22e2-79b0-7cc3-98c4-dc0c0c07398g"));
}

static void times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2026-11-22T10:00:00Z", 1795341600000},
        {"2026-11-22t10:00:00.5z", 1795341600500},
        {"2026-11-22 10:00:00.123456789+00:00", 1795341600123},
        {"2026-11-22T12:30:00+02:30", 1795341600000},
        {"2026-11-22T00:00:00-10:00", 1795341600000},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2016-12-31T23:59:60Z", 1483228800000},
        {"2017-01-01T00:59:60.5+01:00", 1483228800500},
        {"0000-01-01T00:00:00Z", -62167219200000},
        {"0001-01-01T00:00:00Z", -62135596800000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = 0;
        if (!clock_parse(cases[i].text, &ms) || ms != cases[i].ms) {
            fail_msg("%s: %lld", cases[i].text, (long long)ms);
        }
    }
}

static void other_times_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "2026", "2026-11-22", "2026-11-22T10:00:00", "2026-11-22T10:00Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-04-31T00:00:00Z", "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T10:60:00Z", "2026-11-22T10:00:61Z",
        "2026-11-22T10:00:60Z", "2026-11-22T10:00:00.Z", "2026-11-22T10:00:00+0100",
        "2026-11-22T10:00:00+24:00", "2026-11-22T10:00:00+01:60", "2026-11-22T10:00:00Z ",
        " 2026-11-22T10:00:00Z", "2026-1-22T10:00:00Z", "+026-11-22T10:00:00Z", "2026-11-22T10:00:00,5Z",
        "2026-11-22X10:00:00Z"};
    int64_t ms = 5;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (clock_parse(wrong[i], &ms)) {
            fail_msg("accepted: %s", wrong[i]);
        }
    }
    assert_false(clock_parse(NULL, &ms));
    assert_true(ms == 5);
}

static void times_are_written(void **state)
{
    (void)state;
    char text[CLOCK_RFC3339_SIZE];
    clock_format(1795341600007, text);
    assert_string_equal(text, "2026-11-22T10:00:00.007Z");
    clock_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    clock_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    clock_format(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
    for (int64_t ms = INT64_C(-62167219200000); ms < INT64_C(253402300799999); ms += INT64_C(86399999) * 97) {
        int64_t again;
        clock_format(ms, text);
        assert_true(clock_parse(text, &again));
        assert_true(again == ms);
    }
}

static void monotonic_time_does_not_go_back(void **state)
{
    (void)state;
    int64_t last = clock_mono_us();
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_us();
        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_mono_ms() >= last / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v7_is_monotonic_and_unique),
        cmocka_unit_test(v5_is_derived),
        cmocka_unit_test(validity),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(other_times_are_refused),
        cmocka_unit_test(times_are_written),
        cmocka_unit_test(monotonic_time_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
