/* Web identity: a token that the platform writes into a file (a Kubernetes service account's) is exchanged
 * for a role's credentials.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html */
#include <string.h>
#include "aws/credentials.h"
#include "aws/endpoint.h"
#include "aws/source.h"
#include "base/clock.h"

#define TIMEOUT_MS 5000

static void on_answer(struct aws_fetch *fetch, int status, const char *body, size_t len)
{
    struct aws_found found;
    struct error err = {0};
    char code[AWS_CODE_SIZE];
    if (status != 200) {
        aws_answer_code_xml(body, len, code);
        aws_fetch_refused(fetch, status, code);
    } else if (!aws_answer_sts(fetch->arena, body, len, &found, &err)) {
        aws_fetch_fail(
            fetch, AWS_UNAVAILABLE, arena_printf(fetch->arena, "its answer cannot be used: %s", err.text));
    } else {
        aws_fetch_found(fetch, &found);
    }
}

static const char *session_name(struct arena *arena)
{
    const char *given = aws_env("AWS_ROLE_SESSION_NAME");
    return given ? given : arena_printf(arena, "helpdesk-%lld", (long long)(clock_wall_ms() / 1000));
}

static bool start(struct aws_fetch *fetch)
{
    struct arena *arena = fetch->arena;
    const char *role = aws_env("AWS_ROLE_ARN");
    struct aws_endpoint endpoint;
    struct error err = {0};
    char region[64];
    if (!aws_env("AWS_WEB_IDENTITY_TOKEN_FILE")) {
        return false;
    }
    if (!role) {
        aws_fetch_fail(fetch, AWS_MISSING, "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
        return true;
    }
    const char *token = aws_fetch_read_file(fetch, "AWS_WEB_IDENTITY_TOKEN_FILE");
    if (!token) {
        return true;
    }
    aws_region(region, sizeof(region));
    if (!aws_endpoint_find(arena, "STS", "sts", region, &endpoint, &err)) {
        aws_fetch_fail(fetch, AWS_MISSING, err.text);
        return true;
    }
    const char *body = arena_printf(arena,
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=%s&RoleSessionName=%s&WebIdentityToken=%"
        "s",
        sigv4_encode(arena, role), sigv4_encode(arena, session_name(arena)), sigv4_encode(arena, token));
    static const char *const headers[] = {
        "Content-Type: application/x-www-form-urlencoded; charset=utf-8", "Accept: text/xml", NULL};
    const struct http_call_request request = {
        .method = "POST", .url = endpoint.url, .headers = headers, .body = body, .body_len = strlen(body)};
    aws_fetch_call(fetch, &request, TIMEOUT_MS, on_answer);
    return true;
}

const struct aws_source aws_source_web_identity = {
    .name = "web_identity", .server = "STS, asked for the role of AWS_ROLE_ARN", .start = start};
