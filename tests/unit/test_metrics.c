/* Metrics, health and log lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/health.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"

#define THREADS 4
#define EACH 10000

static void *count(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH; i++) {
        metric_add(metrics_counter("helpdesk_t_total", "Threads", "stage=\"a\""), 0.5);
        metric_observe(metrics_histogram("helpdesk_t_seconds", "Seconds", NULL), 0.002);
    }
    return NULL;
}

static void counting_is_thread_safe(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(
        metric_value(metrics_counter("helpdesk_t_total", "Threads", "stage=\"a\"")) == THREADS * EACH / 2.0);
    assert_true(metric_value(metrics_histogram("helpdesk_t_seconds", "Seconds", NULL)) == THREADS * EACH);
}

static void same_series_is_the_same_metric(void **state)
{
    (void)state;
    struct metric *one = metrics_gauge("helpdesk_g", "Gauge", "a=\"1\"");
    assert_ptr_equal(one, metrics_gauge("helpdesk_g", "Gauge", "a=\"1\""));
    assert_ptr_not_equal(one, metrics_gauge("helpdesk_g", "Gauge", "a=\"2\""));
    metric_set(one, 5);
    metric_add(one, -7.25);
    assert_true(metric_value(one) == -2.25);
}

static void renders_prometheus_text(void **state)
{
    (void)state;
    metric_add(metrics_counter("helpdesk_r_total", "Rendered", "route=\"/x\""), 3);
    metric_add(metrics_counter("helpdesk_r_total", "Rendered", NULL), 0.1);
    metric_set(metrics_gauge("helpdesk_inf", "Infinite", NULL), INFINITY);
    struct metric *seconds = metrics_histogram("helpdesk_r_seconds", "Time", "s=\"x\"");
    metric_observe(seconds, 0.001); /* a bound belongs to its bucket */
    metric_observe(seconds, 0.3);
    metric_observe(seconds, 100);
    struct buf out;
    buf_init(&out, 1 << 20);
    metrics_render(&out);
    static const char *const lines[] = {
        "# HELP helpdesk_r_total Rendered\n# TYPE helpdesk_r_total counter\nhelpdesk_r_total{route=\"/x\"} "
        "3\n"
        "helpdesk_r_total 0.1\n",
        "# TYPE helpdesk_inf gauge\nhelpdesk_inf +Inf\n",
        "# TYPE helpdesk_r_seconds histogram\nhelpdesk_r_seconds_bucket{s=\"x\",le=\"0.001\"} 1\n",
        "helpdesk_r_seconds_bucket{s=\"x\",le=\"0.25\"} 1\nhelpdesk_r_seconds_bucket{s=\"x\",le=\"0.5\"} 2\n",
        "helpdesk_r_seconds_bucket{s=\"x\",le=\"60\"} 2\nhelpdesk_r_seconds_bucket{s=\"x\",le=\"+Inf\"} 3\n",
        "helpdesk_r_seconds_sum{s=\"x\"} 100.301\nhelpdesk_r_seconds_count{s=\"x\"} 3\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (!strstr(buf_text(&out), lines[i])) {
            fail_msg("missing:\n%s\nin\n%s", lines[i], buf_text(&out));
        }
    }
    buf_fini(&out);
}

/* Runs `fn` with standard error going to a file, whose text it returns in `out`. */
static void capture(void (*fn)(void), struct buf *out)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    int saved = dup(STDERR_FILENO);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    fn();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    char chunk[4096];
    rewind(file);
    for (size_t got = 1; got > 0;) {
        got = fread(chunk, 1, sizeof(chunk), file);
        buf_append(out, chunk, got);
    }
    fclose(file);
}

static void log_some(void)
{
    log_setup("tester", LOG_INFO);
    log_debug("not shown");
    log_info("plain");
    log_warn("fields", LOG_STR("s", "a\"\n\xFF"), LOG_INT("i", -5), LOG_NUM("n", 0.5), LOG_NUM("nan", NAN),
        LOG_STR("none", NULL));
}

static void log_lines_are_json(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 16);
    capture(log_some, &out);
    const char *second = strchr(buf_text(&out), '\n');
    assert_non_null(second);
    cJSON *line = json_parse(buf_text(&out), (size_t)(second - buf_text(&out)), NULL);
    assert_non_null(line);
    int64_t ts;
    assert_true(clock_parse(json_str(line, "ts"), &ts));
    assert_string_equal(json_str(line, "level"), "info");
    assert_string_equal(json_str(line, "role"), "tester");
    assert_string_equal(json_str(line, "msg"), "plain");
    cJSON_Delete(line);
    line = json_parse(second, strlen(second), NULL);
    assert_non_null(line);
    assert_string_equal(json_str(line, "level"), "warn");
    assert_string_equal(json_str(line, "s"), "a\"\n\xEF\xBF\xBD");
    assert_true(json_num(line, "i", 0) == -5);
    assert_true(json_num(line, "n", 0) == 0.5);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(line, "nan")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(line, "none")));
    cJSON_Delete(line);
    buf_fini(&out);
}

static void log_much(void)
{
    char text[5000];
    memset(text, 1, sizeof(text) - 1); /* escaped as six bytes each */
    text[sizeof(text) - 1] = '\0';
    log_info(text, LOG_STR("a", text), LOG_STR("b", text), LOG_STR("c", text), LOG_STR("d", text),
        LOG_STR("e", text), LOG_STR("f", text), LOG_STR("g", text));
}

static void long_log_lines_are_bounded(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 20);
    capture(log_much, &out);
    assert_true(out.len > 10000 && out.len <= 32 * 1024);
    cJSON *line = json_parse(buf_text(&out), out.len, NULL);
    assert_non_null(line);
    assert_int_equal(strlen(json_str(line, "msg")), 1000);
    cJSON_Delete(line);
    buf_fini(&out);
}

static void log_levels_have_names(void **state)
{
    (void)state;
    assert_int_equal(log_level_parse("debug"), LOG_DEBUG);
    assert_int_equal(log_level_parse("error"), LOG_ERROR);
    assert_int_equal(log_level_parse("loud"), -1);
}

static void health_changes(void)
{
    health_set("database", false, "connection \"refused\"");
    health_set("database", false, "timed out");
    health_set("broker", true, NULL);
}

static void health_is_all_parts(void **state)
{
    (void)state;
    struct buf out, text;
    buf_init(&out, 4096);
    buf_init(&text, 4096);
    assert_false(health_ready());
    assert_false(health_ok("database"));
    log_setup("tester", LOG_INFO);
    capture(health_changes, &out);
    assert_null(strstr(buf_text(&out), "timed out")); /* only a change is logged */
    assert_non_null(strstr(buf_text(&out), "refused"));
    assert_false(health_ready());
    assert_true(health_ok("broker"));
    health_render(&text);
    assert_string_equal(buf_text(&text),
        "{\"status\":\"not_ready\",\"parts\":{\"database\":\"timed out\",\"broker\":\"ok\"}}");
    log_setup("tester", LOG_ERROR);
    health_set("database", true, NULL);
    assert_true(health_ready());
    buf_reset(&text);
    health_render(&text);
    assert_string_equal(
        buf_text(&text), "{\"status\":\"ready\",\"parts\":{\"database\":\"ok\",\"broker\":\"ok\"}}");
    buf_fini(&out);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_is_thread_safe),
        cmocka_unit_test(same_series_is_the_same_metric),
        cmocka_unit_test(renders_prometheus_text),
        cmocka_unit_test(log_lines_are_json),
        cmocka_unit_test(long_log_lines_are_bounded),
        cmocka_unit_test(log_levels_have_names),
        cmocka_unit_test(health_is_all_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
