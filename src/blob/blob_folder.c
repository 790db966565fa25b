/* A folder as a source of documents: every regular file below it, by its relative path. Symbolic links and
 * hidden files are not seen, so nothing outside of the folder can be reached. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/alloc.h"
#include "blob/folder.h"

/* One read, on its way to a pool thread and back. */
struct read_call {
    struct folder *folder;
    struct arena *arena;
    const char *key;
    size_t max;
    blob_read_done *done;
    void *arg;
    struct blob_content content;
    struct error err;
};

static void *folder_open(struct loop *loop, const struct blob_place *place, struct error *err)
{
    if (!*place->place) {
        error_set(err, ERROR_FATAL, "blob_source", "place names no folder");
        return NULL;
    }
    struct folder *folder = xcalloc(1, sizeof(*folder));
    folder->loop = loop;
    folder->path = xstrdup(place->place);
    return folder;
}

static void folder_close(void *state)
{
    struct folder *folder = state;
    free(folder->path);
    free(folder);
}

int folder_open_root(const struct folder *folder, struct error *err)
{
    int fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        error_set(err, ERROR_RETRY, "blob_unavailable", "the folder of documents cannot be opened: %s",
            strerror(errno));
    }
    return fd;
}

void folder_object(struct arena *arena, struct blob_object *object, const struct stat *st)
{
    object->size = st->st_size;
    object->modified_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    /* With the time of the last change of any kind: programs that copy and unpack set the other one. */
    object->etag = arena_printf(arena, "%lld-%lld.%09ld-%lld.%09ld", (long long)st->st_size,
        (long long)st->st_mtim.tv_sec, (long)st->st_mtim.tv_nsec, (long long)st->st_ctim.tv_sec,
        (long)st->st_ctim.tv_nsec);
}

/* ---- reading ---- */

static bool read_failed(struct error *err)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP: /* a symbolic link: not an object */
        return error_set(err, ERROR_REJECT, "blob_missing", "there is no such document");
    case EACCES:
    case EPERM:
        return error_set(
            err, ERROR_REJECT, "blob_unreadable", "the document may not be read: %s", strerror(errno));
    default:
        return error_set(
            err, ERROR_RETRY, "blob_unavailable", "the document cannot be read: %s", strerror(errno));
    }
}

/* Opens `key` part by part, no part through a symbolic link. O_NONBLOCK: a FIFO must not stop the thread. */
static int open_key(struct read_call *call)
{
    int fd = folder_open_root(call->folder, &call->err);
    char *path = arena_strdup(call->arena, call->key);
    for (char *part = path; fd >= 0 && part;) {
        char *slash = strchr(part, '/');
        if (slash) {
            *slash = '\0';
        }
        int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (slash ? O_DIRECTORY : 0);
        int next = openat(fd, part, flags);
        if (next < 0) {
            read_failed(&call->err);
        }
        close(fd);
        fd = next;
        part = slash ? slash + 1 : NULL;
    }
    return fd;
}

/* The whole file, or false with the error set. */
static bool read_bytes(struct read_call *call, int fd, size_t size)
{
    char *data = arena_alloc(call->arena, size + 1);
    size_t len = 0;
    while (len < size) {
        ssize_t got = read(fd, data + len, size - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return read_failed(&call->err);
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
    }
    call->content.data = data;
    call->content.len = len;
    return true;
}

static void read_open_file(struct read_call *call, int fd)
{
    struct stat before, after;
    if (fstat(fd, &before) != 0) {
        read_failed(&call->err);
        return;
    }
    if (!S_ISREG(before.st_mode)) {
        error_set(&call->err, ERROR_REJECT, "blob_missing", "there is no such document");
        return;
    }
    if (before.st_size < 0 || (uintmax_t)before.st_size > call->max) {
        blob_too_large(&call->err, before.st_size, call->max);
        return;
    }
    if (!read_bytes(call, fd, (size_t)before.st_size)) {
        return;
    }
    if (fstat(fd, &after) != 0 || after.st_size != before.st_size ||
        call->content.len != (size_t)before.st_size || after.st_mtim.tv_sec != before.st_mtim.tv_sec ||
        after.st_mtim.tv_nsec != before.st_mtim.tv_nsec) {
        error_set(&call->err, ERROR_RETRY, "blob_changed", "the document was written while it was read");
        return;
    }
    call->content.object.key = call->key;
    folder_object(call->arena, &call->content.object, &after);
}

static void read_work(void *arg)
{
    struct read_call *call = arg;
    int fd = open_key(call);
    if (fd < 0) {
        return;
    }
    read_open_file(call, fd);
    close(fd);
}

static void read_finished(void *arg)
{
    struct read_call *call = arg;
    bool failed = call->err.disposition != ERROR_NONE;
    call->done(call->arg, failed ? NULL : &call->content, failed ? &call->err : NULL);
}

static void folder_read(
    void *state, struct arena *arena, const char *key, size_t max, blob_read_done *done, void *arg)
{
    struct folder *folder = state;
    struct read_call *call = ARENA_NEW(arena, struct read_call);
    *call = (struct read_call){
        .folder = folder, .arena = arena, .key = key, .max = max, .done = done, .arg = arg};
    loop_offload(folder->loop, read_work, read_finished, call);
}

const struct blob_driver blob_folder = {
    .name = "folder",
    .open = folder_open,
    .close = folder_close,
    .walk_new = folder_walk_new,
    .walk_free = folder_walk_free,
    .walk_next = folder_walk_next,
    .read = folder_read,
    .write = folder_write,
    .remove = folder_remove,
};
