/* Sources of documents by their place: picks the implementation, keeps the rules that all of them share. */
#include "blob/blob.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/utf8.h"
#include "blob/blob_impl.h"
#include "blob/glob.h"

#define PAGE_ARENA ((size_t)32 << 20) /* a page of 1,000 keys of 1 KiB, and what it was parsed from */
#define REFUSED_SHOWN 60              /* bytes of a refused key that are told */

struct globs {
    char **items;
    size_t count;
};

struct blob_source {
    const struct blob_driver *driver;
    struct loop *loop;
    void *state;
    char *name;
    struct globs include, exclude;
};

struct blob_walk {
    struct blob_source *source;
    void *state;
    struct arena *arena; /* of the page */
    char *last_key;      /* of the pages before */
    struct blob_page page;
    blob_page_done *done;
    void *arg;
};

/* ---- keys ---- */

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

const char *blob_place_key(const struct blob_place *place, const char *bucket, const char *key)
{
    size_t len = strlen(bucket);
    if (strncmp(place->place, BLOB_S3_SCHEME, strlen(BLOB_S3_SCHEME)) != 0) {
        return NULL;
    }
    const char *own = place->place + strlen(BLOB_S3_SCHEME);
    if (len == 0 || strncmp(own, bucket, len) != 0 || (own[len] && own[len] != '/')) {
        return NULL;
    }
    const char *prefix = own[len] ? own + len + 1 : "";
    size_t prefix_len = strlen(prefix);
    if (strncmp(key, prefix, prefix_len) != 0) {
        return NULL;
    }
    key += prefix_len;
    if (prefix_len > 0 && prefix[prefix_len - 1] != '/' && *key++ != '/') {
        return NULL;
    }
    return key;
}

static bool matches_one(const struct globs *globs, const char *key)
{
    for (size_t i = 0; i < globs->count; i++) {
        if (glob_match(globs->items[i], key)) {
            return true;
        }
    }
    return false;
}

static bool selected(const struct blob_source *source, const char *key)
{
    return (source->include.count == 0 || matches_one(&source->include, key)) &&
           !matches_one(&source->exclude, key);
}

bool blob_wanted(const struct blob_source *source, const char *key)
{
    return blob_key_valid(key) && selected(source, key);
}

/* ---- a source's life ---- */

static struct globs globs_copy(const char *const *items, size_t count)
{
    struct globs globs = {.items = xcalloc(count + 1, sizeof(*globs.items)), .count = count};
    for (size_t i = 0; i < count; i++) {
        globs.items[i] = xstrdup(items[i]);
    }
    return globs;
}

static void globs_free(struct globs *globs)
{
    for (size_t i = 0; i < globs->count; i++) {
        free(globs->items[i]);
    }
    free(globs->items);
}

struct blob_source *blob_open(struct loop *loop, const struct blob_place *place, struct error *err)
{
    bool in_s3 = !strncmp(place->place, BLOB_S3_SCHEME, strlen(BLOB_S3_SCHEME));
    const struct blob_driver *driver = in_s3 ? &blob_s3 : &blob_folder;
    if (!in_s3 && strstr(place->place, "://")) {
        error_set(err, ERROR_FATAL, "blob_source", "the place is of a kind that is not known: %.200s",
            place->place);
        return NULL;
    }
    void *state = driver->open(loop, place, err);
    if (!state) {
        return NULL;
    }
    struct blob_source *source = xcalloc(1, sizeof(*source));
    source->driver = driver;
    source->loop = loop;
    source->state = state;
    source->name = xstrdup(place->name);
    source->include = globs_copy(place->include, place->include_count);
    source->exclude = globs_copy(place->exclude, place->exclude_count);
    return source;
}

void blob_close(struct blob_source *source)
{
    if (!source) {
        return;
    }
    source->driver->close(source->state);
    globs_free(&source->include);
    globs_free(&source->exclude);
    free(source->name);
    free(source);
}

void blob_abort(struct blob_source *source)
{
    if (source->driver->abort) {
        source->driver->abort(source->state);
    }
}

const char *blob_name(const struct blob_source *source)
{
    return source->name;
}

/* ---- walking ---- */

struct blob_walk *blob_walk_new(struct blob_source *source)
{
    struct blob_walk *walk = xcalloc(1, sizeof(*walk));
    walk->source = source;
    walk->state = source->driver->walk_new(source->state);
    walk->last_key = xstrdup("");
    return walk;
}

void blob_walk_free(struct blob_walk *walk)
{
    if (!walk) {
        return;
    }
    walk->source->driver->walk_free(walk->state);
    arena_free(walk->arena);
    free(walk->last_key);
    free(walk);
}

static void refuse(struct blob_walk *walk, const char *key)
{
    static const char hex[] = "0123456789ABCDEF";
    struct blob_page *page = &walk->page;
    if (page->refused++ > 0) {
        return;
    }
    char *shown = arena_alloc(walk->arena, 3 * REFUSED_SHOWN + 1), *to = shown;
    for (size_t i = 0; key[i] && i < REFUSED_SHOWN; i++) {
        unsigned char c = (unsigned char)key[i];
        if (c > 0x20 && c < 0x7f && c != '%') {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        }
    }
    page->refused_key = shown;
}

/* Leaves out what nobody wants. False: the objects are not in order. */
static bool sift(struct blob_walk *walk)
{
    struct blob_page *page = &walk->page;
    const char *last = walk->last_key;
    size_t kept = 0;
    for (size_t i = 0; i < page->count; i++) {
        const char *key = page->objects[i].key;
        if (*last && strcmp(key, last) <= 0) {
            return false;
        }
        last = key;
        if (!blob_key_valid(key)) {
            refuse(walk, key);
        } else if (selected(walk->source, key)) {
            page->objects[kept++] = page->objects[i];
        }
    }
    char *copied = xstrdup(last);
    free(walk->last_key);
    walk->last_key = copied;
    page->count = kept;
    return true;
}

static void on_page(void *arg, const struct blob_page *page, const struct error *err)
{
    struct blob_walk *walk = arg;
    struct error disorder;
    if (page) {
        walk->page = *page;
        if (!sift(walk)) {
            error_set(
                &disorder, ERROR_RETRY, "blob_order", "the objects are not listed in order of their keys");
            err = &disorder;
        }
    }
    walk->done(walk->arg, err ? NULL : &walk->page, err);
}

void blob_walk_next(struct blob_walk *walk, blob_page_done *done, void *arg)
{
    arena_free(walk->arena);
    walk->arena = arena_new(PAGE_ARENA);
    walk->done = done;
    walk->arg = arg;
    walk->source->driver->walk_next(walk->state, walk->arena, on_page, walk);
}

/* ---- single objects ---- */

/* A call for a key that no driver sees; in the caller's arena. */
struct refusal {
    blob_read_done *read_done;
    blob_change_done *change_done;
    void *arg;
    struct error err;
};

static void refusal_told(void *arg)
{
    struct refusal *refusal = arg;
    if (refusal->read_done) {
        refusal->read_done(refusal->arg, NULL, &refusal->err);
    } else {
        refusal->change_done(refusal->arg, &refusal->err);
    }
}

static struct refusal *refusal_new(
    struct blob_source *source, struct arena *arena, const char *key, void *arg)
{
    struct refusal *refusal = ARENA_NEW(arena, struct refusal);
    refusal->arg = arg;
    if (!blob_key_valid(key)) {
        error_set(&refusal->err, ERROR_REJECT, "blob_bad_key", "the name of the document is not a valid key");
    } else {
        error_set(
            &refusal->err, ERROR_REJECT, "blob_missing", "the source's settings leave the document out");
    }
    loop_post(source->loop, refusal_told, refusal);
    return refusal;
}

bool blob_too_large(struct error *err, int64_t size, size_t max)
{
    return error_set(err, ERROR_REJECT, "blob_too_large", "the document has %lld bytes, %zu are allowed",
        (long long)size, max);
}

void blob_read(struct blob_source *source, struct arena *arena, const char *key, size_t max,
    blob_read_done *done, void *arg)
{
    if (!blob_wanted(source, key)) {
        refusal_new(source, arena, key, arg)->read_done = done;
    } else {
        source->driver->read(source->state, arena, arena_strdup(arena, key), max, done, arg);
    }
}

void blob_write(struct blob_source *source, struct arena *arena, const char *key, const void *data,
    size_t len, blob_change_done *done, void *arg)
{
    if (!blob_wanted(source, key)) {
        refusal_new(source, arena, key, arg)->change_done = done;
    } else {
        source->driver->write(source->state, arena, arena_strdup(arena, key), data, len, done, arg);
    }
}

void blob_remove(
    struct blob_source *source, struct arena *arena, const char *key, blob_change_done *done, void *arg)
{
    if (!blob_wanted(source, key)) {
        refusal_new(source, arena, key, arg)->change_done = done;
    } else {
        source->driver->remove(source->state, arena, arena_strdup(arena, key), done, arg);
    }
}
