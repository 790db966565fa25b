/* A small cache: a list in order of use, searched from its start. */
#include "gateway/customer_cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "gateway/hash.h"

struct entry {
    TAILQ_ENTRY(entry) link;
    uint32_t hash; /* of the customer's id: most comparisons end here */
    char *tenant;
    char *external_id;
    char *json;
    int64_t at;
};

TAILQ_HEAD(entry_list, entry);

struct customer_cache {
    struct entry_list entries; /* most recently used first */
    size_t count;
    size_t max;
    int64_t keep_ms;
};

struct customer_cache *customer_cache_new(size_t max, int64_t keep_ms)
{
    struct customer_cache *cache = xcalloc(1, sizeof *cache);
    TAILQ_INIT(&cache->entries);
    cache->max = max;
    cache->keep_ms = keep_ms;
    return cache;
}

static void entry_drop(struct customer_cache *cache, struct entry *entry)
{
    TAILQ_REMOVE(&cache->entries, entry, link);
    cache->count--;
    free(entry->tenant);
    free(entry->external_id);
    free(entry->json);
    free(entry);
}

void customer_cache_free(struct customer_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    while (!TAILQ_EMPTY(&cache->entries)) {
        entry_drop(cache, TAILQ_FIRST(&cache->entries));
    }
    free(cache);
}

static struct entry *find(struct customer_cache *cache, const char *tenant, const char *external_id)
{
    uint32_t hash = hash_fnv(external_id);
    struct entry *entry;
    TAILQ_FOREACH(entry, &cache->entries, link)
    {
        if (entry->hash == hash && strcmp(entry->external_id, external_id) == 0 &&
            strcmp(entry->tenant, tenant) == 0) {
            return entry;
        }
    }
    return NULL;
}

const char *customer_cache_get(
    struct customer_cache *cache, const char *tenant, const char *external_id, int64_t now, int64_t *age_ms)
{
    struct entry *entry = find(cache, tenant, external_id);
    if (entry == NULL) {
        return NULL;
    }
    *age_ms = now - entry->at;
    if (*age_ms >= cache->keep_ms) {
        entry_drop(cache, entry);
        return NULL;
    }
    TAILQ_REMOVE(&cache->entries, entry, link);
    TAILQ_INSERT_HEAD(&cache->entries, entry, link);
    return entry->json;
}

void customer_cache_put(
    struct customer_cache *cache, const char *tenant, const char *external_id, const char *json, int64_t now)
{
    struct entry *old = find(cache, tenant, external_id);
    if (old != NULL) {
        entry_drop(cache, old);
    }
    if (cache->max == 0) {
        return;
    }
    if (cache->count == cache->max) {
        entry_drop(cache, TAILQ_LAST(&cache->entries, entry_list));
    }
    struct entry *entry = xcalloc(1, sizeof *entry);
    entry->hash = hash_fnv(external_id);
    entry->tenant = xstrdup(tenant);
    entry->external_id = xstrdup(external_id);
    entry->json = xstrdup(json);
    entry->at = now;
    TAILQ_INSERT_HEAD(&cache->entries, entry, link);
    cache->count++;
}
