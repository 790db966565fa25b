/* Rows of vectors, side by side, and a table that finds the row of a hash. */
#include "kb/vector_index.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"

#define FIRST_ROWS 64
#define NO_ROW UINT32_MAX

struct row_key {
    uint8_t hash[VECTOR_HASH_BYTES];
    float scale;
};

struct vector_index {
    pthread_rwlock_t lock; /* searches read, on threads of the pool */
    size_t dimension;
    size_t count, capacity;
    struct row_key *keys;
    int8_t *codes;   /* `dimension` each */
    uint32_t *slots; /* rows by hash, 2 * capacity of them, open addressing; NO_ROW: free */
};

static void allocate(struct vector_index *index, size_t capacity)
{
    index->capacity = capacity;
    index->keys = xrealloc(index->keys, capacity * sizeof(*index->keys));
    index->codes = xrealloc(index->codes, capacity * index->dimension);
    index->slots = xrealloc(index->slots, 2 * capacity * sizeof(*index->slots));
}

struct vector_index *vector_index_new(size_t dimension)
{
    struct vector_index *index = xcalloc(1, sizeof(*index));
    index->dimension = dimension;
    if (pthread_rwlock_init(&index->lock, NULL) != 0) {
        alloc_failed();
    }
    allocate(index, FIRST_ROWS);
    memset(index->slots, 0xff, 2 * index->capacity * sizeof(*index->slots));
    return index;
}

void vector_index_free(struct vector_index *index)
{
    if (!index) {
        return;
    }
    pthread_rwlock_destroy(&index->lock);
    free(index->keys);
    free(index->codes);
    free(index->slots);
    free(index);
}

/* ---- the table ---- */

/* The hash's bytes are as good as random. */
static size_t home_of(const struct vector_index *index, const uint8_t *hash)
{
    uint64_t bits;
    memcpy(&bits, hash, sizeof(bits));
    return bits & (2 * index->capacity - 1);
}

/* Its slot, or the free one where it would be. */
static size_t slot_of(const struct vector_index *index, const uint8_t *hash)
{
    size_t slot = home_of(index, hash);
    while (index->slots[slot] != NO_ROW &&
           memcmp(index->keys[index->slots[slot]].hash, hash, VECTOR_HASH_BYTES) != 0) {
        slot = (slot + 1) & (2 * index->capacity - 1);
    }
    return slot;
}

static void grow(struct vector_index *index)
{
    allocate(index, 2 * index->capacity);
    memset(index->slots, 0xff, 2 * index->capacity * sizeof(*index->slots));
    for (size_t row = 0; row < index->count; row++) {
        index->slots[slot_of(index, index->keys[row].hash)] = (uint32_t)row;
    }
}

/* Frees the slot; those after it that could not stand there move up (Knuth, volume 3, 6.4, algorithm R). */
static void free_slot(struct vector_index *index, size_t slot)
{
    size_t mask = 2 * index->capacity - 1, at = slot;
    for (;;) {
        index->slots[slot] = NO_ROW;
        size_t home;
        do {
            at = (at + 1) & mask;
            if (index->slots[at] == NO_ROW) {
                return;
            }
            home = home_of(index, index->keys[index->slots[at]].hash);
        } while (slot <= at ? slot < home && home <= at : slot < home || home <= at);
        index->slots[slot] = index->slots[at];
        slot = at;
    }
}

/* ---- changes ---- */

static void write_row(
    struct vector_index *index, size_t row, const uint8_t *hash, const int8_t *codes, float scale)
{
    memcpy(index->keys[row].hash, hash, VECTOR_HASH_BYTES);
    memcpy(index->codes + row * index->dimension, codes, index->dimension);
    index->keys[row].scale = scale;
}

void vector_index_put(
    struct vector_index *index, const uint8_t hash[VECTOR_HASH_BYTES], const struct vector_codes *vector)
{
    if (vector->dimension != index->dimension) {
        return;
    }
    pthread_rwlock_wrlock(&index->lock);
    size_t slot = slot_of(index, hash);
    if (index->slots[slot] == NO_ROW) {
        if (index->count == index->capacity) {
            grow(index);
            slot = slot_of(index, hash);
        }
        index->slots[slot] = (uint32_t)index->count++;
    }
    write_row(index, index->slots[slot], hash, vector->codes, vector->scale);
    pthread_rwlock_unlock(&index->lock);
}

void vector_index_remove(struct vector_index *index, const uint8_t hash[VECTOR_HASH_BYTES])
{
    pthread_rwlock_wrlock(&index->lock);
    size_t slot = slot_of(index, hash);
    uint32_t row = index->slots[slot];
    if (row != NO_ROW) {
        size_t last = index->count - 1;
        free_slot(index, slot);
        if (row != last) { /* which takes its place */
            const struct row_key moved = index->keys[last];
            index->slots[slot_of(index, moved.hash)] = row;
            write_row(index, row, moved.hash, index->codes + last * index->dimension, moved.scale);
        }
        index->count = last;
    }
    pthread_rwlock_unlock(&index->lock);
}

size_t vector_index_count(const struct vector_index *index)
{
    return index->count;
}

size_t vector_index_bytes(const struct vector_index *index)
{
    return index->capacity * (sizeof(*index->keys) + index->dimension + 2 * sizeof(*index->slots));
}

size_t vector_index_dimension(const struct vector_index *index)
{
    return index->dimension;
}

/* ---- search ---- */

/* Keeps `out` sorted, best first. */
static size_t keep_best(
    struct vector_hit *out, size_t count, size_t max, const struct row_key *key, float similarity)
{
    if (count == max && (max == 0 || similarity <= out[count - 1].similarity)) {
        return count;
    }
    size_t at = count < max ? count++ : count - 1;
    for (; at > 0 && out[at - 1].similarity < similarity; at--) {
        out[at] = out[at - 1];
    }
    memcpy(out[at].hash, key->hash, VECTOR_HASH_BYTES);
    out[at].similarity = similarity;
    return count;
}

size_t vector_index_search(struct vector_index *index, const struct vector_codes *query,
    struct vector_hit *out, size_t max, struct vector_spread *spread)
{
    assert(query->dimension == index->dimension);
    double sum = 0, squares = 0;
    size_t count = 0;
    pthread_rwlock_rdlock(&index->lock);
    for (size_t row = 0; row < index->count; row++) {
        const struct row_key *key = &index->keys[row];
        float similarity =
            (float)vector_dot(query->codes, index->codes + row * index->dimension, index->dimension) *
            query->scale * key->scale;
        sum += similarity;
        squares += (double)similarity * similarity;
        count = keep_best(out, count, max, key, similarity);
    }
    double n = index->count > 0 ? (double)index->count : 1;
    pthread_rwlock_unlock(&index->lock);
    double variance = squares / n - (sum / n) * (sum / n);
    *spread = (struct vector_spread){.mean = sum / n, .deviation = variance > 0 ? sqrt(variance) : 0};
    return count;
}
