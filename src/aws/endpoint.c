/* Endpoints of AWS's services, and the region that they are in. */
#include "aws/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "aws/credentials.h"
#include "aws/profile.h"

#define REGION_MAX 32

const char *aws_env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

bool aws_region_valid(const char *region)
{
    size_t len = strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return len > 0 && len <= REGION_MAX && region[len] == '\0';
}

void aws_region(char *out, size_t size)
{
    struct arena *arena = arena_new(0);
    struct aws_profile profile;
    const char *region = aws_env("AWS_REGION");
    region = region ? region : aws_env("AWS_DEFAULT_REGION");
    if (!region && aws_profile_read(arena, &profile, NULL)) {
        region = profile.values[AWS_PROFILE_CONFIG][AWS_PROFILE_REGION];
        region = region ? region : profile.values[AWS_PROFILE_SHARED][AWS_PROFILE_REGION];
    }
    snprintf(out, size, "%s", region && aws_region_valid(region) ? region : "");
    arena_free(arena);
}

/* Partitions have domains of their own; a region's name says which. */
static const char *own_url(struct arena *arena, const char *prefix, const char *region)
{
    if (!*region) {
        return arena_printf(arena, "https://%s.amazonaws.com/", prefix);
    }
    return arena_printf(
        arena, "https://%s.%s.amazonaws.com%s/", prefix, region, strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

bool aws_endpoint_find(struct arena *arena, const char *id, const char *prefix, const char *region,
    struct aws_endpoint *out, struct error *err)
{
    const char *variable = arena_printf(arena, "AWS_ENDPOINT_URL_%s", id);
    variable = aws_env(variable) ? variable : "AWS_ENDPOINT_URL";
    const char *url = aws_env(variable);
    url = url ? url : own_url(arena, prefix, region);
    const char *authority = strncmp(url, "https://", 8) == 0  ? url + 8
                            : strncmp(url, "http://", 7) == 0 ? url + 7
                                                              : "";
    size_t len = strcspn(authority, "/?#@\\");
    const char *rest = authority + len;
    if (len == 0 || (*rest && *rest != '/') || strpbrk(rest, "?#% ")) {
        return error_set(err, ERROR_FATAL, "aws_endpoint",
            "%s is not an address like https://host or http://host:port/path", variable);
    }
    bool slash = url[strlen(url) - 1] == '/' && *rest;
    out->url = arena_printf(arena, "%s%s", url, slash ? "" : "/");
    out->host = arena_strndup(arena, authority, len);
    out->path = arena_printf(arena, "%s%s", rest, slash ? "" : "/");
    return true;
}
