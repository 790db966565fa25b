/* The parts of a folder as a source: reading (blob_folder.c), walking (folder_walk.c), changing
 * (folder_change.c). Used inside blob only. */
#ifndef HELPDESK_BLOB_FOLDER_H
#define HELPDESK_BLOB_FOLDER_H

#include <sys/stat.h>
#include "blob/blob_impl.h"

#define FOLDER_MAX_DEPTH 32

struct folder {
    struct loop *loop;
    char *path;
};

/* The folder, as a file descriptor; -1 with ERROR_RETRY "blob_unavailable". Any thread. */
int folder_open_root(const struct folder *folder, struct error *err);
/* All of `object` but its key; the etag in the arena. */
void folder_object(struct arena *arena, struct blob_object *object, const struct stat *st);

void *folder_walk_new(void *state);
void folder_walk_free(void *state);
void folder_walk_next(void *state, struct arena *arena, blob_page_done *done, void *arg);

void folder_write(void *state, struct arena *arena, const char *key, const void *data, size_t len,
    blob_change_done *done, void *arg);
void folder_remove(void *state, struct arena *arena, const char *key, blob_change_done *done, void *arg);

#endif
