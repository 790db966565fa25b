/* A small cache: a list in order of use, searched from its start. */
#include "gateway/customer_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "gateway/hash.h"

struct entry {
    struct entry *next;
    uint32_t hash; /* of the customer's id: most comparisons end here */
    char *tenant;
    char *external_id;
    char *json;
    int64_t at;
};

struct customer_cache {
    struct entry *first; /* most recently used */
    size_t count;
    size_t max;
    int64_t keep_ms;
};

struct customer_cache *customer_cache_new(size_t max, int64_t keep_ms)
{
    struct customer_cache *cache = xcalloc(1, sizeof *cache);
    cache->max = max;
    cache->keep_ms = keep_ms;
    return cache;
}

static void entry_free(struct entry *entry)
{
    if (entry != NULL) {
        free(entry->tenant);
        free(entry->external_id);
        free(entry->json);
        free(entry);
    }
}

static void entry_put_first(struct customer_cache *cache, struct entry *entry)
{
    entry->next = cache->first;
    cache->first = entry;
    cache->count++;
}

void customer_cache_free(struct customer_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    struct entry *next;
    for (struct entry *entry = cache->first; entry != NULL; entry = next) {
        next = entry->next;
        entry_free(entry);
    }
    free(cache);
}

/* Takes the entry out of the list; NULL when there is none. */
static struct entry *entry_take(struct customer_cache *cache, const char *tenant, const char *external_id)
{
    uint32_t hash = hash_fnv(external_id);
    for (struct entry **slot = &cache->first; *slot != NULL; slot = &(*slot)->next) {
        struct entry *entry = *slot;
        if (entry->hash == hash && strcmp(entry->external_id, external_id) == 0 &&
            strcmp(entry->tenant, tenant) == 0) {
            *slot = entry->next;
            cache->count--;
            return entry;
        }
    }
    return NULL;
}

static struct entry *entry_take_last(struct customer_cache *cache)
{
    struct entry **slot = &cache->first;
    while (*slot != NULL && (*slot)->next != NULL) {
        slot = &(*slot)->next;
    }
    struct entry *entry = *slot;
    *slot = NULL;
    cache->count -= entry != NULL;
    return entry;
}

const char *customer_cache_get(
    struct customer_cache *cache, const char *tenant, const char *external_id, int64_t now, int64_t *age_ms)
{
    struct entry *entry = entry_take(cache, tenant, external_id);
    if (entry == NULL) {
        return NULL;
    }
    *age_ms = now - entry->at;
    if (*age_ms >= cache->keep_ms) {
        entry_free(entry);
        return NULL;
    }
    entry_put_first(cache, entry);
    return entry->json;
}

void customer_cache_put(
    struct customer_cache *cache, const char *tenant, const char *external_id, const char *json, int64_t now)
{
    entry_free(entry_take(cache, tenant, external_id));
    if (cache->max == 0) {
        return;
    }
    if (cache->count == cache->max) {
        entry_free(entry_take_last(cache));
    }
    struct entry *entry = xcalloc(1, sizeof *entry);
    entry->hash = hash_fnv(external_id);
    entry->tenant = xstrdup(tenant);
    entry->external_id = xstrdup(external_id);
    entry->json = xstrdup(json);
    entry->at = now;
    entry_put_first(cache, entry);
}
