/* Reads one HTTP/1.1 request from raw bytes and refuses whatever two readers could understand differently
 * (RFC 9112 sections 2.2, 3, 5 and 6). Knows no socket: bytes go in, a request or a refusal comes out. */
#ifndef HELPDESK_HTTP_READER_H
#define HELPDESK_HTTP_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

#define HTTP_HEAD_MAX (16 * 1024)  /* bytes of request line and headers; over it: 431 */
#define HTTP_TARGET_MAX (8 * 1024) /* bytes of the request target; over it: 414 */
#define HTTP_HEADERS_MAX 100

enum http_reader_state {
    HTTP_READER_HEAD,    /* wants more of the request line or the headers */
    HTTP_READER_BODY,    /* wants more of the body */
    HTTP_READER_DONE,    /* a whole request; takes no more bytes */
    HTTP_READER_REFUSED, /* never a request: `status` and `why` say it; takes no more bytes */
};

/* Where a header's name and value start in `head`. */
struct http_reader_header {
    uint16_t name;
    uint16_t value;
};

struct http_reader {
    enum http_reader_state state;
    int status;      /* REFUSED: what to answer */
    const char *why; /* REFUSED: one sentence for the client, static */

    struct buf head; /* the lines read so far; names, values and the request line's parts end with NUL */
    struct buf body;
    size_t max_body;
    size_t line; /* where the line being read starts in `head` */

    uint16_t method;
    uint16_t path;
    uint16_t query;
    bool has_line; /* the request line was read */
    bool has_query;
    bool skipped_blank; /* one empty line before the request line is forgiven */
    bool http_1_0;
    bool asked_close;     /* Connection: close */
    bool asked_keep;      /* Connection: keep-alive */
    bool expect_continue; /* Expect: 100-continue, HTTP/1.1 */
    bool has_host;
    bool has_coding; /* Transfer-Encoding */
    bool has_length; /* Content-Length */
    unsigned seen;   /* headers that may come only once: one bit each */
    size_t content_length;
    size_t header_count;
    struct http_reader_header headers[HTTP_HEADERS_MAX];
};

void http_reader_init(struct http_reader *reader, size_t max_body);
void http_reader_fini(struct http_reader *reader);

/* Takes bytes until the request is done or refused; returns how many. What is left belongs to the next
 * request. */
size_t http_reader_feed(struct http_reader *reader, const char *data, size_t len);

/* The deadline passed before the request was whole: refuses it with 408. */
void http_reader_late(struct http_reader *reader);
/* There is no room for more of its body: refuses it with 503. */
void http_reader_full(struct http_reader *reader);

/* Of a request that is done; borrowed from the reader. */
const char *http_reader_method(const struct http_reader *reader);
const char *http_reader_path(
    const struct http_reader *reader); /* as sent, without the query; starts with '/', or "*" */
const char *http_reader_query(const struct http_reader *reader); /* as sent, after the '?'; NULL if none */
/* The first header called `name` (any case) at or after index `*from`, which is moved behind it; NULL: no
 * more. */
const char *http_reader_header(const struct http_reader *reader, const char *name, size_t *from);
bool http_reader_keep_alive(const struct http_reader *reader);

#endif
