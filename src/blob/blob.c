/* Sources of documents by their setting: picks the implementation, keeps the rules that all of them share. */
#include "blob/blob.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/utf8.h"
#include "blob/blob_impl.h"

struct blob_source {
    const struct blob_driver *driver;
    void *state;
    char *name;
};

/* A list under way: blob.c sorts what the driver found. */
struct list_call {
    blob_list_done *done;
    void *arg;
};

bool blob_key_valid(const char *key)
{
    size_t len = strlen(key);
    if (len == 0 || len > BLOB_MAX_KEY || !utf8_valid(key, len)) {
        return false;
    }
    bool part_start = true;
    for (const char *c = key; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            return false;
        }
        if (part_start && (*c == '.' || *c == '/')) {
            return false;
        }
        part_start = *c == '/';
    }
    return !part_start;
}

struct blob_source *blob_open(struct loop *loop, const struct conf *conf, struct error *err)
{
    const char *place = conf_text(conf, CONF_KB_SOURCE);
    const struct blob_driver *driver = &blob_folder;
    if (strstr(place, "://")) {
        error_set(
            err, ERROR_FATAL, "blob_source", "kb.source is a kind of place that is not known: %.200s", place);
        return NULL;
    }
    void *state = driver->open(loop, place, err);
    if (!state) {
        return NULL;
    }
    struct blob_source *source = xcalloc(1, sizeof(*source));
    source->driver = driver;
    source->state = state;
    source->name = xstrdup(conf_text(conf, CONF_KB_NAME));
    return source;
}

void blob_close(struct blob_source *source)
{
    if (!source) {
        return;
    }
    source->driver->close(source->state);
    free(source->name);
    free(source);
}

const char *blob_name(const struct blob_source *source)
{
    return source->name;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct blob_object *)a)->key, ((const struct blob_object *)b)->key);
}

static void listed(void *arg, const struct blob_list *list, const struct error *err)
{
    struct list_call *call = arg;
    if (list && list->count > 1) {
        qsort(list->objects, list->count, sizeof(*list->objects), by_key);
    }
    call->done(call->arg, list, err);
}

void blob_list(struct blob_source *source, struct arena *arena, blob_list_done *done, void *arg)
{
    struct list_call *call = ARENA_NEW(arena, struct list_call);
    *call = (struct list_call){.done = done, .arg = arg};
    source->driver->list(source->state, arena, listed, call);
}

void blob_read(struct blob_source *source, struct arena *arena, const char *key, size_t max,
    blob_read_done *done, void *arg)
{
    source->driver->read(source->state, arena, key, max, done, arg);
}
