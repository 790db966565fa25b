/* The profile of the files that the AWS SDKs share: ~/.aws/credentials and ~/.aws/config. Used inside aws
 * only. https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html */
#ifndef HELPDESK_AWS_PROFILE_H
#define HELPDESK_AWS_PROFILE_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/error.h"

enum aws_profile_file { AWS_PROFILE_SHARED, AWS_PROFILE_CONFIG, AWS_PROFILE_FILES };

enum aws_profile_key {
    AWS_PROFILE_ACCESS_KEY_ID,
    AWS_PROFILE_SECRET_ACCESS_KEY,
    AWS_PROFILE_SESSION_TOKEN,
    AWS_PROFILE_REGION,
    AWS_PROFILE_ROLE_ARN,
    AWS_PROFILE_SSO_SESSION,
    AWS_PROFILE_SSO_START_URL,
    AWS_PROFILE_CREDENTIAL_PROCESS,
    AWS_PROFILE_KEYS
};

struct aws_profile {
    const char *name; /* AWS_PROFILE, or "default" */
    bool there;       /* at least one of the files has it */
    const char *paths[AWS_PROFILE_FILES];
    const char *values[AWS_PROFILE_FILES][AWS_PROFILE_KEYS]; /* in the arena; NULL: not there, or empty */
};

/* Reads both files; one that does not exist is empty. False with ERROR_FATAL "aws_profile" naming the file
 * and the line. Blocks for as long as the disk does. */
bool aws_profile_read(struct arena *arena, struct aws_profile *profile, struct error *err);
/* As the files spell it: "role_arn". */
const char *aws_profile_key_name(enum aws_profile_key key);

#endif
