/* Asks the schema registry on a thread of its own, and tells the codec what it learned. */
#include "bus/registry.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bus/registry_subject.h"
#include "msg/codec.h"
#include "msg/registry.h"

#define HEALTH_PART "registry"
#define GAP_MS 10        /* between two look-ups */
#define RETRY_MS 1000    /* after the registry did not answer */
#define REFUSED_MS 30000 /* how long the registry's no to an id counts */
#define WANTED_MAX 64
#define REFUSED_MAX 256

struct refusal {
    uint32_t id;
    int64_t until_ms;
    struct error why;
};

struct registry {
    struct registry_server server;
    struct registry_cache cache;
    struct msg_registry codec;
    bool add; /* our schemas may be registered */
    char names[REGISTRY_SUBJECTS][SUBJECT_NAME_SIZE];
    struct metric *found, *refused, *unavailable, *known;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    bool stopping;
    int64_t not_before_ms; /* the next call */
    enum { SUBJECT_UNUSED, SUBJECT_WANTED, SUBJECT_FOUND } subjects[REGISTRY_SUBJECTS];
    uint32_t wanted[WANTED_MAX]; /* ids to be looked up, the first is next */
    size_t wanted_count;
    struct refusal refusals[REFUSED_MAX]; /* a ring: the oldest is overwritten */
    size_t next_refusal;
    bool away;         /* the registry did not answer the last call */
    bool unhealthy;    /* the health part says so */
    struct error why;  /* while away */
    struct error lost; /* ERROR_FATAL: our schemas cannot be written, whatever happens */
};

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct registry *opened; /* the process's one */
static int open_count;

/* ---- what the codec asks; any thread ---- */

static const struct refusal *find_refusal(const struct registry *registry, uint32_t id)
{
    int64_t now = clock_mono_ms();

    for (size_t i = 0; i < REFUSED_MAX; i++) {
        const struct refusal *refusal = &registry->refusals[i];
        if (refusal->id == id && refusal->until_ms > now) {
            return refusal;
        }
    }
    return NULL;
}

/* Under the lock. A full queue is fine: the record comes again, and asks again. */
static void want(struct registry *registry, uint32_t id)
{
    for (size_t i = 0; i < registry->wanted_count; i++) {
        if (registry->wanted[i] == id) {
            return;
        }
    }
    if (registry->wanted_count < WANTED_MAX) {
        registry->wanted[registry->wanted_count++] = id;
        pthread_cond_signal(&registry->changed);
    }
}

static void on_unknown_id(void *arg, uint32_t id, struct error *err)
{
    struct registry *registry = arg;

    if (id > INT32_MAX) { /* the API's ids are positive */
        error_set(err, ERROR_REJECT, "schema_unknown", "no registry has a schema of id %" PRIu32, id);
        return;
    }
    pthread_mutex_lock(&registry->lock);
    const struct refusal *refusal = find_refusal(registry, id);
    if (refusal != NULL) {
        error_set(err, refusal->why.disposition, refusal->why.code, "%s", refusal->why.text);
    } else {
        want(registry, id);
        if (registry->away) {
            error_set(
                err, ERROR_RETRY, registry->why.code, "schema id %" PRIu32 ": %s", id, registry->why.text);
        } else { /* a code that does not count as an attempt: the registry may have much to do */
            error_set(err, ERROR_RETRY, "schema_unavailable",
                "the schema of id %" PRIu32 " is being fetched from the registry", id);
        }
    }
    pthread_mutex_unlock(&registry->lock);
}

static void on_no_id(void *arg, struct error *err)
{
    struct registry *registry = arg;

    pthread_mutex_lock(&registry->lock);
    const struct error *why = registry->lost.disposition != ERROR_NONE ? &registry->lost : &registry->why;
    if (why->disposition == ERROR_NONE) {
        error_set(
            err, ERROR_RETRY, "registry_unavailable", "the registry is being asked for our schema's id");
    } else {
        error_set(err, why->disposition, why->code, "%s", why->text);
    }
    pthread_mutex_unlock(&registry->lock);
}

/* ---- after a call; under the lock ---- */

/* Its absence is a matter of health only while something is needed of it. */
static void tell_health(struct registry *registry)
{
    bool needed = registry->wanted_count > 0;

    for (size_t i = 0; i < REGISTRY_SUBJECTS; i++) {
        needed = needed || registry->subjects[i] == SUBJECT_WANTED;
    }
    bool lost = registry->lost.disposition != ERROR_NONE;
    bool unhealthy = lost || (registry->away && needed);
    if (unhealthy || registry->unhealthy) {
        health_set(HEALTH_PART, !unhealthy, lost ? registry->lost.text : registry->why.text);
    }
    registry->unhealthy = unhealthy;
}

/* `ok` false: `err` says why. Sets when the next call may be. */
static void note_call(struct registry *registry, bool ok, const struct error *err)
{
    bool away = !ok && err->disposition == ERROR_RETRY;

    metric_add(ok ? registry->found : away ? registry->unavailable : registry->refused, 1);
    metric_set(registry->known, (double)msg_known_ids());
    registry->not_before_ms = clock_mono_ms() + (away ? RETRY_MS : GAP_MS);
    registry->away = away;
    registry->why = away ? *err : (struct error){.disposition = ERROR_NONE};
}

static void forget_wanted(struct registry *registry, uint32_t id)
{
    for (size_t i = 0; i < registry->wanted_count; i++) {
        if (registry->wanted[i] == id) {
            registry->wanted_count--;
            memmove(&registry->wanted[i], &registry->wanted[i + 1],
                (registry->wanted_count - i) * sizeof registry->wanted[0]);
            return;
        }
    }
}

/* ---- calls; no lock is held ---- */

/* Whether what was known before is enough to write the subject's records. */
static bool remember(struct registry *registry, size_t subject)
{
    const struct msg_type *type = registry_subjects[subject].type;
    const char *name = registry->names[subject];
    uint32_t id;

    if (!registry_cache_find_id(&registry->cache, name, msg_fingerprint(type), &id) ||
        !msg_id_is_current(id, type)) {
        return false;
    }
    log_info("the registry is away: the id that it gave before is written", LOG_STR("subject", name),
        LOG_INT("id", id));
    msg_write_id(type, id);
    return true;
}

/* Finds the id of a subject. A registry gives one schema one id under all subjects; should it have two, a
 * reader decodes with either. */
static bool resolve(struct registry *registry, size_t subject, struct error *err)
{
    const struct msg_type *type = registry_subjects[subject].type;
    uint32_t id;

    bool ok = registry_subject_find(
        &registry->server, &registry->cache, registry->names[subject], type, registry->add, &id, err);
    if (ok) {
        msg_write_id(type, id);
    }
    pthread_mutex_lock(&registry->lock);
    note_call(registry, ok, err);
    if (ok) {
        registry->subjects[subject] = SUBJECT_FOUND;
    } else if (err->disposition != ERROR_RETRY) {
        registry->lost = *err;
        log_error("our schema cannot be written", LOG_STR("code", err->code), LOG_STR("error", err->text));
    }
    tell_health(registry);
    pthread_mutex_unlock(&registry->lock);
    return ok;
}

static void look_up(struct registry *registry, uint32_t id)
{
    struct error err = {0};

    bool ok = registry_learn(&registry->server, &registry->cache, id, &err);
    pthread_mutex_lock(&registry->lock);
    note_call(registry, ok, &err);
    forget_wanted(registry, id);
    if (!ok && err.disposition == ERROR_RETRY) { /* last again: it must not hold up the others */
        want(registry, id);
    } else if (!ok) {
        registry->refusals[registry->next_refusal] =
            (struct refusal){.id = id, .until_ms = clock_mono_ms() + REFUSED_MS, .why = err};
        registry->next_refusal = (registry->next_refusal + 1) % REFUSED_MAX;
        log_warn("a schema id is refused", LOG_INT("id", id), LOG_STR("code", err.code),
            LOG_STR("error", err.text));
    }
    tell_health(registry);
    pthread_mutex_unlock(&registry->lock);
}

/* ---- the thread ---- */

/* Waits until there is something to do and it may be done. False: the end. Under the lock. */
static bool wait_for_work(struct registry *registry, size_t *subject)
{
    while (!registry->stopping) {
        *subject = 0;
        while (*subject < REGISTRY_SUBJECTS &&
               (registry->subjects[*subject] != SUBJECT_WANTED || registry->lost.disposition != ERROR_NONE)) {
            ++*subject;
        }
        bool some = *subject < REGISTRY_SUBJECTS || registry->wanted_count > 0;
        int64_t wait_ms = registry->not_before_ms - clock_mono_ms();
        if (some && wait_ms <= 0) {
            return true;
        }
        if (!some) {
            pthread_cond_wait(&registry->changed, &registry->lock);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        int64_t ns = until.tv_nsec + wait_ms % 1000 * 1000000;
        until.tv_sec += wait_ms / 1000 + ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        pthread_cond_timedwait(&registry->changed, &registry->lock, &until);
    }
    return false;
}

static void *registry_main(void *arg)
{
    struct registry *registry = arg;
    size_t subject;

    pthread_mutex_lock(&registry->lock);
    while (wait_for_work(registry, &subject)) {
        uint32_t id = registry->wanted_count > 0 ? registry->wanted[0] : 0;
        pthread_mutex_unlock(&registry->lock);
        struct error err = {0};
        if (subject == REGISTRY_SUBJECTS) {
            look_up(registry, id);
        } else {
            resolve(registry, subject, &err);
        }
        pthread_mutex_lock(&registry->lock);
    }
    pthread_mutex_unlock(&registry->lock);
    return NULL;
}

/* Signals are the loop thread's. */
static void start_thread(struct registry *registry)
{
    sigset_t all;
    sigset_t old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&registry->thread, NULL, registry_main, registry) != 0) {
        log_error("no thread for the schema registry");
        abort();
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- opening and closing ---- */

static void find_metrics(struct registry *registry)
{
    const char *name = "helpdesk_registry_calls_total";
    const char *help = "Questions to the schema registry, by result";

    registry->found = metrics_counter(name, help, "result=\"found\"");
    registry->refused = metrics_counter(name, help, "result=\"refused\"");
    registry->unavailable = metrics_counter(name, help, "result=\"unavailable\"");
    registry->known = metrics_gauge("helpdesk_registry_ids", "Schema ids known from the registry", NULL);
}

static void registry_free(struct registry *registry)
{
    registry_server_fini(&registry->server);
    pthread_cond_destroy(&registry->changed);
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

static struct registry *registry_new(const struct conf *conf, struct error *err)
{
    struct registry *registry = xcalloc(1, sizeof *registry);
    pthread_condattr_t attr;

    pthread_mutex_init(&registry->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&registry->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (!registry_server_init(&registry->server, conf, err)) {
        registry_free(registry);
        return NULL;
    }
    registry->add = conf_bool(conf, CONF_SCHEMAS_REGISTER);
    registry->codec = (struct msg_registry){.arg = registry,
        .confluent = strcmp(conf_text(conf, CONF_SCHEMAS_FRAMING), "confluent") == 0,
        .unknown_id = on_unknown_id,
        .no_id = on_no_id};
    for (size_t i = 0; i < REGISTRY_SUBJECTS; i++) {
        registry_subject_name(conf, &registry_subjects[i], registry->names[i]);
    }
    find_metrics(registry);
    registry_cache_init(&registry->cache, conf);
    registry_cache_load(&registry->cache);
    metric_set(registry->known, (double)msg_known_ids());
    return registry;
}

static bool is_among(const char *const *topics, const char *topic)
{
    for (size_t i = 0; topics[i] != NULL; i++) {
        if (strcmp(topics[i], topic) == 0) {
            return true;
        }
    }
    return false;
}

/* Tries at once, so that what is wrong is a start error; the thread goes on with what is only away. */
static bool open_topics(struct registry *registry, const char *const *topics, struct error *err)
{
    bool away = false;

    for (size_t i = 0; registry->codec.confluent && i < REGISTRY_SUBJECTS; i++) {
        struct error why = {0};
        if (!is_among(topics, registry_subjects[i].topic) || (!away && resolve(registry, i, &why))) {
            continue;
        }
        if (!away && why.disposition != ERROR_RETRY) {
            return error_set(err, ERROR_FATAL, why.code, "%s", why.text);
        }
        away = true;
        bool remembered = remember(registry, i);
        pthread_mutex_lock(&registry->lock);
        registry->subjects[i] = remembered ? SUBJECT_FOUND : SUBJECT_WANTED;
        pthread_cond_signal(&registry->changed);
        tell_health(registry);
        pthread_mutex_unlock(&registry->lock);
    }
    return true;
}

/* Under the lock of opening. */
static bool open_first(const struct conf *conf, const char *const *topics, struct error *err)
{
    struct registry *registry = registry_new(conf, err);

    if (registry == NULL) {
        return false;
    }
    if (!open_topics(registry, topics, err)) {
        registry_free(registry);
        return false;
    }
    start_thread(registry);
    msg_use_registry(&registry->codec);
    opened = registry;
    return true;
}

bool registry_open(const struct conf *conf, const char *const *topics, struct error *err)
{
    bool ok = registry_check_settings(conf, err);

    if (ok && conf_text(conf, CONF_SCHEMAS_REGISTRY)[0] == '\0') {
        return true;
    }
    pthread_mutex_lock(&open_lock);
    ok = ok && (opened != NULL ? open_topics(opened, topics, err) : open_first(conf, topics, err));
    open_count += ok;
    pthread_mutex_unlock(&open_lock);
    return ok;
}

void registry_close(void)
{
    pthread_mutex_lock(&open_lock);
    struct registry *registry = opened;
    if (registry != NULL && --open_count == 0) {
        pthread_mutex_lock(&registry->lock);
        registry->stopping = true;
        pthread_cond_signal(&registry->changed);
        pthread_mutex_unlock(&registry->lock);
        pthread_join(registry->thread, NULL);
        msg_use_registry(NULL);
        if (registry->unhealthy) { /* nothing is needed of it any more */
            health_set(HEALTH_PART, true, "");
        }
        registry_free(registry);
        opened = NULL;
    }
    pthread_mutex_unlock(&open_lock);
}
