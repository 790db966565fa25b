/* Keeps the writers' schemas, and finds them by fingerprint and by pinned Confluent id. */
#include "msg/store.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/log.h"
#include "msg/codec.h"

static struct {
    pthread_once_t once;
    struct avsc schemas[STORE_MAX_SCHEMAS];
    size_t count;
    struct {
        uint32_t id;
        size_t schema;
    } pins[STORE_MAX_PINS];
    size_t pin_count;
} store = {.once = PTHREAD_ONCE_INIT};

static void add_compiled(const char *name, const char *json)
{
    struct error err = {.disposition = ERROR_NONE};

    if (!avsc_init(&store.schemas[store.count], name, json, strlen(json), &err)) {
        log_error("a compiled-in schema is invalid", LOG_STR("why", err.text));
        abort();
    }
    store.count++;
}

/* The current ones first, in the order of msg_top_types. */
static void fill(void)
{
    for (size_t i = 0; msg_top_types[i] != NULL; i++) {
        add_compiled(msg_top_types[i]->name, msg_top_types[i]->schema);
    }
    for (size_t i = 0; msg_history[i].name != NULL; i++) {
        add_compiled(msg_history[i].name, msg_history[i].json);
    }
}

const struct avsc *store_current(const struct msg_type *type)
{
    pthread_once(&store.once, fill);
    for (size_t i = 0; msg_top_types[i] != NULL; i++) {
        if (msg_top_types[i] == type) {
            return &store.schemas[i];
        }
    }
    assert(!"a nested record has no schema of its own");
    abort();
}

const struct avsc *store_by_fingerprint(uint64_t fingerprint)
{
    pthread_once(&store.once, fill);
    for (size_t i = 0; i < store.count; i++) {
        if (store.schemas[i].fingerprint == fingerprint) {
            return &store.schemas[i];
        }
    }
    return NULL;
}

const struct avsc *store_by_confluent_id(uint32_t id)
{
    for (size_t i = 0; i < store.pin_count; i++) {
        if (store.pins[i].id == id) {
            return &store.schemas[store.pins[i].schema];
        }
    }
    return NULL;
}

/* The text of a file of at most AVSC_MAX_BYTES, on the heap; NULL with errno. */
static char *read_file(int folder, const char *file, size_t *len)
{
    int fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return NULL;
    }
    char *text = xmalloc(AVSC_MAX_BYTES + 1);
    size_t used = 0;
    ssize_t got;
    while ((got = read(fd, text + used, AVSC_MAX_BYTES + 1 - used)) > 0) {
        used += (size_t)got;
    }
    int problem = got < 0 ? errno : used > AVSC_MAX_BYTES ? EFBIG : 0;
    close(fd);
    *len = used;
    if (problem == 0) {
        return text;
    }
    free(text);
    errno = problem;
    return NULL;
}

static bool load_file(int folder, const char *file, struct error *err)
{
    char name[AVSC_NAME_SIZE];
    size_t len, stem = strlen(file) - strlen(".avsc");

    if (stem >= sizeof name || store.count == STORE_MAX_SCHEMAS) {
        return error_set(err, ERROR_FATAL, "schema_invalid", "%s: %s", file,
            stem >= sizeof name ? "the name is too long" : "too many schemas");
    }
    char *json = read_file(folder, file, &len);
    if (json == NULL) {
        return error_set(err, ERROR_FATAL, "schema_unreadable", "%s: %s", file, strerror(errno));
    }
    snprintf(name, sizeof name, "%.*s", (int)stem, file);
    bool ok = avsc_init(&store.schemas[store.count], name, json, len, err);
    if (ok) {
        store.count++;
    }
    free(json);
    return ok;
}

static int is_schema(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && dot != NULL && strcmp(dot, ".avsc") == 0;
}

bool msg_load_schemas(const char *folder, struct error *err)
{
    struct dirent **files;
    bool ok = true;

    pthread_once(&store.once, fill);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int count = fd < 0 ? -1 : scandirat(fd, ".", &files, is_schema, alphasort);
    if (count < 0) {
        error_set(err, ERROR_FATAL, "schema_unreadable", "%s: %s", folder, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    for (int i = 0; i < count; i++) {
        ok = ok && load_file(fd, files[i]->d_name, err);
        free(files[i]);
    }
    free(files);
    close(fd);
    return ok;
}

bool msg_pin_confluent_id(int32_t id, const char *name, struct error *err)
{
    size_t schema = 0;

    pthread_once(&store.once, fill);
    while (schema < store.count && strcmp(store.schemas[schema].name, name) != 0) {
        schema++;
    }
    if (schema == store.count) {
        return error_set(err, ERROR_FATAL, "schema_unknown", "no schema is called %s", name);
    }
    size_t pin = 0;
    while (pin < store.pin_count && store.pins[pin].id != (uint32_t)id) {
        pin++;
    }
    if (pin == STORE_MAX_PINS) {
        return error_set(
            err, ERROR_FATAL, "schema_invalid", "more than %d schema ids are pinned", STORE_MAX_PINS);
    }
    store.pins[pin].id = (uint32_t)id;
    store.pins[pin].schema = schema;
    if (pin == store.pin_count) {
        store.pin_count++;
    }
    return true;
}

const char *msg_schema(const struct msg_type *type)
{
    assert(type->schema != NULL);
    return type->schema;
}

uint64_t msg_fingerprint(const struct msg_type *type)
{
    return store_current(type)->fingerprint;
}
