/* One request at a time with libcurl, for commands that can wait. */
#include "http/client.h"

#include <string.h>
#include <strings.h>
#include "base/alloc.h"
#include "http/transfer.h"

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

bool http_fetch(const struct http_fetch_request *request, struct http_fetch_result *result, struct error *err)
{
    CURL *easy = http_transfer_easy();
    const struct http_call_request call = {.method = request->method,
        .url = request->url,
        .headers = request->headers,
        .body = request->body,
        .body_len = request->body_len,
        .timeout_ms = request->timeout_ms,
        .max_body = HTTP_FETCH_MAX_BODY};
    struct http_transfer transfer;
    *result = (struct http_fetch_result){0};
    http_transfer_init(&transfer, easy, &call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, result);
    bool ok = http_transfer_ended(&transfer, curl_easy_perform(easy), &result->status, err);
    curl_easy_cleanup(easy);
    result->body = transfer.body;
    transfer.body = (struct buf){0};
    http_transfer_fini(&transfer);
    return ok;
}

void http_fetch_result_fini(struct http_fetch_result *result)
{
    buf_fini(&result->body);
}
