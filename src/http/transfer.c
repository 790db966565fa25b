/* One transfer by libcurl: its options, its answer, and what its failure means. */
#include "http/transfer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/alloc.h"
#include "http/reach.h"

#define NO_PROXY_MAX (16 * 1024)

static pthread_once_t once = PTHREAD_ONCE_INIT;
/* What the environment exempts from its proxy, this machine itself, and the addresses that clouds give to
 * what a machine may know of itself: no proxy may see its credentials. */
static struct buf no_proxy;

static void start_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        abort();
    }
    const char *listed = getenv("no_proxy");
    if (!listed) {
        listed = getenv("NO_PROXY");
    }
    buf_init(&no_proxy, NO_PROXY_MAX);
    if (listed && strcmp(listed, "*") == 0) {
        buf_puts(&no_proxy, listed);
        return;
    }
    buf_puts(&no_proxy, "localhost,127.0.0.1,::1,169.254.0.0/16,fd00:ec2::/32");
    if (listed && *listed) {
        buf_printf(&no_proxy, ",%s", listed);
    }
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_transfer *transfer = arg;
    buf_append(&transfer->body, data, size * count);
    return transfer->body.failed ? 0 : size * count;
}

static bool has_proxy(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);
        if (value && *value) {
            return true;
        }
    }
    return false;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_transfer *transfer = arg;
    (void)purpose;
    if (!http_reach_allows(transfer->reach, &address->addr)) {
        transfer->out_of_reach = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void http_transfer_setup(void)
{
    pthread_once(&once, start_curl);
}

/* Whom to trust, as other programs with OpenSSL take it from the environment; without it the system's. */
static void set_trust(CURL *easy)
{
    const char *file = getenv("SSL_CERT_FILE"), *folder = getenv("SSL_CERT_DIR");
    if (file && *file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, file);
    }
    if (folder && *folder) {
        curl_easy_setopt(easy, CURLOPT_CAPATH, folder);
    }
}

CURL *http_transfer_easy(void)
{
    http_transfer_setup();
    CURL *easy = curl_easy_init();
    if (!easy) {
        alloc_failed();
    }
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "helpdesk/" HELPDESK_VERSION);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    /* A connection that breaks breaks one call: no streams that share it. */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, buf_text(&no_proxy));
    set_trust(easy);
    return easy;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(list, line);
    if (!longer) {
        alloc_failed();
    }
    return longer;
}

static struct curl_slist *header_list(const char *const *headers)
{
    /* no waiting for "100 Continue", no content type but the caller's */
    struct curl_slist *list = add_header(NULL, "Expect:");
    bool typed = false;
    for (size_t i = 0; headers && headers[i]; i++) {
        typed = typed || strncasecmp(headers[i], "Content-Type:", 13) == 0;
        list = add_header(list, headers[i]);
    }
    return typed ? list : add_header(list, "Content-Type:");
}

static void set_request(CURL *easy, const struct http_call_request *request)
{
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L); /* forgets the method and body of the transfer before */
    bool bodiless = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    if (request->body || !bodiless) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body ? request->body : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
    }
    if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

void http_transfer_init(struct http_transfer *transfer, CURL *easy, const struct http_call_request *request)
{
    int64_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : HTTP_CALL_TIMEOUT_MS;
    *transfer = (struct http_transfer){
        .easy = easy, .headers = header_list(request->headers), .reach = request->reach};
    buf_init(&transfer->body, request->max_body);
    set_request(easy, request);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)request->max_body);
    if (transfer->reach == HTTP_REACH_PUBLIC && has_proxy()) {
        transfer->reach = HTTP_REACH_NO_METADATA;
    }
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->why);
}

void http_transfer_fini(struct http_transfer *transfer)
{
    curl_slist_free_all(transfer->headers);
    buf_fini(&transfer->body);
}

/* Whether anything of the request may have reached the server. */
static bool was_sent(CURL *easy)
{
    curl_off_t begun_us = 0;
    curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &begun_us);
    return begun_us > 0;
}

bool http_transfer_ended(struct http_transfer *transfer, CURLcode code, int *status, struct error *err)
{
    const char *why = transfer->why[0] ? transfer->why : curl_easy_strerror(code);
    long got = 0;
    if (code == CURLE_OK) {
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &got);
        *status = (int)got;
        return true;
    }
    if (transfer->body.failed || code == CURLE_FILESIZE_EXCEEDED) {
        return error_set(
            err, ERROR_REJECT, "too_large", "the answer is larger than %zu bytes", transfer->body.max);
    }
    if (transfer->out_of_reach) {
        return error_set(
            err, ERROR_REJECT, "address_refused", "the host's address is one that is never asked: %s", why);
    }
    if (!was_sent(transfer->easy)) {
        return code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL
                   ? error_set(err, ERROR_REJECT, "bad_url", "not a usable http or https address: %s", why)
                   : error_set(err, ERROR_RETRY, "connect_failed", "%s", why);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return error_set(err, ERROR_RETRY, "timeout", "no answer in time: %s", why);
    }
    return error_set(err, ERROR_RETRY, "connection_broken", "%s", why);
}
