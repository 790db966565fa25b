/* A secret of AWS Secrets Manager, read when it is asked for.
 * https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html */
#ifndef HELPDESK_AWS_SECRET_H
#define HELPDESK_AWS_SECRET_H

#include "base/error.h"
#include "loop/loop.h"

/* One secret, and the credentials that it is read with. */
struct aws_secret;

/* `text` is the secret's string, borrowed until this returns: never to be logged. Else NULL and `err`:
 *   ERROR_RETRY  "aws_secret_unavailable", and what aws_credentials_get says
 *   ERROR_FATAL  "aws_secret_refused": no such secret, no right to read it, not a text
 *   ERROR_FATAL  "aws_endpoint", "too_large", and what aws_credentials_get says */
typedef void aws_secret_done(void *arg, const char *text, const struct error *err);

/* All on the loop's thread. The region is the ARN's. AWS_ENDPOINT_URL_SECRETS_MANAGER names another server (a
 * private endpoint of the VPC). NULL with ERROR_FATAL "aws_secret_arn" when `arn` is not
 * arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME. */
struct aws_secret *aws_secret_new(struct loop *loop, const char *arn, struct error *err);
/* A read under way is dropped. Not from inside `done`. Before loop_free. NULL is fine. */
void aws_secret_free(struct aws_secret *secret);

/* `done` is called once, now or later. One read at a time. */
void aws_secret_read(struct aws_secret *secret, aws_secret_done *done, void *arg);
bool aws_secret_reading(const struct aws_secret *secret);

#endif
