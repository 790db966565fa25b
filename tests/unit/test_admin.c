/* The admin listener: metrics and health as probes ask for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/health.h"
#include "base/metrics.h"
#include "http/admin.h"
#include "http/client.h"

static struct loop *loop;
static struct http_server *server;
static pthread_t thread;

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void stop(void *arg)
{
    loop_stop(arg, 0);
}

static int setup(void **state)
{
    struct error err = {0};
    struct buf problems;
    buf_init(&problems, 65536);
    clearenv(); /* settings of whoever runs the tests */
    struct conf *conf = conf_load(NULL, &problems);
    if (!conf) {
        fail_msg("%s", buf_text(&problems));
    }
    buf_fini(&problems);
    loop = loop_new(0);
    server = admin_new(loop, conf, &err);
    *state = conf;
    if (!server) {
        fail_msg("%s", err.text);
    }
    return pthread_create(&thread, NULL, run_loop, loop);
}

static int teardown(void **state)
{
    loop_post(loop, stop, loop);
    pthread_join(thread, NULL);
    http_server_free(server);
    loop_free(loop);
    conf_free(*state);
    return 0;
}

static void assert_answer(const char *path, int status, const char *part)
{
    char url[100];
    struct error err = {0};
    struct http_fetch_result result;
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", http_server_port(server), path);
    if (!http_fetch(&(struct http_fetch_request){.method = "GET", .url = url}, &result, &err)) {
        fail_msg("%s", err.text);
    }
    if (result.status != status || !strstr(buf_text(&result.body), part)) {
        fail_msg("%s: %d %s", path, result.status, buf_text(&result.body));
    }
    http_fetch_result_fini(&result);
}

static void shows_health_and_metrics(void **state)
{
    (void)state;
    assert_answer("/health/live", 200, "live");
    assert_answer("/health/ready", 503, "not_ready");
    health_set("broker", true, NULL);
    assert_answer("/health/ready", 200, "\"ready\"");
    health_set("database", false, "connection refused");
    assert_answer("/health/ready", 503, "connection refused");
    metric_add(metrics_counter("helpdesk_test_total", "Of this test", NULL), 3);
    assert_answer("/metrics", 200, "\nhelpdesk_test_total 3\n");
    assert_answer("/metrics", 200,
        "helpdesk_http_requests_total{server=\"admin\",route=\"/health/live\",status=\"200\"} 1\n");
    assert_answer("/", 404, "Not Found");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(shows_health_and_metrics, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
