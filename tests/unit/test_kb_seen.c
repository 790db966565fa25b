/* What need not be read again: only what was read since it was told of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "kb/seen.h"

static void test_time(void **state)
{
    (void)state;
    struct kb_seen *seen = kb_seen_new();
    assert_false(kb_seen_covers(seen, "s", "a", "", 100));
    kb_seen_read(seen, "s", "a", "", 200);
    assert_true(kb_seen_covers(seen, "s", "a", "", 199));
    assert_false(
        kb_seen_covers(seen, "s", "a", "", 200)); /* the same millisecond: who was first is not known */
    assert_false(kb_seen_covers(seen, "s", "b", "", 100));
    assert_false(kb_seen_covers(seen, "t", "a", "", 100));
    kb_seen_read(seen, "s", "a", "", 150); /* it ended later, but had begun before */
    assert_true(kb_seen_covers(seen, "s", "a", "", 199));
    kb_seen_free(seen);
}

static void test_sequencers(void **state)
{
    (void)state;
    struct kb_seen *seen = kb_seen_new();
    kb_seen_read(seen, "s", "a", "0B", 100);
    assert_true(kb_seen_covers(seen, "s", "a", "0B", 900));
    assert_true(kb_seen_covers(seen, "s", "a", "A", 900));
    assert_false(kb_seen_covers(seen, "s", "a", "0C", 900));
    assert_false(kb_seen_covers(seen, "s", "a", "", 900));
    kb_seen_read(seen, "s", "a", "1", 200); /* a late one takes nothing back */
    assert_true(kb_seen_covers(seen, "s", "a", "0B", 900));
    kb_seen_read(seen, "s", "a", "1234567890123456789012345678901234567890", 300); /* too long to be kept */
    assert_false(kb_seen_covers(seen, "s", "a", "0C", 900));
    kb_seen_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_time), cmocka_unit_test(test_sequencers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
