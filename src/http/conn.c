/* A connection: reads one request after the other, in order, under absolute deadlines, and closes without
 * losing the last answer. */
#include <event2/buffer.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "http/internal.h"

#define IDLE_MS 60000  /* between requests */
#define WRITE_MS 60000 /* for a client to take an answer */
#define LINGER_MS 2000 /* for a client to close after us */
/* Bytes read ahead of the request under way. A client that fills it is not read from, so its leaving shows at
 * the answer. */
#define INPUT_MAX (16 * 1024)
#define UNSENT_MAX (64 * 1024) /* bytes of answers above which the next pipelined request waits */

static void conn_run(struct http_conn *conn);

static size_t conn_unsent(const struct http_conn *conn)
{
    return evbuffer_get_length(bufferevent_get_output(conn->bev));
}

void http_conn_free(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    struct http_request *request = conn->request;
    bool waiting = conn->state == HTTP_CONN_WAITING;
    TAILQ_REMOVE(&server->conns, conn, link);
    server->conn_count--;
    server->unsent -= conn->unsent;
    loop_timer_free(conn->timer);
    bufferevent_free(conn->bev);
    free(conn);
    http_server_closed_one(server);
    if (!request) {
        return;
    }
    request->conn = NULL;
    if (!waiting) {
        http_request_free(request);
    } else if (request->on_abort) {
        request->on_abort(request->on_abort_arg); /* may answer, which frees the request */
    }
}

/* Arms the timer for the nearer deadline. One that is armed for an earlier time stays: it looks again when it
 * fires. */
static void conn_arm(struct http_conn *conn)
{
    int64_t at = conn->read_by_ms;
    if (conn->write_by_ms && (!at || conn->write_by_ms < at)) {
        at = conn->write_by_ms;
    }
    if (!at || (conn->timer_at_ms && conn->timer_at_ms <= at)) {
        return;
    }
    int64_t now = clock_mono_ms();
    conn->timer_at_ms = at;
    loop_timer_arm(conn->timer, at > now ? at - now : 0);
}

/* Our end is closed first and the client's bytes are thrown away for a while: closing a socket with unread
 * bytes resets it, and a reset can take the answer from the client's hands (RFC 9112 section 9.6). */
static void conn_linger(struct http_conn *conn)
{
    conn->state = HTTP_CONN_LINGERING;
    conn->read_by_ms = clock_mono_ms() + LINGER_MS;
    shutdown(bufferevent_getfd(conn->bev), SHUT_WR);
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    evbuffer_drain(input, evbuffer_get_length(input));
    bufferevent_enable(conn->bev, EV_READ);
}

/* After anything that may have changed what the connection waits for. */
static void conn_settle(struct http_conn *conn)
{
    bool unsent = conn_unsent(conn) > 0;
    conn->server->unsent += (size_t)unsent - (size_t)conn->unsent;
    if (unsent && !conn->write_by_ms) {
        conn->write_by_ms = clock_mono_ms() + WRITE_MS;
    } else if (!unsent) {
        conn->write_by_ms = 0;
    }
    conn->unsent = unsent;
    if (conn->state == HTTP_CONN_FLUSHING && !unsent) {
        conn_linger(conn);
    }
    conn_arm(conn);
}

/* Whoever sends slowly holds memory that nobody has admitted yet. */
static void conn_count_body(struct http_request *request)
{
    struct http_server *server = request->server;
    struct http_reader *reader = &request->reader;
    size_t held = reader->state == HTTP_READER_BODY ? reader->body.len : 0;
    server->arriving += held - request->arriving;
    request->arriving = held;
    if (held > 0 && server->options.max_arriving > 0 && server->arriving > server->options.max_arriving) {
        http_reader_full(reader);
    }
}

/* Hands the bytes that are there to the request's reader. */
static void conn_feed(struct http_conn *conn, struct evbuffer *input)
{
    struct http_reader *reader = &conn->request->reader;
    struct evbuffer_iovec piece;
    while (reader->state < HTTP_READER_DONE && evbuffer_peek(input, -1, NULL, &piece, 1) > 0) {
        size_t used = http_reader_feed(reader, piece.iov_base, piece.iov_len);
        evbuffer_drain(input, used);
    }
    conn_count_body(conn->request);
    if (reader->state == HTTP_READER_BODY && reader->expect_continue && reader->body.len == 0) {
        reader->expect_continue = false;
        bufferevent_write(conn->bev, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
}

/* One request further; false when there is nothing to do but wait. */
static bool conn_step(struct http_conn *conn)
{
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    if (conn->state != HTTP_CONN_READING || evbuffer_get_length(input) == 0 ||
        conn_unsent(conn) > UNSENT_MAX) {
        return false;
    }
    if (!conn->request) {
        conn->request = http_request_new(conn);
        conn->read_by_ms = clock_mono_ms() + conn->server->options.read_deadline_ms;
    }
    conn_feed(conn, input);
    if (conn->request->reader.state < HTTP_READER_DONE) {
        return false;
    }
    conn->state = HTTP_CONN_WAITING;
    conn->read_by_ms = 0;
    http_request_dispatch(conn->request);
    return true;
}

/* Requests are taken in a loop, not by each answer calling the next: a long pipeline must not deepen the
 * stack. */
static void conn_run(struct http_conn *conn)
{
    conn->running = true;
    while (conn_step(conn)) {
        ;
    }
    conn->running = false;
    conn_settle(conn);
}

void http_conn_answered(struct http_conn *conn, bool keep)
{
    conn->request = NULL;
    conn->state = keep ? HTTP_CONN_READING : HTTP_CONN_FLUSHING;
    conn->read_by_ms = keep ? clock_mono_ms() + IDLE_MS : 0;
    if (!keep) {
        bufferevent_disable(conn->bev, EV_READ);
    }
    if (!conn->running) {
        conn_run(conn);
    }
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct http_conn *conn = arg;
    if (conn->state == HTTP_CONN_LINGERING) {
        evbuffer_drain(bufferevent_get_input(bev), evbuffer_get_length(bufferevent_get_input(bev)));
    } else {
        conn_run(conn);
    }
}

/* All that was unsent is out: what comes next has its own deadline. */
static void on_written(struct bufferevent *bev, void *arg)
{
    (void)bev;
    struct http_conn *conn = arg;
    conn->write_by_ms = 0;
    conn_run(conn);
}

/* The client closed its end, or the connection broke. An answer under way is still sent to one that only
 * closed its sending side; one that waits is taken for gone, as nothing tells the two apart. */
static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct http_conn *conn = arg;
    bool half_closed = (what & BEV_EVENT_EOF) && conn->unsent && conn->state != HTTP_CONN_WAITING;
    if (!half_closed) {
        http_conn_free(conn);
        return;
    }
    bufferevent_disable(bev, EV_READ);
    if (conn->request) {
        http_request_free(conn->request);
    }
    conn->request = NULL;
    conn->read_by_ms = 0;
    conn->state = HTTP_CONN_FLUSHING;
}

static void on_timer(void *arg)
{
    struct http_conn *conn = arg;
    int64_t now = clock_mono_ms();
    conn->timer_at_ms = 0;
    bool late_reading = conn->read_by_ms && conn->read_by_ms <= now;
    bool late_writing = conn->write_by_ms && conn->write_by_ms <= now;
    if (late_writing || (late_reading && !conn->request)) {
        http_conn_free(conn);
    } else if (late_reading) {
        http_reader_late(&conn->request->reader);
        conn->state = HTTP_CONN_WAITING;
        conn->read_by_ms = 0;
        http_request_dispatch(conn->request);
    } else {
        conn_arm(conn);
    }
}

void http_conn_drain(struct http_conn *conn)
{
    if (conn->state == HTTP_CONN_READING && !conn->request && !conn->unsent) {
        http_conn_free(conn);
    }
}

void http_conn_open(struct http_server *server, evutil_socket_t fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct bufferevent *bev = bufferevent_socket_new(loop_base(server->loop), fd, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        evutil_closesocket(fd);
        return;
    }
    struct http_conn *conn = xcalloc(1, sizeof(*conn));
    conn->server = server;
    conn->bev = bev;
    conn->timer = loop_timer_new(server->loop, on_timer, conn);
    conn->read_by_ms = clock_mono_ms() + IDLE_MS;
    TAILQ_INSERT_TAIL(&server->conns, conn, link);
    server->conn_count++;
    bufferevent_setcb(bev, on_read, on_written, on_event, conn);
    bufferevent_setwatermark(bev, EV_READ, 0, INPUT_MAX);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
    conn_arm(conn);
}
