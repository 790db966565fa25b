/* What an implementation of a source is: one initializer struct per file blob_<what>.c. */
#ifndef HELPDESK_BLOB_BLOB_IMPL_H
#define HELPDESK_BLOB_BLOB_IMPL_H

#include "blob/blob.h"

struct blob_driver {
    const char *name;
    void *(*open)(
        struct loop *loop, const char *place, struct error *err); /* `place` is kb.source; NULL: err */
    void (*close)(void *state);
    /* Never call `done` inside the call. `list` need not sort: blob.c does. */
    void (*list)(void *state, struct arena *arena, blob_list_done *done, void *arg);
    void (*read)(
        void *state, struct arena *arena, const char *key, size_t max, blob_read_done *done, void *arg);
};

extern const struct blob_driver blob_folder;

/* Whether `key` is one that every source accepts: UTF-8 without control characters, not empty, not too long,
 * no leading
 * '/', no empty, "." or ".." part, no part that starts with a '.'. */
bool blob_key_valid(const char *key);

#endif
