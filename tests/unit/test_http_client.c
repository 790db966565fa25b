/* The blocking client against the server: results, limits, and errors that say what to do. */
#include "http_fixture.h"
#include "http/client.h"

static char url[64];

static const char *url_of(const char *path)
{
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", http_server_port(patient), path);
    return url;
}

static void fetches(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-List: a b", "Content-Type: text/plain", NULL};
    static const struct {
        const char *method, *path, *body;
        int status;
        const char *answer;
    } cases[] = {
        {"GET", "/hello", NULL, 200, "hello"},
        {"HEAD", "/hello", NULL, 200, ""},
        {"POST", "/echo", "what I said", 200, "what I said"},
        {"POST", "/echo", NULL, 200, ""},
        {"PUT", "/echo", "x", 200, "x"},
        {"GET", "/things/a%20b?q=1", NULL, 200, "a b|1|a b"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        struct http_fetch_result result;
        struct http_fetch_request request = {.method = cases[i].method,
            .url = url_of(cases[i].path),
            .headers = headers,
            .body = cases[i].body,
            .body_len = cases[i].body ? strlen(cases[i].body) : 0};
        if (!http_fetch(&request, &result, &err)) {
            fail_msg("%s", err.text);
        }
        assert_int_equal(result.status, cases[i].status);
        assert_string_equal(buf_text(&result.body), cases[i].answer);
        assert_true(uuid_valid(result.correlation_id));
        assert_string_equal(result.location, "");
        http_fetch_result_fini(&result);
    }
}

/* A problem is an answer like others; a redirect is not followed. */
static void hands_on_what_the_server_says(void **state)
{
    (void)state;
    struct http_fetch_result result;
    assert_true(
        http_fetch(&(struct http_fetch_request){.method = "GET", .url = url_of("/busy")}, &result, NULL));
    assert_int_equal(result.status, 503);
    assert_non_null(strstr(buf_text(&result.body), result.correlation_id));
    http_fetch_result_fini(&result);
    assert_true(
        http_fetch(&(struct http_fetch_request){.method = "GET", .url = url_of("/moved")}, &result, NULL));
    assert_int_equal(result.status, 302);
    assert_string_equal(result.location, "/hello?a=1");
    http_fetch_result_fini(&result);
}

static void fails_with_a_disposition(void **state)
{
    (void)state;
    char wait[64], big[64], closed[64];
    snprintf(wait, sizeof(wait), "%s", url_of("/wait"));
    snprintf(big, sizeof(big), "%s", url_of("/big"));
    int unused = socket(AF_INET, SOCK_STREAM, 0); /* bound, not listening: nobody else gets the port */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    assert_int_equal(bind(unused, (struct sockaddr *)&address, len), 0);
    getsockname(unused, (struct sockaddr *)&address, &len);
    snprintf(closed, sizeof(closed), "http://127.0.0.1:%d/", ntohs(address.sin_port));
    const struct {
        const char *url;
        int64_t timeout_ms;
        const char *code;
        enum error_disposition disposition;
    } cases[] = {
        {closed, 0, "connect_failed", ERROR_RETRY},
        {wait, 100, "timeout", ERROR_RETRY},
        {big, 0, "too_large", ERROR_REJECT},
        {"file:///etc/hostname", 0, "bad_url", ERROR_REJECT},
        {"gopher://127.0.0.1/", 0, "bad_url", ERROR_REJECT},
        {"http://", 0, "bad_url", ERROR_REJECT},
        {"", 0, "bad_url", ERROR_REJECT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        struct http_fetch_result result;
        struct http_fetch_request request = {
            .method = "GET", .url = cases[i].url, .timeout_ms = cases[i].timeout_ms};
        assert_false(http_fetch(&request, &result, &err));
        assert_string_equal(err.code, cases[i].code);
        assert_int_equal(err.disposition, cases[i].disposition);
        assert_true(err.text[0]);
        http_fetch_result_fini(&result);
    }
    close(unused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fetches),
        TEST(hands_on_what_the_server_says),
        TEST(fails_with_a_disposition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
