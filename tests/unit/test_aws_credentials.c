/* Credentials: who shares a fetch, what is given out when a refresh fails, and what each bad answer becomes;
 * against a server of the real kind that says what the test tells it to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "aws/credentials.h"
#include "aws/source.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/metrics.h"
#include "http/server.h"

#define MANY 50
#define SESSION "session-token-of-the-service=="

struct fixture {
    struct loop *loop;
    struct http_server *server;
    struct aws_credentials *credentials;
    char base[64];
    int status;       /* 0: never answers */
    const char *body; /* NULL: good credentials, each time new ones */
    int64_t life_ms;
    unsigned asked;
    char authorization[64];
};

struct outcome {
    struct fixture *f;
    int times, left;
    bool good;
    char key[64];
    struct error err;
};

/* ---- the server ---- */

static void answer(struct http_request *request, struct fixture *f)
{
    char expires[CLOCK_RFC3339_SIZE];
    f->asked++;
    clock_format(clock_wall_ms() + f->life_ms, expires);
    const char *body =
        f->body ? f->body
                : arena_printf(http_request_arena(request),
                      "{\"Code\":\"Success\",\"AccessKeyId\":\"KEY%u\",\"SecretAccessKey\":\"s/+\","
                      "\"Token\":\"t==\",\"Expiration\":\"%s\"}",
                      f->asked, expires);
    if (f->status != 0) {
        http_respond(request, f->status, "application/json", body, strlen(body));
    }
}

static void get_container(struct http_request *request, void *arg)
{
    struct fixture *f = arg;
    const char *sent = http_request_header(request, "authorization");
    snprintf(f->authorization, sizeof(f->authorization), "%s", sent ? sent : "");
    answer(request, f);
}

static bool is_session(struct http_request *request)
{
    const char *token = http_request_header(request, "x-aws-ec2-metadata-token");
    if (token && strcmp(token, SESSION) == 0) {
        return true;
    }
    http_respond(request, 401, "text/plain", "", 0);
    return false;
}

static void put_token(struct http_request *request, void *arg)
{
    (void)arg;
    assert_string_equal(http_request_header(request, "x-aws-ec2-metadata-token-ttl-seconds"), "300");
    http_respond(request, 200, "text/plain", SESSION, strlen(SESSION));
}

static void get_roles(struct http_request *request, void *arg)
{
    (void)arg;
    if (is_session(request)) {
        http_respond(request, 200, "text/plain", "role-1", 6);
    }
}

static void get_role(struct http_request *request, void *arg)
{
    if (is_session(request)) {
        assert_string_equal(http_request_param(request, "role"), "role-1");
        answer(request, arg);
    }
}

static int setup(void **state)
{
    static const struct http_route routes[] = {{"GET", "/creds", get_container},
        {"PUT", "/latest/api/token", put_token},
        {"GET", "/latest/meta-data/iam/security-credentials/", get_roles},
        {"GET", "/latest/meta-data/iam/security-credentials/{role}", get_role}, {0}};
    static const char *const variables[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
        "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_CONFIG_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_REGION",
        "AWS_DEFAULT_REGION"};
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        unsetenv(variables[i]);
    }
    f->loop = loop_new(0);
    f->server = http_server_new(f->loop,
        &(struct http_server_options){.name = "aws",
            .host = "127.0.0.1",
            .max_body = 4096,
            .read_deadline_ms = 10000,
            .routes = routes,
            .arg = f},
        &err);
    assert_non_null(f->server);
    f->status = 200;
    f->life_ms = 3600 * 1000;
    snprintf(f->base, sizeof(f->base), "http://127.0.0.1:%d", http_server_port(f->server));
    char url[96];
    snprintf(url, sizeof(url), "%s/creds", f->base);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    setenv("HOME", "/nowhere", 1);
    f->credentials = aws_credentials_new(f->loop);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    aws_credentials_free(f->credentials);
    http_server_free(f->server);
    loop_free(f->loop);
    free(f);
    return 0;
}

/* ---- asking ---- */

static void on_done(void *arg, const struct sigv4_credentials *credentials, const struct error *err)
{
    struct outcome *o = arg;
    o->times++;
    o->good = credentials;
    assert_true((credentials == NULL) != (err == NULL));
    if (credentials) {
        snprintf(o->key, sizeof(o->key), "%s", credentials->access_key_id);
    } else {
        o->err = *err;
    }
    if (--o->left == 0) {
        loop_stop(o->f->loop, 0);
    }
}

static struct outcome ask(struct fixture *f)
{
    struct outcome o = {.f = f, .left = 1};
    (void)aws_credentials_get(f->credentials, on_done, &o);
    loop_run(f->loop); /* stopped already when they were at hand */
    assert_int_equal(o.times, 1);
    return o;
}

static void stop(void *arg)
{
    loop_stop(arg, 0);
}

static void let_run(struct fixture *f, int64_t ms)
{
    struct loop_timer *timer = loop_timer_new(f->loop, stop, f->loop);
    loop_timer_arm(timer, ms);
    loop_run(f->loop);
    loop_timer_free(timer);
}

static double fetches(const char *source, const char *outcome)
{
    char labels[96];
    snprintf(labels, sizeof(labels), "source=\"%s\",outcome=\"%s\"", source, outcome);
    return metric_value(metrics_counter("helpdesk_aws_credentials_fetches_total",
        "Fetches of AWS credentials, by the place that was asked and what came of it", labels));
}

/* ---- the tests ---- */

static void many_who_wait_share_one_fetch(void **state)
{
    struct fixture *f = *state;
    double before = fetches("container", "ok");
    struct outcome o = {.f = f, .left = MANY};
    for (int i = 0; i < MANY; i++) {
        assert_non_null(aws_credentials_get(f->credentials, on_done, &o));
    }
    assert_int_equal(o.times, 0);
    loop_run(f->loop);
    assert_int_equal(o.times, MANY);
    assert_string_equal(o.key, "KEY1");
    assert_int_equal(f->asked, 1);
    o = ask(f); /* at hand: nobody is asked */
    assert_string_equal(o.key, "KEY1");
    assert_int_equal(f->asked, 1);
    assert_true(fetches("container", "ok") == before + 1);
    assert_true(health_ok("credentials"));
}

static void what_expires_soon_is_fetched_behind_the_old_one(void **state)
{
    struct fixture *f = *state;
    f->life_ms = 2 * 60 * 1000;
    assert_string_equal(ask(f).key, "KEY1");
    f->life_ms = 3600 * 1000;
    assert_string_equal(ask(f).key, "KEY1"); /* given at once, and new ones asked for */
    let_run(f, 300);
    assert_int_equal(f->asked, 2);
    assert_string_equal(ask(f).key, "KEY2");
    assert_int_equal(f->asked, 2);
}

static void a_refresh_that_fails_leaves_the_old_ones_in_use(void **state)
{
    struct fixture *f = *state;
    double before = fetches("container", "unavailable");
    f->life_ms = 2 * 60 * 1000;
    assert_string_equal(ask(f).key, "KEY1");
    f->status = 500;
    for (int i = 0; i < MANY; i++) {
        assert_string_equal(ask(f).key, "KEY1");
        let_run(f, i == 0 ? 300 : 1);
    }
    assert_int_equal(f->asked, 2); /* not again at once */
    assert_true(fetches("container", "unavailable") == before + 1);
    assert_true(health_ok("credentials"));
}

static void the_old_ones_are_used_to_their_last_second_and_no_longer(void **state)
{
    struct fixture *f = *state;
    f->life_ms = 2500; /* too little to be given without asking for newer ones */
    assert_string_equal(ask(f).key, "KEY1");
    f->status = 403;
    f->body = "{\"code\":\"AccessDenied\"}";
    assert_string_equal(ask(f).key, "KEY1");
    let_run(f, 2600);
    struct outcome o = ask(f);
    assert_false(o.good);
    assert_string_equal(o.err.code, "aws_credentials_refused");
    assert_false(health_ok("credentials"));
    f->status = 200;
    f->body = NULL;
    f->life_ms = 3600 * 1000;
    assert_true(ask(f).good); /* healed without a restart */
    assert_true(health_ok("credentials"));
}

static void bad_answers_are_told_apart(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int status;
        const char *body, *code, *text;
        enum error_disposition disposition;
    } cases[] = {
        {200, "{", "aws_credentials_unavailable", "not JSON", ERROR_RETRY},
        {200, "[]", "aws_credentials_unavailable", "not a JSON object", ERROR_RETRY},
        {200, "", "aws_credentials_unavailable", "not JSON", ERROR_RETRY},
        {200, "{\"AccessKeyId\":\"A\",\"Token\":\"T\",\"Expiration\":\"2099-01-01T00:00:00Z\"}",
            "aws_credentials_unavailable", "SecretAccessKey is missing", ERROR_RETRY},
        {200,
            "{\"AccessKeyId\":1,\"SecretAccessKey\":\"hush\",\"Token\":\"T\",\"Expiration\":\"2099-01-01T00:"
            "00:00Z\"}",
            "aws_credentials_unavailable", "AccessKeyId is not a string", ERROR_RETRY},
        {200, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hush\",\"Token\":\"T\"}",
            "aws_credentials_unavailable", "Expiration is missing", ERROR_RETRY},
        {200,
            "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hush\",\"Token\":\"T\",\"Expiration\":"
            "\"tomorrow\"}",
            "aws_credentials_unavailable", "Expiration is not a date", ERROR_RETRY},
        {200,
            "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hush\",\"Token\":\"T\",\"Expiration\":\"2020-01-"
            "01T00:00:00Z\"}",
            "aws_credentials_unavailable", "expired at 2020-01-01", ERROR_RETRY},
        {200,
            "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hush\",\"Token\":\"T\\r\\nX: "
            "y\",\"Expiration\":\"2099-01-01T00:00:00Z\"}",
            "aws_credentials_unavailable", "session token is not", ERROR_RETRY},
        {403, "{\"code\":\"AccessDenied\",\"message\":\"hush\"}", "aws_credentials_refused",
            "403 AccessDenied", ERROR_FATAL},
        {400, "<html>hush", "aws_credentials_refused", "answers 400", ERROR_FATAL},
        {404, "", "aws_credentials_refused", "answers 404", ERROR_FATAL},
        {429, "", "aws_credentials_unavailable", "answers 429", ERROR_RETRY},
        {400, "{\"__type\":\"com.amazonaws#ThrottlingException\"}", "aws_credentials_unavailable",
            "400 ThrottlingException", ERROR_RETRY},
        {503, "", "aws_credentials_unavailable", "answers 503", ERROR_RETRY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->status = cases[i].status;
        f->body = cases[i].body;
        struct outcome o = ask(f);
        assert_false(o.good);
        assert_string_equal(o.err.code, cases[i].code);
        assert_int_equal(o.err.disposition, cases[i].disposition);
        if (!strstr(o.err.text, cases[i].text) || strstr(o.err.text, "hush")) {
            fail_msg("case %zu says: %s", i, o.err.text);
        }
        assert_false(health_ok("credentials"));
    }
    assert_true(ask(f).err.disposition == ERROR_RETRY); /* and each get tried again */
    assert_int_equal(f->asked, sizeof(cases) / sizeof(cases[0]) + 1);
}

static void who_never_answers_is_late(void **state)
{
    struct fixture *f = *state;
    double before = fetches("container", "late");
    f->status = 0;
    struct outcome o = ask(f);
    assert_string_equal(o.err.code, "aws_credentials_late");
    assert_int_equal(o.err.disposition, ERROR_RETRY);
    assert_true(fetches("container", "late") == before + 1);
    assert_false(health_ok("credentials"));
}

static void one_who_left_is_not_told_and_a_fetch_can_be_dropped(void **state)
{
    struct fixture *f = *state;
    struct outcome left = {.f = f, .left = 1}, stays = {.f = f, .left = 1};
    struct aws_credentials_wait *wait = aws_credentials_get(f->credentials, on_done, &left);
    assert_non_null(aws_credentials_get(f->credentials, on_done, &stays));
    aws_credentials_wait_cancel(wait);
    loop_run(f->loop);
    assert_int_equal(stays.times, 1);
    assert_int_equal(left.times, 0);
    struct aws_credentials *other = aws_credentials_new(f->loop);
    f->status = 0;
    wait = aws_credentials_get(other, on_done, &left);
    let_run(f, 100);
    aws_credentials_wait_cancel(wait);
    aws_credentials_free(other);
    let_run(f, 20);
    assert_int_equal(left.times, 0);
}

static void the_instance_is_asked_in_a_session(void **state)
{
    struct fixture *f = *state;
    unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    unsetenv("AWS_EC2_METADATA_DISABLED");
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f->base, 1);
    assert_string_equal(ask(f).key, "KEY1");
    assert_true(fetches("instance", "ok") == 1);
    setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1);
    f->life_ms = 0;
    struct aws_credentials *other = aws_credentials_new(f->loop);
    struct outcome o = {.f = f, .left = 1};
    (void)aws_credentials_get(other, on_done, &o);
    loop_run(f->loop);
    assert_string_equal(o.err.code, "aws_credentials_missing");
    aws_credentials_free(other);
}

static void the_container_is_told_the_token(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/helpdesk-token.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "of the file\n", 12) == 12);
    close(fd);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of the environment", 1);
    f->life_ms = 2000; /* each get asks again */
    (void)ask(f);
    assert_string_equal(f->authorization, "of the environment");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1);
    (void)ask(f);
    assert_string_equal(f->authorization, "of the file");
    unlink(path);
    let_run(f, 2100);
    struct outcome o = ask(f);
    assert_string_equal(o.err.code, "aws_credentials_missing");
    assert_non_null(strstr(o.err.text, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot be read"));
}

static void only_local_hosts_are_asked_without_tls(void **state)
{
    (void)state;
    static const struct {
        const char *relative, *full, *url; /* NULL: refused */
    } cases[] = {
        {"/v2/credentials/x", NULL, "http://169.254.170.2/v2/credentials/x"},
        {"/v2?id=1", "https://elsewhere.example.com/", "http://169.254.170.2/v2?id=1"},
        {"@evil.example.com/", NULL, NULL},
        {".evil.example.com/", NULL, NULL},
        {"/x y", NULL, NULL},
        {NULL, "https://any.example.com/creds", "https://any.example.com/creds"},
        {NULL, "http://localhost:8080/creds", "http://localhost:8080/creds"},
        {NULL, "http://127.8.9.10/creds", "http://127.8.9.10/creds"},
        {NULL, "http://[::1]:80/creds", "http://[::1]:80/creds"},
        {NULL, "http://169.254.170.2/creds", "http://169.254.170.2/creds"},
        {NULL, "http://169.254.170.23/v1/credentials", "http://169.254.170.23/v1/credentials"},
        {NULL, "http://[fd00:ec2::23]/v1/credentials", "http://[fd00:ec2::23]/v1/credentials"},
        {NULL, "http://169.254.169.254/creds", NULL},
        {NULL, "http://evil.example.com/", NULL},
        {NULL, "http://localhost.evil.example.com/", NULL},
        {NULL, "http://127.0.0.1@evil.example.com/", NULL},
        {NULL, "http://evil.example.com#@127.0.0.1/", NULL},
        {NULL, "http://evil.example.com\\@127.0.0.1/", NULL},
        {NULL, "http://127.1/", NULL},
        {NULL, "http://0x7f.0.0.1/", NULL},
        {NULL, "http://127.0.0.1.example.com/", NULL},
        {NULL, "http://[::ffff:1.2.3.4]/", NULL},
        {NULL, "http:///creds", NULL},
        {NULL, "http://:80/creds", NULL},
        {NULL, "file:///etc/passwd", NULL},
        {NULL, "ftp://127.0.0.1/", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_new(0);
        struct error err = {0};
        unsetenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        if (cases[i].relative) {
            setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", cases[i].relative, 1);
        }
        if (cases[i].full) {
            setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", cases[i].full, 1);
        }
        const char *url = aws_container_url(arena, &err);
        if (cases[i].url) {
            assert_string_equal(url, cases[i].url);
        } else if (url || err.disposition != ERROR_FATAL || !strstr(err.text, "AWS_CONTAINER_CREDENTIALS_")) {
            fail_msg("case %zu is taken: %s %s", i, url ? url : "-", err.text);
        }
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_who_wait_share_one_fetch, setup, teardown),
        cmocka_unit_test_setup_teardown(what_expires_soon_is_fetched_behind_the_old_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refresh_that_fails_leaves_the_old_ones_in_use, setup, teardown),
        cmocka_unit_test_setup_teardown(
            the_old_ones_are_used_to_their_last_second_and_no_longer, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_answers_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(who_never_answers_is_late, setup, teardown),
        cmocka_unit_test_setup_teardown(one_who_left_is_not_told_and_a_fetch_can_be_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(the_instance_is_asked_in_a_session, setup, teardown),
        cmocka_unit_test_setup_teardown(the_container_is_told_the_token, setup, teardown),
        cmocka_unit_test(only_local_hosts_are_asked_without_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
