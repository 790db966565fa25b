/* The HTTP server over real sockets: what it refuses, what it answers, what it counts. */
#include "http_fixture.h"

static void refuses_what_is_not_a_request(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *raw;
        size_t len;
        int status;
    } cases[] = {
        {"bare LF ends the request line", RAW("GET /hello HTTP/1.1\nHost: h\r\n\r\n"), 400},
        {"bare LF ends a header", RAW("GET /hello HTTP/1.1\r\nHost: h\n\r\n"), 400},
        {"bare LF ends the head", RAW("GET /hello HTTP/1.1\r\nHost: h\r\n\n"), 400},
        {"bare CR in a header", RAW("GET /hello HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n"), 400},
        {"CR CR LF", RAW("GET /hello HTTP/1.1\r\nHost: h\r\r\n\r\n"), 400},
        {"NUL in a header", RAW("GET /hello HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n"), 400},
        {"NUL in the target", RAW("GET /hel\0lo HTTP/1.1\r\nHost: h\r\n\r\n"), 400},
        {"DEL in a header", RAW("GET /hello HTTP/1.1\r\nHost: h\r\nA: \x7f\r\n\r\n"), 400},
        {"folded header", RAW("GET /hello HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n"), 400},
        {"folded first header", RAW("GET /hello HTTP/1.1\r\n Host: h\r\n\r\n"), 400},
        {"space before the colon", RAW("GET /hello HTTP/1.1\r\nHost : h\r\n\r\n"), 400},
        {"no colon", RAW("GET /hello HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n"), 400},
        {"empty name", RAW("GET /hello HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n"), 400},
        {"name that is no token", RAW("GET /hello HTTP/1.1\r\nHost: h\r\nA(b): x\r\n\r\n"), 400},
        {"no host", RAW("GET /hello HTTP/1.1\r\n\r\n"), 400},
        {"two hosts", RAW("GET /hello HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n"), 400},
        {"empty host", RAW("GET /hello HTTP/1.1\r\nHost:\r\n\r\n"), 400},
        {"host with a space", RAW("GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n"), 400},
        {"host with a user", RAW("GET /hello HTTP/1.1\r\nHost: a@b\r\n\r\n"), 400},
        {"two lengths, equal",
            RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"), 400},
        {"two lengths, unequal",
            RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\na"), 400},
        {"length list", RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\na"), 400},
        {"length with a sign", RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\na"), 400},
        {"negative length", RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\na"), 400},
        {"hex length", RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\na"), 400},
        {"empty length", RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\na"), 400},
        {"length beyond 64 bits",
            RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\na"), 413},
        {"body over the limit", RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4097\r\n\r\n"), 413},
        {"body over the limit, expected",
            RAW("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 4097\r\n\r\n"), 413},
        {"chunked", RAW("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 411},
        {"chunked and length",
            RAW("POST /echo HTTP/1.1\r\n" HOST
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            411},
        {"two codings",
            RAW("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
            400},
        {"coding on a GET", RAW("GET /hello HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n"), 411},
        {"unknown expectation",
            RAW("POST /echo HTTP/1.1\r\n" HOST "Expect: cake\r\nContent-Length: 1\r\n\r\na"), 417},
        {"two content types",
            RAW("POST /echo HTTP/1.1\r\n" HOST
                "Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n"),
            400},
        {"version 2", RAW("GET /hello HTTP/2.0\r\n" HOST "\r\n"), 505},
        {"version 1.2", RAW("GET /hello HTTP/1.2\r\n" HOST "\r\n"), 505},
        {"HTTP/2 preface", RAW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},
        {"version in small letters", RAW("GET /hello http/1.1\r\n" HOST "\r\n"), 400},
        {"no version", RAW("GET /hello\r\n\r\n"), 400},
        {"two spaces", RAW("GET  /hello HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"tab", RAW("GET\t/hello\tHTTP/1.1\r\n" HOST "\r\n"), 400},
        {"space at the end", RAW("GET /hello HTTP/1.1 \r\n" HOST "\r\n"), 400},
        {"two empty lines first", RAW("\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"method that is no token", RAW("G(T /hello HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"TLS hello", RAW("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n"), 400},
        {"no path", RAW("GET hello HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"asterisk on a GET", RAW("GET * HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"tunnel", RAW("CONNECT h:80 HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"fragment", RAW("GET /hello#x HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"raw UTF-8 in the target", RAW("GET /things/\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"absolute target without a host", RAW("GET http:///hello HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"other scheme", RAW("GET ftp://h/hello HTTP/1.1\r\n" HOST "\r\n"), 400},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *whole = exchange(cases[i].raw, cases[i].len, SIZE_MAX);
        assert_problem(cases[i].name, whole, cases[i].status);
        assert_non_null(strstr(whole, "\r\nConnection: close\r\n"));
        char *bytewise = exchange(cases[i].raw, cases[i].len, 1);
        assert_problem(cases[i].name, bytewise, cases[i].status);
        assert_int_equal(strlen(whole), strlen(bytewise));
        free(whole);
        free(bytewise);
    }
}

static void refuses_long_heads(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
        size_t fill;
        size_t lines; /* more headers of one byte */
        int status;
    } cases[] = {
        {"GET /things/", " HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 8192 - 8, 0, 200},
        {"GET /things/", " HTTP/1.1\r\n" HOST "\r\n", 8193 - 8, 0, 414},
        {"GET /things/", "", 100000, 0, 414},
        {"GET /hello HTTP/1.1\r\n" HOST "A: ", "\r\n\r\n", 16384, 0, 431},
        {"GET /hello HTTP/1.1\r\n" HOST "A: ", "", 1000000, 0, 431},
        {"GET /hello HTTP/1.1\r\nConnection: close\r\n" HOST, "\r\n", 0, 98, 200},
        {"GET /hello HTTP/1.1\r\nConnection: close\r\n" HOST, "\r\n", 0, 99, 431},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf raw;
        buf_init(&raw, ANSWER_MAX);
        buf_puts(&raw, cases[i].before);
        /* "/things/" is 8 bytes of the target; what is filled in makes the rest */
        for (size_t n = 0; n < cases[i].fill; n++) {
            buf_putc(&raw, 'a');
        }
        for (size_t n = 0; n < cases[i].lines; n++) {
            buf_puts(&raw, "A: b\r\n");
        }
        buf_puts(&raw, cases[i].after);
        char *answer = exchange(raw.data, raw.len, SIZE_MAX);
        if (cases[i].status == 200) {
            assert_int_equal(status_of(answer), 200);
        } else {
            assert_problem(cases[i].before, answer, cases[i].status);
        }
        free(answer);
        buf_fini(&raw);
    }
}

static void answers(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        size_t len;
        int status;
        const char *holds; /* in the answer */
    } cases[] = {
        {RAW("GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 200, "\r\n\r\nhello"},
        {RAW("\r\nGET /hello HTTP/1.1\r\n" HOST "Connection: x , Close\r\n\r\n"), 200, "\r\n\r\nhello"},
        {RAW("GET /hello HTTP/1.0\r\n\r\n"), 200, "\r\nConnection: close\r\n"},
        {RAW("GET http://h:8080/hello HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n"), 200,
            "hello"},
        {RAW("GET HTTP://h HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 404, "Not Found"},
        {RAW("GET /hello?x=%41 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 200, "hello"},
        {RAW("POST /echo HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: 3\r\n\r\na\0b"), 200,
            "Content-Length: 3\r\n"},
        {RAW("POST /echo HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: 0\r\n\r\n"), 200,
            "Content-Length: 0\r\n"},
        {RAW("GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: 3\r\n\r\nabc"), 200,
            "hello"},
        {RAW("GET /things/a%2Fb?q=x%20y+z HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 200,
            "\r\n\r\na/b|x y z|-"},
        {RAW("GET /things/1 HTTP/1.1\r\n" HOST "X-List: a\r\nx-list:  b \r\nConnection: close\r\n\r\n"), 200,
            "1|-|a, b"},
        {RAW("GET /things/1?q=%0D%0AX-Evil:%201 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 200,
            "\r\nX-Echo:   X-Evil: 1\r\n"},
        {RAW("HEAD /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 200, "Content-Length: 5\r\n"},
        {RAW("DELETE /echo HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 405, "\r\nAllow: POST, PUT\r\n"},
        {RAW("DELETE /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 405, "\r\nAllow: GET, HEAD\r\n"},
        {RAW("OPTIONS * HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 404, "Not Found"},
        {RAW("GET /nothing HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 404, "Not Found"},
        {RAW("GET /things/%00 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 400, "UTF-8"},
        {RAW("GET /things/%e4 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 400, "UTF-8"},
        {RAW("GET /things/1?q=%e4 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 400, "UTF-8"},
        {RAW("GET /busy HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 503, "\r\nRetry-After: 7\r\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t piece = 1; piece < 100; piece += 98) {
            char *answer = exchange(cases[i].raw, cases[i].len, piece);
            if (status_of(answer) != cases[i].status || !strstr(answer, cases[i].holds)) {
                fail_msg("%s\n%s", cases[i].raw, answer);
            }
            if (cases[i].status >= 400) {
                assert_problem(cases[i].raw, answer, cases[i].status);
            } else {
                assert_non_null(strstr(answer, "\r\nX-Correlation-Id: "));
            }
            if (strncmp(cases[i].raw, "HEAD", 4) == 0) {
                assert_string_equal(body_of(answer), "");
            }
            free(answer);
        }
    }
}

static void invalid_fields_are_named(void **state)
{
    (void)state;
    char *answer = exchange(RAW("GET /invalid HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), SIZE_MAX);
    assert_int_equal(status_of(answer), 400);
    assert_null(strstr(answer, "\r\nX-Evil"));
    assert_non_null(strstr(answer, "\r\nX-Correlation-Id: mine__X-Evil:_1\r\n"));
    cJSON *problem = json_parse(body_of(answer), strlen(body_of(answer)), NULL);
    const cJSON *errors = cJSON_GetObjectItemCaseSensitive(problem, "errors");
    assert_int_equal(cJSON_GetArraySize(errors), 2);
    assert_string_equal(json_str(cJSON_GetArrayItem(errors, 1), "pointer"), "/messages/0/role");
    assert_string_equal(json_str(problem, "detail"), "/subject: must not be blank");
    assert_string_equal(json_str(problem, "correlation_id"), "mine__X-Evil:_1");
    cJSON_Delete(problem);
    free(answer);
}

static void a_busy_port_is_named(void **state)
{
    (void)state;
    struct error err = {0};
    struct http_server_options options = {
        .name = "test", .host = "127.0.0.1", .port = http_server_port(patient), .routes = routes};
    assert_null(http_server_new(loop, &options, &err));
    assert_string_equal(err.code, "port_busy");
    char port[16];
    snprintf(port, sizeof(port), "%d", options.port);
    assert_non_null(strstr(err.text, port));
    options.host = "host.invalid";
    assert_null(http_server_new(loop, &options, &err));
    assert_string_equal(err.code, "listen_failed");
    assert_int_equal(err.disposition, ERROR_FATAL);
}

static void counts_by_route(void **state)
{
    (void)state;
    static const char *const series[] = {
        "helpdesk_http_requests_total{server=\"test\",route=\"/things/{id}\",status=\"200\"} ",
        "helpdesk_http_requests_total{server=\"test\",route=\"unmatched\",status=\"404\"} ",
        "helpdesk_http_requests_total{server=\"test\",route=\"unreadable\",status=\"505\"} ",
        "helpdesk_http_request_seconds_count{server=\"test\",route=\"/hello\"} ",
    };
    struct buf out;
    buf_init(&out, ANSWER_MAX);
    metrics_render(&out);
    for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++) {
        if (!strstr(buf_text(&out), series[i])) {
            fail_msg("no %s in:\n%s", series[i], buf_text(&out));
        }
    }
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refuses_what_is_not_a_request),
        TEST(refuses_long_heads),
        TEST(answers),
        TEST(invalid_fields_are_named),
        TEST(a_busy_port_is_named),
        TEST(counts_by_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
