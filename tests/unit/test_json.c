/* The strict JSON reader, raw members and the builder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/json.h"

static void good(const char *text)
{
    struct error err = {0};
    cJSON *value = json_parse(text, strlen(text), &err);
    if (!value) {
        fail_msg("refused: %s: %s", text, err.text);
    }
    cJSON_Delete(value);
}

static void bad(const char *text, size_t len, const char *where)
{
    struct error err = {0};
    cJSON *value = json_parse(text, len, &err);
    if (value) {
        fail_msg("accepted: %s", text);
    }
    assert_int_equal(err.disposition, ERROR_REJECT);
    assert_string_equal(err.code, "bad_json");
    if (!strstr(err.text, where)) {
        fail_msg("%s: \"%s\" does not say \"%s\"", text, err.text, where);
    }
    assert_null(json_parse(text, len, NULL));
}

static void accepts_rfc_8259(void **state)
{
    (void)state;
    static const char *const texts[] = {"0", "-0", "1.5e+10", "1E-2", "\"\"", "true", "false", "null", "[]",
        "{}", " [ 1 , 2 ]\r\n\t", "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}",
        "\"\\u00e4\\n\\/\\b\\f\\r\\t\\\\\\\"\"", "\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\"", "\"\x7F\"",
        "{\"\":1}", "{\"a\":1,\"A\":2}", "123456789012345678901234567890123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        good(texts[i]);
    }
}

static void refuses_the_rest(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *where;
    } cases[] = {
        {"", "byte 0"},
        {"  ", "byte 2"},
        {"01", "byte 1"},
        {"+1", "byte 0"},
        {"1.", "byte 2"},
        {".5", "byte 0"},
        {"1e", "byte 2"},
        {"-", "byte 1"},
        {"0x10", "byte 1"},
        {"NaN", "byte 0"},
        {"Infinity", "byte 0"},
        {"1e999", "byte 0: a number out of range"},
        {"1234567890123456789012345678901234567890123456789012345678901234", "over 63"},
        {"tru", "byte 0"},
        {"True", "byte 0"},
        {"'a'", "byte 0"},
        {"\"a", "byte 0: a string that does not end"},
        {"\"a\nb\"", "byte 2: a control character"},
        {"\"\\x41\"", "byte 2: an unknown escape"},
        {"\"\\u12\"", "four hexadecimal"},
        {"\"\\u0000\"", "U+0000"},
        {"\"\\ud800\"", "byte 1: half of a surrogate pair"},
        {"\"\\ude00\"", "half of a surrogate pair"},
        {"\"\\ud800\\u0041\"", "half of a surrogate pair"},
        {"\"\xC0\x80\"", "byte 1: not UTF-8"},
        {"\"\xED\xA0\x80\"", "not UTF-8"},
        {"\"\xF4\x90\x80\x80\"", "not UTF-8"},
        {"\"\xE2\x82\"", "not UTF-8"},
        {"\xEF\xBB\xBF{}", "byte 0"},
        {"[1,]", "byte 3"},
        {"[1 2]", "byte 3"},
        {"[1", "byte 2"},
        {"{\"a\":1,}", "byte 7"},
        {"{\"a\" 1}", "byte 5: ':'"},
        {"{a:1}", "byte 1"},
        {"{\"a\":1", "byte 6"},
        {"{} {}", "byte 3: something follows"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "byte 13: the same member twice"},
        {"{\"a\":1,\"\\u0061\":3}", "byte 7: the same member twice"},
        {"[{\"x\":[{\"b\":1,\"b\":1}]}]", "the same member twice"},
        {"/* c */ 1", "byte 0"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bad(cases[i].text, strlen(cases[i].text), cases[i].where);
    }
    bad("1\0", 2, "byte 1");
    bad("\"a\0b\"", 5, "byte 2");
}

static void bounds_nesting(void **state)
{
    (void)state;
    char text[2 * (JSON_MAX_DEPTH + 1) + 1] = {0};
    memset(text, '[', JSON_MAX_DEPTH);
    memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    good(text);
    memset(text, '[', JSON_MAX_DEPTH + 1);
    memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
    bad(text, sizeof(text) - 1, "byte 64: nested too deep");
}

static void many_members_are_compared_all(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_putc(&text, '{');
    for (int i = 0; i < 40000; i++) {
        buf_printf(&text, "\"m%d\":0,", i);
    }
    size_t twice = text.len;
    buf_puts(&text, "\"m123\":1}");
    char where[40];
    snprintf(where, sizeof(where), "byte %zu: the same", twice);
    bad(buf_text(&text), text.len, where);
    buf_fini(&text);
}

static void reads_members(void **state)
{
    (void)state;
    static const char text[] = "{\"s\":\"\\ud83d\\ude00\",\"n\":1.5,\"t\":true,\"f\":false,\"z\":null}";
    cJSON *value = json_parse(text, strlen(text), NULL);
    assert_non_null(value);
    assert_string_equal(json_str(value, "s"), "\xF0\x9F\x98\x80");
    assert_null(json_str(value, "S"));
    assert_null(json_str(value, "n"));
    assert_null(json_str(NULL, "n"));
    assert_true(json_num(value, "n", 0) == 1.5);
    assert_true(json_num(value, "s", 9) == 9);
    assert_true(json_bool(value, "t", false));
    assert_false(json_bool(value, "f", true));
    assert_true(json_bool(value, "z", true));
    cJSON_Delete(value);
}

static void expect_raw(const char *text, const char *inside, const char *name, const char *expected)
{
    const char *raw = NULL;
    size_t len = 0;
    bool found = json_raw_member(text, strlen(text), inside, name, &raw, &len);
    assert_int_equal(found, expected != NULL);
    if (expected) {
        assert_int_equal(len, strlen(expected));
        assert_memory_equal(raw, expected, len);
    }
}

static void raw_members_are_the_bytes_written(void **state)
{
    (void)state;
    static const char text[] =
        " { \"a\" : [1, {\"m\":0}] , \"m\\u0065\" :  { \"x\" : 1.50e0,\"y\":\"\\u00e4\" } ,\"z\":-0}";
    expect_raw(text, NULL, "me", "{ \"x\" : 1.50e0,\"y\":\"\\u00e4\" }");
    expect_raw(text, "me", "x", "1.50e0");
    expect_raw(text, "me", "y", "\"\\u00e4\"");
    expect_raw(text, NULL, "z", "-0");
    expect_raw(text, NULL, "x", NULL);
    expect_raw(text, NULL, "m", NULL);
    expect_raw(text, "a", "m", NULL);
    expect_raw(text, "none", "m", NULL);
    expect_raw("[1]", NULL, "m", NULL);
    expect_raw("{}", NULL, "m", NULL);
}

static void builder_escapes(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    json_put_string(&out, "a\"\\\b\f\n\r\t\v\x01/\xC3\xA4\xF0\x9F\x98\x80 end");
    assert_string_equal(
        buf_text(&out), "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u000b\\u0001/\xC3\xA4\xF0\x9F\x98\x80 end\"");
    good(buf_text(&out));
    buf_reset(&out);
    json_put_string(&out, "\xC3(\xFF");
    assert_string_equal(buf_text(&out), "\"\xEF\xBF\xBD(\xEF\xBF\xBD\"");
    good(buf_text(&out));
    buf_reset(&out);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "n", 3);
    json_put_and_delete(&out, object);
    assert_string_equal(buf_text(&out), "{\"n\":3}");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_rfc_8259),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(bounds_nesting),
        cmocka_unit_test(many_members_are_compared_all),
        cmocka_unit_test(reads_members),
        cmocka_unit_test(raw_members_are_the_bytes_written),
        cmocka_unit_test(builder_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
