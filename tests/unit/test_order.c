/* Lanes by key: whose turn it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "engine/order.h"

static void test_one_at_a_time_per_key(void **state)
{
    (void)state;
    struct order *order = order_new();
    struct order_entry a1, a2, a3, b1;
    assert_true(order_join(order, &a1, "a", 1));
    assert_false(order_join(order, &a2, "a", 1));
    assert_false(order_join(order, &a3, "a", 1));
    assert_true(order_join(order, &b1, "b", 1));
    assert_int_equal(order_keys(order), 2);
    assert_int_equal(order_waiting(order), 2);
    assert_ptr_equal(order_leave(order, &a1), &a2);
    assert_ptr_equal(order_leave(order, &a2), &a3);
    assert_null(order_leave(order, &a3));
    assert_null(order_leave(order, &b1));
    assert_int_equal(order_keys(order), 0);
    assert_true(order_join(order, &a2, "a", 1));
    order_free(order);
}

static void test_leaving_amid_wakes_nobody(void **state)
{
    (void)state;
    struct order *order = order_new();
    struct order_entry a1, a2, a3;
    order_join(order, &a1, "key", 3);
    order_join(order, &a2, "key", 3);
    order_join(order, &a3, "key", 3);
    assert_null(order_leave(order, &a2));
    assert_null(order_leave(order, &a2)); /* twice is nothing */
    assert_ptr_equal(order_leave(order, &a1), &a3);
    order_free(order);
}

static void test_no_key_is_no_order(void **state)
{
    (void)state;
    struct order *order = order_new();
    struct order_entry a, b, empty, empty_again;
    assert_true(order_join(order, &a, NULL, 0));
    assert_true(order_join(order, &b, NULL, 0));
    assert_null(order_leave(order, &a));
    assert_true(order_join(order, &empty, "", 0)); /* an empty key is a key */
    assert_false(order_join(order, &empty_again, "", 0));
    order_free(order);
}

static void test_many_keys_and_bytes(void **state)
{
    (void)state;
    static struct order_entry first[5000], second[5000];
    struct order *order = order_new();
    unsigned char key[40] = {0};
    for (unsigned i = 0; i < 5000; i++) {
        key[i % 40] = (unsigned char)i;
        key[39] = 0; /* lengths differ, too */
        snprintf((char *)key, 10, "%u", i);
        assert_true(order_join(order, &first[i], key, 10 + i % 30));
        assert_false(order_join(order, &second[i], key, 10 + i % 30));
    }
    assert_int_equal(order_keys(order), 5000);
    for (unsigned i = 0; i < 5000; i++) {
        assert_ptr_equal(order_leave(order, &first[i]), &second[i]);
    }
    assert_int_equal(order_waiting(order), 0);
    order_free(order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_at_a_time_per_key),
        cmocka_unit_test(test_leaving_amid_wakes_nobody),
        cmocka_unit_test(test_no_key_is_no_order),
        cmocka_unit_test(test_many_keys_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
