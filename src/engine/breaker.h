/* A circuit breaker: stops the work that needs a dependency while that is away, and asks with one job at a
 * time whether it is back.
 *
 * Closed: everything starts. After `threshold` outages without a success between them it opens: nothing
 * starts. When its wait is over, one job starts as the probe (half open): its success closes the breaker, its
 * outage opens it for longer, anything else says nothing and it waits again as long as before. Waits are
 * exponential with full jitter, and never shorter than what the one who refused asked for. The pattern is
 * M. Nygard's ("Release It!", Stability Patterns).
 *
 * Pure data: the caller brings clock and randomness. One thread. */
#ifndef HELPDESK_ENGINE_BREAKER_H
#define HELPDESK_ENGINE_BREAKER_H

#include <stdbool.h>
#include "engine/retry.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
    enum breaker_state state;
    int64_t threshold;
    int outages;      /* while closed: in a row */
    int waits;        /* since it opened, this one included */
    int64_t until_ms; /* while open: when a probe may start */
};

/* What an attempt at a job says of a dependency. */
enum breaker_sign {
    BREAKER_ANSWERED, /* it is there */
    BREAKER_OUTAGE,   /* it is away */
    BREAKER_NOTHING,  /* neither: the job failed for another reason, or may have done without */
};

void breaker_init(struct breaker *breaker, int64_t threshold);
/* Open, and its wait is over: a probe may start. */
bool breaker_due(const struct breaker *breaker, int64_t now_ms);
void breaker_probe(struct breaker *breaker); /* the probe starts */
/* Hears of an attempt that ended; `probe`: of the one that breaker_probe let start. What else still ran says
 * nothing to an open breaker. True: it has opened or closed by this. */
bool breaker_hear(struct breaker *breaker, enum breaker_sign sign, bool probe, int64_t now_ms,
    const struct retry_policy *policy, int64_t retry_after_ms, uint32_t random);

#endif
