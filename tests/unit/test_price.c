/* Prices of models: the operator's, the shipped ones, one's own servers, and none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "model/price.h"

#define OPENAI "https://api.openai.com/v1"
#define OWN "http://127.0.0.1:8000/v1"

static struct price found(const char *prices, const char *model, const char *url)
{
    struct price price = {-1, -1};
    struct error err = {0};
    if (!price_find(prices, model, url, &price, &err)) {
        fail_msg("%s", err.text);
    }
    return price;
}

static void expect_none(
    const char *prices, const char *model, const char *url, const char *code, const char *says)
{
    struct price price;
    struct error err = {0};
    assert_false(price_find(prices, model, url, &price, &err));
    assert_int_equal(err.disposition, ERROR_FATAL);
    assert_string_equal(err.code, code);
    assert_non_null(strstr(err.text, says));
}

static void test_the_operators_rows_come_first(void **state)
{
    (void)state;
    const char *rows = "gpt-4o*=1/2,gpt-4o-mini=3/4.5";
    assert_true(found(rows, "gpt-4o-mini", OPENAI).output == 4.5);
    assert_true(found(rows, "gpt-4o-2024-11-20", OPENAI).input == 1);
    assert_true(found("m=7/8", "m", OWN).input == 7);
}

static void test_shipped_prices_are_of_exact_ids(void **state)
{
    (void)state;
    assert_true(found("", "gpt-4o-mini", OPENAI).input == 0.15);
    assert_true(found("", "gpt-4o-mini-2024-07-18", OPENAI).output == 0.6);
    expect_none(
        "", "gpt-4o-mini-tts", OPENAI, "setting_missing", "no price is known for model gpt-4o-mini-tts");
}

static void test_a_server_of_ones_own_is_free(void **state)
{
    (void)state;
    static const char *const own[] = {OWN, "http://localhost:11434/v1", "http://[::1]:8/v1",
        "http://10.2.3.4/v1", "http://172.20.0.9/v1", "http://192.168.1.5:1/v1", "http://ollama:11434/v1",
        "http://[fd00::1]/v1"};
    static const char *const others[] = {OPENAI, "http://172.32.0.1/v1", "http://11.0.0.1/v1",
        "http://[2001:db8::1]/v1", "https://127.0.0.1.example.com/v1"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        assert_true(found("", "any", own[i]).output == 0);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        expect_none("", "any", others[i], "setting_missing", "set model.prices to any=INPUT/OUTPUT");
    }
}

static void test_what_cannot_be_read_is_said(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "m=1", "m=1/", "=1/2", "m=-1/2", "m=1/2;n=2/3", "m=nan/1", "m=1/2000000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_none(bad[i], "m", OPENAI, "setting_invalid", "model.prices must be rows like");
    }
    expect_none("/nowhere/prices.json", "m", OPENAI, "setting_invalid", "No such file");
    expect_none(SOURCE_DIR "/README.md", "m", OPENAI, "setting_invalid", "must be JSON like");
}

static void test_a_file_of_the_shipped_form(void **state)
{
    (void)state;
    assert_true(found(SOURCE_DIR "/deploy/prices.json", "gpt-4.1-mini", OPENAI).input == 0.4);
}

static void test_the_sum(void **state)
{
    (void)state;
    const struct price price = {3, 15};
    assert_float_equal(price_of(&price, 1000, 100), 0.0045, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_operators_rows_come_first),
        cmocka_unit_test(test_shipped_prices_are_of_exact_ids),
        cmocka_unit_test(test_a_server_of_ones_own_is_free),
        cmocka_unit_test(test_what_cannot_be_read_is_said),
        cmocka_unit_test(test_a_file_of_the_shipped_form),
        cmocka_unit_test(test_the_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
