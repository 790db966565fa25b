/* What the files of the server share: listener, connections, requests. Loop thread only. */
#ifndef HELPDESK_HTTP_INTERNAL_H
#define HELPDESK_HTTP_INTERNAL_H

#include <event2/bufferevent.h>
#include <sys/queue.h>
#include <time.h>
#include "base/buf.h"
#include "base/ids.h"
#include "base/metrics.h"
#include "http/reader.h"
#include "http/router.h"
#include "http/server.h"
#include "http/uri.h"

#define HTTP_CORRELATION_MAX 128
#define HTTP_STATUSES_MAX 24

/* The metrics of a route, found once. */
struct http_stats {
    const char *server;
    const char *route;
    struct metric *seconds;
    size_t count;
    struct {
        int status;
        struct metric *requests;
    } by_status[HTTP_STATUSES_MAX];
};

struct http_request {
    TAILQ_ENTRY(http_request) link;
    struct http_server *server;
    struct http_conn *conn; /* NULL: the client is gone */
    struct http_reader reader;
    struct arena *arena; /* NULL until the request is whole or refused */
    struct http_match match;
    struct http_stats *stats;
    struct uri_pair *query;
    size_t query_count;
    size_t arriving;    /* bytes counted in server->arriving */
    struct buf headers; /* of the answer */
    char correlation_id[HTTP_CORRELATION_MAX + 1];
    int64_t arrived_ms;
    int64_t arrived_us;
    void (*on_abort)(void *arg);
    void *on_abort_arg;
};

enum http_conn_state {
    HTTP_CONN_READING,   /* idle, or in the middle of a request */
    HTTP_CONN_WAITING,   /* a handler has the request */
    HTTP_CONN_FLUSHING,  /* the last answer is on its way out */
    HTTP_CONN_LINGERING, /* our end is shut; what still comes in is thrown away until the client closes */
};

struct http_conn {
    TAILQ_ENTRY(http_conn) link;
    struct http_server *server;
    struct bufferevent *bev;
    struct http_request *request; /* being read, or with the handler; NULL when idle */
    enum http_conn_state state;
    bool running;        /* conn_run is on the stack */
    bool unsent;         /* counted in server->unsent */
    int64_t read_by_ms;  /* monotonic: idle or reading ends then; 0: neither */
    int64_t write_by_ms; /* monotonic: what is unsent is dropped then; 0: nothing unsent */
    int64_t timer_at_ms; /* when `timer` fires; 0: not armed */
    struct loop_timer *timer;
};

TAILQ_HEAD(http_request_list, http_request);
TAILQ_HEAD(http_conn_list, http_conn);

struct http_server {
    struct loop *loop;
    struct http_server_options options;
    char *name;
    struct evconnlistener *listener;
    struct loop_timer *accept_timer; /* takes up accepting again after the process ran out of descriptors */
    int port;
    bool draining;
    size_t conn_count;
    size_t conn_max;
    size_t request_count; /* begun and not yet answered */
    size_t unsent;        /* connections with answers not yet handed to the socket */
    size_t arriving;      /* bytes of bodies that are not whole yet */
    struct http_conn_list conns;
    struct http_request_list requests;
    struct http_stats *stats; /* one per route, then HTTP_STATS_UNMATCHED, then HTTP_STATS_UNREADABLE */
    size_t route_count;
    time_t date_at;
    char date[40]; /* of the Date header, for the second `date_at` */
};

/* server.c */
void http_server_closed_one(
    struct http_server *server); /* a connection is gone: accept again if it was the limit */

/* conn.c */
void http_conn_open(struct http_server *server, evutil_socket_t fd); /* takes the socket */
void http_conn_free(struct http_conn *conn);  /* closes it; a waiting request is aborted */
void http_conn_drain(struct http_conn *conn); /* closes it if it is idle */
void http_conn_answered(
    struct http_conn *conn, bool keep); /* the request of `conn` was answered and is gone */

/* request.c */
struct http_request *http_request_new(struct http_conn *conn);
void http_request_free(struct http_request *request);
void http_request_dispatch(
    struct http_request *request); /* a request that was read or refused: routes or answers it */
void http_stats_init(struct http_stats *stats, const char *server, const char *route);
void http_stats_count(struct http_stats *stats, int status, double seconds);

/* respond.c */
const char *http_status_text(int status);

#endif
