/* Places where documents live: list the objects of a source, read one. What callers see; implementers see
 * blob/blob_impl.h. */
#ifndef HELPDESK_BLOB_BLOB_H
#define HELPDESK_BLOB_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/error.h"
#include "conf/conf.h"
#include "loop/loop.h"

#define BLOB_MAX_KEY 1024       /* bytes of an object's key (S3's own limit) */
#define BLOB_MAX_OBJECTS 200000 /* objects of one source */

struct blob_source;

struct blob_object {
    const char *key;     /* relative path with '/', UTF-8, no "." or ".." part */
    int64_t size;        /* bytes */
    int64_t modified_ms; /* wall time of the last change */
    const char *etag;    /* changes whenever the content does; opaque */
};

struct blob_list {
    struct blob_object *objects; /* sorted by key */
    size_t count;
    size_t capacity;
    bool incomplete; /* some part could not be listed: what is not in the list may exist all the same */
    char why[200];   /* of `incomplete` */
};

struct blob_content {
    struct blob_object object; /* as it was when the bytes were read */
    const char *data;
    size_t len;
};

/* Both results live in the arena given with the call. Exactly one of result and `err` is not NULL. Loop
 * thread. */
typedef void blob_list_done(void *arg, const struct blob_list *list, const struct error *err);
typedef void blob_read_done(void *arg, const struct blob_content *content, const struct error *err);

/* The source that kb.source and kb.name describe; NULL with ERROR_FATAL "blob_source" when it cannot be one.
 */
struct blob_source *blob_open(struct loop *loop, const struct conf *conf, struct error *err);
void blob_close(struct blob_source *source);             /* nothing under way; NULL is fine */
const char *blob_name(const struct blob_source *source); /* kb.name; borrowed */

/* Lists all objects. The arena belongs to the call until `done`. Errors: ERROR_RETRY "blob_unavailable". */
void blob_list(struct blob_source *source, struct arena *arena, blob_list_done *done, void *arg);

/* Reads object `key` (copied) of at most `max` bytes. The arena belongs to the call until `done`. Errors:
 * ERROR_RETRY "blob_unavailable" or "blob_changed" (written while it was read); ERROR_REJECT "blob_missing",
 * "blob_too_large", "blob_bad_key", "blob_unreadable". */
void blob_read(struct blob_source *source, struct arena *arena, const char *key, size_t max,
    blob_read_done *done, void *arg);

#endif
