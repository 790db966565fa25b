/* Calls on the loop against the server, and against one that breaks every rule: results, limits, reuse of
 * connections, and calls that are given up. */
#include "http_fixture.h"
#include "http/call.h"

#define MANY 3000
#define GUARD_MS (PATIENCE_S * 1000)

/* The test's side: a loop of its own on the test's thread. */

static struct loop *own;
static struct http_calls *calls;
static int pending;

struct ended {
    int times;
    int status;
    int64_t retry_after_ms;
    char error_type[HTTP_ERROR_TYPE_MAX];
    char body[256];
    struct error err;
};

static void too_late(void *arg)
{
    (void)arg;
    fail_msg("%d calls never end", pending);
}

static void keep_end(void *arg, const struct http_call_result *result, const struct error *err)
{
    struct ended *ended = arg;
    assert_true(!result != !err);
    ended->times++;
    if (result) {
        ended->status = result->status;
        ended->retry_after_ms = result->retry_after_ms;
        snprintf(ended->body, sizeof(ended->body), "%s", buf_text(&result->body));
        snprintf(ended->error_type, sizeof(ended->error_type), "%s", result->error_type);
    } else {
        ended->err = *err;
    }
    if (--pending == 0)
        loop_stop(own, 0);
}

static void run_all(void)
{
    struct loop_timer *guard = loop_timer_new(own, too_late, NULL);
    loop_timer_arm(guard, GUARD_MS);
    loop_run(own);
    loop_timer_free(guard);
    assert_int_equal(pending, 0);
}

static const char *url_at(int port, const char *path)
{
    static char url[8][64];
    static unsigned next;
    char *made = url[next++ % 8];
    snprintf(made, sizeof(url[0]), "http://127.0.0.1:%d%s", port, path);
    return made;
}

static const char *url_of(const char *path)
{
    return url_at(http_server_port(patient), path);
}

static struct http_call *start_with(
    struct http_call_request request, http_call_done *done, void *arg, int64_t timeout_ms)
{
    request.method = request.method ? request.method : "GET";
    request.max_body = request.max_body ? request.max_body : 65536;
    request.timeout_ms = timeout_ms;
    pending++;
    return http_call_start(calls, &request, done, arg);
}

static struct http_call *start(const char *url, struct ended *ended)
{
    return start_with((struct http_call_request){.url = url}, keep_end, ended, 0);
}

static int set_up(void **state)
{
    own = loop_new(0);
    calls = http_calls_new(own);
    pending = 0;
    return setup(state);
}

static int tear_down(void **state)
{
    http_calls_free(calls);
    loop_free(own);
    return teardown(state);
}

/* A server that says what it is told to, once for each request, on as many connections as are opened. */

struct rogue {
    int listener;
    int port;
    const char *answer;
    bool keeps; /* the connection, for the next request */
    pthread_t thread;
    atomic_int connections;
};

static void rogue_serve(struct rogue *rogue, int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    do {
        struct buf in;
        buf_init(&in, 65536);
        bool more = true;
        while (more && !strstr(buf_text(&in), "\r\n\r\n"))
            more = read_some(fd, &in, 1);
        buf_fini(&in);
        if (!more)
            break;
        send_text(fd, rogue->answer);
    } while (rogue->keeps);
    close(fd);
}

static void *rogue_run(void *arg)
{
    struct rogue *rogue = arg;
    int fd;
    while ((fd = accept(rogue->listener, NULL, NULL)) >= 0) {
        rogue->connections++;
        rogue_serve(rogue, fd);
    }
    return NULL;
}

static void rogue_start(struct rogue *rogue, const char *answer, bool keeps)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    *rogue = (struct rogue){.answer = answer, .keeps = keeps};
    rogue->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(rogue->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(rogue->listener, 16), 0);
    getsockname(rogue->listener, (struct sockaddr *)&address, &len);
    rogue->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&rogue->thread, NULL, rogue_run, rogue), 0);
}

static void rogue_stop(struct rogue *rogue)
{
    shutdown(rogue->listener, SHUT_RDWR);
    pthread_join(rogue->thread, NULL);
    close(rogue->listener);
}

/* ---- the tests ---- */

static void calls_and_answers(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-List: a b", "Content-Type: text/plain", NULL};
    static const struct {
        const char *method, *path, *body;
        int status;
        const char *answer;
        int64_t retry_after_ms;
    } cases[] = {
        {"GET", "/hello", NULL, 200, "hello", 0},
        {"HEAD", "/hello", NULL, 200, "", 0},
        {"POST", "/echo", "what I said", 200, "what I said", 0},
        {"POST", "/echo", NULL, 200, "", 0},
        {"GET", "/things/a%20b?q=1", NULL, 200, "a b|1|a b", 0},
        {"GET", "/things/./../hello", NULL, 404, NULL, 0},
        {"GET", "/moved", NULL, 302, "{}", 0},
        {"GET", "/busy", NULL, 503, NULL, 7000},
    };
    struct ended ended[sizeof(cases) / sizeof(cases[0])] = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[64];
        snprintf(body, sizeof(body), "%s", cases[i].body ? cases[i].body : "");
        start_with((struct http_call_request){.method = cases[i].method,
                       .url = url_of(cases[i].path),
                       .headers = headers,
                       .body = cases[i].body ? body : NULL,
                       .body_len = strlen(body)},
            keep_end, &ended[i], 0);
        memset(body, '?', sizeof(body)); /* it was copied */
        assert_int_equal(ended[i].times, 0);
    }
    run_all();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(ended[i].times, 1);
        assert_int_equal(ended[i].status, cases[i].status);
        assert_int_equal(ended[i].retry_after_ms, cases[i].retry_after_ms);
        if (cases[i].answer)
            assert_string_equal(ended[i].body, cases[i].answer);
    }
}

/* With handles that are used again: none keeps what an earlier answer said. */
static void reads_what_aws_calls_an_error(void **state)
{
    (void)state;
    char long_type[2 * HTTP_ERROR_TYPE_MAX], answer[512];
    memset(long_type, 'x', sizeof(long_type) - 1);
    long_type[sizeof(long_type) - 1] = '\0';
    const struct {
        const char *header, *value, *read;
    } cases[] = {{"x-amzn-ErrorType", "ThrottlingException:http://x/", "ThrottlingException:http://x/"},
        {"X-Amzn-Errortype", "ValidationException", "ValidationException"},
        {"X-Other", "ValidationException", ""}, {"x-amzn-ErrorType", long_type, ""}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ended ended = {0};
        struct rogue rogue;
        snprintf(answer, sizeof(answer), "HTTP/1.1 429 Slow down\r\n%s: %s\r\nContent-Length: 0\r\n\r\n",
            cases[i].header, cases[i].value);
        rogue_start(&rogue, answer, false);
        start(url_at(rogue.port, "/"), &ended);
        run_all();
        rogue_stop(&rogue);
        assert_int_equal(ended.status, 429);
        assert_string_equal(ended.error_type, cases[i].read);
    }
}

static int64_t retry_after_of(const char *value)
{
    char answer[160];
    struct ended ended = {0};
    struct rogue rogue;
    snprintf(answer, sizeof(answer), "HTTP/1.1 429 Slow down\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n",
        value);
    rogue_start(&rogue, answer, false);
    start(url_at(rogue.port, "/"), &ended);
    run_all();
    rogue_stop(&rogue);
    assert_int_equal(ended.status, 429);
    return ended.retry_after_ms;
}

static void reads_retry_after(void **state)
{
    (void)state;
    char date[64];
    time_t soon = time(NULL) + 100;
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime(&soon));
    int64_t wait = retry_after_of(date);
    assert_true(wait >= 90000 && wait <= 100000);
    assert_int_equal(retry_after_of("7"), 7000);
    assert_int_equal(retry_after_of("Sun, 06 Nov 1994 08:49:37 GMT"), 0);
    assert_int_equal(retry_after_of("soon"), 0);
    assert_int_equal(retry_after_of("-5"), 0);
    assert_int_equal(retry_after_of("999999999"), 86400000);
    assert_int_equal(retry_after_of("99999999999999999999"), 0);
}

static void fails_with_a_disposition(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        const char *code;
        enum error_disposition disposition;
    } rogues[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "connection_broken", ERROR_RETRY},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha", "connection_broken", ERROR_RETRY},
        {"", "connection_broken", ERROR_RETRY},
        {"garbage\r\n\r\n", "connection_broken", ERROR_RETRY},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "too_large", ERROR_REJECT},
    };
    for (size_t i = 0; i < sizeof(rogues) / sizeof(rogues[0]); i++) {
        struct ended ended = {0};
        struct rogue rogue;
        rogue_start(&rogue, rogues[i].answer, false);
        start(url_at(rogue.port, "/"), &ended);
        run_all();
        rogue_stop(&rogue);
        assert_string_equal(ended.err.code, rogues[i].code);
        assert_int_equal(ended.err.disposition, rogues[i].disposition);
    }
    int unused = socket(AF_INET, SOCK_STREAM, 0); /* bound, not listening: nobody else gets the port */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    assert_int_equal(bind(unused, (struct sockaddr *)&address, len), 0);
    getsockname(unused, (struct sockaddr *)&address, &len);
    const struct {
        const char *url;
        int64_t timeout_ms;
        const char *code;
        enum error_disposition disposition;
    } cases[] = {
        {url_at(ntohs(address.sin_port), "/"), 0, "connect_failed", ERROR_RETRY},
        {url_of("/wait"), 100, "timeout", ERROR_RETRY},
        {url_of("/big"), 0, "too_large", ERROR_REJECT},
        {"file:///etc/hostname", 0, "bad_url", ERROR_REJECT},
        {"http://", 0, "bad_url", ERROR_REJECT},
        {"", 0, "bad_url", ERROR_REJECT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ended ended = {0};
        start_with((struct http_call_request){.url = cases[i].url}, keep_end, &ended, cases[i].timeout_ms);
        assert_int_equal(ended.times, 0);
        run_all();
        assert_string_equal(ended.err.code, cases[i].code);
        assert_int_equal(ended.err.disposition, cases[i].disposition);
        assert_true(ended.err.text[0]);
    }
    close(unused);
}

static void keeps_connections(void **state)
{
    (void)state;
    struct rogue rogue;
    rogue_start(&rogue, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true);
    for (int i = 0; i < 20; i++) {
        struct ended ended = {0};
        start(url_at(rogue.port, "/"), &ended);
        run_all();
        assert_string_equal(ended.body, "ok");
    }
    assert_int_equal(rogue.connections, 1);
    http_calls_free(calls); /* closes it: else the server waits for the next request */
    rogue_stop(&rogue);
    calls = http_calls_new(own);
}

/* More than one multi handle takes, at once. */
static void many_at_once(void **state)
{
    (void)state;
    struct ended *ended = xcalloc(MANY, sizeof(*ended));
    for (int i = 0; i < MANY; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/later/%d", i);
        start(url_of(path), &ended[i]);
    }
    run_all();
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(ended[i].times, 1);
        assert_int_equal(ended[i].status, 200);
        assert_int_equal(strtol(ended[i].body, NULL, 10), i);
    }
    free(ended);
}

struct chain {
    struct ended ended;
    struct http_call *other;
    int left;
};

static void go_on(void *arg, const struct http_call_result *result, const struct error *err)
{
    struct chain *chain = arg;
    assert_null(err);
    assert_int_equal(result->status, 200);
    if (chain->other) {
        http_call_cancel(chain->other);
        chain->other = NULL;
        pending--;
    }
    if (--chain->left > 0)
        start_with((struct http_call_request){.url = url_of("/hello")}, go_on, chain, 0);
    if (--pending == 0)
        loop_stop(own, 0);
}

/* Inside `done` the next call starts and another is cancelled. */
static void starts_and_cancels_inside_done(void **state)
{
    (void)state;
    struct ended never = {0};
    struct chain chain = {.left = 5};
    chain.other = start(url_of("/wait"), &never);
    start_with((struct http_call_request){.url = url_of("/hello")}, go_on, &chain, 0);
    run_all();
    assert_int_equal(chain.left, 0);
    assert_int_equal(never.times, 0);
    wait_for(&aborted, 1); /* the server saw it leave */
}

struct rival {
    struct http_call *call;
    struct rival *other;
    int wins;
};

static void beat_the_other(void *arg, const struct http_call_result *result, const struct error *err)
{
    struct rival *rival = arg;
    assert_null(err);
    assert_int_equal(result->status, 200);
    rival->wins++;
    http_call_cancel(rival->other->call);
    pending -= 2;
    loop_stop(own, 0);
}

/* Two answers in one turn of the loop: whichever is told first cancels the other. */
static void cancels_what_has_answered(void **state)
{
    (void)state;
    struct rival rivals[2] = {{.other = &rivals[1]}, {.other = &rivals[0]}};
    for (int i = 0; i < 2; i++)
        rivals[i].call =
            start_with((struct http_call_request){.url = url_of("/wait")}, beat_the_other, &rivals[i], 0);
    while (waiting < 2)
        event_base_loop(loop_base(own), EVLOOP_NONBLOCK);
    free(exchange(RAW("GET /release HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), SIZE_MAX));
    run_all();
    event_base_loop(loop_base(own), EVLOOP_NONBLOCK);
    assert_int_equal(rivals[0].wins + rivals[1].wins, 1);
}

static void cancelled_at_once(void **state)
{
    (void)state;
    struct ended never = {0}, ended = {0};
    http_call_cancel(start(url_of("/hello"), &never));
    pending--;
    start(url_of("/hello"), &ended);
    run_all();
    assert_int_equal(never.times, 0);
    assert_string_equal(ended.body, "hello");
}

static void freed_with_calls_under_way(void **state)
{
    (void)state;
    struct ended never = {0};
    for (int i = 0; i < 50; i++)
        start(url_of("/wait"), &never);
    while (waiting < 50)
        event_base_loop(loop_base(own), EVLOOP_NONBLOCK);
    start(url_of("/hello"), &never); /* not yet connected */
    http_calls_free(calls);
    calls = http_calls_new(own);
    wait_for(&aborted, 50);
    assert_int_equal(never.times, 0);
}

int main(void)
{
#define CALLS(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CALLS(calls_and_answers),
        CALLS(reads_what_aws_calls_an_error),
        CALLS(reads_retry_after),
        CALLS(fails_with_a_disposition),
        CALLS(keeps_connections),
        CALLS(many_at_once),
        CALLS(starts_and_cancels_inside_done),
        CALLS(cancels_what_has_answered),
        CALLS(cancelled_at_once),
        CALLS(freed_with_calls_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
