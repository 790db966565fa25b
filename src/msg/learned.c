/* Schemas by the ids that a registry gave them: a table that only grows, and the ids that are written. */
#include "msg/learned.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "msg/codec.h"
#include "msg/store.h"

#define MAX_TYPES 8 /* of msg_top_types */

static struct {
    _Atomic(const struct msg_registry *) registry;
    pthread_mutex_t lock; /* one learns at a time */
    /* An entry is complete before `count` tells of it, and never changes after that. */
    struct {
        uint32_t id;
        struct avsc schema;
    } ids[MSG_MAX_IDS];
    atomic_size_t count;
    _Atomic int64_t write_id[MAX_TYPES]; /* by msg_top_types: the id and 1, 0 for none */
} learned = {.lock = PTHREAD_MUTEX_INITIALIZER};

void msg_use_registry(const struct msg_registry *registry)
{
    atomic_store_explicit(&learned.registry, registry, memory_order_release);
}

const struct msg_registry *learned_registry(void)
{
    return atomic_load_explicit(&learned.registry, memory_order_acquire);
}

const struct avsc *learned_by_id(uint32_t id)
{
    size_t count = atomic_load_explicit(&learned.count, memory_order_acquire);

    for (size_t i = 0; i < count; i++) {
        if (learned.ids[i].id == id) {
            return &learned.ids[i].schema;
        }
    }
    return NULL;
}

static bool is_ours(const char *record)
{
    for (size_t i = 0; msg_top_types[i] != NULL; i++) {
        if (strcmp(msg_top_types[i]->name, record) == 0) {
            return true;
        }
    }
    return false;
}

/* Under the lock. */
static bool learn(uint32_t id, const char *json, size_t len, struct error *err)
{
    struct error why = {.disposition = ERROR_NONE};
    size_t count = atomic_load_explicit(&learned.count, memory_order_relaxed);
    char name[AVSC_NAME_SIZE];

    if (learned_by_id(id) != NULL) {
        return true;
    }
    if (count == MSG_MAX_IDS) {
        return error_set(err, ERROR_REJECT, "schema_invalid",
            "schema id %" PRIu32 ": %d ids are known, and no more are taken", id, MSG_MAX_IDS);
    }
    snprintf(name, sizeof name, "id %" PRIu32, id);
    struct avsc *avsc = &learned.ids[count].schema;
    if (!avsc_init(avsc, name, json, len, &why)) {
        return error_set(err, ERROR_REJECT, "schema_invalid", "%s", why.text);
    }
    if (!is_ours(avsc->record)) { /* a registry holds many others: they must not fill the table */
        error_set(err, ERROR_REJECT, "schema_invalid", "schema id %" PRIu32 ": a %s, which is not read here",
            id, avsc->record);
        avsc_fini(avsc);
        return false;
    }
    learned.ids[count].id = id;
    atomic_store_explicit(&learned.count, count + 1, memory_order_release);
    return true;
}

bool msg_learn_id(uint32_t id, const char *json, size_t len, struct error *err)
{
    pthread_mutex_lock(&learned.lock);
    bool ok = learn(id, json, len, err);
    pthread_mutex_unlock(&learned.lock);
    return ok;
}

bool msg_knows_id(uint32_t id)
{
    return learned_by_id(id) != NULL;
}

size_t msg_known_ids(void)
{
    return atomic_load_explicit(&learned.count, memory_order_acquire);
}

bool msg_id_is_current(uint32_t id, const struct msg_type *type)
{
    const struct avsc *avsc = learned_by_id(id);
    return avsc != NULL && avsc->fingerprint == store_current(type)->fingerprint;
}

static size_t type_index(const struct msg_type *type)
{
    size_t i = 0;

    while (msg_top_types[i] != NULL && msg_top_types[i] != type) {
        i++;
    }
    assert(msg_top_types[i] != NULL && i < MAX_TYPES);
    return i;
}

void msg_write_id(const struct msg_type *type, uint32_t id)
{
    atomic_store(&learned.write_id[type_index(type)], (int64_t)id + 1);
}

int64_t learned_write_id(const struct msg_type *type)
{
    return atomic_load(&learned.write_id[type_index(type)]) - 1;
}

const char *msg_content_type(void)
{
    const struct msg_registry *registry = learned_registry();
    return registry != NULL && registry->confluent ? "application/avro" : "application/avro-single-object";
}
