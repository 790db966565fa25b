/* Where a service of AWS is asked. */
#ifndef HELPDESK_AWS_ENDPOINT_H
#define HELPDESK_AWS_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/error.h"

/* The variable's value; NULL when it is not set or empty. */
const char *aws_env(const char *name);

/* Whether `region` is written like one: it becomes a part of host names. */
bool aws_region_valid(const char *region);

/* Of one service in one region; texts in the arena. */
struct aws_endpoint {
    const char *url;  /* of the service's root, with a '/' at its end */
    const char *host; /* what a Host header says, with a port when one is named */
    const char *path; /* of `url`, as it is signed */
};

/* AWS_ENDPOINT_URL_<ID>, AWS_ENDPOINT_URL, else the region's own (no region: the global one). `id` is
 * "SECRETS_MANAGER", `prefix` "secretsmanager". False with ERROR_FATAL "aws_endpoint" naming the variable.
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html */
bool aws_endpoint_find(struct arena *arena, const char *id, const char *prefix, const char *region,
    struct aws_endpoint *out, struct error *err);

#endif
