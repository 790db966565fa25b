/* Kept answers, and those who wait for one. */
#include "model/answers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"

TAILQ_HEAD(ask_list, answers_ask);
LIST_HEAD(flight_list, answers_flight);

struct answers_flight {
    LIST_ENTRY(answers_flight) link;
    struct cache_key key;
    struct ask_list waiters;
};

/* An answer; the cache may let it go while it is given to those who waited. */
struct kept {
    struct arena *arena;
    const void *value;
    int holders;
};

struct answers {
    struct loop *loop;
    struct cache *kept;
    struct cache *flights; /* without bounds: a table by key */
    struct flight_list open;
    bool closed;
    uint64_t evicted;
    struct metric *hits, *misses, *joined, *gone, *bytes;
};

static void kept_release(void *value)
{
    struct kept *kept = value;
    if (--kept->holders == 0) {
        arena_free(kept->arena);
        free(kept);
    }
}

static void flight_stays(void *flight)
{
    (void)flight; /* the table does not own it */
}

bool answers_limits_of(const struct conf *conf, struct cache_limits *out)
{
    *out = (struct cache_limits){.entries = ANSWERS_MAX,
        .bytes = (size_t)conf_int(conf, CONF_CACHE_SIZE),
        .keep_ms = conf_int(conf, CONF_CACHE_FOR)};
    return out->bytes > 0;
}

struct answers *answers_new(struct loop *loop, const char *name, const struct cache_limits *limits)
{
    static const struct cache_limits none = {
        .entries = SIZE_MAX, .bytes = SIZE_MAX, .keep_ms = INT64_MAX / 2};
    char labels[64];
    snprintf(labels, sizeof(labels), "cache=\"%.40s\"", name);
    struct answers *answers = xcalloc(1, sizeof(*answers));
    answers->loop = loop;
    answers->kept = cache_new(limits, kept_release);
    answers->flights = cache_new(&none, flight_stays);
    LIST_INIT(&answers->open);
    answers->hits = metrics_counter("helpdesk_cache_hits_total", "Answers given that had been kept", labels);
    answers->misses =
        metrics_counter("helpdesk_cache_misses_total", "Answers asked for that were not kept", labels);
    answers->joined = metrics_counter("helpdesk_cache_joined_total",
        "Answers that were waited for while somebody else asked the same", labels);
    answers->gone =
        metrics_counter("helpdesk_cache_evicted_total", "Kept answers that went for want of room", labels);
    answers->bytes = metrics_gauge("helpdesk_cache_bytes", "Size of the kept answers", labels);
    return answers;
}

/* ---- waiting ---- */

static void leave(struct answers_ask *ask)
{
    TAILQ_REMOVE(&ask->flight->waiters, ask, link);
    ask->flight = NULL;
    loop_timer_free(ask->timer);
    ask->timer = NULL;
}

static void on_deadline(void *arg)
{
    struct answers_ask *ask = arg;
    leave(ask);
    ask->got(ask->arg, NULL);
}

static void join(struct answers *answers, struct answers_flight *flight, struct answers_ask *ask)
{
    ask->flight = flight;
    TAILQ_INSERT_TAIL(&flight->waiters, ask, link);
    metric_add(answers->joined, 1);
    if (ask->deadline_mono_ms != INT64_MAX) {
        int64_t left = ask->deadline_mono_ms - clock_mono_ms();
        ask->timer = loop_timer_new(answers->loop, on_deadline, ask);
        loop_timer_arm(ask->timer, left > 0 ? left : 0);
    }
}

/* `got` may begin or join other flights, but not this one: nobody finds it any more. */
static void wake_all(struct answers_flight *flight, const void *value)
{
    struct answers_ask *ask;
    while ((ask = TAILQ_FIRST(&flight->waiters))) {
        leave(ask);
        ask->got(ask->arg, value);
    }
}

/* ---- asking ---- */

static struct answers_flight *begin(struct answers *answers, const struct cache_key *key)
{
    struct answers_flight *flight = xcalloc(1, sizeof(*flight));
    flight->key = *key;
    TAILQ_INIT(&flight->waiters);
    LIST_INSERT_HEAD(&answers->open, flight, link);
    cache_put(answers->flights, key, flight, 0, 0);
    return flight;
}

struct answers_ask answers_ask_for(int64_t deadline_mono_ms, int64_t reserve_ms, answers_got *got, void *arg)
{
    bool bounded = deadline_mono_ms != INT64_MAX;
    return (struct answers_ask){
        .deadline_mono_ms = bounded ? deadline_mono_ms - reserve_ms : INT64_MAX, .got = got, .arg = arg};
}

enum answers_turn answers_ask(struct answers *answers, struct answers_ask *ask)
{
    assert(!answers->closed);
    const struct kept *kept = cache_get(answers->kept, &ask->key, clock_mono_ms());
    ask->flight = NULL;
    ask->timer = NULL;
    ask->value = kept ? kept->value : NULL;
    if (kept) {
        metric_add(answers->hits, 1);
        return ANSWERS_KEPT;
    }
    struct answers_flight *flight = cache_get(answers->flights, &ask->key, 0);
    if (flight) {
        join(answers, flight, ask);
        return ANSWERS_JOINED;
    }
    ask->flight = begin(answers, &ask->key);
    return ANSWERS_FIRST;
}

const void *answers_peek(struct answers *answers, const struct cache_key *key)
{
    const struct kept *kept = cache_get(answers->kept, key, clock_mono_ms());
    return kept ? kept->value : NULL;
}

static void show(struct answers *answers)
{
    uint64_t evicted = cache_evicted(answers->kept);
    metric_add(answers->gone, (double)(evicted - answers->evicted));
    answers->evicted = evicted;
    metric_set(answers->bytes, (double)cache_bytes(answers->kept));
}

static struct kept *keep(
    struct answers *answers, const struct cache_key *key, struct arena *arena, const void *value)
{
    struct kept *kept = xcalloc(1, sizeof(*kept));
    *kept = (struct kept){.arena = arena, .value = value, .holders = 2}; /* the cache, and the caller */
    cache_put(answers->kept, key, kept, arena_used(arena) + sizeof(*kept), clock_mono_ms());
    show(answers);
    return kept;
}

void answers_end(struct answers *answers, struct answers_ask *ask, struct arena *arena, const void *value)
{
    struct answers_flight *flight = ask->flight;
    struct kept *kept = value ? keep(answers, &ask->key, arena, value) : NULL;
    ask->flight = NULL;
    if (flight) {
        cache_drop(answers->flights, &flight->key);
        LIST_REMOVE(flight, link);
        wake_all(flight, value);
        free(flight);
    }
    if (kept) {
        kept_release(kept);
    }
}

void answers_drop(struct answers *answers, const struct cache_key *key)
{
    cache_drop(answers->kept, key);
    show(answers);
}

void answers_missed(struct answers *answers)
{
    metric_add(answers->misses, 1);
}

/* ---- the end ---- */

void answers_close(struct answers *answers)
{
    struct answers_flight *flight;
    answers->closed = true;
    LIST_FOREACH(flight, &answers->open, link)
    {
        wake_all(flight, NULL);
    }
}

bool answers_closed(const struct answers *answers, struct error *err)
{
    return answers->closed && !error_set(err, ERROR_RETRY, "model_stopped", "the process stops");
}

void answers_free(struct answers *answers)
{
    if (!answers) {
        return;
    }
    assert(LIST_EMPTY(&answers->open));
    cache_free(answers->flights);
    cache_free(answers->kept);
    free(answers);
}
