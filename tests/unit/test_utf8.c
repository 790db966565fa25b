/* UTF-8: validity, trimming, clipping, folding, words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/utf8.h"

static void validity(void **state)
{
    (void)state;
    static const char *const good[] = {"", "abc", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
        "\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF"};
    static const char *const bad[] = {"\x80", "\xC3", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80",
        "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "a\xFF", "\xE2\x82", "\xF0\x9F\x98"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
    assert_false(utf8_valid("a\0b", 3));
}

static void blankness(void **state)
{
    (void)state;
    assert_true(utf8_blank(""));
    assert_true(utf8_blank(" \t\r\n\v\f"));
    assert_true(utf8_blank("\xC2\xA0\xE3\x80\x80\xE2\x80\xA8\xE2\x80\x8B\xEF\xBB\xBF\x01"));
    assert_false(utf8_blank("  a"));
    assert_false(utf8_blank("\xC3\xA4"));
    assert_false(utf8_blank(" \xFF"));
}

static void trimming(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    assert_string_equal(utf8_trim(arena, " \xE3\x80\x80 a b \n\xC2\xA0"), "a b");
    assert_string_equal(utf8_trim(arena, "a"), "a");
    assert_string_equal(utf8_trim(arena, "  "), "");
    assert_string_equal(utf8_trim(arena, ""), "");
    assert_string_equal(utf8_trim(arena, " \xFF "), "\xFF");
    arena_free(arena);
}

static void clipping(void **state)
{
    (void)state;
    static const char text[] = "a\xC3\xA4\xF0\x9F\x98\x80"; /* ends at 1, 3 and 7 */
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 3, 7, 7, 7};
    for (size_t max = 0; max < sizeof(expected) / sizeof(expected[0]); max++)
        assert_int_equal(utf8_clip(text, max), expected[max]);
}

static void folding(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    assert_string_equal(utf8_fold(arena, "STRASSE"), utf8_fold(arena, "Stra\xC3\x9F"
                                                                      "e"));
    assert_string_equal(utf8_fold(arena, "A\xCC\x88"), "\xC3\xA4");           /* composed */
    assert_string_equal(utf8_fold(arena, "\xEF\xBC\xA1\xEF\xAC\x81"), "afi"); /* full width, ligature */
    assert_string_equal(utf8_fold(arena, ""), "");
    assert_string_equal(utf8_fold(arena, "A\xFF"), "A\xFF"); /* malformed: as it is */
    arena_free(arena);
}

static void words(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    size_t count;
    static const char text[] = "  Hello, W\xC3\x96RLD-42!\xFF\xE2\x82\xAC x";
    struct utf8_word *found = utf8_words(arena, text, 10, &count);
    static const char *const expected[] = {"hello", "w\xC3\xB6rld", "42", "x"};
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(found[i].text, expected[i]);
        assert_true(found[i].end > found[i].start && found[i].end <= strlen(text));
    }
    assert_memory_equal(text + found[1].start, "W\xC3\x96RLD", found[1].end - found[1].start);
    found = utf8_words(arena, text, 2, &count);
    assert_int_equal(count, 2);
    assert_string_equal(found[1].text, "w\xC3\xB6rld");
    /* A mark behind a letter, and what stands next to letters and digits in ASCII. */
    found = utf8_words(arena, "Cafe\u0301s2 A\u00DFb@[`{/:~Z", 10, &count);
    static const char *const mixed[] = {"caf\u00E9s2", "assb", "z"};
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(found[i].text, mixed[i]);
    }
    utf8_words(arena, " .,- ", 10, &count);
    assert_int_equal(count, 0);
    utf8_words(arena, "", 10, &count);
    assert_int_equal(count, 0);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(validity),
        cmocka_unit_test(blankness),
        cmocka_unit_test(trimming),
        cmocka_unit_test(clipping),
        cmocka_unit_test(folding),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
