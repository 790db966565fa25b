/* Raw bytes into the request reader, whole and byte by byte (both must agree), then path and query into the
 * router. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "http/reader.h"
#include "http/router.h"
#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void handle(struct http_request *request, void *arg)
{
    (void)request;
    (void)arg;
}

static const struct http_route routes[] = {
    {"POST", "/tickets", handle},
    {"POST", "/tickets/classify", handle},
    {"GET", "/tickets/{ticket_id}", handle},
    {"POST", "/tickets/{ticket_id}/feedback", handle},
    {"GET", "/customers/{external_id}/context", handle},
    {NULL, NULL, NULL},
};

static void check(bool right)
{
    if (!right)
        abort();
}

static void route(const struct http_reader *reader)
{
    struct arena *arena = arena_new(0);
    struct http_match match;
    http_router_match(routes, http_reader_method(reader), http_reader_path(reader), arena, &match);
    check(match.status == 200 || match.status == 400 || match.status == 404 || match.status == 405);
    check((match.status == 200) == (match.route != NULL));
    http_match_param(&match, "ticket_id");
    struct uri_pair *pairs;
    size_t count;
    if (http_reader_query(reader))
        uri_parse_query(arena, http_reader_query(reader), &pairs, &count);
    arena_free(arena);
}

/* A request that passed holds nothing that a second reader could take differently. */
static void check_request(const struct http_reader *reader)
{
    size_t from = 0;
    check(reader->body.len == reader->content_length && reader->content_length <= reader->max_body);
    check(!http_reader_header(reader, "Transfer-Encoding", &from));
    static const char *const once[] = {"Host", "Content-Length"};
    for (size_t i = 0; i < 2; i++) {
        from = 0;
        if (http_reader_header(reader, once[i], &from))
            check(!http_reader_header(reader, once[i], &from));
    }
    for (size_t i = 0; i < reader->header_count; i++) {
        const char *value = reader->head.data + reader->headers[i].value;
        check(strpbrk(reader->head.data + reader->headers[i].name, " \t\r\n:") == NULL);
        check(strpbrk(value, "\r\n") == NULL);
    }
    http_reader_keep_alive(reader);
    route(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct http_reader whole, split;
    for (size_t at = 0; at < size;) {
        http_reader_init(&whole, 1024);
        http_reader_init(&split, 1024);
        size_t used = http_reader_feed(&whole, bytes + at, size - at);
        size_t used_split = 0;
        while (at + used_split < size && http_reader_feed(&split, bytes + at + used_split, 1) == 1)
            used_split++;
        check(whole.state == split.state && whole.status == split.status);
        /* a line that is too long is refused at different places; the connection ends either way */
        check(used == used_split || whole.state == HTTP_READER_REFUSED);
        bool done = whole.state == HTTP_READER_DONE;
        if (done)
            check_request(&whole);
        http_reader_fini(&whole);
        http_reader_fini(&split);
        if (!done)
            break;
        at += used;
    }
    return 0;
}
