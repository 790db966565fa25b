/* How Amazon Bedrock's runtime is reached, for the providers that ask something of it. */
#ifndef HELPDESK_MODEL_BEDROCK_H
#define HELPDESK_MODEL_BEDROCK_H

#include "model/chat_driver.h"

/* The state behind bedrock_access: the first member of what a provider keeps. */
struct bedrock {
    char *url;
    const char *path; /* in `url` */
    char *host;       /* as it is sent and signed */
    char *region;
    char *authorization; /* with the bearer token; NULL: requests are signed */
    struct aws_credentials *credentials;
};

extern const struct model_access bedrock_access;

/* Region, endpoint, model and key. False: ERROR_FATAL "setting_invalid" or "setting_missing". */
bool bedrock_check(const struct chat_options *options, struct error *err);
/* `action`: "converse", "invoke". */
void bedrock_init(
    struct bedrock *bedrock, struct loop *loop, const struct chat_options *options, const char *action);
void bedrock_fini(struct bedrock *bedrock); /* nothing is under way */

#endif
