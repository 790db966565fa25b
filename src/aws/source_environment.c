/* Credentials that are environment variables. */
#include "aws/endpoint.h"
#include "aws/source.h"

static bool start(struct aws_fetch *fetch)
{
    const struct aws_found found = {.access_key_id = aws_env("AWS_ACCESS_KEY_ID"),
        .secret_access_key = aws_env("AWS_SECRET_ACCESS_KEY"),
        .session_token = aws_env("AWS_SESSION_TOKEN")};
    if (!found.access_key_id) {
        return false;
    }
    if (!found.secret_access_key) {
        aws_fetch_fail(fetch, AWS_MISSING, "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
        return true;
    }
    aws_fetch_found(fetch, &found);
    return true;
}

const struct aws_source aws_source_environment = {.name = "environment", .start = start};
