/* Places where documents live: walk through the objects of a source, read, write and remove one. What callers
 * see; implementers see blob/blob_impl.h. */
#ifndef HELPDESK_BLOB_BLOB_H
#define HELPDESK_BLOB_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/error.h"
#include "loop/loop.h"

#define BLOB_MAX_KEY 1024 /* bytes of an object's key (S3's own limit) */
#define BLOB_S3_SCHEME "s3://"

struct blob_source;
/* A walk through all objects of a source. */
struct blob_walk;

/* Which place a source is. Borrowed. */
struct blob_place {
    const char *name;           /* of the source, in messages and metrics */
    const char *place;          /* a folder, or "s3://bucket" or "s3://bucket/prefix" */
    const char *endpoint;       /* of S3: "" is Amazon's own in `region`; else http(s)://host[:port] */
    const char *region;         /* "": the environment's (aws_region) */
    const char *storage_class;  /* of what blob_write puts into S3 */
    bool path_style;            /* https://endpoint/bucket/key, not https://bucket.endpoint/key */
    const char *const *include; /* globs (blob/glob.h): a key must match one, when there are any ... */
    size_t include_count;
    const char *const *exclude; /* ... and none of these */
    size_t exclude_count;
};

struct blob_object {
    const char *key;     /* relative to the place, with '/', as blob_key_valid wants it */
    int64_t size;        /* bytes */
    int64_t modified_ms; /* wall time of the last change */
    const char *etag;    /* changes whenever the content does; opaque */
};

/* Some of the objects, in byte order of their keys, all behind those of the page before. */
struct blob_page {
    struct blob_object *objects;
    size_t count; /* may be 0 */
    bool last;    /* there are no more */
    /* NULL, or the start of keys that could not be listed: behind the objects of this page and before those
     * of the next, there may be such objects all the same. */
    const char *gap;
    const char *why;         /* of `gap` */
    size_t refused;          /* objects that are not listed since their keys are not valid */
    const char *refused_key; /* the first of them, percent-encoded; NULL: none */
};

struct blob_content {
    struct blob_object object; /* as it was when the bytes were read */
    const char *data;
    size_t len;
};

/* On the loop's thread. Exactly one of result and `err` is not NULL. */
typedef void blob_page_done(void *arg, const struct blob_page *page, const struct error *err);
typedef void blob_read_done(void *arg, const struct blob_content *content, const struct error *err);
/* `err` NULL: it is done. */
typedef void blob_change_done(void *arg, const struct error *err);

/* Whether `key` is one that every source accepts: UTF-8 without control characters, not empty, not above
 * BLOB_MAX_KEY, no '/' at its start or end, no empty part, no part that starts with a '.'. */
bool blob_key_valid(const char *key);

/* The key of an object of an S3 bucket relative to `place`; NULL when it does not lie there, or the place is
 * a folder. Points into `key`. Pure: whoever is told of a bucket's objects finds the source with it. */
const char *blob_place_key(const struct blob_place *place, const char *bucket, const char *key);

/* NULL with ERROR_FATAL "blob_source", naming the member that is wrong. */
struct blob_source *blob_open(struct loop *loop, const struct blob_place *place, struct error *err);
void blob_close(struct blob_source *source); /* nothing under way; NULL is fine */
/* Ends what waits for a server: each is called back inside, with ERROR_RETRY "blob_unavailable". Before
 * blob_close of a source in use; nothing is started any more. */
void blob_abort(struct blob_source *source);
const char *blob_name(const struct blob_source *source); /* borrowed */
/* Whether `key` is valid and is not left out by the globs. */
bool blob_wanted(const struct blob_source *source, const char *key);

/* Only one page is held, so a walk takes no more memory for more objects. Objects that are not wanted are
 * left out. `blob_walk_next` gives the next page, not after the last; it is borrowed until the next call for
 * this walk. One at a time. Errors, after which the walk is only to be freed: ERROR_RETRY "blob_unavailable",
 * "blob_order" (a server that does not list in order). */
struct blob_walk *blob_walk_new(struct blob_source *source);
void blob_walk_next(struct blob_walk *walk, blob_page_done *done, void *arg);
void blob_walk_free(struct blob_walk *walk); /* no page is awaited; may be inside `done`; NULL is fine */

/* Reads object `key` (copied) of at most `max` bytes. The arena belongs to the call until `done`, the result
 * lives in it. Errors: ERROR_RETRY "blob_unavailable" or "blob_changed" (written while it was read);
 * ERROR_REJECT "blob_missing" (or not wanted), "blob_too_large", "blob_bad_key", "blob_unreadable",
 * "blob_denied" (which S3 also says of what does not exist, to who may not list all of the bucket). */
void blob_read(struct blob_source *source, struct arena *arena, const char *key, size_t max,
    blob_read_done *done, void *arg);
/* What blob_read says of an object of `size` bytes, for those who know it before they read. False. */
bool blob_too_large(struct error *err, int64_t size, size_t max);

/* Puts `len` bytes in the place of object `key`: readers see the old or the new ones, whole. The arena
 * belongs to the call until `done`, `key` is copied and `data` borrowed. In S3 the object is of the source's
 * storage class. Errors: ERROR_RETRY "blob_unavailable"; ERROR_REJECT "blob_bad_key",
 * "blob_missing" (not wanted), "blob_unwritable". */
void blob_write(struct blob_source *source, struct arena *arena, const char *key, const void *data,
    size_t len, blob_change_done *done, void *arg);
/* Removes object `key`; none there: done already. Otherwise as blob_write. */
void blob_remove(
    struct blob_source *source, struct arena *arena, const char *key, blob_change_done *done, void *arg);

#endif
