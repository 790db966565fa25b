/* Writing and removing a file of a folder. No part of its path may be a symbolic link, so nothing outside of
 * the folder is changed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/ids.h"
#include "base/log.h"
#include "blob/folder.h"

/* One change, on its way to a pool thread and back. */
struct change {
    struct folder *folder;
    struct arena *arena;
    const char *key;
    const char *data; /* NULL: remove */
    size_t len;
    blob_change_done *done;
    void *arg;
    struct error err;
};

static bool change_failed(struct change *change)
{
    bool passes = errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EMFILE || errno == ENFILE;
    return error_set(&change->err, passes ? ERROR_RETRY : ERROR_REJECT,
        passes ? "blob_unavailable" : "blob_unwritable", "the document cannot be changed: %s",
        strerror(errno));
}

/* The folder that the file lies in, made when it is to be written; -1 with the error set, or without when
 * there is none to remove from. `name` is the last part. */
static int open_parent(struct change *change, const char **name)
{
    int fd = folder_open_root(change->folder, &change->err);
    char *part = arena_strdup(change->arena, change->key), *slash;
    for (; fd >= 0 && (slash = strchr(part, '/')) != NULL; part = slash + 1) {
        *slash = '\0';
        int next = -1;
        if (!change->data || mkdirat(fd, part, 0777) == 0 || errno == EEXIST) {
            next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        if (next < 0 && (change->data || errno != ENOENT)) {
            change_failed(change);
        }
        close(fd);
        fd = next;
    }
    *name = part;
    return fd;
}

static bool write_whole(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t wrote = write(fd, data, len);
        if (wrote < 0 && errno != EINTR) {
            return false;
        }
        size_t got = wrote > 0 ? (size_t)wrote : 0;
        data += got;
        len -= got;
    }
    return fsync(fd) == 0;
}

/* Whoever works with the file goes on doing so, as far as we may see to it. */
static void keep_access(int fd, int folder, const char *name)
{
    struct stat old;
    if (fstatat(folder, name, &old, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(old.st_mode)) {
        return;
    }
    if (fchown(fd, old.st_uid, old.st_gid) != 0) {
        log_warn("the file's owner is not kept", LOG_STR("why", strerror(errno)));
    }
    (void)fchmod(fd, old.st_mode & 0777);
}

/* Under a hidden name first, which no walk sees. */
static void write_file(struct change *change, int folder, const char *name)
{
    char id[UUID_TEXT_SIZE], hidden[UUID_TEXT_SIZE + 16];
    uuid_v7(id);
    (void)snprintf(hidden, sizeof(hidden), ".helpdesk-%s", id);
    int fd = openat(folder, hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) {
        change_failed(change);
        return;
    }
    keep_access(fd, folder, name);
    bool ok = write_whole(fd, change->data, change->len);
    if (close(fd) != 0) {
        ok = false;
    }
    if (!ok || renameat(folder, hidden, folder, name) != 0) {
        change_failed(change);
        unlinkat(folder, hidden, 0);
    }
}

static void change_work(void *arg)
{
    struct change *change = arg;
    const char *name;
    int folder = open_parent(change, &name);
    if (folder < 0) {
        return;
    }
    if (change->data) {
        write_file(change, folder, name);
    } else if (unlinkat(folder, name, 0) != 0 && errno != ENOENT) {
        change_failed(change);
    }
    close(folder);
}

static void change_finished(void *arg)
{
    struct change *change = arg;
    change->done(change->arg, change->err.disposition != ERROR_NONE ? &change->err : NULL);
}

static void change_start(void *state, struct arena *arena, const char *key, const void *data, size_t len,
    blob_change_done *done, void *arg)
{
    struct folder *folder = state;
    struct change *change = ARENA_NEW(arena, struct change);
    *change = (struct change){
        .folder = folder, .arena = arena, .key = key, .data = data, .len = len, .done = done, .arg = arg};
    loop_offload(folder->loop, change_work, change_finished, change);
}

void folder_write(void *state, struct arena *arena, const char *key, const void *data, size_t len,
    blob_change_done *done, void *arg)
{
    change_start(state, arena, key, len > 0 ? data : "", len, done, arg);
}

void folder_remove(void *state, struct arena *arena, const char *key, blob_change_done *done, void *arg)
{
    change_start(state, arena, key, NULL, 0, done, arg);
}
