/* Finds the route of a method and a path. */
#ifndef HELPDESK_HTTP_ROUTER_H
#define HELPDESK_HTTP_ROUTER_H

#include <stddef.h>
#include "base/arena.h"
#include "http/server.h"

#define HTTP_SEGMENTS_MAX 16 /* a deeper path has no route */
#define HTTP_ALLOW_SIZE 64

struct http_match {
    int status;                     /* 200, 400 (undecodable path), 404, or 405 */
    const struct http_route *route; /* 200 only */
    size_t segment_count;
    const char *segments[HTTP_SEGMENTS_MAX]; /* of the path, decoded, in the arena */
    char allow[HTTP_ALLOW_SIZE];             /* 405: the methods there are */
};

/* `path` is as sent, without the query. HEAD is served by a GET route. Literal segments win over names, the
 * leftmost first, before the method is looked at: GET on a path that only POST has as a literal is 405. */
void http_router_match(const struct http_route *routes, const char *method, const char *path,
    struct arena *arena, struct http_match *match);

/* The segment that stands for {name} in the matched route; NULL if there is none. */
const char *http_match_param(const struct http_match *match, const char *name);

#endif
