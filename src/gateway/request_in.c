/* What all handlers read of a request before they look at its body: readiness, content type, preferences,
 * keys. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "gateway/internal.h"

#define KEY_MAX 255

bool request_check_ready(struct http_request *request)
{
    if (gateway_ready()) {
        return true;
    }
    http_respond_retry(
        request, 503, "The service is not ready. Nothing was taken; try again soon.", RETRY_AFTER_S);
    return false;
}

bool request_check_database(struct gateway *gateway, struct http_request *request)
{
    if (db_up(gateway->db)) {
        return true;
    }
    http_respond_retry(
        request, 503, "The service cannot look this up just now; try again soon.", RETRY_AFTER_S);
    return false;
}

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t') {
        at++;
    }
    return at;
}

/* application/json, alone or with charset=utf-8 (RFC 9110 section 8.3.1: names in any case, the value may be
 * quoted). */
static bool is_json(const char *type)
{
    static const char name[] = "application/json";
    static const char *const charsets[] = {"charset=utf-8", "charset=\"utf-8\""};
    type = skip_blanks(type);
    if (strncasecmp(type, name, sizeof name - 1) != 0) {
        return false;
    }
    type = skip_blanks(type + sizeof name - 1);
    if (*type == '\0') {
        return true;
    }
    if (*type != ';') {
        return false;
    }
    type = skip_blanks(type + 1);
    if (*type == '\0') {
        return true;
    }
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(charsets[i]);
        if (strncasecmp(type, charsets[i], len) == 0) {
            return *skip_blanks(type + len) == '\0';
        }
    }
    return false;
}

bool request_check_body(struct http_request *request, bool may_be_empty)
{
    size_t len;
    (void)http_request_body(request, &len);
    if (len == 0) {
        if (may_be_empty) {
            return true;
        }
        if (http_request_header(request, "Content-Length") == NULL) {
            http_respond_problem(
                request, 411, "A JSON body is needed, and a Content-Length that tells its size.");
            return false;
        }
        struct http_field_error missing = {"", "the body is empty; a JSON object is needed"};
        http_respond_invalid(request, &missing, 1);
        return false;
    }
    const char *type = http_request_header(request, "Content-Type");
    if (type == NULL || !is_json(type) || http_request_header(request, "Content-Encoding") != NULL) {
        http_response_header(request, "Accept", "application/json");
        http_respond_problem(
            request, 415, "The body must be application/json in UTF-8, without a content encoding.");
        return false;
    }
    return true;
}

bool request_read_key(struct http_request *request, const char **key)
{
    *key = http_request_header(request, "Idempotency-Key");
    if (*key == NULL) {
        return true;
    }
    size_t len = strlen(*key);
    bool ok = len >= 1 && len <= KEY_MAX;
    for (size_t i = 0; ok && i < len; i++) {
        ok = (*key)[i] >= 0x20 && (*key)[i] < 0x7F;
    }
    if (!ok) {
        http_respond_problem(
            request, 400, "The Idempotency-Key must be 1 to 255 printable ASCII characters.");
    }
    return ok;
}

/* The end of a preference: a comma that is in no quoted string (RFC 7240 section 2). */
static const char *preference_end(const char *at)
{
    bool quoted = false;
    for (; *at != '\0' && (quoted || *at != ','); at++) {
        if (quoted && *at == '\\' && at[1] != '\0') {
            at++;
        } else if (*at == '"') {
            quoted = !quoted;
        }
    }
    return at;
}

/* "wait=10" or "wait = "10"" with parameters behind a ';' that are not for us. */
static bool read_wait(const char *at, const char *end, int64_t *seconds)
{
    char digits[12];
    size_t count = 0;
    if (end - at < 4 || strncasecmp(at, "wait", 4) != 0) {
        return false;
    }
    at = skip_blanks(at + 4);
    if (*at != '=') {
        return false;
    }
    at = skip_blanks(at + 1);
    bool quoted = *at == '"';
    at += quoted;
    while (at < end && isdigit((unsigned char)*at) && count + 1 < sizeof digits) {
        digits[count++] = *at++;
    }
    digits[count] = '\0';
    if (quoted && *at++ != '"') {
        return false;
    }
    at = skip_blanks(at);
    return (at >= end || *at == ';') && parse_int64(digits, seconds);
}

int64_t request_wait_ms(struct gateway *gateway, struct http_request *request, int64_t fallback_ms)
{
    const char *at = http_request_header(request, "Prefer");
    int64_t seconds = -1;
    while (at != NULL && *at != '\0') {
        at = skip_blanks(at);
        const char *end = preference_end(at);
        if (read_wait(at, end, &seconds)) {
            break; /* the first one counts */
        }
        at = *end == ',' ? end + 1 : end;
    }
    if (seconds < 0) {
        return fallback_ms;
    }
    int64_t most = conf_int(gateway->conf, CONF_GATEWAY_MAX_WAIT);
    int64_t wait_ms = seconds > most / 1000 ? most : seconds * 1000;
    http_response_header(request, "Preference-Applied",
        arena_printf(http_request_arena(request), "wait=%lld", (long long)(wait_ms / 1000)));
    return wait_ms;
}

void request_fail(struct http_request *request, const struct error *err)
{
    if (err->disposition == ERROR_RETRY) {
        http_respond_retry(
            request, 503, "The service cannot do this just now; try again soon.", RETRY_AFTER_S);
    } else {
        http_respond_problem(
            request, 500, "The service failed to do this; the correlation id helps to find out why.");
    }
}
