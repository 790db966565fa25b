/* When a failed job is tried again: exponential backoff with full jitter. */
#include "engine/retry.h"

#include "engine/engine.h"

int64_t retry_delay_ms(
    const struct retry_policy *policy, int attempt, int64_t retry_after_ms, uint32_t random)
{
    int64_t bound = policy->base_ms;
    for (int i = 1; i < attempt && bound < policy->cap_ms; i++) {
        bound *= 2;
    }
    if (bound > policy->cap_ms) {
        bound = policy->cap_ms;
    }
    int64_t delay = (int64_t)(((uint64_t)random * (uint64_t)(bound + 1)) >> 32);
    int64_t asked = retry_after_ms < RETRY_AFTER_MAX_MS ? retry_after_ms : RETRY_AFTER_MAX_MS;
    return delay > asked ? delay : asked;
}

int64_t retry_within(int64_t delay_ms, int64_t left_ms)
{
    if (left_ms <= 0) {
        return delay_ms;
    }
    int64_t edge = left_ms > ENGINE_RESERVE_MS ? left_ms - ENGINE_RESERVE_MS : left_ms;
    return delay_ms < edge ? delay_ms : edge;
}
