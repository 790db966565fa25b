/* Values by key in memory, bounded in number, in bytes and in age; the least recently used goes first. */
#ifndef HELPDESK_MODEL_CACHE_H
#define HELPDESK_MODEL_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_KEY_SIZE 32
#define CACHE_ENTRY_BYTES 256 /* that an entry counts besides its value */

struct cache; /* one thread at a time */

struct cache_key {
    unsigned char bytes[CACHE_KEY_SIZE]; /* evenly spread, such as a digest */
};

struct cache_limits {
    size_t entries; /* above 0 */
    size_t bytes;   /* of all values, and CACHE_ENTRY_BYTES each */
    int64_t keep_ms;
};

/* `free_value` is called for each value that goes, whatever the reason. */
struct cache *cache_new(const struct cache_limits *limits, void (*free_value)(void *value));
void cache_free(struct cache *cache); /* NULL is fine */

/* The value, which counts as used now; NULL: there is none, or it is too old. Borrowed until the next call of
 * this module. `now_ms` is monotonic time, here and below. */
void *cache_get(struct cache *cache, const struct cache_key *key, int64_t now_ms);

/* Keeps `value` of `bytes`, which is the cache's from now on, in place of what the key had; what has no room
 * goes. A value that is larger than the whole cache goes itself. */
void cache_put(struct cache *cache, const struct cache_key *key, void *value, size_t bytes, int64_t now_ms);

void cache_drop(struct cache *cache, const struct cache_key *key); /* nothing when there is none */

size_t cache_count(const struct cache *cache);
size_t cache_bytes(const struct cache *cache);
uint64_t cache_evicted(const struct cache *cache); /* how many values had to go for want of room */

#endif
