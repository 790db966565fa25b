/* A bucket of S3, or a prefix in one, as a source of documents. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "base/alloc.h"
#include "base/parse.h"
#include "blob/s3.h"

#define HEADER_SIZE 256

/* ---- a source's life ---- */

static void *s3_source_open(struct loop *loop, const struct blob_place *place, struct error *err)
{
    return s3_new(loop, place, err);
}

static void s3_source_close(void *state)
{
    s3_free(state);
}

static void s3_source_abort(void *state)
{
    s3_abort(state);
}

/* ---- walking: ListObjectsV2, whose keys come in UTF-8 byte order ---- */

struct s3_walk {
    struct s3 *s3;
    char *token; /* of the next page; NULL: the first */
    /* Of one page: */
    struct arena *arena;
    struct blob_page page;
    blob_page_done *done;
    void *arg;
};

static void *s3_walk_new(void *state)
{
    struct s3_walk *walk = xcalloc(1, sizeof(*walk));
    walk->s3 = state;
    return walk;
}

static void s3_walk_free(void *state)
{
    struct s3_walk *walk = state;
    free(walk->token);
    free(walk);
}

static void on_listed(void *arg, const struct http_call_result *result, const struct error *err)
{
    struct s3_walk *walk = arg;
    struct s3_list list = {0};
    struct error why;
    if (result && !s3_answer_list(walk->arena, buf_text(&result->body), result->body.len, walk->s3->prefix,
                      &list, &why)) {
        err = &why;
    }
    if (err) {
        walk->done(walk->arg, NULL, err);
        return;
    }
    free(walk->token);
    walk->token = list.next ? xstrdup(list.next) : NULL;
    walk->page = (struct blob_page){
        .objects = list.objects, .count = list.count, .last = !list.next, .refused = list.refused};
    walk->done(walk->arg, &walk->page, NULL);
}

static void s3_walk_next(void *state, struct arena *arena, blob_page_done *done, void *arg)
{
    struct s3_walk *walk = state;
    walk->arena = arena;
    walk->done = done;
    walk->arg = arg;
    const char *prefix = walk->s3->prefix;
    const struct s3_request request = {.method = "GET",
        .query = arena_printf(arena, "%s%sencoding-type=url&list-type=2&max-keys=%d%s%s",
            walk->token ? "continuation-token=" : "",
            walk->token ? arena_printf(arena, "%s&", sigv4_encode(arena, walk->token)) : "", S3_PAGE_OBJECTS,
            *prefix ? "&prefix=" : "", sigv4_encode(arena, prefix)),
        .max_answer = S3_LIST_MAX};
    s3_send(walk->s3, &request, on_listed, walk);
}

/* ---- reading ---- */

/* One ranged GET, which a server answers from one version of the object. The ETag that is kept is this
 * answer's, never a listing's: a version written in between is another one at the next look. */
struct s3_read {
    struct s3 *s3;
    struct arena *arena;
    const char *key;
    size_t max;
    bool whole; /* without a range: an empty object has none that could be asked for */
    blob_read_done *done;
    void *arg;
    struct blob_content content;
};

static void send_read(struct s3_read *read);

/* All bytes of the object, by "bytes 0-99/1234" or the length of the answer; -1: it does not say. */
static int64_t total_bytes(const struct http_call_result *result)
{
    char text[HEADER_SIZE];
    int64_t total = -1;
    if (result->status != 206) {
        return (int64_t)result->body.len;
    }
    http_call_header(result, "Content-Range", text, sizeof(text));
    const char *slash = strchr(text, '/');
    return slash && parse_int64(slash + 1, &total) ? total : -1;
}

/* "Mon, 30 Nov 2026 05:27:14 GMT" (RFC 9110, 5.6.7); 0: it is not one. */
static int64_t http_date_ms(const char *text)
{
    struct tm fields = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &fields);
    return end && !*end ? (int64_t)timegm(&fields) * 1000 : 0;
}

static bool take_content(struct s3_read *read, const struct http_call_result *result, struct error *err)
{
    char etag[S3_ETAG_SIZE], modified[HEADER_SIZE];
    struct blob_content *content = &read->content;
    int64_t total = total_bytes(result);
    if (total > (int64_t)read->max) {
        return blob_too_large(err, total, read->max);
    }
    http_call_header(result, "ETag", etag, sizeof(etag));
    http_call_header(result, "Last-Modified", modified, sizeof(modified));
    if (total != (int64_t)result->body.len || !etag[0]) {
        return error_set(err, ERROR_RETRY, "blob_unavailable", "S3 sends a part of the document, or no ETag");
    }
    size_t len = strlen(etag);
    bool quoted = len >= 2 && etag[0] == '"' && etag[len - 1] == '"';
    char *data = arena_alloc(read->arena, result->body.len + 1);
    if (result->body.len > 0) {
        memcpy(data, result->body.data, result->body.len);
    }
    content->data = data;
    content->len = result->body.len;
    content->object = (struct blob_object){.key = read->key,
        .size = total,
        .modified_ms = http_date_ms(modified),
        .etag = quoted ? arena_strndup(read->arena, etag + 1, len - 2) : arena_strdup(read->arena, etag)};
    return true;
}

static void on_read(void *arg, const struct http_call_result *result, const struct error *err)
{
    struct s3_read *read = arg;
    struct error why;
    if (result && result->status == 416 && !read->whole) {
        read->whole = true;
        send_read(read);
        return;
    }
    if (result && result->status == 416) {
        error_set(&why, ERROR_RETRY, "blob_unavailable", "S3 answers 416 to a request without a range");
        err = &why;
    } else if (result && !take_content(read, result, &why)) {
        err = &why;
    }
    read->done(read->arg, err ? NULL : &read->content, err);
}

static void send_read(struct s3_read *read)
{
    const struct s3_request request = {.method = "GET",
        .key = arena_printf(read->arena, "%s%s", read->s3->prefix, read->key),
        .query = "",
        .range = read->whole ? NULL : arena_printf(read->arena, "bytes=0-%zu", read->max),
        .max_answer = read->max + 1};
    s3_send(read->s3, &request, on_read, read);
}

static void s3_read(
    void *state, struct arena *arena, const char *key, size_t max, blob_read_done *done, void *arg)
{
    struct s3_read *read = ARENA_NEW(arena, struct s3_read);
    *read = (struct s3_read){.s3 = state, .arena = arena, .key = key, .max = max, .done = done, .arg = arg};
    send_read(read);
}

/* ---- changing ---- */

struct s3_change {
    blob_change_done *done;
    void *arg;
};

static void on_changed(void *arg, const struct http_call_result *result, const struct error *err)
{
    const struct s3_change *change = arg;
    (void)result;
    bool gone = err && !strcmp(err->code, "blob_missing"); /* some servers say so of what is not there */
    change->done(change->arg, gone ? NULL : err);
}

static void send_change(
    struct s3 *s3, struct arena *arena, struct s3_request *request, blob_change_done *done, void *arg)
{
    struct s3_change *change = ARENA_NEW(arena, struct s3_change);
    *change = (struct s3_change){.done = done, .arg = arg};
    request->key = arena_printf(arena, "%s%s", s3->prefix, request->key);
    request->query = "";
    request->max_answer = S3_ERROR_MAX;
    s3_send(s3, request, on_changed, change);
}

/* Browsers go by it where the bucket is a site. */
static const char *media_type_of(const char *key)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        {".md", "text/markdown"},
        {".markdown", "text/markdown"},
        {".html", "text/html"},
        {".htm", "text/html"},
        {".xhtml", "application/xhtml+xml"},
        {".txt", "text/plain"},
        {".text", "text/plain"},
        {".csv", "text/csv"},
        {".pdf", "application/pdf"},
        {".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    };
    const char *dot = strrchr(key, '.');
    for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++) {
        if (!strcasecmp(dot, types[i].ending)) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

static void s3_write(void *state, struct arena *arena, const char *key, const void *data, size_t len,
    blob_change_done *done, void *arg)
{
    struct s3_request request = {.method = "PUT",
        .key = key,
        .body = len > 0 ? data : "",
        .body_len = len,
        .stored = media_type_of(key)};
    send_change(state, arena, &request, done, arg);
}

static void s3_remove(void *state, struct arena *arena, const char *key, blob_change_done *done, void *arg)
{
    struct s3_request request = {.method = "DELETE", .key = key};
    send_change(state, arena, &request, done, arg);
}

const struct blob_driver blob_s3 = {
    .name = "s3",
    .open = s3_source_open,
    .close = s3_source_close,
    .abort = s3_source_abort,
    .walk_new = s3_walk_new,
    .walk_free = s3_walk_free,
    .walk_next = s3_walk_next,
    .read = s3_read,
    .write = s3_write,
    .remove = s3_remove,
};
