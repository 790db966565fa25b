/* S3 and servers with its API: signed calls (s3_call.c), their answers (s3_answer.c), the source (blob_s3.c).
 * Used inside blob only. https://docs.aws.amazon.com/AmazonS3/latest/API/ */
#ifndef HELPDESK_BLOB_S3_H
#define HELPDESK_BLOB_S3_H

#include <sys/queue.h>
#include "aws/credentials.h"
#include "blob/blob_impl.h"
#include "http/call.h"

#define S3_PAGE_OBJECTS 1000             /* the most that a server lists at once */
#define S3_LIST_MAX ((size_t)8 << 20)    /* of a list: its keys of 1 KiB, percent-encoded, fit */
#define S3_ERROR_MAX ((size_t)64 * 1024) /* of an answer that has no content */
#define S3_TOKEN_MAX 4096
#define S3_CODE_SIZE 64
#define S3_ETAG_SIZE 256

/* ---- the server ---- */

struct s3_call;
LIST_HEAD(s3_call_list, s3_call);

struct s3 {
    struct loop *loop;
    struct http_calls *calls;
    struct aws_credentials *credentials;
    char *host;   /* of requests, with its port */
    char *url;    /* https://host */
    char *path;   /* in front of keys: "/" or "/bucket/" */
    char *bucket; /* in messages */
    char *prefix; /* of keys: "" or with a '/' at its end */
    char *region;
    char *storage_class;
    enum http_reach reach;
    struct s3_call_list open;
};

/* NULL with ERROR_FATAL "blob_source", naming the member that is wrong. Asks nobody yet. */
struct s3 *s3_new(struct loop *loop, const struct blob_place *place, struct error *err);
void s3_free(struct s3 *s3); /* no call under way */

/* Of one call, borrowed until its `done`. */
struct s3_request {
    const char *method;
    const char *key;   /* with the prefix; NULL: the bucket itself */
    const char *query; /* percent-encoded; "": none */
    const char *range; /* Range header; NULL: none */
    const void *body;  /* NULL: none */
    size_t body_len;
    size_t max_answer; /* bytes of a body with a 2xx status */
    const char
        *stored; /* it makes an object of this media type, and of the storage class; NULL: it does not */
};

/* `err` NULL: a status of 2xx, or 416; `result` is borrowed until this returns. Else ERROR_RETRY
 * "blob_unavailable", ERROR_REJECT "blob_missing" (the object, not the bucket), "blob_denied",
 * "blob_too_large". */
typedef void s3_done(void *arg, const struct http_call_result *result, const struct error *err);

/* `done` is called once, never inside this call; at s3_abort inside that. */
void s3_send(struct s3 *s3, const struct s3_request *request, s3_done *done, void *arg);
/* Ends all calls under way with ERROR_RETRY "blob_unavailable". */
void s3_abort(struct s3 *s3);

/* ---- answers: from a stranger; pure, any thread ---- */

struct s3_list {
    struct blob_object *objects; /* keys without the prefix, as they came */
    size_t count;
    size_t refused;   /* keys that cannot be decoded */
    const char *next; /* token of the next page; NULL: this is the last */
};

/* ListBucketResult of ListObjectsV2. All of `out` is in the arena, the keys that do not lie below `prefix` or
 * name a folder are left out. False: ERROR_RETRY "blob_unavailable", saying what is wrong with it. */
bool s3_answer_list(struct arena *arena, const char *body, size_t len, const char *prefix,
    struct s3_list *out, struct error *err);
/* What an error is called: "" when the body does not say. Only letters and digits are taken. */
void s3_answer_code(const char *body, size_t len, char out[S3_CODE_SIZE]);
/* Whether an answer to a request for an object means that this object is denied for good, by policy, key of
 * encryption or storage class: what the base has of it is old and must go. Otherwise the server, the clock or
 * our credentials are the trouble, and what the base has stays. */
bool s3_answer_denies_object(int status, const char *code);

#endif
