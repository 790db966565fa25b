/* Who a call of AWS is signed as: found where the AWS SDKs look, in their order, and fetched again before it
 * expires. https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html */
#ifndef HELPDESK_AWS_CREDENTIALS_H
#define HELPDESK_AWS_CREDENTIALS_H

#include "aws/sigv4.h"
#include "base/error.h"
#include "loop/loop.h"

/* One account's credentials, kept as long as they are good. Sets health part "credentials" once asked. */
struct aws_credentials;
/* Somebody who waits for them. */
struct aws_credentials_wait;

/* `err` NULL: `credentials` are good for this call; borrowed until this returns. Else NULL and
 *   ERROR_RETRY  "aws_credentials_unavailable": a server that gives them is away, or answers nonsense
 *   ERROR_RETRY  "aws_credentials_late": a server that gives them does not answer in time
 *   ERROR_FATAL  "aws_credentials_missing": no place has any, or one that is named cannot be read
 *   ERROR_FATAL  "aws_credentials_refused": a server that gives them says no
 * The text names the place and no secret. After an error the next get tries again, whatever it was. May get
 * and cancel; must not free. */
typedef void aws_credentials_done(
    void *arg, const struct sigv4_credentials *credentials, const struct error *err);

/* All on the loop's thread. Sources are tried in this order, and the first that is configured counts:
 *   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *   web identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN: STS AssumeRoleWithWebIdentity)
 *   the profile AWS_PROFILE of AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE
 *   AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI
 *   the instance's role (IMDSv2), unless AWS_EC2_METADATA_DISABLED
 * Asks nobody yet. From five minutes before they expire a get fetches new ones, behind the old ones; while
 * that fails, the old ones are given out until they expire. Many who wait share one fetch. */
struct aws_credentials *aws_credentials_new(struct loop *loop);
/* Nobody may wait any more; not from inside `done`. Before loop_free. NULL is fine. */
void aws_credentials_free(struct aws_credentials *credentials);

/* `done` is called once: inside this call when they are at hand (then NULL is returned), else later. */
struct aws_credentials_wait *aws_credentials_get(
    struct aws_credentials *credentials, aws_credentials_done *done, void *arg);
void aws_credentials_wait_cancel(struct aws_credentials_wait *wait); /* `done` is not called */
/* A service says that they are good no more: the next aws_credentials_get fetches them again. */
void aws_credentials_forget(struct aws_credentials *credentials);

/* The region: AWS_REGION, AWS_DEFAULT_REGION, or the profile's; in `out`, "" when there is none or it is not
 * the name of one. Reads files: at start only. */
void aws_region(char *out, size_t size);

#endif
