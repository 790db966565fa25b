/* Whose turn it is among the ready jobs, and what headers say of a record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "engine/hints.h"
#include "engine/ready.h"

#define EACH 240

static struct ready_entry entries[READY_PRIORITIES][EACH];

static void put(struct ready *ready, enum ready_priority priority, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        entries[priority][i].priority = priority;
        ready_put(ready, &entries[priority][i]);
    }
}

/* How many of `count` that are taken are of each priority; within one they keep their order. */
static void take(struct ready *ready, size_t count, size_t taken[READY_PRIORITIES])
{
    for (size_t i = 0; i < count; i++) {
        struct ready_entry *entry = ready_take(ready);
        assert_non_null(entry);
        assert_ptr_equal(entry, &entries[entry->priority][taken[entry->priority]++]);
    }
}

static void test_shares(void **state)
{
    struct ready ready;
    size_t taken[READY_PRIORITIES] = {0};
    (void)state;
    ready_init(&ready);
    assert_null(ready_take(&ready));
    for (int i = 0; i < READY_PRIORITIES; i++) {
        put(&ready, (enum ready_priority)i, EACH);
    }
    take(&ready, 150, taken);
    assert_int_equal(taken[READY_CRITICAL], 80);
    assert_int_equal(taken[READY_HIGH], 40);
    assert_int_equal(taken[READY_MEDIUM], 20);
    assert_int_equal(taken[READY_LOW], 10);
    take(&ready, 4 * EACH - 150, taken);
    assert_null(ready_take(&ready));
    assert_int_equal(ready.count, 0);
}

/* What is urgent comes at once, and low ones are spread among it, not put off to the end. */
static void test_mix(void **state)
{
    struct ready ready;
    (void)state;
    ready_init(&ready);
    put(&ready, READY_LOW, EACH);
    put(&ready, READY_CRITICAL, EACH);
    size_t gap = 0;
    for (size_t i = 0; i < 90; i++) {
        enum ready_priority priority = ready_take(&ready)->priority;
        gap = priority == READY_LOW ? 0 : gap + 1;
        assert_true(i > 0 || priority == READY_CRITICAL);
        assert_in_range(gap, 0, 12);
    }
}

/* An empty queue saves up nothing: critical ones that come late get no more than their share. */
static void test_no_savings(void **state)
{
    struct ready ready;
    size_t taken[READY_PRIORITIES] = {0};
    (void)state;
    ready_init(&ready);
    put(&ready, READY_LOW, EACH);
    take(&ready, 100, taken);
    assert_int_equal(taken[READY_LOW], 100);
    put(&ready, READY_CRITICAL, EACH);
    take(&ready, 90, taken);
    assert_int_equal(taken[READY_CRITICAL], 80);
    assert_int_equal(taken[READY_LOW], 110);
}

static void test_remove(void **state)
{
    struct ready ready;
    (void)state;
    ready_init(&ready);
    put(&ready, READY_HIGH, 3);
    ready_remove(&ready, &entries[READY_HIGH][1]);
    assert_int_equal(ready.count, 2);
    assert_ptr_equal(ready_take(&ready), &entries[READY_HIGH][0]);
    assert_ptr_equal(ready_take(&ready), &entries[READY_HIGH][2]);
    assert_null(ready_take(&ready));
}

/* ---- headers ---- */

static struct bus_record with_header(const char *name, const void *value, size_t len)
{
    static struct bus_header header;
    header = (struct bus_header){.name = name, .value = value, .len = len};
    return (struct bus_record){.headers = &header, .header_count = 1};
}

static enum ready_priority priority_of(const void *value, size_t len)
{
    const struct bus_record record = with_header("priority", value, len);
    return hints_priority(&record);
}

static void test_priority_header(void **state)
{
    (void)state;
    assert_int_equal(priority_of("critical", 8), READY_CRITICAL);
    assert_int_equal(priority_of("high", 4), READY_HIGH);
    assert_int_equal(priority_of("medium", 6), READY_MEDIUM);
    assert_int_equal(priority_of("low", 3), READY_LOW);
    assert_int_equal(priority_of("lowest", 6), READY_MEDIUM);
    assert_int_equal(priority_of("Critical", 8), READY_MEDIUM);
    assert_int_equal(priority_of("low\0", 4), READY_MEDIUM);
    assert_int_equal(priority_of("", 0), READY_MEDIUM);
    assert_int_equal(priority_of(NULL, 0), READY_MEDIUM);
    assert_int_equal(hints_priority(&(struct bus_record){0}), READY_MEDIUM);
}

static int64_t left_of(const char *value, size_t len)
{
    const struct bus_record record = with_header("deadline-at", value, len);
    return hints_deadline_left_ms(&record, 1700000000000);
}

static void test_deadline_header(void **state)
{
    static const char *const bad[] = {"", " 1", "1x", "+1", "-1", "1.5", "99999999999999999999",
        "9223372036854775807", "1702147483648", "170000000000000000000"};
    (void)state;
    assert_int_equal(left_of("1700000005000", 13), 5000);
    assert_int_equal(left_of("1699999999999", 13), -1);
    assert_int_equal(left_of("0", 1), -1700000000000);
    assert_int_equal(left_of("1702147483647", 13), INT32_MAX);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(left_of(bad[i], strlen(bad[i])), INT64_MAX);
    }
    assert_int_equal(left_of("1700000005000\0", 14), INT64_MAX);
    assert_int_equal(left_of(NULL, 0), INT64_MAX);
    assert_int_equal(hints_deadline_left_ms(&(struct bus_record){0}, 0), INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_mix),
        cmocka_unit_test(test_no_savings),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_priority_header),
        cmocka_unit_test(test_deadline_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
