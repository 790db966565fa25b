/* A server of the real kind on a thread of its own, and blocking clients for it. Included once by each test
 * program. */
#ifndef HELPDESK_TESTS_HTTP_FIXTURE_H
#define HELPDESK_TESTS_HTTP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/buf.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/metrics.h"
#include "http/server.h"

#define MAX_BODY 4096
#define MAX_ARRIVING 8000
#define BIG_SIZE ((size_t)8 << 20)
#define ANSWER_MAX ((size_t)64 << 20)
#define WAITERS_MAX 1024
#define PATIENCE_S 30 /* never reached unless something is broken */

/* The server's side: handlers on the loop's thread. */

static struct loop *loop;
static struct http_server *patient;   /* read deadline of a minute */
static struct http_server *impatient; /* read deadline of 200 ms */
static pthread_t thread;
static struct http_request *waiters[WAITERS_MAX];
static size_t waiter_count;
static atomic_int waiting, aborted;

static inline void get_hello(struct http_request *request, void *arg)
{
    (void)arg;
    http_respond(request, 200, "text/plain", "hello", 5);
}

static inline void post_echo(struct http_request *request, void *arg)
{
    (void)arg;
    size_t len;
    const char *body = http_request_body(request, &len);
    http_respond(request, 200, "application/octet-stream", body, len);
}

static inline void get_thing(struct http_request *request, void *arg)
{
    (void)arg;
    const char *query = http_request_query(request, "q");
    const char *header = http_request_header(request, "x-list");
    const char *text = arena_printf(http_request_arena(request), "%s|%s|%s",
        http_request_param(request, "id"), query ? query : "-", header ? header : "-");
    http_response_header(request, "X-Echo", query ? query : "-");
    http_respond(request, 200, "text/plain", text, strlen(text));
}

static inline void on_abort(void *arg)
{
    struct http_request *request = arg;
    for (size_t i = 0; i < waiter_count; i++) {
        if (waiters[i] == request)
            waiters[i] = waiters[--waiter_count];
    }
    http_respond_json(request, 200, "{}");
    aborted++;
    waiting--;
}

static inline void get_wait(struct http_request *request, void *arg)
{
    (void)arg;
    waiters[waiter_count++] = request;
    http_request_on_abort(request, on_abort, request);
    waiting++;
}

static inline void get_release(struct http_request *request, void *arg)
{
    (void)arg;
    while (waiter_count > 0) {
        waiting--;
        http_respond_json(waiters[--waiter_count], 200, "{\"released\":true}");
    }
    http_respond_json(request, 200, "{}");
}

struct later {
    struct http_request *request;
    struct loop_timer *timer;
};

static inline void answer_later(void *arg)
{
    struct later *later = arg;
    const char *id = http_request_param(later->request, "id");
    loop_timer_free(later->timer);
    http_respond(later->request, 200, "text/plain", id, strlen(id));
    free(later);
}

static inline void get_later(struct http_request *request, void *arg)
{
    (void)arg;
    struct later *later = xcalloc(1, sizeof(*later));
    later->request = request;
    later->timer = loop_timer_new(loop, answer_later, later);
    loop_timer_arm(later->timer, 1);
}

static inline void get_big(struct http_request *request, void *arg)
{
    (void)arg;
    char *body = xmalloc(BIG_SIZE);
    memset(body, 'x', BIG_SIZE);
    http_respond(request, 200, "text/plain", body, BIG_SIZE);
    free(body);
}

static inline void get_invalid(struct http_request *request, void *arg)
{
    (void)arg;
    http_request_set_correlation_id(request, "mine\r\nX-Evil: 1");
    static const struct http_field_error errors[] = {
        {"/subject", "must not be blank"}, {"/messages/0/role", "must be \"customer\" or \"agent\""}};
    http_respond_invalid(request, errors, 2);
}

static inline void get_busy(struct http_request *request, void *arg)
{
    (void)arg;
    http_respond_retry(request, 503, "The broker is away.", 7);
}

static inline void get_moved(struct http_request *request, void *arg)
{
    (void)arg;
    http_response_header(request, "Location", "/hello?a=1");
    http_respond_json(request, 302, "{}");
}

static const struct http_route routes[] = {
    {"GET", "/moved", get_moved},
    {"GET", "/hello", get_hello},
    {"POST", "/echo", post_echo},
    {"PUT", "/echo", post_echo},
    {"GET", "/things/{id}", get_thing},
    {"GET", "/wait", get_wait},
    {"GET", "/release", get_release},
    {"GET", "/later/{id}", get_later},
    {"GET", "/big", get_big},
    {"GET", "/invalid", get_invalid},
    {"GET", "/busy", get_busy},
    {NULL, NULL, NULL},
};

static inline struct http_server *listen_with(int64_t read_deadline_ms)
{
    struct error err = {0};
    struct http_server_options options = {
        .name = "test",
        .host = "127.0.0.1",
        .max_body = MAX_BODY,
        .max_arriving = MAX_ARRIVING,
        .read_deadline_ms = read_deadline_ms,
        .routes = routes,
    };
    struct http_server *server = http_server_new(loop, &options, &err);
    if (!server)
        fail_msg("%s", err.text);
    return server;
}

static inline void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static inline int setup(void **state)
{
    (void)state;
    waiter_count = 0;
    waiting = 0;
    aborted = 0;
    loop = loop_new(0);
    patient = listen_with(60000);
    impatient = listen_with(200);
    return pthread_create(&thread, NULL, run_loop, loop);
}

static inline void stop(void *arg)
{
    loop_stop(arg, 0);
}

static inline int teardown(void **state)
{
    (void)state;
    loop_post(loop, stop, loop);
    pthread_join(thread, NULL);
    http_server_free(patient);
    http_server_free(impatient);
    loop_free(loop);
    return 0;
}

/* The client's side: blocking sockets. */

static inline int client_to(const struct http_server *server)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)http_server_port(server)),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* In pieces of `piece` bytes; a server that closed early is no failure here. */
static inline void send_bytes(int fd, const char *data, size_t len, size_t piece)
{
    for (size_t at = 0; at < len;) {
        size_t want = len - at < piece ? len - at : piece;
        ssize_t sent = send(fd, data + at, want, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        at += (size_t)sent;
    }
}

static inline void send_text(int fd, const char *text)
{
    send_bytes(fd, text, strlen(text), SIZE_MAX);
}

static inline bool read_some(int fd, struct buf *in, size_t most)
{
    char chunk[65536];
    ssize_t got = recv(fd, chunk, most < sizeof(chunk) ? most : sizeof(chunk), 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        fail_msg("the server neither answers nor closes");
    if (got <= 0)
        return false;
    buf_append(in, chunk, (size_t)got);
    return true;
}

/* Reads one answer with Content-Length, byte-exact, so that the next stays in the socket. */
static inline char *read_answer(int fd, bool head_only)
{
    struct buf in;
    buf_init(&in, ANSWER_MAX);
    while (!strstr(buf_text(&in), "\r\n\r\n"))
        assert_true(read_some(fd, &in, 1));
    const char *length = strstr(in.data, "Content-Length: ");
    size_t left = length && !head_only ? strtoul(length + 16, NULL, 10) : 0;
    while (left > 0) {
        size_t before = in.len;
        assert_true(read_some(fd, &in, left));
        left -= in.len - before;
    }
    return in.data;
}

static inline char *read_to_end(int fd)
{
    struct buf in;
    buf_init(&in, ANSWER_MAX);
    while (read_some(fd, &in, SIZE_MAX))
        ;
    close(fd);
    return in.data ? in.data : xstrdup("");
}

static inline char *exchange(const char *raw, size_t len, size_t piece)
{
    int fd = client_to(patient);
    send_bytes(fd, raw, len, piece);
    return read_to_end(fd);
}

static inline int status_of(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? (int)strtol(answer + 9, NULL, 10) : -1;
}

static inline const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    return end ? end + 4 : "";
}

static inline void wait_for(atomic_int *value, int wanted)
{
    for (int i = 0; i < PATIENCE_S * 1000 && *value != wanted; i++)
        usleep(1000);
    assert_int_equal(*value, wanted);
}

/* A problem document whose correlation id is the header's. */
static inline void assert_problem(const char *name, const char *answer, int status)
{
    if (status_of(answer) != status)
        fail_msg("%s: expected %d, got: %.300s", name, status, answer);
    assert_non_null(strstr(answer, "\r\nContent-Type: application/problem+json\r\n"));
    const char *body = body_of(answer);
    struct error err = {0};
    cJSON *problem = json_parse(body, strlen(body), &err);
    if (!problem)
        fail_msg("%s: %s: %s", name, err.text, body);
    assert_int_equal(json_num(problem, "status", 0), status);
    assert_string_equal(json_str(problem, "type"), "about:blank");
    assert_string_equal(json_str(problem, "title"), json_str(problem, "error"));
    assert_string_equal(json_str(problem, "detail"), json_str(problem, "message"));
    char header[100];
    snprintf(header, sizeof(header), "\r\nX-Correlation-Id: %s\r\n", json_str(problem, "correlation_id"));
    assert_true(uuid_valid(json_str(problem, "correlation_id")));
    assert_non_null(strstr(answer, header));
    cJSON_Delete(problem);
}

#define RAW(text) text, sizeof(text) - 1
#define HOST "Host: h\r\n"
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
