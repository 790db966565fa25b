/* Arena, buffer, number parsing and errors. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/parse.h"
#include "base/utf8.h"

static void arena_gives_zeroed_aligned_memory(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    size_t handed_out = 0;
    for (size_t size = 0; size < 20000; size = size * 2 + 1) {
        unsigned char *memory = arena_alloc(arena, size);
        assert_int_equal((uintptr_t)memory % alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(memory[i], 0);
        }
        memset(memory, 0xAA, size);
        handed_out += size;
    }
    assert_int_equal(arena_used(arena), handed_out);
    arena_free(arena);
    arena_free(NULL);
}

static void arena_keeps_what_it_gave(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    char *texts[2000];
    for (int i = 0; i < 2000; i++) {
        texts[i] = arena_printf(arena, "text %d %*s", i, i % 700, "");
    }
    for (int i = 0; i < 2000; i++) {
        int read = -1;
        char digits[16] = {0};
        memcpy(digits, texts[i] + 5, strcspn(texts[i] + 5, " "));
        int64_t value;
        assert_true(parse_int64(digits, &value));
        read = (int)value;
        assert_int_equal(read, i);
    }
    assert_string_equal(arena_strdup(arena, "abc"), "abc");
    assert_string_equal(arena_strndup(arena, "abc", 2), "ab");
    assert_null(arena_strdup(arena, NULL));
    arena_free(arena);
}

/* Runs `fn` in a child with standard error closed; true when SIGABRT ended it. */
static bool aborts(void (*fn)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        fn();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void pass_limit(void)
{
    struct arena *arena = arena_new(1000);
    arena_alloc(arena, 600);
    arena_alloc(arena, 401);
}

static void reach_limit(void)
{
    struct arena *arena = arena_new(1000);
    arena_alloc(arena, 600);
    arena_alloc(arena, 400);
    arena_free(arena);
}

static void overflow_array(void)
{
    struct arena *arena = arena_new(0);
    arena_array(arena, SIZE_MAX / 2, 3);
}

static void arena_has_a_limit(void **state)
{
    (void)state;
    assert_true(aborts(pass_limit));
    assert_false(aborts(reach_limit));
    assert_true(aborts(overflow_array));
    assert_true(aborts(alloc_failed));
}

static void buf_grows_and_stays_terminated(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100000);
    assert_string_equal(buf_text(&buf), "");
    assert_null(buf.data);
    for (int i = 0; i < 10000; i++) {
        buf_printf(&buf, "%d,", i % 10);
    }
    buf_puts(&buf, "end");
    buf_putc(&buf, '.');
    assert_int_equal(buf.len, 20004);
    assert_int_equal(strlen(buf_text(&buf)), 20004);
    assert_string_equal(buf.data + buf.len - 6, "9,end.");
    buf_reset(&buf);
    assert_string_equal(buf_text(&buf), "");
    buf_append(&buf, "a\0b", 3);
    assert_memory_equal(buf.data, "a\0b", 4);
    buf_fini(&buf);
    assert_null(buf.data);
}

static void buf_fails_for_good_past_its_ceiling(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 5);
    buf_puts(&buf, "abc");
    buf_puts(&buf, "def");
    assert_true(buf.failed);
    assert_string_equal(buf_text(&buf), "abc");
    buf_putc(&buf, 'd');
    buf_printf(&buf, "%d", 1);
    assert_string_equal(buf_text(&buf), "abc");
    buf_reset(&buf);
    assert_false(buf.failed);
    buf_puts(&buf, "abcde");
    assert_false(buf.failed);
    buf_printf(&buf, "%s", "f");
    assert_true(buf.failed);
    assert_string_equal(buf_text(&buf), "abcde");
    buf_fini(&buf);
}

static void integers_are_read_whole(void **state)
{
    (void)state;
    int64_t value = 7;
    static const char *const wrong[] = {
        "", "-", "+1", " 1", "1 ", "1.0", "0x10", "1e3", "9223372036854775808", "--1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(parse_int64(wrong[i], &value));
    }
    assert_false(parse_int64(NULL, &value));
    assert_int_equal(value, 7);
    assert_true(parse_int64("-9223372036854775808", &value));
    assert_true(value == INT64_MIN);
    assert_true(parse_int64("9223372036854775807", &value));
    assert_true(value == INT64_MAX);
    assert_true(parse_int64("007", &value));
    assert_int_equal(value, 7);
}

static void numbers_are_read_whole(void **state)
{
    (void)state;
    double value = 7;
    static const char *const wrong[] = {
        "", "-", "nan", "inf", "-inf", "0x1p3", "1e999", "1.5x", " 1", "1e", ".5", "1-2"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(parse_double(wrong[i], &value));
    }
    assert_false(parse_double(NULL, &value));
    assert_true(value == 7);
    assert_true(parse_double("-2.5e-1", &value));
    assert_true(value == -0.25);
}

static void error_text_is_cut_at_a_character(void **state)
{
    (void)state;
    struct error err = {.retry_after_ms = 5};
    char umlauts[1001];
    for (int i = 0; i < 500; i++) {
        memcpy(umlauts + 2 * i, "\xC3\xA4", 2);
    }
    umlauts[1000] = '\0';
    assert_false(error_set(&err, ERROR_RETRY, "a_code", "x%s", umlauts));
    assert_int_equal(err.disposition, ERROR_RETRY);
    assert_int_equal(err.retry_after_ms, 0);
    assert_string_equal(err.code, "a_code");
    assert_true(utf8_valid(err.text, strlen(err.text)));
    assert_int_equal(strlen(err.text), 399);
    error_set(&err, ERROR_RETRY, "a_code", "%s", umlauts);
    assert_true(utf8_valid(err.text, strlen(err.text)));
    assert_int_equal(strlen(err.text), 398);
    assert_false(error_set(NULL, ERROR_FATAL, "code", "text"));
    assert_string_equal(error_disposition_name(ERROR_REJECT), "reject");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(arena_keeps_what_it_gave),
        cmocka_unit_test(arena_has_a_limit),
        cmocka_unit_test(buf_grows_and_stays_terminated),
        cmocka_unit_test(buf_fails_for_good_past_its_ceiling),
        cmocka_unit_test(integers_are_read_whole),
        cmocka_unit_test(numbers_are_read_whole),
        cmocka_unit_test(error_text_is_cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
