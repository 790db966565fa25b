/* The statistics of `helpdesk evaluate` on numbers whose results are known. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmd/evaluate_stats.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void table_counts_labels_against_answers(void **state)
{
    (void)state;
    const char *labels[] = {"b", "a", "a", "a", NULL, "b", "c", "c"};
    const char *answers[] = {"b", "a", "b", "b", "a", NULL, "a", "d"};
    struct arena *arena = arena_new(0);
    struct evaluate_table table;
    evaluate_table_make(arena, labels, answers, COUNT(labels), &table);
    assert_int_equal(table.total, 6);
    assert_int_equal(table.right, 2);
    assert_int_equal(table.count, 4); /* d was only answered */
    assert_string_equal(table.names[0], "a");
    assert_int_equal(evaluate_table_labelled(&table, 0), 3);
    assert_int_equal(evaluate_table_answered(&table, 0), 2);
    assert_int_equal(evaluate_table_hits(&table, 0), 1);
    assert_int_equal(evaluate_table_labelled(&table, 3), 0);
    arena_free(arena);
}

static void worst_pairs_come_in_order_and_end(void **state)
{
    (void)state;
    const char *labels[] = {"a", "a", "c", "b", "a"};
    const char *answers[] = {"b", "b", "a", "c", "a"};
    struct arena *arena = arena_new(0);
    struct evaluate_table table;
    size_t label, answer, tickets;
    evaluate_table_make(arena, labels, answers, COUNT(labels), &table);
    assert_true(evaluate_table_worst(&table, 0, &label, &answer, &tickets));
    assert_string_equal(table.names[label], "a");
    assert_string_equal(table.names[answer], "b");
    assert_int_equal(tickets, 2);
    assert_true(evaluate_table_worst(&table, 1, &label, &answer, &tickets)); /* ties by name */
    assert_string_equal(table.names[label], "b");
    assert_true(evaluate_table_worst(&table, 2, &label, &answer, &tickets));
    assert_string_equal(table.names[label], "c");
    assert_false(evaluate_table_worst(&table, 3, &label, &answer, &tickets));
    arena_free(arena);
}

static void nothing_to_compare_is_an_empty_table(void **state)
{
    (void)state;
    const char *none[] = {NULL, NULL};
    struct arena *arena = arena_new(0);
    struct evaluate_table table;
    size_t label, answer, tickets;
    evaluate_table_make(arena, none, none, 2, &table);
    assert_int_equal(table.total, 0);
    assert_int_equal(table.count, 0);
    assert_false(evaluate_table_worst(&table, 0, &label, &answer, &tickets));
    arena_free(arena);
}

static void calibration_weighs_bins_by_tickets(void **state)
{
    (void)state;
    const double confidence[] = {0.95, 0.95, 0.95, 0.95, 0.15, 1.0};
    const bool right[] = {true, true, true, false, false, true};
    /* of 10 bins the last holds five, 4.8 sure and 4 right; another one, 0.15 sure and 0 right */
    assert_float_equal(evaluate_calibration(confidence, right, COUNT(right), 10), (0.8 + 0.15) / 6, 1e-9);
    assert_float_equal(evaluate_calibration(confidence, right, 0, 10), 0, 0);
    const double sure[] = {1, 1};
    const bool yes[] = {true, true};
    assert_float_equal(evaluate_calibration(sure, yes, 2, 15), 0, 1e-12);
}

/* Published values: 8 of 10 gives 0.490 to 0.943. */
static void interval_is_wilsons(void **state)
{
    (void)state;
    double low, high;
    evaluate_interval(8, 10, &low, &high);
    assert_float_equal(low, 0.4902, 0.0005);
    assert_float_equal(high, 0.9433, 0.0005);
    evaluate_interval(0, 5, &low, &high);
    assert_float_equal(low, 0, 1e-9);
    assert_true(high < 0.5);
    evaluate_interval(0, 0, &low, &high);
    assert_float_equal(high, 1, 0);
}

static void percentile_is_the_nearest_rank(void **state)
{
    (void)state;
    double values[] = {50, 15, 40, 20, 35};
    assert_float_equal(evaluate_percentile(values, 5, 0.3), 20, 0);
    assert_float_equal(evaluate_percentile(values, 5, 0.4), 20, 0);
    assert_float_equal(evaluate_percentile(values, 5, 0.5), 35, 0);
    assert_float_equal(evaluate_percentile(values, 5, 1), 50, 0);
    assert_float_equal(evaluate_percentile(values, 1, 0.95), 15, 0);
    assert_float_equal(evaluate_percentile(values, 0, 0.5), 0, 0);
}

static void choice_is_spread_over_groups_and_the_file(void **state)
{
    (void)state;
    int group[100];
    size_t chosen[20], again[20], counts[3] = {0};
    for (int i = 0; i < 100; i++) {
        group[i] = i == 7 ? 1 : i % 10 == 3 ? -1 : i >= 90 ? 2 : 0;
    }
    struct arena *arena = arena_new(0);
    assert_int_equal(evaluate_choose(group, 100, 3, 20, arena, chosen), 20);
    for (size_t i = 0; i < 20; i++) {
        assert_true(group[chosen[i]] >= 0);
        assert_true(i == 0 || chosen[i] > chosen[i - 1]);
        counts[group[chosen[i]]]++;
    }
    assert_int_equal(counts[1], 1); /* the only one of its kind is there */
    assert_int_equal(counts[2], 9);
    assert_int_equal(counts[0], 10);
    assert_true(chosen[0] < 20 && chosen[9] > 60);
    assert_int_equal(evaluate_choose(group, 100, 3, 20, arena, again), 20);
    assert_memory_equal(chosen, again, sizeof(chosen));
    assert_int_equal(evaluate_choose(group, 5, 3, 20, arena, chosen), 4); /* all there are */
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_counts_labels_against_answers),
        cmocka_unit_test(worst_pairs_come_in_order_and_end),
        cmocka_unit_test(nothing_to_compare_is_an_empty_table),
        cmocka_unit_test(calibration_weighs_bins_by_tickets),
        cmocka_unit_test(interval_is_wilsons),
        cmocka_unit_test(percentile_is_the_nearest_rank),
        cmocka_unit_test(choice_is_spread_over_groups_and_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
