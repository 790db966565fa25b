/* Metrics of this process, in Prometheus' text format 0.0.4. */
#include "base/metrics.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

static const char *const type_names[] = {"counter", "gauge", "histogram"};
static const double bounds[] = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

#define BOUND_COUNT (sizeof(bounds) / sizeof(bounds[0]))
#define HASH_SLOTS 512

struct family {
    const char *name;
    const char *help;
    enum metric_type type;
    struct metric *first, **last;
    struct family *next;
};

struct metric {
    const struct family *family;
    const char *labels;        /* "" when there are none */
    _Atomic uint64_t bits;     /* the double's: value, or a histogram's sum */
    _Atomic uint64_t *buckets; /* of a histogram: BOUND_COUNT + 1 counts, not cumulative */
    struct metric *next;       /* in the family, in the order they were made */
    struct metric *next_in_slot;
};

/* Guards the lists below; values are atomic, so counting takes no lock. Nothing is ever removed. */
static pthread_mutex_t metrics_lock = PTHREAD_MUTEX_INITIALIZER;
static struct family *families;
static struct metric *slots[HASH_SLOTS];

static uint64_t double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static double bits_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void atomic_add(_Atomic uint64_t *bits, double amount)
{
    uint64_t old = atomic_load_explicit(bits, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(
        bits, &old, double_bits(bits_double(old) + amount), memory_order_relaxed, memory_order_relaxed)) {
    }
}

/* FNV-1a over both texts. */
static size_t hash_slot(const char *name, const char *labels)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *name; name++) {
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    }
    for (; *labels; labels++) {
        hash = (hash ^ (unsigned char)*labels) * UINT64_C(1099511628211);
    }
    return hash % HASH_SLOTS;
}

/* Kept sorted by name. */
static struct family *find_or_make_family(const char *name, const char *help, enum metric_type type)
{
    struct family **at = &families;
    while (*at && strcmp((*at)->name, name) < 0) {
        at = &(*at)->next;
    }
    if (!*at || strcmp((*at)->name, name) != 0) {
        struct family *family = xcalloc(1, sizeof(*family));
        family->name = xstrdup(name);
        family->help = xstrdup(help);
        family->type = type;
        family->last = &family->first;
        family->next = *at;
        *at = family;
    }
    assert((*at)->type == type); /* one name, one type */
    return *at;
}

static struct metric *find_or_make(
    const char *name, const char *help, const char *labels, enum metric_type type)
{
    labels = labels ? labels : "";
    size_t slot = hash_slot(name, labels);
    pthread_mutex_lock(&metrics_lock);
    struct metric *metric = slots[slot];
    while (metric && (strcmp(metric->labels, labels) != 0 || strcmp(metric->family->name, name) != 0)) {
        metric = metric->next_in_slot;
    }
    if (!metric) {
        struct family *family = find_or_make_family(name, help, type);
        metric = xcalloc(1, sizeof(*metric));
        metric->family = family;
        metric->labels = xstrdup(labels);
        if (type == METRIC_HISTOGRAM) {
            metric->buckets = xcalloc(BOUND_COUNT + 1, sizeof(*metric->buckets));
        }
        metric->next_in_slot = slots[slot];
        slots[slot] = metric;
        *family->last = metric;
        family->last = &metric->next;
    }
    pthread_mutex_unlock(&metrics_lock);
    assert(metric->family->type == type);
    return metric;
}

struct metric *metrics_counter(const char *name, const char *help, const char *labels)
{
    return find_or_make(name, help, labels, METRIC_COUNTER);
}

struct metric *metrics_gauge(const char *name, const char *help, const char *labels)
{
    return find_or_make(name, help, labels, METRIC_GAUGE);
}

struct metric *metrics_histogram(const char *name, const char *help, const char *labels)
{
    return find_or_make(name, help, labels, METRIC_HISTOGRAM);
}

void metric_add(struct metric *metric, double amount)
{
    assert(metric->family->type != METRIC_HISTOGRAM);
    assert(metric->family->type == METRIC_GAUGE || amount >= 0);
    atomic_add(&metric->bits, amount);
}

void metric_set(struct metric *metric, double value)
{
    assert(metric->family->type == METRIC_GAUGE);
    atomic_store_explicit(&metric->bits, double_bits(value), memory_order_relaxed);
}

void metric_observe(struct metric *metric, double value)
{
    assert(metric->family->type == METRIC_HISTOGRAM);
    size_t bucket = 0;
    while (bucket < BOUND_COUNT && value > bounds[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&metric->buckets[bucket], 1, memory_order_relaxed);
    atomic_add(&metric->bits, value);
}

double metric_value(const struct metric *metric)
{
    if (metric->family->type != METRIC_HISTOGRAM) {
        return bits_double(atomic_load_explicit(&metric->bits, memory_order_relaxed));
    }
    uint64_t count = 0;
    for (size_t i = 0; i <= BOUND_COUNT; i++) {
        count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
    }
    return (double)count;
}

/* The shortest text that reads back as the same value. */
static void put_number(struct buf *out, double value)
{
    if (!isfinite(value)) {
        buf_puts(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    buf_puts(out, text);
}

static void put_bucket(struct buf *out, const struct metric *metric, const char *bound, uint64_t count)
{
    const char *comma = *metric->labels ? "," : "";
    buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", metric->family->name, metric->labels, comma, bound,
        (unsigned long long)count);
}

static void put_sample(struct buf *out, const struct metric *metric, const char *suffix, double value)
{
    bool labels = *metric->labels;
    buf_printf(out, "%s%s%s%s%s ", metric->family->name, suffix, labels ? "{" : "", metric->labels,
        labels ? "}" : "");
    put_number(out, value);
    buf_putc(out, '\n');
}

static void render_histogram(struct buf *out, const struct metric *metric)
{
    uint64_t count = 0;
    for (size_t i = 0; i < BOUND_COUNT; i++) {
        char bound[32];
        snprintf(bound, sizeof(bound), "%g", bounds[i]);
        count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
        put_bucket(out, metric, bound, count);
    }
    count += atomic_load_explicit(&metric->buckets[BOUND_COUNT], memory_order_relaxed);
    put_bucket(out, metric, "+Inf", count);
    put_sample(out, metric, "_sum", bits_double(atomic_load_explicit(&metric->bits, memory_order_relaxed)));
    put_sample(out, metric, "_count", (double)count);
}

void metrics_render(struct buf *out)
{
    pthread_mutex_lock(&metrics_lock);
    for (const struct family *family = families; family; family = family->next) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
            type_names[family->type]);
        for (const struct metric *metric = family->first; metric; metric = metric->next) {
            if (family->type == METRIC_HISTOGRAM) {
                render_histogram(out, metric);
            } else {
                put_sample(out, metric, "", metric_value(metric));
            }
        }
    }
    pthread_mutex_unlock(&metrics_lock);
}
