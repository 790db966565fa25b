/* What an implementation of a source is: one initializer struct per file blob_<what>.c. */
#ifndef HELPDESK_BLOB_BLOB_IMPL_H
#define HELPDESK_BLOB_BLOB_IMPL_H

#include "blob/blob.h"

/* None calls `done` inside the call. Keys are valid. */
struct blob_driver {
    const char *name;
    void *(*open)(struct loop *loop, const struct blob_place *place, struct error *err); /* NULL: err */
    void (*close)(void *state);
    void (*abort)(
        void *state); /* calls `done` of all that is under way, with ERROR_RETRY; NULL: it ends by itself */
    /* `walk_next` gives pages in order, in the arena, which is the page's. blob.c checks the order and leaves
     * out what is not valid or not wanted. */
    void *(*walk_new)(void *state);
    void (*walk_free)(void *walk);
    void (*walk_next)(void *walk, struct arena *arena, blob_page_done *done, void *arg);
    void (*read)(
        void *state, struct arena *arena, const char *key, size_t max, blob_read_done *done, void *arg);
    void (*write)(void *state, struct arena *arena, const char *key, const void *data, size_t len,
        blob_change_done *done, void *arg);
    void (*remove)(void *state, struct arena *arena, const char *key, blob_change_done *done, void *arg);
};

extern const struct blob_driver blob_folder;
extern const struct blob_driver blob_s3;

#endif
