/* Keeps cleaned passages behind a lock. */
#include "guard/passages.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "model/cache.h"

#define MAX_PASSAGES 4096
#define MAX_BYTES ((size_t)4 << 20)

struct kept {
    size_t injections;
    char quotable[];
};

struct passages {
    pthread_mutex_t lock;
    struct cache *cache; /* of struct kept */
};

struct passages *passages_new(void)
{
    /* Of the same words the same may always be quoted: nothing gets too old. */
    static const struct cache_limits limits = {
        .entries = MAX_PASSAGES, .bytes = MAX_BYTES, .keep_ms = INT64_MAX};
    struct passages *passages = xcalloc(1, sizeof *passages);
    pthread_mutex_init(&passages->lock, NULL);
    passages->cache = cache_new(&limits, free);
    return passages;
}

void passages_free(struct passages *passages)
{
    cache_free(passages->cache);
    pthread_mutex_destroy(&passages->lock);
    free(passages);
}

static bool key_of(const char *excerpt, struct cache_key *key)
{
    return EVP_Digest(excerpt, strlen(excerpt), key->bytes, NULL, EVP_sha256(), NULL) == 1;
}

char *passages_get(struct passages *passages, struct arena *arena, const char *excerpt, size_t *injections)
{
    struct cache_key key;
    char *text = NULL;
    if (!key_of(excerpt, &key)) {
        return NULL;
    }
    pthread_mutex_lock(&passages->lock);
    const struct kept *kept = cache_get(passages->cache, &key, 0);
    if (kept != NULL) {
        text = arena_strdup(arena, kept->quotable);
        *injections = kept->injections;
    }
    pthread_mutex_unlock(&passages->lock);
    return text;
}

void passages_put(struct passages *passages, const char *excerpt, const char *quotable, size_t injections)
{
    struct cache_key key;
    if (!key_of(excerpt, &key)) {
        return;
    }
    size_t len = strlen(quotable), size = sizeof(struct kept) + len + 1;
    struct kept *kept = xcalloc(1, size);
    kept->injections = injections;
    memcpy(kept->quotable, quotable, len);
    pthread_mutex_lock(&passages->lock);
    cache_put(passages->cache, &key, kept, size, 0);
    pthread_mutex_unlock(&passages->lock);
}
