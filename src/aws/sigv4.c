/* AWS Signature Version 4 on OpenSSL: canonical request, string to sign, derived key. */
#include "aws/sigv4.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "base/alloc.h"
#include "base/buf.h"

#define TEXT_MAX ((size_t)1024 * 1024) /* of the canonical request */
#define HASH_BYTES 32
#define DATE_SIZE 17 /* 20150830T123600Z */
#define DAY_CHARS 8

struct parameter {
    const char *name;
    const char *value;
};

static void to_hex(const unsigned char *bytes, char out[SIGV4_HEX_SIZE])
{
    for (size_t i = 0; i < HASH_BYTES; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

void sigv4_hash(const void *body, size_t len, char out[SIGV4_HEX_SIZE])
{
    unsigned char hash[HASH_BYTES];
    if (EVP_Digest(body, len, hash, NULL, EVP_sha256(), NULL) != 1) {
        abort(); /* OpenSSL without SHA-256 */
    }
    to_hex(hash, out);
}

static void hmac(const void *key, size_t key_len, const char *text, unsigned char out[HASH_BYTES])
{
    if (!HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), out, NULL)) {
        abort();
    }
}

/* ---- encoding ---- */

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

static void put_encoded(struct buf *out, const char *text, size_t len, const char *kept)
{
    for (size_t i = 0; i < len; i++) {
        if (is_unreserved(text[i]) || (text[i] && strchr(kept, text[i]))) {
            buf_putc(out, text[i]);
        } else {
            buf_printf(out, "%%%02X", (unsigned char)text[i]);
        }
    }
}

static char *taken(struct arena *arena, struct buf *buf)
{
    char *text = arena_strndup(arena, buf_text(buf), buf->len);
    buf_fini(buf);
    return text;
}

char *sigv4_encode(struct arena *arena, const char *text)
{
    struct buf out;
    buf_init(&out, TEXT_MAX);
    put_encoded(&out, text, strlen(text), "");
    return taken(arena, &out);
}

static int hex_value(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10 : -1;
}

/* A part of a query, decoded and encoded again, so that all spellings of it sign alike. '+' is a plus sign.
 */
static char *recoded(struct arena *arena, const char *text, size_t len)
{
    struct buf out;
    buf_init(&out, TEXT_MAX);
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%' && len - i > 2 && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
            c = (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        }
        put_encoded(&out, &c, 1, "");
    }
    return taken(arena, &out);
}

/* ---- the canonical request ---- */

/* Dot segments resolved, no empty segments; a last '/' stays. Where the last segment is a dot segment the
 * specification is silent: no '/' follows, as AWS's own signers have it (RFC 3986, 5.2.4, has one). */
static void put_normal(struct buf *out, const char *path)
{
    size_t len = 0;
    while (*path) {
        path += *path == '/';
        len = strcspn(path, "/");
        if (len == 2 && strncmp(path, "..", 2) == 0) {
            while (out->len > 0 && out->data[--out->len] != '/') {
            }
        } else if (len > 0 && !(len == 1 && *path == '.')) {
            buf_putc(out, '/');
            buf_append(out, path, len);
        }
        path += len;
    }
    if (len == 0 || out->len == 0) {
        buf_putc(out, '/');
    }
}

static void put_path(struct buf *out, const struct sigv4_request *request)
{
    if (request->path_as_sent) {
        buf_puts(out, request->path[0] ? request->path : "/");
        return;
    }
    struct buf normal;
    buf_init(&normal, TEXT_MAX);
    put_normal(&normal, request->path);
    put_encoded(out, buf_text(&normal), normal.len, "/");
    buf_fini(&normal);
}

static int by_name_and_value(const void *left, const void *right)
{
    const struct parameter *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : strcmp(a->value, b->value);
}

static bool put_query(struct arena *arena, struct buf *out, const char *query)
{
    struct parameter parameters[SIGV4_QUERY_MAX];
    size_t count = 0;
    while (query && *query) {
        size_t len = strcspn(query, "&"), name = strcspn(query, "=&");
        if (len > 0 && count == SIGV4_QUERY_MAX) {
            return false;
        }
        if (len > 0) {
            parameters[count++] = (struct parameter){.name = recoded(arena, query, name),
                .value = name < len ? recoded(arena, query + name + 1, len - name - 1) : ""};
        }
        query += len + (query[len] == '&');
    }
    qsort(parameters, count, sizeof(*parameters), by_name_and_value);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s%s=%s", i ? "&" : "", parameters[i].name, parameters[i].value);
    }
    return true;
}

/* Blanks around it gone, several in a row made one. */
static void put_value(struct buf *out, const char *value)
{
    bool blank = false, begun = false;
    for (; *value; value++) {
        if (isspace((unsigned char)*value)) {
            blank = begun;
            continue;
        }
        if (blank) {
            buf_putc(out, ' ');
        }
        buf_putc(out, *value);
        blank = false;
        begun = true;
    }
}

/* qsort is not stable, and values of one name keep their order: so the position decides. */
struct signed_header {
    struct sigv4_header header;
    size_t at;
};

static int by_name(const void *left, const void *right)
{
    const struct signed_header *a = left, *b = right;
    int order = strcasecmp(a->header.name, b->header.name);
    return order ? order : (a->at > b->at) - (a->at < b->at);
}

static void put_lower(struct buf *out, const char *name)
{
    for (; *name; name++) {
        buf_putc(out, (char)tolower((unsigned char)*name));
    }
}

static void put_headers(struct buf *out, struct buf *names, const struct signed_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool again = i > 0 && strcasecmp(headers[i].header.name, headers[i - 1].header.name) == 0;
        if (again) {
            buf_putc(out, ',');
        } else {
            buf_puts(out, i > 0 ? "\n" : "");
            put_lower(out, headers[i].header.name);
            buf_putc(out, ':');
            buf_puts(names, i > 0 ? ";" : "");
            put_lower(names, headers[i].header.name);
        }
        put_value(out, headers[i].header.value);
    }
    buf_putc(out, '\n');
}

static bool put_canonical(struct arena *arena, const struct sigv4_request *request, const char *token,
    const char *date, struct buf *out, struct buf *names)
{
    struct signed_header headers[SIGV4_HEADERS_MAX + 2];
    size_t count = 0;
    if (request->header_count > SIGV4_HEADERS_MAX) {
        return false;
    }
    for (; count < request->header_count; count++) {
        headers[count] = (struct signed_header){request->headers[count], count};
    }
    headers[count] = (struct signed_header){{"x-amz-date", date}, count};
    count++;
    if (token) {
        headers[count] = (struct signed_header){{"x-amz-security-token", token}, count};
        count++;
    }
    qsort(headers, count, sizeof(*headers), by_name);
    buf_printf(out, "%s\n", request->method);
    put_path(out, request);
    buf_putc(out, '\n');
    if (!put_query(arena, out, request->query)) {
        return false;
    }
    buf_putc(out, '\n');
    put_headers(out, names, headers, count);
    buf_printf(out, "\n%s\n%s", buf_text(names), request->payload_hash);
    return !out->failed && !names->failed;
}

/* ---- the signature ---- */

static void derive_key(
    const char *secret, const char *day, const struct sigv4_request *request, unsigned char key[HASH_BYTES])
{
    struct buf first;
    buf_init(&first, TEXT_MAX);
    buf_printf(&first, "AWS4%s", secret);
    hmac(buf_text(&first), first.len, day, key);
    OPENSSL_cleanse(first.data, first.len);
    buf_fini(&first);
    hmac(key, HASH_BYTES, request->region, key);
    hmac(key, HASH_BYTES, request->service, key);
    hmac(key, HASH_BYTES, "aws4_request", key);
}

static void sign(const char *secret, const char *date, const char *scope, const struct sigv4_request *request,
    const struct buf *canonical, char out[SIGV4_HEX_SIZE])
{
    char day[DAY_CHARS + 1], hash[SIGV4_HEX_SIZE];
    unsigned char key[HASH_BYTES], signature[HASH_BYTES];
    struct buf text;
    snprintf(day, sizeof(day), "%.*s", DAY_CHARS, date);
    sigv4_hash(buf_text(canonical), canonical->len, hash);
    buf_init(&text, TEXT_MAX);
    buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, hash);
    derive_key(secret, day, request, key);
    hmac(key, sizeof(key), buf_text(&text), signature);
    OPENSSL_cleanse(key, sizeof(key));
    to_hex(signature, out);
    buf_fini(&text);
}

bool sigv4_sign(struct arena *arena, const struct sigv4_credentials *credentials,
    const struct sigv4_request *request, struct sigv4_signature *out)
{
    const char *token =
        credentials->session_token && credentials->session_token[0] ? credentials->session_token : NULL;
    time_t seconds = (time_t)(request->wall_ms / 1000);
    struct tm utc;
    struct buf canonical, names;
    char date[DATE_SIZE], hex[SIGV4_HEX_SIZE];
    gmtime_r(&seconds, &utc);
    strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &utc);
    buf_init(&canonical, TEXT_MAX);
    buf_init(&names, TEXT_MAX);
    bool ok = put_canonical(arena, request, token, date, &canonical, &names);
    if (ok) {
        const char *scope = arena_printf(
            arena, "%.*s/%s/%s/aws4_request", DAY_CHARS, date, request->region, request->service);
        sign(credentials->secret_access_key, date, scope, request, &canonical, hex);
        *out = (struct sigv4_signature){
            .authorization = arena_printf(arena,
                "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                credentials->access_key_id, scope, buf_text(&names), hex),
            .date = arena_printf(arena, "X-Amz-Date: %s", date),
            .security_token = token ? arena_printf(arena, "X-Amz-Security-Token: %s", token) : NULL};
    }
    buf_fini(&canonical);
    buf_fini(&names);
    return ok;
}
