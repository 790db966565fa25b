/* The strict request reader: a line is looked at as soon as it is whole, and the first doubt ends the
 * connection. */
#include "http/reader.h"

#include <string.h>
#include <strings.h>

/* A request line may hold the longest target, a method and the version. */
#define METHOD_MAX 32
#define LINE_MAX_BYTES (METHOD_MAX + HTTP_TARGET_MAX + 16)
#define LENGTH_DIGITS_MAX 18

void http_reader_init(struct http_reader *reader, size_t max_body)
{
    memset(reader, 0, sizeof(*reader));
    reader->max_body = max_body;
    buf_init(&reader->head, HTTP_HEAD_MAX);
}

void http_reader_fini(struct http_reader *reader)
{
    buf_fini(&reader->head);
    buf_fini(&reader->body);
}

static void refuse(struct http_reader *reader, int status, const char *why)
{
    if (reader->state == HTTP_READER_REFUSED) {
        return;
    }
    reader->state = HTTP_READER_REFUSED;
    reader->status = status;
    reader->why = why;
}

/* tchar of RFC 9110 section 5.6.2. */
static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) {
            return false;
        }
    }
    return len > 0;
}

/* The characters of uri-host and port, without user information (RFC 9110 section 7.2). */
static bool is_authority(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == 0 || !strchr("-._~%!$&'()*+,;=:[]", c))) {
            return false;
        }
    }
    return len > 0;
}

static bool read_version(struct http_reader *reader, const char *text, size_t len)
{
    if (len != 8 || memcmp(text, "HTTP/", 5) != 0 || text[6] != '.' || text[5] < '0' || text[5] > '9' ||
        text[7] < '0' || text[7] > '9') {
        refuse(reader, 400, "The request line must be: method, space, target, space, HTTP/1.1.");
        return false;
    }
    if (text[5] != '1' || text[7] > '1') {
        refuse(reader, 505, "Use HTTP/1.1.");
        return false;
    }
    reader->http_1_0 = text[7] == '0';
    return true;
}

/* Finds path and query in a target of origin, absolute or asterisk form (RFC 9112 section 3.2). */
static void read_target(struct http_reader *reader, size_t start, size_t len)
{
    char *text = reader->head.data + start;
    size_t skip = 0;
    if (strncasecmp(text, "http://", 7) == 0) {
        skip = 7;
    } else if (strncasecmp(text, "https://", 8) == 0) {
        skip = 8;
    }
    if (skip > 0) {
        size_t host = strcspn(text + skip, "/?");
        if (!is_authority(text + skip, host)) {
            refuse(reader, 400, "The host in the request target is not valid.");
            return;
        }
        skip += host;
    } else if (text[0] != '/' &&
               !(strcmp(text, "*") == 0 && strcmp(http_reader_method(reader), "OPTIONS") == 0)) {
        refuse(reader, 400, "The request target must be a path that starts with '/'.");
        return;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f || c == '#') {
            refuse(reader, 400, "The request target holds a character that must be percent-encoded.");
            return;
        }
    }
    reader->path = (uint16_t)(start + skip);
    char *mark = strchr(text + skip, '?');
    if (mark) {
        *mark = '\0';
        reader->has_query = true;
        reader->query = (uint16_t)(mark + 1 - reader->head.data);
    }
}

static void read_request_line(struct http_reader *reader, size_t start, size_t len)
{
    char *line = reader->head.data + start;
    char *first = memchr(line, ' ', len);
    char *second = first ? memchr(first + 1, ' ', len - (size_t)(first + 1 - line)) : NULL;
    if (!second || !is_token(line, (size_t)(first - line)) || first - line > METHOD_MAX ||
        second == first + 1) {
        refuse(reader, 400, "The request line must be: method, space, target, space, HTTP/1.1.");
        return;
    }
    if (!read_version(reader, second + 1, len - (size_t)(second + 1 - line))) {
        return;
    }
    size_t target_len = (size_t)(second - first - 1);
    if (target_len > HTTP_TARGET_MAX) {
        refuse(reader, 414, "The request target is longer than 8 KiB.");
        return;
    }
    *first = '\0';
    *second = '\0';
    reader->method = (uint16_t)start;
    reader->has_line = true;
    read_target(reader, (size_t)(first + 1 - reader->head.data), target_len);
}

static void read_host(struct http_reader *reader, const char *value)
{
    if (!is_authority(value, strlen(value))) {
        refuse(reader, 400, "The Host header is not valid.");
    }
    reader->has_host = true;
}

static void read_length(struct http_reader *reader, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || value[digits] != '\0') {
        refuse(reader, 400, "Content-Length must be one decimal number.");
        return;
    }
    if (digits > LENGTH_DIGITS_MAX) {
        refuse(reader, 413, "The body is larger than this server takes.");
        return;
    }
    for (size_t i = 0; i < digits; i++) {
        reader->content_length = reader->content_length * 10 + (size_t)(value[i] - '0');
    }
    reader->has_length = true;
}

static void read_coding(struct http_reader *reader, const char *value)
{
    (void)value;
    reader->has_coding = true;
}

static void read_expect(struct http_reader *reader, const char *value)
{
    if (reader->http_1_0) {
        return;
    }
    if (strcasecmp(value, "100-continue") == 0) {
        reader->expect_continue = true;
    } else {
        refuse(reader, 417, "The only expectation known is 100-continue.");
    }
}

/* What would be ambiguous if it came twice. */
static const struct {
    const char *name;
    void (*read)(struct http_reader *reader, const char *value);
} once[] = {
    {"Host", read_host},
    {"Content-Length", read_length},
    {"Transfer-Encoding", read_coding},
    {"Expect", read_expect},
    {"Content-Type", NULL},
    {"Authorization", NULL},
    {"Idempotency-Key", NULL},
};

/* Connection is a list and may come several times (RFC 9110 section 7.6.1). */
static void read_connection(struct http_reader *reader, const char *value)
{
    while (*value) {
        value += strspn(value, " \t,");
        size_t len = strcspn(value, " \t,");
        if (len == 5 && strncasecmp(value, "close", len) == 0) {
            reader->asked_close = true;
        } else if (len == 10 && strncasecmp(value, "keep-alive", len) == 0) {
            reader->asked_keep = true;
        }
        value += len;
    }
}

static void note_header(struct http_reader *reader, const char *name, const char *value)
{
    if (strcasecmp(name, "Connection") == 0) {
        read_connection(reader, value);
        return;
    }
    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
        if (strcasecmp(name, once[i].name) != 0) {
            continue;
        }
        if (reader->seen & (1u << i)) {
            refuse(reader, 400, "A header that may come only once came twice.");
        } else if (once[i].read) {
            once[i].read(reader, value);
        }
        reader->seen |= 1u << i;
        return;
    }
}

static void read_header(struct http_reader *reader, size_t start, size_t len)
{
    char *line = reader->head.data + start;
    char *colon = memchr(line, ':', len);
    if (line[0] == ' ' || line[0] == '\t') {
        refuse(reader, 400, "Folded headers are not accepted.");
        return;
    }
    if (!colon || !is_token(line, (size_t)(colon - line))) {
        refuse(reader, 400, "A header line must be: name, colon, value; without a space before the colon.");
        return;
    }
    if (reader->header_count == HTTP_HEADERS_MAX) {
        refuse(reader, 431, "More than 100 headers.");
        return;
    }
    *colon = '\0';
    char *value = colon + 1;
    value += strspn(value, " \t");
    char *end = line + len;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    *end = '\0';
    struct http_reader_header *header = &reader->headers[reader->header_count++];
    header->name = (uint16_t)start;
    header->value = (uint16_t)(value - reader->head.data);
    note_header(reader, line, value);
}

static void finish_head(struct http_reader *reader)
{
    if (reader->has_coding) {
        refuse(reader, 411, "Transfer-Encoding is not accepted: send Content-Length.");
    } else if (!reader->http_1_0 && !reader->has_host) {
        refuse(reader, 400, "HTTP/1.1 needs a Host header.");
    } else if (reader->content_length > reader->max_body) {
        refuse(reader, 413, "The body is larger than this server takes.");
    } else {
        reader->state = reader->content_length > 0 ? HTTP_READER_BODY : HTTP_READER_DONE;
    }
    buf_init(&reader->body, reader->content_length + 1);
}

/* The line from `start` whose LF is the last byte of `head`. */
static void read_line(struct http_reader *reader, size_t start)
{
    char *line = reader->head.data + start;
    size_t len = reader->head.len - start - 1;
    if (len == 0 || line[len - 1] != '\r') {
        refuse(reader, 400, "Every line of the head must end with CR LF.");
        return;
    }
    line[--len] = '\0';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            refuse(reader, 400, "The head holds a control character.");
            return;
        }
    }
    if (reader->has_line && len == 0) {
        finish_head(reader);
    } else if (reader->has_line) {
        read_header(reader, start, len);
    } else if (len == 0 && !reader->skipped_blank) {
        reader->skipped_blank = true;
    } else {
        read_request_line(reader, start, len);
    }
}

/* Takes up to the end of one line. */
static size_t feed_head(struct http_reader *reader, const char *data, size_t len)
{
    const char *newline = memchr(data, '\n', len);
    size_t take = newline ? (size_t)(newline - data) + 1 : len;
    buf_append(&reader->head, data, take);
    if (!reader->has_line && (reader->head.failed || reader->head.len - reader->line > LINE_MAX_BYTES)) {
        refuse(reader, 414, "The request target is longer than 8 KiB.");
    } else if (reader->head.failed) {
        refuse(reader, 431, "The head of the request is larger than 16 KiB.");
    } else if (newline) {
        read_line(reader, reader->line);
        reader->line = reader->head.len;
    }
    return take;
}

size_t http_reader_feed(struct http_reader *reader, const char *data, size_t len)
{
    size_t used = 0;
    while (used < len && reader->state == HTTP_READER_HEAD) {
        used += feed_head(reader, data + used, len - used);
    }
    if (used < len && reader->state == HTTP_READER_BODY) {
        size_t wanted = reader->content_length - reader->body.len;
        size_t take = len - used < wanted ? len - used : wanted;
        buf_append(&reader->body, data + used, take);
        used += take;
        if (reader->body.len == reader->content_length) {
            reader->state = HTTP_READER_DONE;
        }
    }
    return used;
}

void http_reader_late(struct http_reader *reader)
{
    refuse(reader, 408, "The request took too long to arrive.");
}

void http_reader_full(struct http_reader *reader)
{
    refuse(reader, 503, "Too much is being sent at once. Nothing was taken; try again soon.");
}

const char *http_reader_method(const struct http_reader *reader)
{
    return reader->head.data + reader->method;
}

const char *http_reader_path(const struct http_reader *reader)
{
    const char *path = reader->head.data + reader->path;
    return *path ? path : "/"; /* "http://host" has none */
}

const char *http_reader_query(const struct http_reader *reader)
{
    return reader->has_query ? reader->head.data + reader->query : NULL;
}

const char *http_reader_header(const struct http_reader *reader, const char *name, size_t *from)
{
    while (*from < reader->header_count) {
        const struct http_reader_header *header = &reader->headers[(*from)++];
        if (strcasecmp(reader->head.data + header->name, name) == 0) {
            return reader->head.data + header->value;
        }
    }
    return NULL;
}

bool http_reader_keep_alive(const struct http_reader *reader)
{
    return !reader->asked_close && (!reader->http_1_0 || reader->asked_keep);
}
