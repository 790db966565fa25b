/* The role of the EC2 instance: the metadata service's second version, whose session token a forged request
 * cannot have (the first version is never used).
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html */
#include <string.h>
#include <strings.h>
#include "aws/endpoint.h"
#include "aws/sigv4.h"
#include "aws/source.h"

#define TIMEOUT_MS 1000 /* on an instance it answers at once; elsewhere nobody does */
#define SERVICE "http://169.254.169.254"
#define ROLES "/latest/meta-data/iam/security-credentials/"
#define ROLE_MAX 64
#define TOKEN_MAX 1024

static void ask(struct aws_fetch *fetch, const char *method, const char *path, const char *const *headers,
    aws_fetch_answered *answered)
{
    const char *service = aws_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    service = service ? service : SERVICE;
    size_t len = strlen(service);
    len -= len > 0 && service[len - 1] == '/';
    const struct http_call_request request = {.method = method,
        .url = arena_printf(fetch->arena, "%.*s%s", (int)len, service, path),
        .headers = headers};
    aws_fetch_call(fetch, &request, TIMEOUT_MS, answered);
}

static void on_credentials(struct aws_fetch *fetch, int status, const char *body, size_t len)
{
    struct aws_found found;
    struct error err = {0};
    char code[AWS_CODE_SIZE] = "";
    if (status != 200) {
        aws_fetch_refused(fetch, status, code);
        return;
    }
    if (!aws_answer_json(fetch->arena, body, len, &found, &err)) {
        aws_answer_code_json(body, len, code); /* it says why there are none as 200 */
        aws_fetch_fail(fetch, AWS_UNAVAILABLE,
            arena_printf(fetch->arena, "its answer cannot be used: %s%s%s", err.text,
                code[0] ? "; it says " : "", code));
        return;
    }
    aws_fetch_found(fetch, &found);
}

static void on_role(struct aws_fetch *fetch, int status, const char *body, size_t len)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-";
    size_t name = strspn(body, allowed);
    if (status == 404 || (status == 200 && len == 0)) {
        aws_fetch_fail(
            fetch, AWS_MISSING, "no role is attached to this instance, and no other place has credentials");
    } else if (status != 200) {
        aws_fetch_refused(fetch, status, "");
    } else if (name == 0 || name > ROLE_MAX || (body[name] && !strchr("\r\n", body[name]))) {
        aws_fetch_fail(fetch, AWS_UNAVAILABLE, "it does not answer with the name of a role");
    } else {
        const char *role = sigv4_encode(fetch->arena, arena_strndup(fetch->arena, body, name));
        ask(fetch, "GET", arena_printf(fetch->arena, ROLES "%s", role), fetch->token, on_credentials);
    }
}

static void on_token(struct aws_fetch *fetch, int status, const char *body, size_t len)
{
    if (status != 200) {
        aws_fetch_refused(fetch, status, "");
        return;
    }
    bool usable = len > 0 && len <= TOKEN_MAX;
    for (size_t i = 0; i < len && usable; i++) {
        usable = body[i] > ' ' && body[i] <= '~';
    }
    if (!usable) {
        aws_fetch_fail(fetch, AWS_UNAVAILABLE, "it does not answer with a session token");
        return;
    }
    const char **headers = arena_array(fetch->arena, 2, sizeof(*headers));
    headers[0] = arena_printf(fetch->arena, "X-aws-ec2-metadata-token: %s", body);
    fetch->token = headers;
    ask(fetch, "GET", ROLES, headers, on_role);
}

static bool start(struct aws_fetch *fetch)
{
    static const char *const headers[] = {"X-aws-ec2-metadata-token-ttl-seconds: 300", NULL};
    const char *disabled = aws_env("AWS_EC2_METADATA_DISABLED");
    if (disabled && strcasecmp(disabled, "true") == 0) {
        return false;
    }
    ask(fetch, "PUT", "/latest/api/token", headers, on_token);
    return true;
}

const struct aws_source aws_source_instance = {.name = "instance",
    .server = "no other place has AWS credentials, and the instance metadata service was asked",
    .start = start};
