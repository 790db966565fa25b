/* Settings: sources and their order, what is refused and how, what is rendered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "conf/conf.h"
#include "conf/table.h"

static struct buf problems;
static char path[] = "/tmp/helpdesk-test-conf-XXXXXX";

static int setup(void **state)
{
    (void)state;
    clearenv();
    buf_init(&problems, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&problems);
    return 0;
}

static void write_file(const char *text, size_t len)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static struct conf *load(const char *text)
{
    buf_reset(&problems);
    if (text) {
        write_file(text, strlen(text));
    }
    return conf_load(text ? path : NULL, &problems);
}

static struct conf *load_good(const char *text)
{
    struct conf *conf = load(text);
    if (!conf) {
        fail_msg("refused: %s", buf_text(&problems));
    }
    return conf;
}

static void expect_problem(const char *text, const char *expected)
{
    struct conf *conf = load(text);
    conf_free(conf);
    if (conf || !strstr(buf_text(&problems), expected)) {
        fail_msg("\"%s\" gave \"%s\", not \"%s\"", text ? text : "", buf_text(&problems), expected);
    }
}

static void every_default_obeys_its_row(void **state)
{
    (void)state;
    struct conf *conf = load_good(NULL);
    for (int id = 0; id < CONF_COUNT; id++) {
        assert_false(conf_is_set(conf, (enum conf_id)id));
    }
    assert_int_equal(conf_int(conf, CONF_GATEWAY_PORT), 8080);
    assert_string_equal(conf_text(conf, CONF_TENANT), "default");
    assert_false(conf_bool(conf, CONF_KAFKA_EMBEDDED));
    assert_string_equal(conf_name(CONF_ENGINE_IN_FLIGHT), "engine.in-flight");
    conf_free(conf);
    conf_free(NULL);
}

/* The id of a row is its name in capitals; names and variables are unique; texts are there. */
static void the_table_is_consistent(void **state)
{
    (void)state;
    static const char *const ids[] = {
#define SETTING(id, ...) #id,
#include "conf/settings.def"
#undef SETTING
    };
    for (size_t i = 0; i < CONF_COUNT; i++) {
        char name[CONF_ENV_SIZE], other[CONF_ENV_SIZE];
        conf_env_name(&conf_rows[i], name);
        assert_string_equal(name + strlen("HELPDESK_"), ids[i]);
        assert_true(strlen(conf_rows[i].text) > 0);
        assert_true(conf_rows[i].min <= conf_rows[i].max);
        for (size_t j = 0; j < CONF_COUNT; j++) {
            const char *aliases = conf_rows[j].aliases;
            conf_env_name(&conf_rows[j], other);
            assert_true(i == j || strcmp(name, other) != 0);
            while (conf_next_alias(&aliases, other)) {
                assert_string_not_equal(name, other);
            }
        }
    }
}

static void environment_wins_over_file_over_default(void **state)
{
    (void)state;
    static const char text[] = "tenant = acme\n[gateway]\nport = 81 ; a comment\n[engine]\nin-flight: 7\n";
    struct conf *conf = load_good(text);
    assert_string_equal(conf_text(conf, CONF_TENANT), "acme");
    assert_int_equal(conf_int(conf, CONF_GATEWAY_PORT), 81);
    assert_int_equal(conf_int(conf, CONF_ENGINE_IN_FLIGHT), 7);
    assert_true(conf_is_set(conf, CONF_TENANT));
    assert_false(conf_is_set(conf, CONF_ADMIN_PORT));
    conf_free(conf);
    setenv("HELPDESK_ENGINE_IN_FLIGHT", "8", 1);
    setenv("HELPDESK_PORT", "82", 1);
    conf = load_good(text);
    assert_int_equal(conf_int(conf, CONF_ENGINE_IN_FLIGHT), 8);
    assert_int_equal(conf_int(conf, CONF_GATEWAY_PORT), 82);
    conf_free(conf);
    setenv("HELPDESK_GATEWAY_PORT", "83", 1); /* the setting's own variable wins over an alias */
    conf = load_good(text);
    assert_int_equal(conf_int(conf, CONF_GATEWAY_PORT), 83);
    conf_free(conf);
}

static void aliases_count_when_not_empty(void **state)
{
    (void)state;
    setenv("DATABASE_URL", "postgresql://x", 1);
    setenv("LOG_LEVEL", "WARN", 1);
    setenv("ENVIRONMENT", "", 1);
    struct conf *conf = load_good(NULL);
    assert_string_equal(conf_text(conf, CONF_DATABASE_URL), "postgresql://x");
    assert_string_equal(conf_text(conf, CONF_LOG_LEVEL), "warn");
    assert_string_equal(conf_text(conf, CONF_ENVIRONMENT), "development");
    conf_free(conf);
}

static void the_file_may_be_named_by_the_environment(void **state)
{
    (void)state;
    static const char text[] = "tenant = named\n";
    write_file(text, strlen(text));
    setenv("HELPDESK_CONFIG", path, 1);
    setenv("HELPDESK_TEST_ANYTHING", "x", 1);
    struct conf *conf = load_good(NULL);
    assert_string_equal(conf_text(conf, CONF_TENANT), "named");
    conf_free(conf);
    setenv("HELPDESK_CONFIG", "/nonexistent/helpdesk.conf", 1);
    expect_problem(NULL, "/nonexistent/helpdesk.conf: cannot be read: No such file");
    setenv("HELPDESK_CONFIG", "/", 1);
    expect_problem(NULL, "/: cannot be read: Is a directory");
}

static void unknown_names_are_refused_with_the_nearest(void **state)
{
    (void)state;
    expect_problem(
        "[gateway]\nprot = 1\n", ":2: unknown setting \"gateway.prot\", did you mean gateway.port?\n");
    expect_problem("tenat = x\n", "did you mean tenant?");
    expect_problem("[zzz]\nqqqqqqqqqqqq = 1\n", "unknown setting \"zzz.qqqqqqqqqqqq\"\n");
    setenv("HELPDESK_GATEWAY_PROT", "1", 1);
    expect_problem(NULL,
        "environment: unknown setting \"HELPDESK_GATEWAY_PROT\", did you mean HELPDESK_GATEWAY_PORT?\n");
    setenv("HELPDESK_XYZ", "1", 1);
    expect_problem(NULL, "unknown setting \"HELPDESK_XYZ\"\n");
}

static void wrong_values_say_what_is_right(void **state)
{
    (void)state;
    expect_problem(
        "[gateway]\nport = 80a\n", ":2: gateway.port: \"80a\" is not a whole number from 0 to 65535\n");
    expect_problem("[gateway]\nport = 65536\n", "\"65536\" is not a whole number from 0 to 65535");
    expect_problem("[gateway]\nport = -1\n", "is not a whole number from 0");
    expect_problem("[gateway]\nport =\n", "\"\" is not a whole number");
    expect_problem("[kafka]\nembedded = maybe\n", "\"maybe\" is not true or false");
    expect_problem("[log]\nlevel = loud\n", "\"loud\" is not one of debug, info, warn, error");
    expect_problem("tenant = \xFF\n", "is not text in UTF-8");
    expect_problem("tenant = a\x01\n", "\"a\\u0001\" is not text");
    setenv("HELPDESK_DATABASE_URL", "secret\x01thing", 1);
    expect_problem(NULL, "HELPDESK_DATABASE_URL: database.url: the value given (not shown) is not text");
    assert_null(strstr(buf_text(&problems), "thing"));
}

static void all_problems_are_reported(void **state)
{
    (void)state;
    setenv("HELPDESK_ADMIN_PORT", "x", 1);
    setenv("HELPDESK_NO", "x", 1);
    expect_problem(
        "nonsense\n[gateway]\nport = 1\nport = 2\nhost = h\nwhat = 1\n", "gateway.port is given twice");
    static const char *const parts[] = {
        ":1: neither [section] nor key = value\n", ":6: unknown", "\"HELPDESK_NO\"", "admin.port: \"x\""};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        assert_non_null(strstr(buf_text(&problems), parts[i]));
    }
}

static void files_are_bounded(void **state)
{
    (void)state;
    char line[9000];
    memset(line, 'x', sizeof(line) - 1);
    memcpy(line, "tenant = ", 9);
    line[sizeof(line) - 1] = '\0';
    expect_problem(line, ":1: the line is longer than");
    line[8000] = '\0';
    struct conf *conf = load_good(line);
    assert_int_equal(strlen(conf_text(conf, CONF_TENANT)), 8000 - 9);
    conf_free(conf);
    write_file("tenant = a\0b\n", 13);
    buf_reset(&problems);
    assert_null(conf_load(path, &problems));
    assert_non_null(strstr(buf_text(&problems), "NUL byte"));
}

static void set_works_like_the_environment(void **state)
{
    (void)state;
    struct error err;
    struct conf *conf = load_good(NULL);
    assert_true(conf_set(conf, "gateway.port", "99", &err));
    assert_int_equal(conf_int(conf, CONF_GATEWAY_PORT), 99);
    assert_true(conf_is_set(conf, CONF_GATEWAY_PORT));
    assert_false(conf_set(conf, "gateway.port", "x", &err));
    assert_string_equal(err.code, "setting_invalid");
    assert_int_equal(conf_int(conf, CONF_GATEWAY_PORT), 99);
    assert_false(conf_set(conf, "gateway.prt", "1", &err));
    assert_string_equal(err.code, "setting_unknown");
    assert_non_null(strstr(err.text, "did you mean gateway.port?"));
    conf_free(conf);
}

struct reading {
    enum conf_type type;
    const char *unit;
    double min, max;
    const char *text;
    bool ok;
    int64_t integer;
};

static void values_are_read_by_type(void **state)
{
    (void)state;
    static const struct reading cases[] = {
        {CONF_DURATION, "", 0, 0, "250ms", true, 250},
        {CONF_DURATION, "", 0, 0, "10s", true, 10000},
        {CONF_DURATION, "", 0, 0, "5m", true, 300000},
        {CONF_DURATION, "", 0, 0, "2h", true, 7200000},
        {CONF_DURATION, "", 0, 0, "3d", true, 259200000},
        {CONF_DURATION, "", 0, 0, "10", false, 0},
        {CONF_DURATION, "", 0, 0, "-1s", false, 0},
        {CONF_DURATION, "", 0, 0, "1.5s", false, 0},
        {CONF_DURATION, "", 0, 0, "s", false, 0},
        {CONF_DURATION, "", 0, 0, "9223372036854775807d", false, 0},
        {CONF_DURATION, "", 0, 0, "99999999999999999999999999s", false, 0},
        {CONF_DURATION, "", 1000, 2000, "999ms", false, 0},
        {CONF_DURATION, "", 1000, 2000, "2s", true, 2000},
        {CONF_BYTES, "", 0, 0, "512", true, 512},
        {CONF_BYTES, "", 0, 0, "64KiB", true, 65536},
        {CONF_BYTES, "", 0, 0, "1MiB", true, 1048576},
        {CONF_BYTES, "", 0, 0, "2GiB", true, INT64_C(2147483648)},
        {CONF_BYTES, "", 0, 0, "1KB", false, 0},
        {CONF_BOOL, "", 0, 0, "Yes", true, 1},
        {CONF_BOOL, "", 0, 0, "off", true, 0},
        {CONF_NUMBER, "", 0, 1, "0.5", true, 0},
        {CONF_NUMBER, "", 0, 1, "1.01", false, 0},
        {CONF_NUMBER, "", 0, 1, "nan", false, 0},
        {CONF_CHOICE, "a|bc", 0, 0, "BC", true, 0},
        {CONF_CHOICE, "a|bc", 0, 0, "a|bc", false, 0},
        {CONF_CHOICE, "a|bc", 0, 0, "", false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct conf_row row = {.name = "x", .type = cases[i].type, .unit = cases[i].unit};
        struct conf_value value = {0};
        row.min = cases[i].min;
        row.max = cases[i].max;
        bool ok = conf_value_read(&value, &row, cases[i].text);
        if (ok != cases[i].ok || value.integer != cases[i].integer) {
            fail_msg("%s: %d %lld", cases[i].text, ok, (long long)value.integer);
        }
        free(value.text);
    }
}

static void expected_values_name_their_bounds(void **state)
{
    (void)state;
    struct conf_row row = {.type = CONF_DURATION, .unit = "", .min = 0, .max = 5400000};
    struct buf out;
    buf_init(&out, 1000);
    conf_value_expected(&row, &out);
    assert_string_equal(buf_text(&out), "a duration such as 250ms, 10s, 5m, 2h or 3d from 0ms to 90m");
    buf_reset(&out);
    row = (struct conf_row){.type = CONF_BYTES, .unit = "", .min = 1, .max = 3 << 20};
    conf_value_expected(&row, &out);
    assert_string_equal(buf_text(&out), "a size such as 512, 64KiB, 1MiB or 1GiB from 1 to 3MiB");
    buf_fini(&out);
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(conf_distance("port", "port", 4), 0);
    assert_int_equal(conf_distance("prot", "port", 4), 1);
    assert_int_equal(conf_distance("por", "port", 4), 1);
    assert_int_equal(conf_distance("xort", "port", 4), 1);
    assert_int_equal(conf_distance("", "abc", 4), 3);
    assert_int_equal(conf_distance("kitten", "sitting", 9), 3);
    assert_int_equal(conf_distance("abcdef", "uvwxyz", 3), 4);
}

/* The sample as it is, and with every default uncommented, loads without a problem. */
static void the_sample_loads(void **state)
{
    (void)state;
    struct buf sample, plain;
    buf_init(&sample, 1 << 20);
    buf_init(&plain, 1 << 20);
    conf_render_sample(&sample);
    conf_free(load_good(buf_text(&sample)));
    for (const char *at = buf_text(&sample); *at; at += strcspn(at, "\n") + 1) {
        size_t len = strcspn(at, "\n");
        bool setting = at[0] == '#' && len > 2 && at[1] != ' ';
        if (setting && at[len - 1] != '=') {
            buf_append(&plain, at + 1, len - 1);
        } else if (at[0] == '[') {
            buf_append(&plain, at, len);
        }
        buf_putc(&plain, '\n');
    }
    struct conf *conf = load_good(buf_text(&plain));
    for (size_t i = 0; i < CONF_COUNT; i++) {
        assert_int_equal(conf_is_set(conf, (enum conf_id)i), *conf_rows[i].initial != '\0');
    }
    conf_free(conf);
    buf_fini(&sample);
    buf_fini(&plain);
}

static void renderings_show_every_setting_but_no_secret(void **state)
{
    (void)state;
    struct buf help, current;
    buf_init(&help, 1 << 20);
    buf_init(&current, 1 << 20);
    setenv("DATABASE_URL", "postgresql://hidden", 1);
    struct conf *conf = load_good(NULL);
    conf_render_help(&help);
    conf_render_current(conf, &current);
    for (size_t i = 0; i < CONF_COUNT; i++) {
        assert_non_null(strstr(buf_text(&help), conf_rows[i].name));
        assert_non_null(strstr(buf_text(&help), conf_rows[i].text));
        assert_non_null(strstr(buf_text(&current), conf_rows[i].name));
    }
    assert_non_null(strstr(buf_text(&help), "HELPDESK_GATEWAY_PORT, HELPDESK_PORT"));
    assert_non_null(strstr(buf_text(&current), "database.url = ***\n"));
    assert_null(strstr(buf_text(&current), "hidden"));
    conf_free(conf);
    buf_fini(&help);
    buf_fini(&current);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_default_obeys_its_row, setup, teardown),
        cmocka_unit_test_setup_teardown(the_table_is_consistent, setup, teardown),
        cmocka_unit_test_setup_teardown(environment_wins_over_file_over_default, setup, teardown),
        cmocka_unit_test_setup_teardown(aliases_count_when_not_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(the_file_may_be_named_by_the_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_names_are_refused_with_the_nearest, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_values_say_what_is_right, setup, teardown),
        cmocka_unit_test_setup_teardown(all_problems_are_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(set_works_like_the_environment, setup, teardown),
        cmocka_unit_test(values_are_read_by_type),
        cmocka_unit_test(expected_values_name_their_bounds),
        cmocka_unit_test(distances),
        cmocka_unit_test_setup_teardown(the_sample_loads, setup, teardown),
        cmocka_unit_test_setup_teardown(renderings_show_every_setting_but_no_secret, setup, teardown),
    };
    int fd = mkstemp(path);
    if (fd < 0) {
        return 1;
    }
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
