/* The table of routes, walked segment by segment. */
#include "http/router.h"

#include <string.h>
#include "http/uri.h"

/* The next segment of a path or pattern: "/a/b" gives "a", then "b". False at the end. */
static bool next_segment(const char **rest, const char **segment, size_t *len)
{
    if (**rest != '/') {
        return false;
    }
    *segment = *rest + 1;
    *len = strcspn(*segment, "/");
    *rest = *segment + *len;
    return true;
}

/* 0, or the status of a path that cannot match anything. */
static int split_path(const char *path, struct arena *arena, struct http_match *match)
{
    const char *segment;
    size_t len;
    bool too_deep = path[0] != '/';
    while (next_segment(&path, &segment, &len)) {
        char *decoded = arena_alloc(arena, len + 1);
        if (!uri_decode(segment, len, false, decoded)) {
            return 400;
        }
        if (match->segment_count < HTTP_SEGMENTS_MAX) {
            match->segments[match->segment_count++] = decoded;
        } else {
            too_deep = true;
        }
    }
    return too_deep ? 404 : 0;
}

/* 0: no match; else one bit per literal segment, the leftmost the highest, above a bit that says it matches.
 */
static unsigned weigh(const char *pattern, const struct http_match *match)
{
    const char *segment;
    size_t len;
    size_t at = 0;
    unsigned weight = 1;
    while (next_segment(&pattern, &segment, &len)) {
        if (at == match->segment_count) {
            return 0;
        }
        const char *have = match->segments[at++];
        if (len > 2 && segment[0] == '{') {
            if (*have == '\0') {
                return 0;
            }
        } else if (strlen(have) != len || memcmp(have, segment, len) != 0) {
            return 0;
        } else {
            weight |= 1u << (HTTP_SEGMENTS_MAX - at + 1);
        }
    }
    return at == match->segment_count ? weight : 0;
}

static void add_allowed(char *allow, const char *method)
{
    size_t used = strlen(allow);
    size_t len = strlen(method);
    if (used + len + 3 > HTTP_ALLOW_SIZE) {
        return;
    }
    if (used > 0) {
        memcpy(allow + used, ", ", 2);
        used += 2;
    }
    memcpy(allow + used, method, len + 1);
}

static bool serves(const struct http_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

void http_router_match(const struct http_route *routes, const char *method, const char *path,
    struct arena *arena, struct http_match *match)
{
    *match = (struct http_match){.status = 404};
    int status = split_path(path, arena, match);
    if (status != 0) {
        match->status = status;
        return;
    }
    unsigned best = 0;
    for (const struct http_route *route = routes; route->method; route++) {
        unsigned weight = weigh(route->pattern, match);
        best = weight > best ? weight : best;
    }
    if (best == 0) {
        return;
    }
    match->status = 405;
    for (const struct http_route *route = routes; route->method; route++) {
        if (weigh(route->pattern, match) != best) {
            continue;
        }
        add_allowed(match->allow, route->method);
        if (strcmp(route->method, "GET") == 0) {
            add_allowed(match->allow, "HEAD");
        }
        if (!match->route && serves(route, method)) {
            match->route = route;
            match->status = 200;
        }
    }
}

const char *http_match_param(const struct http_match *match, const char *name)
{
    if (!match->route) {
        return NULL;
    }
    const char *pattern = match->route->pattern;
    const char *segment;
    size_t len;
    size_t name_len = strlen(name);
    for (size_t at = 0; next_segment(&pattern, &segment, &len); at++) {
        if (len == name_len + 2 && segment[0] == '{' && memcmp(segment + 1, name, name_len) == 0) {
            return match->segments[at];
        }
    }
    return NULL;
}
