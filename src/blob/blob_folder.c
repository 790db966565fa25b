/* A folder as a source of documents: every regular file below it, by its relative path. Symbolic links and
 * hidden files are not seen, so nothing outside of the folder can be reached. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/alloc.h"
#include "blob/blob_impl.h"

#define FOLDER_MAX_DEPTH 32
#define FOLDER_MAX_KEY_BYTES ((size_t)32 << 20) /* of all keys of a list together */

struct folder {
    struct loop *loop;
    char *path;
};

/* One list or read, on its way to a pool thread and back. */
struct folder_call {
    struct folder *folder;
    struct arena *arena;
    const char *key;
    size_t max;
    blob_list_done *list_done;
    blob_read_done *read_done;
    void *arg;
    struct blob_list list;
    size_t key_bytes;
    struct blob_content content;
    struct error err;
};

static void *folder_open(struct loop *loop, const char *place, struct error *err)
{
    if (!*place) {
        error_set(err, ERROR_FATAL, "blob_source", "kb.source names no folder");
        return NULL;
    }
    struct folder *folder = xcalloc(1, sizeof(*folder));
    folder->loop = loop;
    folder->path = xstrdup(place);
    return folder;
}

static void folder_close(void *state)
{
    struct folder *folder = state;
    free(folder->path);
    free(folder);
}

static int open_root(const struct folder *folder, struct error *err)
{
    int fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        error_set(err, ERROR_RETRY, "blob_unavailable", "the folder of documents cannot be opened: %s",
            strerror(errno));
    }
    return fd;
}

static void fill_object(struct arena *arena, struct blob_object *object, const struct stat *st)
{
    object->size = st->st_size;
    object->modified_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    object->etag = arena_printf(arena, "%lld-%lld.%09ld", (long long)st->st_size,
        (long long)st->st_mtim.tv_sec, (long)st->st_mtim.tv_nsec);
}

/* ---- listing ---- */

static void list_incomplete(struct blob_list *list, const char *key, const char *why)
{
    if (!list->incomplete) {
        snprintf(list->why, sizeof(list->why), "%.120s: %.70s", *key ? key : ".", why);
    }
    list->incomplete = true;
}

static void list_append(struct folder_call *call, const char *key, const struct stat *st)
{
    struct blob_list *list = &call->list;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        struct blob_object *grown = arena_array(call->arena, capacity, sizeof(*grown));
        if (list->count) {
            memcpy(grown, list->objects, list->count * sizeof(*grown));
        }
        list->objects = grown;
        list->capacity = capacity;
    }
    struct blob_object *object = &list->objects[list->count++];
    object->key = key;
    fill_object(call->arena, object, st);
    call->key_bytes += strlen(key);
}

static bool list_full(const struct folder_call *call)
{
    return call->list.count >= BLOB_MAX_OBJECTS || call->key_bytes >= FOLDER_MAX_KEY_BYTES;
}

static void list_folder(struct folder_call *call, int fd, const char *prefix, int depth);

static void list_entry(
    struct folder_call *call, int folder_fd, const char *prefix, const char *name, int depth)
{
    char *key = arena_printf(call->arena, "%s%s", prefix, name);
    struct stat st;
    if (!blob_key_valid(key) || fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return; /* gone meanwhile, or a name that no citation can carry */
    }
    if (S_ISREG(st.st_mode)) {
        list_append(call, key, &st);
    } else if (S_ISDIR(st.st_mode)) {
        int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0) {
            list_folder(call, fd, arena_printf(call->arena, "%s/", key), depth + 1);
        } else if (errno != ENOENT) {
            list_incomplete(&call->list, key, strerror(errno));
        }
    }
}

/* Takes `fd`. */
static void list_folder(struct folder_call *call, int fd, const char *prefix, int depth)
{
    DIR *dir = depth < FOLDER_MAX_DEPTH ? fdopendir(fd) : NULL;
    if (!dir) {
        list_incomplete(
            &call->list, prefix, depth < FOLDER_MAX_DEPTH ? strerror(errno) : "nested too deeply");
        close(fd);
        return;
    }
    struct dirent *entry;
    errno = 0;
    while (!list_full(call) && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            list_entry(call, dirfd(dir), prefix, entry->d_name, depth);
        }
        errno = 0;
    }
    if (errno) {
        list_incomplete(&call->list, prefix, strerror(errno));
    }
    if (list_full(call)) {
        list_incomplete(&call->list, prefix, "more documents than a source may hold");
    }
    closedir(dir);
}

static void list_work(void *arg)
{
    struct folder_call *call = arg;
    int fd = open_root(call->folder, &call->err);
    if (fd >= 0) {
        list_folder(call, fd, "", 0);
    }
}

static void list_finished(void *arg)
{
    struct folder_call *call = arg;
    bool failed = call->err.disposition != ERROR_NONE;
    call->list_done(call->arg, failed ? NULL : &call->list, failed ? &call->err : NULL);
}

static void folder_list(void *state, struct arena *arena, blob_list_done *done, void *arg)
{
    struct folder *folder = state;
    struct folder_call *call = ARENA_NEW(arena, struct folder_call);
    *call = (struct folder_call){.folder = folder, .arena = arena, .list_done = done, .arg = arg};
    loop_offload(folder->loop, list_work, list_finished, call);
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
static int open_key(struct folder_call *call)
{
    int fd = open_root(call->folder, &call->err);
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
static bool read_bytes(struct folder_call *call, int fd, size_t size)
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

static void read_open_file(struct folder_call *call, int fd)
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
        error_set(&call->err, ERROR_REJECT, "blob_too_large", "the document has %lld bytes, %zu are allowed",
            (long long)before.st_size, call->max);
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
    fill_object(call->arena, &call->content.object, &after);
}

static void read_work(void *arg)
{
    struct folder_call *call = arg;
    if (!blob_key_valid(call->key)) {
        error_set(&call->err, ERROR_REJECT, "blob_bad_key", "the name of the document is not a valid key");
        return;
    }
    int fd = open_key(call);
    if (fd < 0) {
        return;
    }
    read_open_file(call, fd);
    close(fd);
}

static void read_finished(void *arg)
{
    struct folder_call *call = arg;
    bool failed = call->err.disposition != ERROR_NONE;
    call->read_done(call->arg, failed ? NULL : &call->content, failed ? &call->err : NULL);
}

static void folder_read(
    void *state, struct arena *arena, const char *key, size_t max, blob_read_done *done, void *arg)
{
    struct folder *folder = state;
    struct folder_call *call = ARENA_NEW(arena, struct folder_call);
    *call = (struct folder_call){.folder = folder, .arena = arena, .max = max, .read_done = done, .arg = arg};
    call->key = arena_strdup(arena, key);
    loop_offload(folder->loop, read_work, read_finished, call);
}

const struct blob_driver blob_folder = {
    .name = "folder",
    .open = folder_open,
    .close = folder_close,
    .list = folder_list,
    .read = folder_read,
};
