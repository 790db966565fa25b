/* Customer contexts as they were answered, kept for a while: the least recently used goes first. Loop thread.
 */
#ifndef HELPDESK_GATEWAY_CUSTOMER_CACHE_H
#define HELPDESK_GATEWAY_CUSTOMER_CACHE_H

#include <stddef.h>
#include <stdint.h>

struct customer_cache;

struct customer_cache *customer_cache_new(size_t max, int64_t keep_ms);
void customer_cache_free(struct customer_cache *cache);

/* The JSON kept for a tenant's customer, or NULL; `age_ms` tells how old it is. Borrowed until the next put.
 * `now` is monotonic time in milliseconds, here and below. */
const char *customer_cache_get(
    struct customer_cache *cache, const char *tenant, const char *external_id, int64_t now, int64_t *age_ms);
void customer_cache_put(
    struct customer_cache *cache, const char *tenant, const char *external_id, const char *json, int64_t now);

#endif
