/* The credentials' endpoint of a container: of ECS at an address of its own, of EKS Pod Identity and others
 * by its whole URI. https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html */
#include <arpa/inet.h>
#include <string.h>
#include "aws/endpoint.h"
#include "aws/source.h"

#define TIMEOUT_MS 2000
#define ECS_HOST "http://169.254.170.2"
#define HOST_MAX 64

static bool is_loopback(const char *host)
{
    struct in_addr address;
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &address) == 1 && (ntohl(address.s_addr) >> 24) == 127);
}

/* Whether what travels to this authority (host and port) without TLS stays on the machine. */
static bool is_local(const char *authority, size_t len)
{
    char host[HOST_MAX];
    const char *colon = memrchr(authority, ':', len);
    if (colon && strspn(colon + 1, "0123456789") == (size_t)(authority + len - colon - 1)) {
        len = (size_t)(colon - authority);
    }
    if (len == 0 || len >= sizeof(host)) {
        return false;
    }
    memcpy(host, authority, len);
    host[len] = '\0';
    return is_loopback(host) || strcmp(host, "169.254.170.2") == 0 || strcmp(host, "169.254.170.23") == 0 ||
           strcmp(host, "[fd00:ec2::23]") == 0;
}

/* Nothing that a URI does not have, and that parsers disagree about. */
static bool is_plain(const char *uri)
{
    for (; *uri; uri++) {
        if (*uri <= ' ' || *uri > '~' || strchr("\\\"<>^`{|}", *uri)) {
            return false;
        }
    }
    return true;
}

const char *aws_container_url(struct arena *arena, struct error *err)
{
    const char *relative = aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (relative && relative[0] == '/' && is_plain(relative)) {
        return arena_printf(arena, ECS_HOST "%s", relative);
    }
    if (relative) {
        error_set(err, ERROR_FATAL, "aws_container",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not a path that starts with /");
        return NULL;
    }
    if (!full) {
        return NULL;
    }
    bool tls = strncmp(full, "https://", 8) == 0;
    const char *authority = tls ? full + 8 : strncmp(full, "http://", 7) == 0 ? full + 7 : "";
    size_t len = strcspn(authority, "/?#");
    if (len == 0 || !is_plain(full) || memchr(authority, '@', len)) {
        error_set(err, ERROR_FATAL, "aws_container",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is not an http or https address");
        return NULL;
    }
    if (!tls && !is_local(authority, len)) {
        error_set(err, ERROR_FATAL, "aws_container",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI: without https only loopback, 169.254.170.2, 169.254.170.23 "
            "and "
            "[fd00:ec2::23] are asked, not %.*s",
            (int)(len < HOST_MAX ? len : HOST_MAX), authority);
        return NULL;
    }
    return full;
}

static void on_answer(struct aws_fetch *fetch, int status, const char *body, size_t len)
{
    struct aws_found found;
    struct error err = {0};
    char code[AWS_CODE_SIZE];
    if (status != 200) {
        aws_answer_code_json(body, len, code);
        aws_fetch_refused(fetch, status, code);
    } else if (!aws_answer_json(fetch->arena, body, len, &found, &err)) {
        aws_fetch_fail(
            fetch, AWS_UNAVAILABLE, arena_printf(fetch->arena, "its answer cannot be used: %s", err.text));
    } else {
        aws_fetch_found(fetch, &found);
    }
}

static bool start(struct aws_fetch *fetch)
{
    struct error err = {0};
    const char *url = aws_container_url(fetch->arena, &err);
    if (!url && err.disposition == ERROR_NONE) {
        return false;
    }
    if (!url) {
        aws_fetch_fail(fetch, AWS_MISSING, err.text);
        return true;
    }
    const char *token = aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) {
        token = aws_fetch_read_file(fetch, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        if (!token) {
            return true;
        }
    }
    if (token && strpbrk(token, "\r\n")) {
        aws_fetch_fail(fetch, AWS_MISSING, "AWS_CONTAINER_AUTHORIZATION_TOKEN has a line break");
        return true;
    }
    const char *const headers[] = {"Accept: application/json",
        token ? arena_printf(fetch->arena, "Authorization: %s", token) : NULL, NULL};
    const struct http_call_request request = {.method = "GET", .url = url, .headers = headers};
    aws_fetch_call(fetch, &request, TIMEOUT_MS, on_answer);
    return true;
}

const struct aws_source aws_source_container = {
    .name = "container", .server = "the container's credentials endpoint", .start = start};
