/* When a failed job is tried again: exponential backoff with full jitter. */
#ifndef HELPDESK_ENGINE_RETRY_H
#define HELPDESK_ENGINE_RETRY_H

#include <stdint.h>

#define RETRY_AFTER_MAX_MS                                                                                   \
    INT64_C(900000) /* whatever a server asks for, no key waits longer for one attempt */

struct retry_policy {
    int64_t retries; /* attempts after the first */
    int64_t base_ms;
    int64_t cap_ms;
};

/* The wait after attempt number `attempt` (1 for the first) failed: uniform in [0, min(cap, base *
 * 2^(attempt-1))] by the 32 random bits, but not less than what the one who failed asked for. */
int64_t retry_delay_ms(
    const struct retry_policy *policy, int attempt, int64_t retry_after_ms, uint32_t random);

/* A wait shortened for a job whose deadline is `left_ms` off (negative: past, it means nothing any more;
 * INT64_MAX: none): the attempt comes when the reserve begins (ENGINE_RESERVE_MS), within it at the deadline.
 */
int64_t retry_within(int64_t delay_ms, int64_t left_ms);

#endif
