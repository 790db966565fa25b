/* One request at a time with libcurl, for commands that can wait. */
#include "http/client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_TIMEOUT_MS 30000

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        abort();
    }
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_fetch_result *result = arg;
    buf_append(&result->body, data, size * count);
    return result->body.failed ? 0 : size * count;
}

/* Copies the value of the header line if it is `name`. */
static void keep_header(const char *line, size_t len, const char *name, char *out, size_t size)
{
    size_t name_len = strlen(name);
    if (len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0) {
        return;
    }
    const char *value = line + name_len + 1;
    const char *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && strchr(" \t\r\n", end[-1])) {
        end--;
    }
    size_t value_len = (size_t)(end - value);
    if (value_len >= size) { /* a cut address or id would be a wrong one */
        return;
    }
    memcpy(out, value, value_len);
    out[value_len] = '\0';
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct http_fetch_result *result = arg;
    size_t len = size * count;
    keep_header(line, len, "Location", result->location, sizeof(result->location));
    keep_header(line, len, "X-Correlation-Id", result->correlation_id, sizeof(result->correlation_id));
    return len;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(list, line);
    if (!longer) {
        abort(); /* out of memory */
    }
    return longer;
}

static struct curl_slist *header_list(const struct http_fetch_request *request)
{
    /* no waiting for "100 Continue", no content type but the caller's */
    struct curl_slist *list = add_header(NULL, "Expect:");
    bool typed = false;
    for (size_t i = 0; request->headers && request->headers[i]; i++) {
        typed = typed || strncasecmp(request->headers[i], "Content-Type:", 13) == 0;
        list = add_header(list, request->headers[i]);
    }
    return typed ? list : add_header(list, "Content-Type:");
}

/* What the environment exempts from its proxy, and this machine itself. */
static void exempt_loopback(CURL *curl)
{
    const char *listed = getenv("no_proxy");
    if (!listed) {
        listed = getenv("NO_PROXY");
    }
    struct buf list;
    buf_init(&list, 16 * 1024);
    buf_puts(&list, "localhost,127.0.0.1,::1");
    if (listed && strcmp(listed, "*") == 0) {
        buf_reset(&list);
    }
    if (listed && *listed) {
        buf_printf(&list, "%s%s", list.len > 0 ? "," : "", listed);
    }
    curl_easy_setopt(curl, CURLOPT_NOPROXY, buf_text(&list)); /* copied */
    buf_fini(&list);
}

static void prepare(CURL *curl, const struct http_fetch_request *request, struct http_fetch_result *result)
{
    int64_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : DEFAULT_TIMEOUT_MS;
    bool bodiless = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "helpdesk/" HELPDESK_VERSION);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)HTTP_FETCH_MAX_BODY);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, result);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, result);
    if (request->body || !bodiless) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
    }
    if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    exempt_loopback(curl);
}

static bool explain(struct error *err, CURLcode code, const char *why, bool overflowed)
{
    if (!*why) {
        why = curl_easy_strerror(code);
    }
    if (overflowed || code == CURLE_FILESIZE_EXCEEDED) {
        return error_set(
            err, ERROR_REJECT, "too_large", "the answer is larger than %d bytes", HTTP_FETCH_MAX_BODY);
    }
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
        return error_set(err, ERROR_REJECT, "bad_url", "not a usable http or https address: %s", why);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return error_set(err, ERROR_RETRY, "timeout", "no answer in time: %s", why);
    }
    return error_set(err, ERROR_RETRY, "connect_failed", "%s", why);
}

bool http_fetch(const struct http_fetch_request *request, struct http_fetch_result *result, struct error *err)
{
    pthread_once(&curl_once, start_curl);
    *result = (struct http_fetch_result){0};
    buf_init(&result->body, HTTP_FETCH_MAX_BODY);
    CURL *curl = curl_easy_init();
    if (!curl) {
        abort(); /* out of memory */
    }
    char why[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = header_list(request);
    prepare(curl, request, result);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    result->status = (int)status;
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return code == CURLE_OK || explain(err, code, why, result->body.failed);
}

void http_fetch_result_fini(struct http_fetch_result *result)
{
    buf_fini(&result->body);
}
