/* A walk through a folder in byte order of the keys: a folder's names are sorted with a '/' behind those of
 * folders, and of each folder on the way down only the names are held. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/buf.h"
#include "blob/folder.h"

#define PAGE_OBJECTS 1000
#define NAMES_MAX_BYTES ((size_t)32 << 20) /* of all folders on the way down together */

/* A folder on the way down. */
struct level {
    int fd;
    char *prefix; /* of its keys: "" or with a '/' at its end */
    char **names; /* sorted; a folder's ends with '/' */
    size_t count;
    size_t next;
    size_t bytes;
};

struct walk {
    struct folder *folder;
    struct level levels[FOLDER_MAX_DEPTH];
    int depth; /* levels in use */
    bool started;
    size_t bytes;
    /* Of one page: */
    struct arena *arena;
    struct blob_page page;
    blob_page_done *done;
    void *arg;
    struct error err;
};

/* ---- one folder ---- */

static void level_free(struct walk *walk)
{
    struct level *level = &walk->levels[--walk->depth];
    for (size_t i = 0; i < level->count; i++) {
        free(level->names[i]);
    }
    walk->bytes -= level->bytes;
    free(level->names);
    free(level->prefix);
    close(level->fd);
}

static void gap(struct walk *walk, const char *start, const char *why)
{
    walk->page.gap = arena_strdup(walk->arena, start);
    walk->page.why = arena_printf(walk->arena, "%.120s: %.70s", *start ? start : ".", why);
}

static bool is_folder(int fd, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN) {
        return entry->d_type == DT_DIR;
    }
    return fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool level_add(struct walk *walk, struct level *level, const struct dirent *entry, size_t *capacity)
{
    size_t len = strlen(entry->d_name);
    size_t bytes = len + 2 + sizeof(char *);
    if (walk->bytes + bytes > NAMES_MAX_BYTES) {
        return false;
    }
    if (level->count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 64;
        level->names = xrealloc(level->names, *capacity * sizeof(*level->names));
    }
    char *name = xmalloc(len + 2);
    memcpy(name, entry->d_name, len + 1);
    if (is_folder(level->fd, entry)) {
        memcpy(name + len, "/", 2);
    }
    level->names[level->count++] = name;
    level->bytes += bytes;
    walk->bytes += bytes;
    return true;
}

/* Reads all names; NULL or why not. */
static const char *level_read(struct walk *walk, struct level *level)
{
    int fd = openat(level->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const char *why = dir ? NULL : strerror(errno);
    size_t capacity = 0;
    struct dirent *entry;
    errno = 0;
    while (dir && !why && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' && !level_add(walk, level, entry, &capacity)) {
            why = "more names than a folder may have";
        }
        errno = 0;
    }
    if (!why && errno) {
        why = strerror(errno);
    }
    if (dir) {
        closedir(dir);
    } else if (fd >= 0) {
        close(fd);
    }
    if (level->count > 1) {
        qsort(level->names, level->count, sizeof(*level->names), by_name);
    }
    return why;
}

/* Takes `fd` and `prefix`. What cannot be read whole is a gap. */
static void enter(struct walk *walk, int fd, char *prefix)
{
    struct level *level = &walk->levels[walk->depth++];
    *level = (struct level){.fd = fd, .prefix = prefix};
    const char *why = level_read(walk, level);
    if (why) {
        gap(walk, prefix, why);
        level_free(walk);
    }
}

/* ---- a page ---- */

static void enter_below(struct walk *walk, const struct level *level, const char *name, const char *key)
{
    if (walk->depth == FOLDER_MAX_DEPTH || strlen(key) > BLOB_MAX_KEY) {
        gap(walk, key, "nested too deeply");
        return;
    }
    char *plain = arena_strndup(walk->arena, name, strlen(name) - 1);
    int fd = openat(level->fd, plain, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        enter(walk, fd, xstrdup(key));
    } else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
        gap(walk, key, strerror(errno));
    }
}

static void visit(struct walk *walk, const struct level *level, const char *name)
{
    char *key = arena_printf(walk->arena, "%s%s", level->prefix, name);
    struct stat st;
    if (key[strlen(key) - 1] == '/') {
        enter_below(walk, level, name, key);
    } else if (fstatat(level->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
        struct blob_object *object = &walk->page.objects[walk->page.count++];
        object->key = key;
        folder_object(walk->arena, object, &st);
    }
}

static void page_work(void *arg)
{
    struct walk *walk = arg;
    if (!walk->started) {
        walk->started = true;
        int fd = folder_open_root(walk->folder, &walk->err);
        if (fd < 0) {
            return;
        }
        enter(walk, fd, xstrdup(""));
    }
    walk->page.objects = arena_array(walk->arena, PAGE_OBJECTS, sizeof(*walk->page.objects));
    while (walk->depth > 0 && walk->page.count < PAGE_OBJECTS && !walk->page.gap) {
        struct level *level = &walk->levels[walk->depth - 1];
        if (level->next < level->count) {
            visit(walk, level, level->names[level->next++]);
        } else {
            level_free(walk);
        }
    }
    walk->page.last = walk->depth == 0;
}

static void page_finished(void *arg)
{
    struct walk *walk = arg;
    bool failed = walk->err.disposition != ERROR_NONE;
    walk->done(walk->arg, failed ? NULL : &walk->page, failed ? &walk->err : NULL);
}

void folder_walk_next(void *state, struct arena *arena, blob_page_done *done, void *arg)
{
    struct walk *walk = state;
    walk->arena = arena;
    walk->page = (struct blob_page){0};
    walk->done = done;
    walk->arg = arg;
    loop_offload(walk->folder->loop, page_work, page_finished, walk);
}

void *folder_walk_new(void *state)
{
    struct walk *walk = xcalloc(1, sizeof(*walk));
    walk->folder = state;
    return walk;
}

void folder_walk_free(void *state)
{
    struct walk *walk = state;
    while (walk->depth > 0) {
        level_free(walk);
    }
    free(walk);
}
