/* Signed calls of S3: where a bucket is asked, and what an answer that is not the wanted one means. */
#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "aws/endpoint.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "blob/s3.h"
#include "http/reach.h"

#define SERVICE "s3"
#define TIMEOUT_MS 60000
#define DEFAULT_REGION "us-east-1" /* of servers other than Amazon's */
#define HEADERS_MAX 8
#define VALUE_SIZE 256

struct s3_call {
    LIST_ENTRY(s3_call) link;
    struct s3 *s3;
    struct arena *arena; /* of this call */
    struct s3_request request;
    struct aws_credentials_wait *wait;
    struct http_call *call;
    struct loop_timer *timer; /* tells `err` when nobody could be asked */
    struct error err;
    s3_done *done;
    void *arg;
};

/* ---- where ---- */

static bool wrong_place(struct error *err, const char *member, const char *right)
{
    return error_set(err, ERROR_FATAL, "blob_source", "%s %s", member, right);
}

/* https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
static bool bucket_valid(const char *bucket)
{
    size_t len = strlen(bucket);
    return len >= 3 && len <= 63 && strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len &&
           bucket[0] != '-' && bucket[0] != '.';
}

static bool read_place(struct s3 *s3, const char *place, struct error *err)
{
    const char *bucket = place + strlen(BLOB_S3_SCHEME);
    size_t len = strcspn(bucket, "/");
    const char *prefix = bucket[len] ? bucket + len + 1 : "";
    struct arena *arena = arena_new(0);
    bool slash = !*prefix || prefix[strlen(prefix) - 1] == '/';
    s3->bucket = xstrdup(arena_strndup(arena, bucket, len));
    s3->prefix = xstrdup(arena_printf(arena, "%s%s", prefix, slash ? "" : "/"));
    bool whole =
        !*s3->prefix || (strlen(s3->prefix) < BLOB_MAX_KEY &&
                            blob_key_valid(arena_strndup(arena, s3->prefix, strlen(s3->prefix) - 1)));
    arena_free(arena);
    if (!bucket_valid(s3->bucket)) {
        return wrong_place(err, "place",
            "must be s3://bucket or s3://bucket/prefix, the bucket of 3 to 63 small letters, digits, '.' and "
            "'-'");
    }
    return whole || wrong_place(err, "place", "has a prefix that cannot be one of keys");
}

/* The host and port of an address without a path; NULL: it is not one. */
static const char *authority_of(const char *endpoint)
{
    const char *authority = !strncmp(endpoint, "https://", 8)  ? endpoint + 8
                            : !strncmp(endpoint, "http://", 7) ? endpoint + 7
                                                               : "";
    size_t len = strcspn(authority, "/?#@\\ %");
    return len > 0 && (!authority[len] || (authority[len] == '/' && !authority[len + 1])) ? authority : NULL;
}

/* An address that is spelled as a number is judged at once, names when they are resolved. */
static bool spelled_reachable(const char *authority, enum http_reach reach)
{
    char host[INET6_ADDRSTRLEN + 2] = "";
    bool six = authority[0] == '[';
    size_t len = six ? strcspn(authority + 1, "]") : strcspn(authority, ":/");
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (len >= sizeof(host)) {
        return true;
    }
    memcpy(host, authority + six, len);
    if (!six && inet_pton(AF_INET, host, &in4.sin_addr) == 1) {
        return http_reach_allows(reach, (const struct sockaddr *)&in4);
    }
    return !six || inet_pton(AF_INET6, host, &in6.sin6_addr) != 1 ||
           http_reach_allows(reach, (const struct sockaddr *)&in6);
}

static bool read_endpoint(struct s3 *s3, const struct blob_place *place, struct error *err)
{
    struct arena *arena = arena_new(0);
    const char *endpoint = place->endpoint;
    bool own = !*endpoint; /* Amazon's own */
    if (own) {
        endpoint = arena_printf(
            arena, "https://s3.%s.amazonaws.com%s", s3->region, !strncmp(s3->region, "cn-", 3) ? ".cn" : "");
    }
    const char *authority = authority_of(endpoint);
    s3->reach = own ? HTTP_REACH_PUBLIC : HTTP_REACH_NO_METADATA;
    if (!authority) {
        arena_free(arena);
        return wrong_place(err, "endpoint", "must be an address like https://host or http://host:port");
    }
    if (!spelled_reachable(authority, s3->reach)) {
        arena_free(arena);
        return wrong_place(err, "endpoint", "is an address where clouds keep credentials; it is never asked");
    }
    /* A '.' in the bucket's name would make its host one that no certificate has. */
    bool in_path = place->path_style || (own && strchr(s3->bucket, '.'));
    size_t scheme = (size_t)(authority - endpoint), len = strcspn(authority, "/");
    s3->host = xstrdup(
        arena_printf(arena, "%s%s%.*s", in_path ? "" : s3->bucket, in_path ? "" : ".", (int)len, authority));
    s3->url = xstrdup(arena_printf(arena, "%.*s%s", (int)scheme, endpoint, s3->host));
    s3->path = xstrdup(in_path ? arena_printf(arena, "/%s/", s3->bucket) : "/");
    arena_free(arena);
    return true;
}

static bool read_region(struct s3 *s3, const struct blob_place *place, struct error *err)
{
    char region[64];
    if (*place->region) {
        s3->region = xstrdup(place->region);
        return true;
    }
    aws_region(region, sizeof(region));
    if (!region[0] && !*place->endpoint) {
        return wrong_place(err, "region",
            "is not set, and neither is AWS_REGION: it must be the bucket's, such as eu-central-1");
    }
    s3->region = xstrdup(region[0] ? region : DEFAULT_REGION);
    return true;
}

struct s3 *s3_new(struct loop *loop, const struct blob_place *place, struct error *err)
{
    struct s3 *s3 = xcalloc(1, sizeof(*s3));
    s3->loop = loop;
    s3->storage_class = xstrdup(place->storage_class);
    s3->calls = http_calls_new(loop);
    s3->credentials = aws_credentials_new(loop);
    if (!read_place(s3, place->place, err) || !read_region(s3, place, err) ||
        !read_endpoint(s3, place, err)) {
        s3_free(s3);
        return NULL;
    }
    return s3;
}

void s3_free(struct s3 *s3)
{
    assert(LIST_EMPTY(&s3->open));
    aws_credentials_free(s3->credentials);
    http_calls_free(s3->calls);
    free(s3->host);
    free(s3->url);
    free(s3->path);
    free(s3->bucket);
    free(s3->prefix);
    free(s3->region);
    free(s3->storage_class);
    free(s3);
}

/* ---- the end of a call ---- */

static void call_end(struct s3_call *call, const struct http_call_result *result, const struct error *err)
{
    LIST_REMOVE(call, link);
    call->done(call->arg, result, err);
    loop_timer_free(call->timer);
    arena_free(call->arena);
    free(call);
}

/* What the server means by sending us elsewhere. */
static void redirected(
    const struct s3_call *call, const struct http_call_result *result, const char *code, struct error *err)
{
    char region[VALUE_SIZE];
    http_call_header(result, "x-amz-bucket-region", region, sizeof(region));
    bool other = aws_region_valid(region) && strcmp(region, call->s3->region) != 0;
    error_set(err, ERROR_RETRY, "blob_unavailable",
        "S3 sends us elsewhere for bucket %s (%d %s), which is not followed: %s%s", call->s3->bucket,
        result->status, code, other ? "its region must be set to " : "endpoint or region is wrong",
        other ? region : "");
}

/* What is wrong with the object alone; false: it is the bucket, or the server. */
static bool object_refused(const struct s3_call *call, int status, const char *code, struct error *err)
{
    if (!call->request.key) {
        return false;
    }
    if (!strcmp(code, "NoSuchKey")) {
        error_set(err, ERROR_REJECT, "blob_missing", "there is no such document");
        return true;
    }
    if (s3_answer_denies_object(status, code)) {
        bool reads = !strcmp(call->request.method, "GET");
        error_set(err, ERROR_REJECT, reads ? "blob_denied" : "blob_unwritable",
            "S3 answers %d%s%s for the document", status, *code ? " " : "", code);
        return true;
    }
    return false;
}

static void refused(const struct s3_call *call, const struct http_call_result *result, struct error *err)
{
    char code[S3_CODE_SIZE];
    s3_answer_code(buf_text(&result->body), result->body.len, code);
    if (result->status >= 300 && result->status < 400) {
        redirected(call, result, code, err);
    } else if (!object_refused(call, result->status, code, err)) {
        error_set(err, ERROR_RETRY, "blob_unavailable", "S3 answers %d%s%s for bucket %s", result->status,
            code[0] ? " " : "", code, call->s3->bucket);
        err->retry_after_ms = result->retry_after_ms;
    }
    if (!strncmp(code, "Expired", 7) || !strcmp(code, "InvalidToken") ||
        !strcmp(code, "InvalidAccessKeyId")) {
        aws_credentials_forget(call->s3->credentials);
    }
}

static void on_answer(void *arg, const struct http_call_result *result, const struct error *err)
{
    struct s3_call *call = arg;
    struct error why;
    call->call = NULL;
    if (!result) {
        bool large = !strcmp(err->code, "too_large") && call->request.key;
        error_set(&why, large ? ERROR_REJECT : ERROR_RETRY, large ? "blob_too_large" : "blob_unavailable",
            "S3, bucket %s: %s", call->s3->bucket, err->text);
        call_end(call, NULL, &why);
    } else if ((result->status >= 200 && result->status < 300) || result->status == 416) {
        call_end(call, result, NULL);
    } else {
        refused(call, result, &why);
        call_end(call, NULL, &why);
    }
}

/* ---- its start ---- */

/* Of all keys: every byte but the unreserved ones and '/' encoded, as it is signed. */
static const char *encoded_path(struct arena *arena, const struct s3 *s3, const char *key)
{
    const char *path = s3->path;
    char *part = key ? arena_strdup(arena, key) : NULL;
    while (part) {
        char *slash = strchr(part, '/');
        if (slash) {
            *slash = '\0';
        }
        path = arena_printf(arena, "%s%s%s", path, sigv4_encode(arena, part), slash ? "/" : "");
        part = slash ? slash + 1 : NULL;
    }
    return path;
}

static void send_signed(struct s3_call *call, const struct sigv4_credentials *credentials)
{
    const struct s3 *s3 = call->s3;
    const struct s3_request *request = &call->request;
    struct arena *arena = call->arena;
    char hash[SIGV4_HEX_SIZE];
    sigv4_hash(request->body ? request->body : "", request->body_len, hash);
    const char *path = encoded_path(arena, s3, request->key);
    struct sigv4_header signed_headers[HEADERS_MAX] = {{"host", s3->host}, {"x-amz-content-sha256", hash}};
    size_t count = 2;
    if (request->range) {
        signed_headers[count++] = (struct sigv4_header){"range", request->range};
    }
    if (request->stored) {
        signed_headers[count++] = (struct sigv4_header){"content-type", request->stored};
        signed_headers[count++] = (struct sigv4_header){"x-amz-storage-class", s3->storage_class};
    }
    const struct sigv4_request to_sign = {.method = request->method,
        .path = path,
        .query = request->query,
        .headers = signed_headers,
        .header_count = count,
        .payload_hash = hash,
        .region = s3->region,
        .service = SERVICE,
        .wall_ms = clock_wall_ms(),
        .path_as_sent = true};
    struct sigv4_signature signature;
    bool ok = sigv4_sign(arena, credentials, &to_sign, &signature);
    assert(ok); /* few headers, few parameters */
    (void)ok;
    const char *lines[HEADERS_MAX + 4];
    size_t line = 0;
    for (size_t i = 0; i < count; i++) {
        lines[line++] = arena_printf(arena, "%s: %s", signed_headers[i].name, signed_headers[i].value);
    }
    lines[line++] = signature.date;
    lines[line++] = signature.authorization;
    lines[line++] = signature.security_token;
    lines[line] = NULL;
    const struct http_call_request http = {.method = request->method,
        .url = arena_printf(arena, "%s%s%s%s", s3->url, path, *request->query ? "?" : "", request->query),
        .headers = lines,
        .body = request->body,
        .body_len = request->body_len,
        .timeout_ms = TIMEOUT_MS,
        .max_body = request->max_answer > S3_ERROR_MAX ? request->max_answer : S3_ERROR_MAX,
        .reach = s3->reach};
    call->call = http_call_start(s3->calls, &http, on_answer, call);
}

static void on_failed(void *arg)
{
    struct s3_call *call = arg;
    call_end(call, NULL, &call->err);
}

static void on_credentials(void *arg, const struct sigv4_credentials *credentials, const struct error *err)
{
    struct s3_call *call = arg;
    call->wait = NULL;
    if (credentials) {
        send_signed(call, credentials);
        return;
    }
    error_set(&call->err, ERROR_RETRY, "blob_unavailable", "S3, bucket %s: %s", call->s3->bucket, err->text);
    call->timer = loop_timer_new(call->s3->loop, on_failed, call);
    loop_timer_arm(call->timer, 0);
}

void s3_send(struct s3 *s3, const struct s3_request *request, s3_done *done, void *arg)
{
    struct s3_call *call = xcalloc(1, sizeof(*call));
    call->s3 = s3;
    call->arena = arena_new(0);
    call->request = *request;
    call->done = done;
    call->arg = arg;
    LIST_INSERT_HEAD(&s3->open, call, link);
    call->wait = aws_credentials_get(s3->credentials, on_credentials, call);
}

void s3_abort(struct s3 *s3)
{
    struct error err;
    error_set(&err, ERROR_RETRY, "blob_unavailable", "the source is being closed");
    for (struct s3_call *call = LIST_FIRST(&s3->open), *next; call; call = next) {
        next = LIST_NEXT(call, link);
        if (call->wait) {
            aws_credentials_wait_cancel(call->wait);
        }
        if (call->call) {
            http_call_cancel(call->call);
        }
        call_end(call, NULL, &err);
    }
}
