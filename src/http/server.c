/* The listener of the HTTP server.
 *
 * The server is our own request reader (reader.c) on libevent's bufferevents, not evhttp. A guard before
 * evhttp would have to find the end of every head and body itself, so two parsers would read each request,
 * and two readers that may differ are what smuggling is made of. evhttp 2.1.12 also answers what it refuses
 * with an HTML page that cannot be replaced, and has no deadline for a whole request. */
#include <errno.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/log.h"
#include "http/internal.h"

#define BACKLOG 4096
#define ACCEPT_PAUSE_MS 100
/* Descriptors left to the rest of the process: database, broker, files. */
#define DESCRIPTORS_KEPT 128
#define DESCRIPTORS_LEAST 16

/* Raises the limit of open files as far as it goes; returns how many connections that allows. */
static size_t raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return DESCRIPTORS_LEAST;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            limit = raised;
        }
    }
    return limit.rlim_cur > DESCRIPTORS_KEPT + DESCRIPTORS_LEAST ? limit.rlim_cur - DESCRIPTORS_KEPT
                                                                 : DESCRIPTORS_LEAST;
}

static void on_accept(
    struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len, void *arg)
{
    (void)address;
    (void)len;
    struct http_server *server = arg;
    http_conn_open(server, fd);
    if (server->conn_count >= server->conn_max) {
        evconnlistener_disable(listener);
    }
}

/* Out of descriptors: the listener would spin, as the connection stays in its queue. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct http_server *server = arg;
    log_warn("connection not accepted", LOG_STR("server", server->name), LOG_STR("why", strerror(errno)));
    evconnlistener_disable(listener);
    loop_timer_arm(server->accept_timer, ACCEPT_PAUSE_MS);
}

static void on_accept_pause_over(void *arg)
{
    struct http_server *server = arg;
    if (server->listener && server->conn_count < server->conn_max) {
        evconnlistener_enable(server->listener);
    }
}

void http_server_closed_one(struct http_server *server)
{
    if (server->listener && server->conn_count + 1 == server->conn_max) {
        evconnlistener_enable(server->listener);
    }
}

static bool listen_on(struct http_server *server, const struct addrinfo *address, struct error *err)
{
    const struct http_server_options *options = &server->options;
    server->listener = evconnlistener_new_bind(loop_base(server->loop), on_accept, server,
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, BACKLOG, address->ai_addr,
        (int)address->ai_addrlen);
    if (!server->listener) {
        int why = EVUTIL_SOCKET_ERROR();
        return error_set(err, ERROR_FATAL, why == EADDRINUSE ? "port_busy" : "listen_failed",
            "cannot listen on %s port %d: %s", options->host, options->port, strerror(why));
    }
    evconnlistener_set_error_cb(server->listener, on_accept_error);
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound = {0};
    socklen_t len = sizeof(bound);
    if (getsockname(evconnlistener_get_fd(server->listener), &bound.any, &len) == 0) {
        server->port = ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
    }
    return true;
}

static bool resolve_and_listen(struct http_server *server, struct error *err)
{
    const struct http_server_options *options = &server->options;
    char port[16];
    snprintf(port, sizeof(port), "%d", options->port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(options->host, port, &hints, &found);
    if (failed != 0) {
        return error_set(err, ERROR_FATAL, "listen_failed", "cannot listen on %s port %d: %s", options->host,
            options->port, gai_strerror(failed));
    }
    bool ok = listen_on(server, found, err);
    freeaddrinfo(found);
    return ok;
}

struct http_server *http_server_new(
    struct loop *loop, const struct http_server_options *options, struct error *err)
{
    struct http_server *server = xcalloc(1, sizeof(*server));
    server->loop = loop;
    server->options = *options;
    server->name = xstrdup(options->name);
    server->conn_max = raise_descriptors();
    TAILQ_INIT(&server->conns);
    TAILQ_INIT(&server->requests);
    while (options->routes[server->route_count].method) {
        server->route_count++;
    }
    server->stats = xcalloc(server->route_count + 2, sizeof(*server->stats));
    for (size_t i = 0; i < server->route_count; i++) {
        http_stats_init(&server->stats[i], server->name, options->routes[i].pattern);
    }
    http_stats_init(&server->stats[server->route_count], server->name, "unmatched");
    http_stats_init(&server->stats[server->route_count + 1], server->name, "unreadable");
    server->accept_timer = loop_timer_new(loop, on_accept_pause_over, server);
    if (!resolve_and_listen(server, err)) {
        http_server_free(server);
        return NULL;
    }
    return server;
}

int http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_drain(struct http_server *server)
{
    if (server->draining) {
        return;
    }
    server->draining = true;
    evconnlistener_free(server->listener);
    server->listener = NULL;
    struct http_conn *next;
    for (struct http_conn *conn = TAILQ_FIRST(&server->conns); conn; conn = next) {
        next = TAILQ_NEXT(conn, link);
        http_conn_drain(conn);
    }
}

size_t http_server_open(const struct http_server *server)
{
    return server->request_count + server->unsent;
}

void http_server_free(struct http_server *server)
{
    if (!server) {
        return;
    }
    if (server->listener) {
        evconnlistener_free(server->listener);
    }
    server->listener = NULL;
    struct http_request *request;
    while ((request = TAILQ_FIRST(&server->requests))) {
        http_request_free(request);
    }
    struct http_conn *conn;
    while ((conn = TAILQ_FIRST(&server->conns))) {
        http_conn_free(conn);
    }
    loop_timer_free(server->accept_timer);
    free(server->stats);
    free(server->name);
    free(server);
}
