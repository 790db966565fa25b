/* The cache of answers: its bounds in number, bytes and age. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "model/cache.h"

#define KEEP_MS 1000

static int freed;

static void count_free(void *value)
{
    (void)value;
    freed++;
}

static struct cache_key key_of(unsigned number)
{
    struct cache_key key = {{0}};
    memcpy(key.bytes, &number, sizeof(number));
    return key;
}

static void put(struct cache *cache, unsigned number, size_t bytes, int64_t now)
{
    static int value;
    struct cache_key key = key_of(number);
    cache_put(cache, &key, &value, bytes, now);
}

static bool has(struct cache *cache, unsigned number, int64_t now)
{
    struct cache_key key = key_of(number);
    return cache_get(cache, &key, now) != NULL;
}

static void cache_is_bounded_in_entries(void **state)
{
    (void)state;
    const struct cache_limits limits = {.entries = 100, .bytes = SIZE_MAX, .keep_ms = KEEP_MS};
    struct cache *cache = cache_new(&limits, count_free);
    freed = 0;
    for (unsigned i = 0; i < 1000; i++) {
        put(cache, i, 1, 0);
        assert_true(has(cache, 0, 0)); /* used all the time */
    }
    assert_int_equal(cache_count(cache), 100);
    assert_int_equal(freed, 900);
    assert_int_equal(cache_evicted(cache), 900);
    assert_true(has(cache, 999, 0));
    assert_true(has(cache, 901, 0));
    assert_false(has(cache, 900, 0));
    cache_free(cache);
    assert_int_equal(freed, 1000);
}

static void cache_is_bounded_in_bytes(void **state)
{
    (void)state;
    const size_t entry = 1000 + CACHE_ENTRY_BYTES;
    const struct cache_limits limits = {.entries = 100, .bytes = 3 * entry, .keep_ms = KEEP_MS};
    struct cache *cache = cache_new(&limits, count_free);
    freed = 0;
    for (unsigned i = 0; i < 3; i++) {
        put(cache, i, 1000, 0);
    }
    assert_int_equal(cache_bytes(cache), 3 * entry);
    assert_int_equal(freed, 0);
    put(cache, 1, 1001, 0); /* in its own place, a byte more: the oldest other goes */
    assert_int_equal(freed, 2);
    assert_false(has(cache, 0, 0));
    assert_true(has(cache, 2, 0));
    put(cache, 7, 3 * entry, 0); /* more than all that may be kept */
    assert_false(has(cache, 7, 0));
    assert_int_equal(cache_count(cache), 2);
    put(cache, 8, 3 * entry - CACHE_ENTRY_BYTES, 0);
    assert_int_equal(cache_count(cache), 1);
    put(cache, 9, SIZE_MAX, 0);
    assert_int_equal(cache_count(cache), 1);
    cache_free(cache);
}

static void cache_forgets(void **state)
{
    (void)state;
    const struct cache_limits limits = {.entries = 10, .bytes = SIZE_MAX, .keep_ms = KEEP_MS};
    struct cache *cache = cache_new(&limits, count_free);
    put(cache, 1, 1, 5000);
    assert_true(has(cache, 1, 5000 + KEEP_MS - 1)); /* being used makes it no younger */
    assert_false(has(cache, 1, 5000 + KEEP_MS));
    assert_int_equal(cache_count(cache), 0);
    assert_int_equal(cache_bytes(cache), 0);
    put(cache, 2, 1, 5000);
    const struct cache_key key = key_of(2);
    cache_drop(cache, &key);
    cache_drop(cache, &key);
    assert_false(has(cache, 2, 5000));
    cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_is_bounded_in_entries),
        cmocka_unit_test(cache_is_bounded_in_bytes),
        cmocka_unit_test(cache_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
