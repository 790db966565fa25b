/* What AWS's servers answer, read as from a stranger: bounded, checked, no secret in any error. */
#ifndef HELPDESK_AWS_ANSWER_H
#define HELPDESK_AWS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/error.h"

#define AWS_ANSWER_MAX ((size_t)64 * 1024) /* of whoever gives credentials */
#define AWS_CODE_SIZE 64

/* Credentials as somebody gave them. */
struct aws_found {
    const char *access_key_id;
    const char *secret_access_key;
    const char *session_token; /* NULL: none */
    int64_t expires_ms;        /* wall time; 0: never */
};

/* Whether they can be signed with: both keys there, nothing in them that would break a header, not expired.
 * False with `err`, which names the field. */
bool aws_found_check(const struct aws_found *found, struct error *err);

/* Each: false with ERROR_RETRY "aws_answer"; texts are in the arena. */

/* AccessKeyId, SecretAccessKey, Token, Expiration as JSON: the container's endpoint and the instance's.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html */
bool aws_answer_json(
    struct arena *arena, const char *body, size_t len, struct aws_found *out, struct error *err);
/* XML of STS, the only form that is documented (and that other servers with its API have).
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html */
bool aws_answer_sts(
    struct arena *arena, const char *body, size_t len, struct aws_found *out, struct error *err);
/* SecretString of an answer of GetSecretValue.
 * https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html */
bool aws_answer_secret(
    struct arena *arena, const char *body, size_t len, const char **text, struct error *err);

/* What the server calls its error, "" when it does not say: of XML (STS) and of JSON (`__type` or `code`).
 * Only letters, digits, '.', '_' and '-' are taken. */
void aws_answer_code_xml(const char *body, size_t len, char out[AWS_CODE_SIZE]);
void aws_answer_code_json(const char *body, size_t len, char out[AWS_CODE_SIZE]);
/* Whether an error called so passes by itself: throttled, out of order. */
bool aws_code_passes(const char *code);

#endif
