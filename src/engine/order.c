/* Lanes of jobs by key, in a hash table that a hostile choice of keys cannot slow down (SipHash-1-3, random
 * seed). */
#include "engine/order.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"

#define FIRST_BUCKETS 64

struct order_lane {
    struct order_lane *chain; /* in its bucket */
    struct order_entry *first, *last;
    uint64_t hash;
    size_t key_len;
    unsigned char key[];
};

struct order {
    struct order_lane **buckets;
    size_t bucket_count; /* a power of two */
    size_t lanes;
    size_t entries;
    uint64_t seed[2];
};

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static uint64_t hash_key(const uint64_t seed[2], const unsigned char *key, size_t len)
{
    uint64_t v[4] = {seed[0] ^ UINT64_C(0x736f6d6570736575), seed[1] ^ UINT64_C(0x646f72616e646f6d),
        seed[0] ^ UINT64_C(0x6c7967656e657261), seed[1] ^ UINT64_C(0x7465646279746573)};
    for (size_t at = 0; at <= len; at += 8) { /* the last word holds the rest and the length */
        uint64_t word = 0;
        size_t rest = len - at < 8 ? len - at : 8;
        for (size_t i = 0; i < rest; i++) {
            word |= (uint64_t)key[at + i] << (8 * i);
        }
        if (rest < 8) {
            word |= (uint64_t)len << 56;
        }
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct order *order_new(void)
{
    struct order *order = xcalloc(1, sizeof(*order));
    order->bucket_count = FIRST_BUCKETS;
    order->buckets = xcalloc(order->bucket_count, sizeof(*order->buckets));
    arc4random_buf(order->seed, sizeof(order->seed));
    return order;
}

void order_free(struct order *order)
{
    if (!order) {
        return;
    }
    for (size_t i = 0; i < order->bucket_count; i++) {
        while (order->buckets[i]) {
            struct order_lane *lane = order->buckets[i];
            order->buckets[i] = lane->chain;
            free(lane);
        }
    }
    free(order->buckets);
    free(order);
}

static void grow(struct order *order)
{
    size_t count = 2 * order->bucket_count;
    struct order_lane **buckets = xcalloc(count, sizeof(*buckets));
    for (size_t i = 0; i < order->bucket_count; i++) {
        while (order->buckets[i]) {
            struct order_lane *lane = order->buckets[i];
            order->buckets[i] = lane->chain;
            lane->chain = buckets[lane->hash & (count - 1)];
            buckets[lane->hash & (count - 1)] = lane;
        }
    }
    free(order->buckets);
    order->buckets = buckets;
    order->bucket_count = count;
}

static struct order_lane *find_or_make(struct order *order, const void *key, size_t key_len)
{
    uint64_t hash = hash_key(order->seed, key, key_len);
    struct order_lane *lane = order->buckets[hash & (order->bucket_count - 1)];
    while (lane && (lane->hash != hash || lane->key_len != key_len || memcmp(lane->key, key, key_len) != 0)) {
        lane = lane->chain;
    }
    if (lane) {
        return lane;
    }
    if (order->lanes >= order->bucket_count) {
        grow(order);
    }
    struct order_lane **bucket = &order->buckets[hash & (order->bucket_count - 1)];
    lane = xcalloc(1, sizeof(*lane) + key_len);
    lane->hash = hash;
    lane->key_len = key_len;
    memcpy(lane->key, key, key_len);
    lane->chain = *bucket;
    *bucket = lane;
    order->lanes++;
    return lane;
}

static void drop_lane(struct order *order, struct order_lane *lane)
{
    struct order_lane **at = &order->buckets[lane->hash & (order->bucket_count - 1)];
    while (*at != lane) {
        at = &(*at)->chain;
    }
    *at = lane->chain;
    order->lanes--;
    free(lane);
}

bool order_join(struct order *order, struct order_entry *entry, const void *key, size_t key_len)
{
    *entry = (struct order_entry){0};
    if (!key) {
        return true;
    }
    struct order_lane *lane = find_or_make(order, key, key_len);
    entry->lane = lane;
    entry->prev = lane->last;
    if (lane->last) {
        lane->last->next = entry;
    } else {
        lane->first = entry;
    }
    lane->last = entry;
    order->entries++;
    return lane->first == entry;
}

struct order_entry *order_leave(struct order *order, struct order_entry *entry)
{
    struct order_lane *lane = entry->lane;
    if (!lane) {
        return NULL;
    }
    bool was_first = lane->first == entry;
    if (entry->prev) {
        entry->prev->next = entry->next;
    } else {
        lane->first = entry->next;
    }
    if (entry->next) {
        entry->next->prev = entry->prev;
    } else {
        lane->last = entry->prev;
    }
    *entry = (struct order_entry){0};
    order->entries--;
    struct order_entry *turn = was_first ? lane->first : NULL;
    if (!lane->first) {
        drop_lane(order, lane);
    }
    return turn;
}

size_t order_keys(const struct order *order)
{
    return order->lanes;
}

size_t order_waiting(const struct order *order)
{
    return order->entries - order->lanes;
}
