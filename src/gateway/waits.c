/* Who waits for which run: a chained hash table, a timer per waiter. */
#include "gateway/waits.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/ids.h"
#include "gateway/hash.h"

#define BUCKETS_MIN 256

struct wait_run {
    struct wait_run *next; /* in its bucket */
    char id[UUID_TEXT_SIZE];
    struct waiter *waiters;
    int64_t since; /* monotonic */
    size_t bytes;
    bool opened; /* charged: `closed` is owed */
    bool acknowledged;
    bool hold;
    unsigned busy; /* calls to waiters under way: the run must not go */
};

struct waiter {
    struct waiter *next;
    struct waits *waits;
    struct wait_run *run;
    struct loop_timer *timer;
    wait_fn *fn;
    void *arg;
    bool expired; /* its time is over, but the broker has not acknowledged yet */
    bool gone;    /* told or cancelled while its run's list is walked */
};

struct waits {
    struct loop *loop;
    waits_closed_fn *closed;
    void *arg;
    struct wait_run **buckets;
    size_t bucket_count;
    size_t runs;
    size_t waiters;
};

bool wait_state_final(enum msg_state state)
{
    return state != MSG_STATE_ACCEPTED && state != MSG_STATE_CLASSIFIED && state != MSG_STATE_ENRICHED;
}

struct waits *waits_new(struct loop *loop, waits_closed_fn *closed, void *arg)
{
    struct waits *waits = xcalloc(1, sizeof *waits);
    waits->loop = loop;
    waits->closed = closed;
    waits->arg = arg;
    waits->bucket_count = BUCKETS_MIN;
    waits->buckets = xcalloc(waits->bucket_count, sizeof(struct wait_run *));
    return waits;
}

static void waiter_free(struct waiter *waiter)
{
    loop_timer_free(waiter->timer);
    free(waiter);
}

void waits_free(struct waits *waits)
{
    if (waits == NULL) {
        return;
    }
    for (size_t i = 0; i < waits->bucket_count; i++) {
        while (waits->buckets[i] != NULL) {
            struct wait_run *run = waits->buckets[i];
            waits->buckets[i] = run->next;
            while (run->waiters != NULL) {
                struct waiter *waiter = run->waiters;
                run->waiters = waiter->next;
                waiter_free(waiter);
            }
            free(run);
        }
    }
    free(waits->buckets);
    free(waits);
}

static struct wait_run **slot_of(const struct waits *waits, const char *id)
{
    struct wait_run **slot = &waits->buckets[hash_fnv(id) % waits->bucket_count];
    while (*slot != NULL && strcmp((*slot)->id, id) != 0) {
        slot = &(*slot)->next;
    }
    return slot;
}

static void grow(struct waits *waits)
{
    size_t count = waits->bucket_count * 2;
    struct wait_run **buckets = xcalloc(count, sizeof(struct wait_run *));
    for (size_t i = 0; i < waits->bucket_count; i++) {
        while (waits->buckets[i] != NULL) {
            struct wait_run *run = waits->buckets[i];
            waits->buckets[i] = run->next;
            struct wait_run **slot = &buckets[hash_fnv(run->id) % count];
            run->next = *slot;
            *slot = run;
        }
    }
    free(waits->buckets);
    waits->buckets = buckets;
    waits->bucket_count = count;
}

static struct wait_run *run_enter(struct waits *waits, const char *id)
{
    struct wait_run *run = *slot_of(waits, id);
    if (run != NULL) {
        return run;
    }
    if (waits->runs >= waits->bucket_count) {
        grow(waits);
    }
    run = xcalloc(1, sizeof *run);
    size_t len = strlen(id);
    memcpy(run->id, id, len < UUID_TEXT_SIZE ? len : UUID_TEXT_SIZE - 1);
    run->since = clock_mono_ms();
    struct wait_run **slot = slot_of(waits, run->id);
    *slot = run;
    waits->runs++;
    return run;
}

/* Takes the run out if nothing keeps it: no waiter, no acknowledgement owed, no hold. */
static void run_release(struct waits *waits, struct wait_run *run)
{
    if (run->busy > 0 || run->waiters != NULL || run->hold || (run->opened && !run->acknowledged)) {
        return;
    }
    struct wait_run **slot = slot_of(waits, run->id);
    *slot = run->next;
    waits->runs--;
    if (run->opened) {
        waits->closed(waits->arg, run->bytes);
    }
    free(run);
}

bool waits_open(struct waits *waits, const char *correlation_id, size_t bytes, bool hold)
{
    struct wait_run *run = run_enter(waits, correlation_id);
    if (run->opened) {
        return false;
    }
    run->opened = true;
    run->bytes = bytes;
    run->hold = hold;
    return true;
}

/* ---- telling waiters ---- */

/* Takes out the waiters that are gone, once nobody walks the list. */
static void run_sweep(struct waits *waits, struct wait_run *run)
{
    if (run->busy > 0) {
        return;
    }
    struct waiter **slot = &run->waiters;
    while (*slot != NULL) {
        struct waiter *waiter = *slot;
        if (!waiter->gone) {
            slot = &waiter->next;
            continue;
        }
        *slot = waiter->next;
        waiter_free(waiter);
    }
    run_release(waits, run);
}

static void waiter_leave(struct waits *waits, struct waiter *waiter)
{
    if (!waiter->gone) {
        waiter->gone = true;
        waits->waiters--;
        loop_timer_cancel(waiter->timer);
    }
}

/* Tells one waiter; it may add or cancel others meanwhile. */
static void waiter_tell(struct waits *waits, struct waiter *waiter, const struct wait_end *end)
{
    if (!waiter->gone && waiter->fn(waiter->arg, end)) {
        waiter_leave(waits, waiter);
    }
}

/* Tells those of the run's waiters who `expired` (or all of them). */
static void run_tell(struct waits *waits, struct wait_run *run, const struct wait_end *end, bool only_expired)
{
    run->busy++;
    for (struct waiter *waiter = run->waiters; waiter != NULL; waiter = waiter->next) {
        if (!only_expired || waiter->expired) {
            waiter_tell(waits, waiter, end);
        }
    }
    run->busy--;
    run_sweep(waits, run);
}

static void waiter_timeout(void *arg)
{
    struct waiter *waiter = arg;
    struct waits *waits = waiter->waits;
    struct wait_run *run = waiter->run;
    waiter->expired = true;
    if (run->acknowledged) {
        run_tell(waits, run, &(struct wait_end){.how = WAIT_EXPIRED}, true);
    }
}

struct waiter *waits_add(
    struct waits *waits, const char *correlation_id, int64_t wait_ms, wait_fn *fn, void *arg)
{
    struct wait_run *run = run_enter(waits, correlation_id);
    struct waiter *waiter = xcalloc(1, sizeof *waiter);
    waiter->waits = waits;
    waiter->run = run;
    waiter->fn = fn;
    waiter->arg = arg;
    waiter->timer = loop_timer_new(waits->loop, waiter_timeout, waiter);
    loop_timer_arm(waiter->timer, wait_ms);
    waiter->next = run->waiters;
    run->waiters = waiter;
    waits->waiters++;
    return waiter;
}

void waits_cancel(struct waits *waits, struct waiter *waiter)
{
    struct wait_run *run = waiter->run;
    waiter_leave(waits, waiter);
    run_sweep(waits, run);
}

void waits_acknowledged(struct waits *waits, const char *correlation_id)
{
    struct wait_run *run = *slot_of(waits, correlation_id);
    if (run == NULL) {
        return;
    }
    run->acknowledged = true;
    run_tell(waits, run, &(struct wait_end){.how = WAIT_EXPIRED}, true);
}

bool waits_known(const struct waits *waits, const char *correlation_id)
{
    return *slot_of(waits, correlation_id) != NULL;
}

bool waits_reply(struct waits *waits, const char *correlation_id, const struct msg_ticket_event *event)
{
    struct wait_run *run = *slot_of(waits, correlation_id);
    if (run == NULL) {
        return false;
    }
    run->acknowledged = true;
    if (wait_state_final(event->state)) {
        run->hold = false;
    }
    struct wait_end end = {
        .how = WAIT_REPLY, .event = event, .total_ms = (double)(clock_mono_ms() - run->since)};
    run->busy++; /* it must outlive the first of the two rounds */
    run_tell(waits, run, &end, false);
    /* Who wants more than this reply and is overdue has waited for the acknowledgement only. */
    run_tell(waits, run, &(struct wait_end){.how = WAIT_EXPIRED}, true);
    run->busy--;
    run_sweep(waits, run);
    return true;
}

static void run_fail(struct waits *waits, struct wait_run *run, const struct error *err)
{
    run->hold = false;
    run->acknowledged = true; /* nothing is owed any more */
    run_tell(waits, run, &(struct wait_end){.how = WAIT_FAILED, .err = err}, false);
}

void waits_fail(struct waits *waits, const char *correlation_id, const struct error *err)
{
    struct wait_run *run = *slot_of(waits, correlation_id);
    if (run != NULL) {
        run_fail(waits, run, err);
    }
}

/* Calls `each` for every run of now; runs may come and go meanwhile, so it works on a list of their ids. */
static void for_each_run(struct waits *waits,
    void (*each)(struct waits *, struct wait_run *, const struct error *), const struct error *err)
{
    size_t count = 0;
    char(*ids)[UUID_TEXT_SIZE] = xcalloc(waits->runs + 1, UUID_TEXT_SIZE);
    for (size_t i = 0; i < waits->bucket_count; i++) {
        for (struct wait_run *run = waits->buckets[i]; run != NULL; run = run->next) {
            memcpy(ids[count++], run->id, UUID_TEXT_SIZE);
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct wait_run *run = *slot_of(waits, ids[i]);
        if (run != NULL) {
            each(waits, run, err);
        }
    }
    free(ids);
}

void waits_fail_all(struct waits *waits, const struct error *err)
{
    for_each_run(waits, run_fail, err);
}

static void run_expire(struct waits *waits, struct wait_run *run, const struct error *err)
{
    if (!run->acknowledged) {
        run_fail(waits, run, err);
        return;
    }
    run->hold = false;
    run_tell(waits, run, &(struct wait_end){.how = WAIT_EXPIRED}, false);
}

void waits_expire_all(struct waits *waits, const struct error *err)
{
    for_each_run(waits, run_expire, err);
}

void waits_finished(struct waits *waits, const char *correlation_id)
{
    struct wait_run *run = *slot_of(waits, correlation_id);
    if (run != NULL) {
        run->hold = false;
        run_release(waits, run);
    }
}

size_t waits_held(struct waits *waits, int64_t age_ms, const char **out, size_t max)
{
    size_t count = 0;
    int64_t oldest = clock_mono_ms() - age_ms;
    for (size_t i = 0; i < waits->bucket_count; i++) {
        struct wait_run *next;
        for (struct wait_run *run = waits->buckets[i]; run != NULL; run = next) {
            next = run->next;
            if (!run->hold || run->waiters != NULL || !run->acknowledged) {
                continue;
            }
            if (run->since < oldest) {
                run->hold = false;
                run_release(waits, run);
            } else if (count < max) {
                out[count++] = run->id;
            }
        }
    }
    return count;
}

size_t waits_waiters(const struct waits *waits)
{
    return waits->waiters;
}

size_t waits_runs(const struct waits *waits)
{
    return waits->runs;
}
