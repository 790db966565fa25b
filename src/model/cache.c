/* A hash table whose entries also stand in a list in order of use. */
#include "model/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/alloc.h"

#define LEAST_BUCKETS 64

TAILQ_HEAD(entry_list, entry);

struct entry {
    struct entry *next;       /* in its bucket */
    TAILQ_ENTRY(entry) order; /* most recently used first */
    struct cache_key key;
    void *value;
    size_t bytes;
    int64_t until_ms;
};

struct cache {
    struct cache_limits limits;
    void (*free_value)(void *value);
    struct entry **buckets;
    size_t bucket_count; /* a power of 2 */
    struct entry_list order;
    size_t count;
    size_t bytes;
    uint64_t evicted;
};

struct cache *cache_new(const struct cache_limits *limits, void (*free_value)(void *value))
{
    assert(limits->entries > 0);
    struct cache *cache = xcalloc(1, sizeof(*cache));
    *cache = (struct cache){.limits = *limits, .free_value = free_value, .bucket_count = LEAST_BUCKETS};
    cache->buckets = xcalloc(cache->bucket_count, sizeof(*cache->buckets));
    TAILQ_INIT(&cache->order);
    return cache;
}

static struct entry **slot_of(const struct cache *cache, const struct cache_key *key)
{
    size_t hash;
    memcpy(&hash, key->bytes, sizeof(hash));
    struct entry **slot = &cache->buckets[hash & (cache->bucket_count - 1)];
    while (*slot && memcmp((*slot)->key.bytes, key->bytes, CACHE_KEY_SIZE) != 0) {
        slot = &(*slot)->next;
    }
    return slot;
}

static void remove_at(struct cache *cache, struct entry **slot)
{
    struct entry *entry = *slot;
    assert(entry); /* what stands in the list stands in the table */
    *slot = entry->next;
    TAILQ_REMOVE(&cache->order, entry, order);
    cache->count--;
    cache->bytes -= entry->bytes;
    cache->free_value(entry->value);
    free(entry);
}

void cache_free(struct cache *cache)
{
    if (!cache) {
        return;
    }
    while (!TAILQ_EMPTY(&cache->order)) {
        remove_at(cache, slot_of(cache, &TAILQ_FIRST(&cache->order)->key));
    }
    free(cache->buckets);
    free(cache);
}

void *cache_get(struct cache *cache, const struct cache_key *key, int64_t now_ms)
{
    struct entry **slot = slot_of(cache, key);
    struct entry *entry = *slot;
    if (!entry) {
        return NULL;
    }
    if (entry->until_ms <= now_ms) {
        remove_at(cache, slot);
        return NULL;
    }
    TAILQ_REMOVE(&cache->order, entry, order);
    TAILQ_INSERT_HEAD(&cache->order, entry, order);
    return entry->value;
}

static void grow(struct cache *cache)
{
    struct entry **old = cache->buckets, *entry;
    cache->bucket_count *= 2;
    cache->buckets = xcalloc(cache->bucket_count, sizeof(*cache->buckets));
    TAILQ_FOREACH(entry, &cache->order, order)
    {
        entry->next = NULL;
        *slot_of(cache, &entry->key) = entry;
    }
    free(old);
}

static void make_room(struct cache *cache, size_t bytes)
{
    while (cache->count >= cache->limits.entries || cache->bytes > cache->limits.bytes - bytes) {
        remove_at(cache, slot_of(cache, &TAILQ_LAST(&cache->order, entry_list)->key));
        cache->evicted++;
    }
}

void cache_put(struct cache *cache, const struct cache_key *key, void *value, size_t bytes, int64_t now_ms)
{
    cache_drop(cache, key);
    if (bytes > SIZE_MAX - CACHE_ENTRY_BYTES || bytes + CACHE_ENTRY_BYTES > cache->limits.bytes) {
        cache->free_value(value);
        return;
    }
    bytes += CACHE_ENTRY_BYTES;
    make_room(cache, bytes);
    if (cache->count >= cache->bucket_count) {
        grow(cache);
    }
    struct entry *entry = xcalloc(1, sizeof(*entry));
    *entry = (struct entry){
        .key = *key, .value = value, .bytes = bytes, .until_ms = now_ms + cache->limits.keep_ms};
    *slot_of(cache, key) = entry;
    TAILQ_INSERT_HEAD(&cache->order, entry, order);
    cache->count++;
    cache->bytes += bytes;
}

void cache_drop(struct cache *cache, const struct cache_key *key)
{
    struct entry **slot = slot_of(cache, key);
    if (*slot) {
        remove_at(cache, slot);
    }
}

size_t cache_count(const struct cache *cache)
{
    return cache->count;
}

size_t cache_bytes(const struct cache *cache)
{
    return cache->bytes;
}

uint64_t cache_evicted(const struct cache *cache)
{
    return cache->evicted;
}
