/* Credentials of the environment alone. */
#include "aws/credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/alloc.h"

struct aws_credentials {
    struct loop *loop;
};

struct aws_credentials *aws_credentials_new(struct loop *loop)
{
    struct aws_credentials *credentials = xcalloc(1, sizeof(*credentials));
    credentials->loop = loop;
    return credentials;
}

void aws_credentials_free(struct aws_credentials *credentials)
{
    free(credentials);
}

struct aws_credentials_wait *aws_credentials_get(
    struct aws_credentials *credentials, aws_credentials_done *done, void *arg)
{
    (void)credentials;
    const struct sigv4_credentials found = {
        getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), getenv("AWS_SESSION_TOKEN")};
    struct error err = {0};
    if (found.access_key_id && found.secret_access_key) {
        done(arg, &found, NULL);
    } else {
        error_set(&err, ERROR_FATAL, "aws_credentials_missing", "AWS_ACCESS_KEY_ID is not set");
        done(arg, NULL, &err);
    }
    return NULL;
}

void aws_credentials_wait_cancel(struct aws_credentials_wait *wait)
{
    (void)wait;
}

void aws_credentials_forget(struct aws_credentials *credentials)
{
    (void)credentials;
}

void aws_region(char *out, size_t size)
{
    const char *region = getenv("AWS_REGION");
    snprintf(out, size, "%s", region ? region : "");
}
