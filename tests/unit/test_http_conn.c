/* Connections of the HTTP server over real sockets: how they are kept, ordered, timed and ended. */
#include "http_fixture.h"

static void keeps_connections(void **state)
{
    (void)state;
    int fd = client_to(patient);
    for (int i = 0; i < 20; i++) {
        send_text(
            fd, i % 2 ? "GET /hello HTTP/1.1\r\n" HOST "\r\n"
                      : "POST /echo HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello");
        char *answer = read_answer(fd, false);
        assert_string_equal(body_of(answer), "hello");
        free(answer);
    }
    send_text(fd, "HEAD /hello HTTP/1.1\r\n" HOST "\r\nGET /nothing HTTP/1.1\r\n" HOST "\r\n");
    char *answer = read_answer(fd, true);
    assert_int_equal(status_of(answer), 200);
    free(answer);
    answer = read_answer(fd, false);
    assert_problem("after HEAD", answer, 404);
    free(answer);
    send_text(
        fd, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n");
    answer = read_to_end(fd);
    assert_string_equal(body_of(answer), "hello");
    free(answer);
}

static void answers_pipelines_in_order(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    struct buf raw;
    buf_init(&raw, ANSWER_MAX);
    for (int i = 0; i < COUNT; i++) {
        if (i % 3 == 0) {
            buf_printf(&raw, "GET /later/%05d HTTP/1.1\r\n" HOST "\r\n", i);
        } else if (i % 3 == 1) {
            buf_printf(&raw, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n%05d", i);
        } else {
            buf_printf(&raw, "GET /things/%05d?q=1 HTTP/1.1\r\n" HOST "\r\n", i);
        }
    }
    int fd = client_to(patient);
    send_bytes(fd, raw.data, raw.len, SIZE_MAX);
    buf_fini(&raw);
    for (int i = 0; i < COUNT; i++) {
        char expected[16];
        snprintf(expected, sizeof(expected), "%05d", i);
        char *answer = read_answer(fd, false);
        assert_memory_equal(body_of(answer), expected, 5);
        free(answer);
    }
    close(fd);
}

/* The stack stays flat however many requests are answered at once, and a client that reads late gets all. */
static void feeds_slow_readers(void **state)
{
    (void)state;
    enum { COUNT = 3 };
    int fd = client_to(patient);
    for (int i = 0; i < COUNT; i++) {
        send_text(fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    }
    send_text(fd, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    shutdown(fd, SHUT_WR);
    usleep(50000);
    struct buf in;
    buf_init(&in, ANSWER_MAX);
    for (int i = 0; i < 100; i++) {
        assert_true(read_some(fd, &in, 1000));
        usleep(500);
    }
    while (read_some(fd, &in, SIZE_MAX)) {
        ;
    }
    close(fd);
    assert_int_equal(status_of(in.data), 200);
    assert_true(in.len > BIG_SIZE);
    buf_fini(&in);

    fd = client_to(patient);
    for (int i = 0; i < COUNT; i++) {
        send_text(fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    }
    send_text(fd, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    char *all = read_to_end(fd);
    assert_true(strlen(all) > COUNT * BIG_SIZE);
    assert_string_equal(all + strlen(all) - 5, "hello");
    free(all);
}

static void continues_when_expected(void **state)
{
    (void)state;
    int fd = client_to(patient);
    send_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n");
    char *answer = read_answer(fd, true);
    assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    free(answer);
    send_text(fd, "hello");
    answer = read_answer(fd, false);
    assert_string_equal(body_of(answer), "hello");
    free(answer);
    /* a body that came along needs no invitation */
    send_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    answer = read_answer(fd, false);
    assert_int_equal(status_of(answer), 200);
    free(answer);
    close(fd);
}

/* The client goes on sending a body that was refused: it still gets the answer. */
static void refused_bodies_do_not_lose_the_answer(void **state)
{
    (void)state;
    int fd = client_to(patient);
    send_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n");
    char body[1000];
    memset(body, 'x', sizeof(body));
    for (int i = 0; i < 1000; i++) {
        send_bytes(fd, body, sizeof(body), SIZE_MAX);
    }
    char *answer = read_to_end(fd);
    assert_problem("refused body", answer, 413);
    free(answer);
}

static int begin_body(void)
{
    static char part[3000];
    memset(part, 'x', sizeof part);
    int fd = client_to(patient);
    send_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3001\r\n\r\n");
    send_bytes(fd, part, sizeof part, SIZE_MAX);
    return fd;
}

static int end_of(int fd)
{
    char *answer = read_answer(fd, false);
    int status = status_of(answer);
    assert_int_equal(strstr(answer, "Retry-After: 1\r\n") != NULL, status == 503);
    free(answer);
    close(fd);
    return status;
}

/* Each is small enough; all of them, while they are not whole, are not. */
static void bodies_that_do_not_end_are_bounded(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        int fds[] = {begin_body(), begin_body()};
        int hello = client_to(patient); /* answered: both are there */
        send_text(hello, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(end_of(hello), 200);
        assert_int_equal(end_of(begin_body()), 503);
        if (round < 2) {
            send_text(fds[0], "y");
            send_text(fds[1], "y");
            assert_int_equal(end_of(fds[0]), 200);
            assert_int_equal(end_of(fds[1]), 200);
        } else {
            close(fds[0]);
            close(fds[1]);
        }
    }
    int status;
    do { /* what was closed is forgotten at some time */
        int again = begin_body();
        send_text(again, "y");
        status = end_of(again);
    } while (status == 503);
    assert_int_equal(status, 200);
}

static void late_requests_are_refused(void **state)
{
    (void)state;
    static const char *const parts[] = {"GET /hel", "GET /hello HTTP/1.1\r\nHost: h\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhel"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int fd = client_to(impatient);
        send_text(fd, parts[i]);
        char *answer = read_to_end(fd);
        assert_problem(parts[i], answer, 408);
        free(answer);
    }
    /* a byte now and then does not move the deadline */
    int fd = client_to(impatient);
    send_text(fd, "GET /hello HTTP/1.1\r\n" HOST "A: ");
    for (int i = 0; i < 60; i++) {
        send_bytes(fd, "x", 1, 1);
        usleep(10000);
    }
    char *answer = read_to_end(fd);
    assert_problem("slow loris", answer, 408);
    free(answer);
    /* the deadline is for reading: an answer may take longer */
    fd = client_to(impatient);
    send_text(fd, "GET /wait HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    wait_for(&waiting, 1);
    usleep(400000);
    free(exchange(RAW("GET /release HTTP/1.0\r\n\r\n"), SIZE_MAX));
    answer = read_to_end(fd);
    assert_string_equal(body_of(answer), "{\"released\":true}");
    free(answer);
}

static void aborts_are_told(void **state)
{
    (void)state;
    int closed = client_to(patient);
    int reset = client_to(patient);
    int kept = client_to(patient);
    send_text(closed, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    send_text(reset, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    send_text(kept, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    wait_for(&waiting, 3);
    close(closed);
    wait_for(&aborted, 1);
    struct linger hard = {.l_onoff = 1};
    setsockopt(reset, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(reset);
    wait_for(&aborted, 2);
    free(exchange(RAW("GET /release HTTP/1.0\r\n\r\n"), SIZE_MAX));
    char *answer = read_answer(kept, false);
    assert_string_equal(body_of(answer), "{\"released\":true}");
    assert_int_equal(aborted, 2);
    free(answer);
    close(kept);
}

static void holds_many_waiting_requests(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    static int fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client_to(patient);
        send_text(fds[i], "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    }
    wait_for(&waiting, COUNT);
    free(exchange(RAW("GET /release HTTP/1.0\r\n\r\n"), SIZE_MAX));
    for (int i = 0; i < COUNT; i++) {
        char *answer = read_answer(fds[i], false);
        assert_int_equal(status_of(answer), 200);
        free(answer);
        close(fds[i]);
    }
}

static atomic_int open_requests;

static void drain(void *arg)
{
    http_server_drain(arg);
    open_requests = (int)http_server_open(arg);
}

static void count_open(void *arg)
{
    open_requests = (int)http_server_open(arg);
}

static void drains(void **state)
{
    (void)state;
    int idle = client_to(impatient);
    send_text(idle, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    free(read_answer(idle, false));
    int busy = client_to(impatient);
    send_text(busy, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    wait_for(&waiting, 1);
    open_requests = -1;
    loop_post(loop, drain, impatient);
    wait_for(&open_requests, 1);
    char *answer = read_to_end(idle);
    assert_string_equal(answer, "");
    free(answer);
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)http_server_port(impatient)),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int refused = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_not_equal(connect(refused, (struct sockaddr *)&address, sizeof(address)), 0);
    close(refused);
    free(exchange(RAW("GET /release HTTP/1.0\r\n\r\n"), SIZE_MAX));
    answer = read_to_end(busy);
    assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
    assert_string_equal(body_of(answer), "{\"released\":true}");
    free(answer);
    open_requests = -1;
    loop_post(loop, count_open, impatient);
    wait_for(&open_requests, 0);
}

/* What is waiting, being read or unsent is freed with the server; the sanitizers look on. */
static void ends_with_everything_open(void **state)
{
    (void)state;
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = client_to(patient);
    }
    send_text(fds[0], "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    send_text(fds[1], "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhe");
    send_text(fds[2], "GET /big HTTP/1.1\r\n" HOST "\r\n");
    wait_for(&waiting, 1);
    teardown(NULL);
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
    setup(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keeps_connections),
        TEST(answers_pipelines_in_order),
        TEST(feeds_slow_readers),
        TEST(continues_when_expected),
        TEST(refused_bodies_do_not_lose_the_answer),
        TEST(bodies_that_do_not_end_are_bounded),
        TEST(late_requests_are_refused),
        TEST(aborts_are_told),
        TEST(holds_many_waiting_requests),
        TEST(drains),
        TEST(ends_with_everything_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
