/* The pass over a tenant's passages that makes their vectors. */
#include "stages/kb_vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/utf8.h"
#include "kb/vector_store.h"
#include "model/embed.h"
#include "model/vector.h"
#include "stages/spending.h"

#define STAGE "kb-sync"
#define LOOK_MS 500            /* between two looks for something to do */
#define EMPTY_MS 2000          /* the same, at a base without passages */
#define PRUNE_MS 5000          /* between two looks for vectors that nobody needs */
#define LEASE_MORE_MS 15000    /* beyond the longest call */
#define LISTED_TEXTS 512       /* at a time */
#define CALLS 4                /* of the model at once */
#define TEXT_BYTES (16 * 1024) /* of a passage that go to the model */
#define TEXT_LEAST 200         /* what is shorter, and refused, is not refused for its length */
#define BACK_OFF_MS 1000
#define BACK_OFF_MOST_MS 60000

/* Texts of the list that go to the model together. */
struct slice {
    struct slice *next;
    struct kb_vectors *vectors;
    size_t from, count;
    size_t clip; /* bytes of a text, at most */
    const char *const *texts;
};

struct kb_vectors {
    struct loop *loop;
    struct embedder *embedder;
    struct budget *budget;           /* or NULL */
    char model[EMBED_IDENTITY_SIZE]; /* what the identity starts with */
    char *holder;
    struct kb_vector_worker worker;
    int64_t timeout_ms;
    struct loop_timer *timer;
    int64_t back_off_ms; /* 0: the last pass was good */
    int64_t prune_at_ms; /* monotonic */
    bool closing;
    int under_way; /* statements and calls that will come back */
    struct metric *missing, *made, *refused, *done_at;
    /* The pass: */
    struct arena *arena; /* NULL: there is none */
    const char *tenant;
    int64_t revision;
    char identity[EMBED_IDENTITY_SIZE]; /* "": not known before the first answer */
    bool answered;                      /* the model took a text in this pass */
    const struct kb_vector_text *texts;
    struct slice *waiting;
    int calls;        /* slices under way, from the model to the database */
    bool lost;        /* another process has the tenant */
    struct error err; /* why it ends early */
};

/* ---- its life ---- */

bool kb_vectors_wanted(const struct conf *conf)
{
    return conf_text(conf, CONF_MODEL_EMBED)[0] != '\0';
}

static void on_timer(void *arg);

static void set_metrics(struct kb_vectors *vectors)
{
    vectors->missing = metrics_gauge(
        "helpdesk_kb_vectors_missing", "Texts of the tenant at work that have no vector yet", NULL);
    vectors->made =
        metrics_counter("helpdesk_kb_vectors_made_total", "Vectors of texts that were made", NULL);
    vectors->refused = metrics_counter(
        "helpdesk_kb_vectors_refused_total", "Texts that the model does not take, not even in part", NULL);
    vectors->done_at = metrics_gauge("helpdesk_kb_vectors_done_timestamp_seconds",
        "When this process last saw that a base has all its vectors", NULL);
}

struct kb_vectors *kb_vectors_new(const struct stage_env *env, struct error *err)
{
    struct chat_options options = embed_options_of(env->conf);
    if (!spending_open(env, &options, NULL, err)) {
        return NULL;
    }
    struct embedder *embedder = embed_new(env->loop, &options, err);
    if (!embedder) {
        budget_free(options.budget);
        return NULL;
    }
    struct kb_vectors *vectors = xcalloc(1, sizeof(*vectors));
    char own[UUID_TEXT_SIZE];
    uuid_v7(own);
    const char *instance = conf_text(env->conf, CONF_INSTANCE);
    vectors->loop = env->loop;
    vectors->embedder = embedder;
    vectors->budget = options.budget;
    vectors->holder = xstrdup(*instance ? instance : own);
    vectors->timeout_ms = conf_int(env->conf, CONF_MODEL_TIMEOUT);
    vectors->worker = (struct kb_vector_worker){
        .db = env->db, .holder = vectors->holder, .lease_ms = vectors->timeout_ms + LEASE_MORE_MS};
    embed_identity_start(&options, vectors->model);
    set_metrics(vectors);
    vectors->timer = loop_timer_new(env->loop, on_timer, vectors);
    loop_timer_arm(vectors->timer, 0);
    return vectors;
}

static void vectors_free(struct kb_vectors *vectors)
{
    arena_free(vectors->arena);
    free(vectors->holder);
    free(vectors);
}

void kb_vectors_close(struct kb_vectors *vectors)
{
    if (!vectors) {
        return;
    }
    vectors->closing = true;
    vectors->under_way++;
    embed_free(vectors->embedder); /* its calls come back */
    budget_free(vectors->budget);
    loop_timer_free(vectors->timer);
    if (--vectors->under_way == 0) {
        vectors_free(vectors);
    }
}

/* Something has come back. False: it is closing, and `vectors` may be gone. */
static bool came_back(struct kb_vectors *vectors)
{
    vectors->under_way--;
    if (vectors->closing && vectors->under_way == 0) {
        vectors_free(vectors);
        return false;
    }
    return !vectors->closing;
}

/* ---- the end of a pass ---- */

static void pass_over(struct kb_vectors *vectors, int64_t wait_ms)
{
    arena_free(vectors->arena);
    vectors->arena = NULL;
    loop_timer_arm(vectors->timer, wait_ms);
}

static void on_given_back(void *arg, bool ours, const struct error *err)
{
    (void)ours;
    (void)err; /* the lease ends by itself */
    struct kb_vectors *vectors = arg;
    if (came_back(vectors)) {
        bool tenants_own = strcmp(vectors->err.code, "budget_used_up") == 0;
        pass_over(vectors, tenants_own ? 0 : vectors->back_off_ms);
    }
}

static int64_t next_back_off(const struct kb_vectors *vectors)
{
    int64_t next = vectors->back_off_ms > 0 ? 2 * vectors->back_off_ms : BACK_OFF_MS;
    next = next < BACK_OFF_MOST_MS ? next : BACK_OFF_MOST_MS;
    if (vectors->err.retry_after_ms > next) {
        return vectors->err.retry_after_ms;
    }
    return vectors->err.disposition == ERROR_RETRY ? next : BACK_OFF_MOST_MS;
}

/* The model or the database is away, or the budget is gone: the tenant waits. */
static void pass_fail(struct kb_vectors *vectors)
{
    bool tenants_own = strcmp(vectors->err.code, "budget_used_up") == 0;
    int64_t wait_ms = tenants_own ? BACK_OFF_MOST_MS : next_back_off(vectors);
    if (vectors->back_off_ms == 0 || tenants_own) {
        log_warn("vectors of texts are not made now", LOG_STR("code", vectors->err.code),
            LOG_STR("error", vectors->err.text), LOG_INT("wait_ms", wait_ms));
    }
    vectors->back_off_ms = tenants_own ? vectors->back_off_ms : wait_ms;
    vectors->under_way++;
    kb_vectors_later(&vectors->worker, vectors->arena, vectors->tenant, wait_ms, on_given_back, vectors);
}

static void on_done(void *arg, bool ours, const struct error *err)
{
    struct kb_vectors *vectors = arg;
    if (!came_back(vectors)) {
        return;
    }
    if (err) {
        pass_over(vectors, BACK_OFF_MS);
        return;
    }
    if (ours) {
        log_info("the knowledge base has all its vectors", LOG_STR("model", vectors->identity),
            LOG_INT("revision", vectors->revision));
        metric_set(vectors->done_at, (double)clock_wall_ms() / 1000);
    }
    vectors->back_off_ms = 0;
    pass_over(vectors, 0);
}

/* ---- the model ---- */

static void go_on(struct kb_vectors *vectors);
static void list_missing(struct kb_vectors *vectors);

static void slice_add(struct kb_vectors *vectors, size_t from, size_t count, size_t clip)
{
    struct slice *slice = ARENA_NEW(vectors->arena, struct slice);
    *slice = (struct slice){
        .next = vectors->waiting, .vectors = vectors, .from = from, .count = count, .clip = clip};
    vectors->waiting = slice;
}

static void on_put(void *arg, bool ours, const struct error *err)
{
    struct slice *slice = arg;
    struct kb_vectors *vectors = slice->vectors;
    vectors->calls--;
    if (!came_back(vectors)) {
        return;
    }
    if (err) {
        vectors->err = *err;
    }
    vectors->lost = vectors->lost || (!err && !ours);
    go_on(vectors);
}

static void put(struct slice *slice, const struct embed_reply *reply)
{
    struct kb_vectors *vectors = slice->vectors;
    struct arena *arena = vectors->arena;
    struct kb_vector_made *made = arena_array(arena, slice->count, sizeof(*made));
    for (size_t i = 0; i < slice->count; i++) {
        const struct vector_codes codes = vector_encode(arena, reply->vectors[i], reply->dimension);
        made[i] = (struct kb_vector_made){
            .hash = vectors->texts[slice->from + i].hash, .vector = vector_to_hex(arena, &codes)};
    }
    metric_add(vectors->made, (double)slice->count);
    vectors->under_way++;
    kb_vectors_put(
        &vectors->worker, arena, vectors->tenant, reply->identity, made, slice->count, on_put, slice);
}

static void put_refused(struct slice *slice, const struct error *err)
{
    struct kb_vectors *vectors = slice->vectors;
    struct kb_vector_made *made = ARENA_NEW(vectors->arena, struct kb_vector_made);
    *made = (struct kb_vector_made){
        .hash = vectors->texts[slice->from].hash, .why = arena_strdup(vectors->arena, err->text)};
    log_warn("the model takes a text not even in part: it is found by its words alone",
        LOG_STR("code", err->code), LOG_STR("error", err->text));
    metric_add(vectors->refused, 1);
    vectors->under_way++;
    kb_vectors_put(
        &vectors->worker, vectors->arena, vectors->tenant, vectors->identity, made, 1, on_put, slice);
}

/* What the call met may be one of its texts: each is tried by itself, then its beginning. True: something is
 * tried. */
static bool try_parts(struct slice *slice, const struct error *err)
{
    struct kb_vectors *vectors = slice->vectors;
    bool refused = err->disposition == ERROR_REJECT && strcmp(err->code, "budget_used_up") != 0;
    if (!refused && strcmp(err->code, "model_failed") != 0) {
        return false;
    }
    if (slice->count > 1) {
        size_t half = slice->count / 2;
        slice_add(vectors, slice->from, half, slice->clip);
        slice_add(vectors, slice->from + half, slice->count - half, slice->clip);
        return true;
    }
    size_t len = strlen(vectors->texts[slice->from].text);
    len = len < slice->clip ? len : slice->clip;
    if (len > TEXT_LEAST) {
        slice_add(vectors, slice->from, 1, len / 2);
        return true;
    }
    return false;
}

static void on_embedded(void *arg, const struct embed_reply *reply, const struct error *err)
{
    struct slice *slice = arg;
    struct kb_vectors *vectors = slice->vectors;
    if (!came_back(vectors)) {
        return;
    }
    if (!err) {
        vectors->answered = true;
        snprintf(vectors->identity, sizeof(vectors->identity), "%s", reply->identity);
        put(slice, reply);
        return;
    }
    if (!try_parts(slice, err)) {
        bool of_the_text = vectors->answered && strcmp(err->code, "budget_used_up") != 0 &&
                           (err->disposition == ERROR_REJECT || strcmp(err->code, "model_failed") == 0);
        if (of_the_text) {
            put_refused(slice, err);
            return;
        }
        vectors->err = *err;
    }
    vectors->calls--;
    go_on(vectors);
}

static void ask(struct kb_vectors *vectors, struct slice *slice)
{
    const char **texts = arena_array(vectors->arena, slice->count, sizeof(*texts));
    for (size_t i = 0; i < slice->count; i++) {
        const char *text = vectors->texts[slice->from + i].text;
        texts[i] = arena_strndup(vectors->arena, text, utf8_clip(text, slice->clip));
    }
    const struct embed_request request = {.arena = vectors->arena,
        .texts = texts,
        .count = slice->count,
        .tenant = vectors->tenant,
        .stage = STAGE,
        .timeout_ms = vectors->timeout_ms};
    vectors->calls++;
    vectors->under_way++;
    embed_start(vectors->embedder, &request, on_embedded, slice);
}

/* ---- the pass ---- */

/* As many texts a call as the model takes, within the bytes of a call. */
static void slice_all(struct kb_vectors *vectors, size_t count)
{
    size_t most = embed_max_texts(vectors->embedder);
    most = most < EMBED_MAX_BYTES / TEXT_BYTES ? most : EMBED_MAX_BYTES / TEXT_BYTES;
    for (size_t from = 0; from < count; from += most) {
        slice_add(vectors, from, count - from < most ? count - from : most, TEXT_BYTES);
    }
}

static void go_on(struct kb_vectors *vectors)
{
    bool ending = vectors->lost || vectors->err.disposition != ERROR_NONE;
    /* The first answer tells which vectors are there already. */
    int most = vectors->identity[0] ? CALLS : 1;
    while (!ending && vectors->waiting && vectors->calls < most) {
        struct slice *slice = vectors->waiting;
        vectors->waiting = slice->next;
        ask(vectors, slice);
    }
    if (vectors->calls > 0) {
        return;
    }
    if (vectors->lost) {
        pass_over(vectors, LOOK_MS);
    } else if (ending) {
        pass_fail(vectors);
    } else {
        list_missing(vectors);
    }
}

static void on_missing(
    void *arg, const struct kb_vector_text *texts, size_t count, int64_t missing, const struct error *err)
{
    struct kb_vectors *vectors = arg;
    if (!came_back(vectors)) {
        return;
    }
    if (err) {
        vectors->err = *err;
        pass_fail(vectors);
        return;
    }
    metric_set(vectors->missing, (double)missing);
    if (count == 0 && !vectors->identity[0]) { /* the base is empty, and the model was never asked */
        vectors->under_way++;
        kb_vectors_later(&vectors->worker, vectors->arena, vectors->tenant, EMPTY_MS, on_given_back, vectors);
        return;
    }
    if (count == 0) {
        vectors->under_way++;
        kb_vectors_done(&vectors->worker, vectors->arena, vectors->tenant, vectors->identity,
            vectors->revision, on_done, vectors);
        return;
    }
    vectors->texts = texts;
    slice_all(vectors, count);
    go_on(vectors);
}

/* Each list has an arena of its own: a base may have any number of texts. */
static void list_missing(struct kb_vectors *vectors)
{
    struct arena *arena = arena_new(0);
    vectors->tenant = arena_strdup(arena, vectors->tenant);
    arena_free(vectors->arena);
    vectors->arena = arena;
    vectors->waiting = NULL;
    vectors->under_way++;
    kb_vectors_missing(
        vectors->worker.db, arena, vectors->tenant, vectors->identity, LISTED_TEXTS, on_missing, vectors);
}

static void on_claimed(void *arg, const struct kb_vector_claim *claim, const struct error *err)
{
    struct kb_vectors *vectors = arg;
    if (!came_back(vectors)) {
        return;
    }
    if (!claim) {
        if (err && err->disposition == ERROR_FATAL) {
            log_error("vectors of texts cannot be made", LOG_STR("error", err->text));
        }
        pass_over(vectors, err ? BACK_OFF_MS : LOOK_MS);
        return;
    }
    vectors->tenant = claim->tenant;
    vectors->revision = claim->revision;
    snprintf(vectors->identity, sizeof(vectors->identity), "%s", claim->model);
    vectors->answered = false;
    vectors->lost = false;
    vectors->err = (struct error){0};
    list_missing(vectors);
}

static void claim(struct kb_vectors *vectors)
{
    vectors->under_way++;
    kb_vectors_claim(&vectors->worker, vectors->arena, vectors->model, on_claimed, vectors);
}

/* One base after the other, until none is left. */
static void on_pruned(void *arg, bool ours, const struct error *err)
{
    struct kb_vectors *vectors = arg;
    if (came_back(vectors)) {
        vectors->prune_at_ms = ours && !err ? 0 : clock_mono_ms() + PRUNE_MS;
        claim(vectors);
    }
}

static void on_timer(void *arg)
{
    struct kb_vectors *vectors = arg;
    vectors->arena = arena_new(0);
    if (clock_mono_ms() < vectors->prune_at_ms) {
        claim(vectors);
        return;
    }
    vectors->under_way++;
    kb_vectors_prune(vectors->worker.db, vectors->arena, on_pruned, vectors);
}
