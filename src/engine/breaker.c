/* The circuit breaker's states. */
#include "engine/breaker.h"

void breaker_init(struct breaker *breaker, int64_t threshold)
{
    *breaker = (struct breaker){.state = BREAKER_CLOSED, .threshold = threshold};
}

bool breaker_due(const struct breaker *breaker, int64_t now_ms)
{
    return breaker->state == BREAKER_OPEN && now_ms >= breaker->until_ms;
}

void breaker_probe(struct breaker *breaker)
{
    breaker->state = BREAKER_HALF_OPEN;
}

static bool close_it(struct breaker *breaker)
{
    bool was_open = breaker->state != BREAKER_CLOSED;
    breaker_init(breaker, breaker->threshold);
    return was_open;
}

bool breaker_hear(struct breaker *breaker, enum breaker_sign sign, bool probe, int64_t now_ms,
    const struct retry_policy *policy, int64_t retry_after_ms, uint32_t random)
{
    bool was_closed = breaker->state == BREAKER_CLOSED;
    if (!was_closed && !probe) {
        return false;
    }
    if (sign == BREAKER_ANSWERED) {
        return close_it(breaker);
    }
    if (was_closed) {
        breaker->outages += sign == BREAKER_OUTAGE;
        if (breaker->outages < breaker->threshold) {
            return false;
        }
    }
    breaker->waits += sign == BREAKER_OUTAGE;
    breaker->state = BREAKER_OPEN;
    breaker->until_ms = now_ms + retry_delay_ms(policy, breaker->waits, retry_after_ms, random);
    return was_closed;
}
