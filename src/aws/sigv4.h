/* AWS Signature Version 4: the headers that prove who sends a request.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html */
#ifndef HELPDESK_AWS_SIGV4_H
#define HELPDESK_AWS_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"

#define SIGV4_HEADERS_MAX 16              /* that a request may have signed */
#define SIGV4_QUERY_MAX 64                /* parameters of a query */
#define SIGV4_HEX_SIZE 65                 /* of a SHA-256, its NUL included */
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD" /* S3 over TLS takes it as payload hash */

struct sigv4_credentials {
    const char *access_key_id;
    const char *secret_access_key;
    const char *session_token; /* NULL or "": none */
};

struct sigv4_header {
    const char *name;
    const char *value;
};

struct sigv4_request {
    const char *method;
    const char *path;  /* as it goes over the wire: percent-encoded, from the first '/'; "" means "/" */
    const char *query; /* as it goes over the wire, without '?'; NULL or "": none */
    const struct sigv4_header
        *headers; /* to sign besides x-amz-date and x-amz-security-token: at least "host" */
    size_t header_count;
    const char *payload_hash; /* lower-case hex SHA-256 of the body (sigv4_hash), or SIGV4_UNSIGNED */
    const char *region;
    const char *service;
    int64_t wall_ms; /* now; the services accept some minutes of difference */
    /* S3 signs the path as it is sent. Every other service has "." and ".." resolved, double '/' made one,
     * and the wire path encoded once more. */
    bool path_as_sent;
};

/* Complete header lines ("Name: value"), in the arena. */
struct sigv4_signature {
    const char *authorization;
    const char *date;           /* x-amz-date */
    const char *security_token; /* x-amz-security-token; NULL without a session */
};

void sigv4_hash(const void *body, size_t len, char out[SIGV4_HEX_SIZE]);

/* A pure function; any thread. False: there are too many headers or parameters, nothing is signed. */
bool sigv4_sign(struct arena *arena, const struct sigv4_credentials *credentials,
    const struct sigv4_request *request, struct sigv4_signature *out);

/* The percent-encoded form of `text` as one path segment (RFC 3986, unreserved characters
 * stay), in the arena. What goes into a URL is made with it. */
char *sigv4_encode(struct arena *arena, const char *text);

#endif
