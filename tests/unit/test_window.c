/* The window of a partition and its map: what is committed, and what a restart makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "engine/window.h"

#define MANY 10000

static struct window_node nodes[MANY];

/* Takes `count` records from `first` on, all of them new. */
static void take(struct window *window, int64_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(window_take(window, first + (int64_t)i), WINDOW_NEW);
        window_add(window, &nodes[i], first + (int64_t)i);
    }
}

static void finish(struct window *window, size_t index)
{
    window_set_done(&nodes[index], true);
    window_remove(window, &nodes[index]);
}

static void test_position_is_the_lowest_not_done(void **state)
{
    (void)state;
    struct window window;
    assert_true(window_init(&window, 100, ""));
    assert_int_equal(window_position(&window), 100);
    take(&window, 100, 5);
    assert_int_equal(window_position(&window), 100);
    finish(&window, 1);
    finish(&window, 3);
    assert_int_equal(window_position(&window), 100);
    finish(&window, 0);
    assert_int_equal(window_position(&window), 102);
    finish(&window, 2);
    assert_int_equal(window_position(&window), 104);
    finish(&window, 4);
    assert_int_equal(window_position(&window), 105);
    window_fini(&window);
}

static void test_done_counts_before_it_leaves(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, "");
    take(&window, 0, 3);
    window_set_done(&nodes[0], true);
    assert_int_equal(window_position(&window), 1);
    window_set_done(&nodes[0], false); /* its batch came back */
    assert_int_equal(window_position(&window), 0);
    window_fini(&window);
}

static void test_gaps_are_done(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 10, "");
    assert_int_equal(window_take(&window, 500), WINDOW_NEW);
    window_add(&window, &nodes[0], 500);
    assert_int_equal(window_position(&window), 500);
    assert_int_equal(window_take(&window, 499), WINDOW_BEHIND);
    window_fini(&window);
}

/* Commits, restarts, and checks that exactly what was not done is to do. */
static void check_restart(struct window *window, const bool *done, int64_t first, size_t count)
{
    char map[WINDOW_MAP_SIZE];
    assert_true(window_encode(window, map));
    assert_in_range(strlen(map), 0, WINDOW_MAP_MAX);
    struct window again;
    int64_t position = window_position(window);
    assert_true(window_init(&again, position, map));
    for (int64_t offset = position; offset < first + (int64_t)count; offset++) {
        assert_int_equal(window_take(&again, offset), done[offset - first] ? WINDOW_DONE : WINDOW_NEW);
    }
    assert_int_equal(window_take(&again, first + (int64_t)count), WINDOW_NEW);
    window_fini(&again);
}

static void test_restart_knows_what_was_done(void **state)
{
    (void)state;
    static bool done[MANY];
    for (unsigned round = 0; round < 200; round++) {
        struct window window;
        size_t count = 1 + (size_t)rand() % 2000;
        unsigned share = (unsigned)rand() % 101;
        int64_t first = rand();
        window_init(&window, first, "");
        take(&window, first, count);
        for (size_t i = 0; i < count; i++) {
            done[i] = (unsigned)rand() % 100 < share;
            if (done[i]) {
                finish(&window, i);
            }
        }
        check_restart(&window, done, first, count);
        window_fini(&window);
    }
}

static void test_one_slow_record_among_many(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, "");
    struct window_node slow;
    struct window_node fast;
    window_take(&window, 0);
    window_add(&window, &slow, 0);
    for (int64_t offset = 1; offset < 50000000; offset += 1000) { /* the rest are gaps */
        window_take(&window, offset);
        window_add(&window, &fast, offset);
        window_set_done(&fast, true);
        window_remove(&window, &fast);
    }
    char map[WINDOW_MAP_SIZE];
    assert_true(window_encode(&window, map));
    assert_in_range(strlen(map), 1, 64);
    assert_int_equal(window_position(&window), 0);
    struct window again;
    assert_true(window_init(&again, 0, map));
    assert_int_equal(window_take(&again, 0), WINDOW_NEW);
    assert_int_equal(window_take(&again, 49999001), WINDOW_DONE);
    assert_int_equal(window_take(&again, 49999002), WINDOW_NEW);
    window_fini(&again);
    window_fini(&window);
}

/* A commit made before all of the map was read again must keep the rest of it. */
static void test_map_survives_a_second_restart(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, "");
    take(&window, 0, 100);
    for (size_t i = 1; i < 100; i++) {
        if (i != 50) {
            finish(&window, i);
        }
    }
    char map[WINDOW_MAP_SIZE];
    assert_true(window_encode(&window, map));
    window_fini(&window);
    assert_true(window_init(&window, 0, map));
    for (int64_t offset = 0; offset < 10; offset++) {
        assert_int_equal(window_take(&window, offset), offset == 0 ? WINDOW_NEW : WINDOW_DONE);
        if (offset == 0) {
            window_add(&window, &nodes[0], 0);
        }
    }
    finish(&window, 0);
    assert_int_equal(window_position(&window), 50);
    assert_true(window_encode(&window, map));
    window_fini(&window);
    assert_true(window_init(&window, 50, map));
    assert_int_equal(window_take(&window, 50), WINDOW_NEW);
    assert_int_equal(window_take(&window, 99), WINDOW_DONE);
    assert_int_equal(window_take(&window, 100), WINDOW_NEW);
    window_fini(&window);
}

static void test_half_of_ten_thousand_fits(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 7, "");
    take(&window, 7, MANY);
    for (size_t i = 1; i < MANY; i++) {
        if (rand() % 2) {
            finish(&window, i);
        }
    }
    char map[WINDOW_MAP_SIZE];
    assert_true(window_encode(&window, map));
    assert_in_range(strlen(map), 1, 2200);
    window_fini(&window);
}

/* What does not fit counts as not done: repeated, never lost. */
static void test_too_long_a_map_is_cut(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, "");
    size_t count = 0;
    for (size_t i = 0; i < MANY; i++) {
        int64_t offset = (int64_t)i * (rand() % 2 ? 1000000 : 900000) + (int64_t)i * 100000;
        if (window_take(&window, offset) == WINDOW_NEW) {
            window_add(&window, &nodes[count++], offset);
        }
    }
    char map[WINDOW_MAP_SIZE];
    assert_true(window_encode(&window, map)); /* nothing is done: the gaps need not be told */
    assert_int_equal(strlen(map), 0);
    window_set_done(&nodes[count - 1], true);
    assert_false(window_encode(&window, map));
    assert_in_range(strlen(map), WINDOW_MAP_MAX - 16, WINDOW_MAP_MAX);
    struct window again;
    assert_true(window_init(&again, window_position(&window), map));
    for (size_t i = 0; i + 1 < count; i++) {
        assert_int_equal(window_take(&again, nodes[i].offset), WINDOW_NEW);
    }
    window_fini(&again);
    window_fini(&window);
}

static void test_unreadable_maps(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 5, "");
    take(&window, 5, 10);
    finish(&window, 3);
    char map[WINDOW_MAP_SIZE];
    assert_true(window_encode(&window, map));
    window_fini(&window);
    assert_false(window_init(&window, 6, map)); /* of another offset */
    assert_int_equal(window_take(&window, 8), WINDOW_NEW);
    window_fini(&window);
    static const char *const bad[] = {"x", "====", "AAAA", "AQAAAQAAAAA=", "not base64!!", "AgAAAQAAAACA"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(window_init(&window, 5, bad[i]));
        assert_int_equal(window_position(&window), 5);
        window_fini(&window);
    }
    size_t len = strlen(map);
    for (size_t i = 0; i < len; i++) { /* each character changed, each length cut */
        char wrong[WINDOW_MAP_SIZE];
        snprintf(wrong, sizeof(wrong), "%s", map);
        wrong[i] = wrong[i] == 'A' ? 'B' : 'A';
        if (window_init(&window, 5, wrong)) { /* only in the padding's spare bits */
            assert_in_range(i, len - 3, len);
        }
        window_fini(&window);
        snprintf(wrong, sizeof(wrong), "%.*s", (int)i, map);
        assert_int_equal(window_init(&window, 5, wrong), i == 0);
        window_fini(&window);
    }
    char *long_text = xmalloc(100001);
    memset(long_text, 'A', 100000);
    long_text[100000] = '\0';
    assert_false(window_init(&window, 5, long_text));
    window_fini(&window);
    free(long_text);
}

/* What an earlier owner left to do never makes the map longer, however long it is already. */
static void test_an_inherited_map_cannot_grow(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, "");
    take(&window, 0, 100);
    for (size_t i = 1; i < 100; i += 2) {
        finish(&window, i);
    }
    char map[WINDOW_MAP_SIZE];
    assert_true(window_can_grow(&window));
    assert_true(window_encode(&window, map));
    window_fini(&window);
    assert_true(window_init(&window, 0, map));
    assert_false(window_can_grow(&window));
    for (int64_t offset = 0; offset < 100; offset++) {
        assert_false(window_can_grow(&window));
        window_take(&window, offset);
    }
    assert_true(window_can_grow(&window));
    window_fini(&window);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_position_is_the_lowest_not_done),
        cmocka_unit_test(test_done_counts_before_it_leaves),
        cmocka_unit_test(test_gaps_are_done),
        cmocka_unit_test(test_restart_knows_what_was_done),
        cmocka_unit_test(test_one_slow_record_among_many),
        cmocka_unit_test(test_map_survives_a_second_restart),
        cmocka_unit_test(test_half_of_ten_thousand_fits),
        cmocka_unit_test(test_too_long_a_map_is_cut),
        cmocka_unit_test(test_an_inherited_map_cannot_grow),
        cmocka_unit_test(test_unreadable_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
