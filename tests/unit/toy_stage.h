/* A stage that does what its records say, on the engine. Included once by each test program. */
#ifndef HELPDESK_TESTS_TOY_STAGE_H
#define HELPDESK_TESTS_TOY_STAGE_H

#include "kafka_fixture.h"
#include "engine/engine.h"

#define KEYS 40
#define PER_KEY 25
#define TOTAL (KEYS * PER_KEY)

/* ---- a stage that does what its records say ---- */

/* A record's value is "<sequence>:<what>": ok, retry (fails twice first), outage
 * (the same, for what is away), reject, stall (never ends), big, astray (a reply to a partition that is not).
 */
struct toy {
    struct loop *loop;
    struct engine *engine;
    size_t started;
    size_t finished;
    size_t running;
    size_t most_running;
    size_t stalled;
    size_t told; /* calls of `rejected` */
    size_t cancelled;
    bool drained;
    size_t wanted;
    int64_t max_delay_ms;
    bool never_stall;
    struct engine_job *stuck[64];
    const char *tag; /* goes into the outputs */
};

struct toy_job {
    struct toy *toy;
    struct engine_job *job;
    struct loop_timer *timer;
};

static const char *what_of(const struct engine_job *job)
{
    const struct bus_record *record = engine_record(job);
    const char *colon = memchr(record->value, ':', record->value_len);
    return colon ? colon + 1 : "";
}

static inline bool is(const struct engine_job *job, const char *what)
{
    const struct bus_record *record = engine_record(job);
    const char *at = what_of(job);
    size_t len = (size_t)((const char *)record->value + record->value_len - at);
    return len == strlen(what) && memcmp(at, what, len) == 0;
}

static inline void emit_to(
    struct engine_job *job, const char *topic, int32_t partition, size_t len, const char *tag)
{
    const struct bus_record *in = engine_record(job);
    char *value = (char *)in->value;
    if (len > 0) {
        value = arena_alloc(engine_arena(job), len);
    }
    struct bus_header header = {"tag", tag, strlen(tag)};
    struct bus_record out = {.topic = topic, .partition = partition, .key = in->key, .key_len = in->key_len};
    out.value = value;
    out.value_len = len > 0 ? len : in->value_len;
    out.headers = &header;
    out.header_count = 1;
    engine_emit(job, &out);
}

static inline void emit_copy(struct engine_job *job, const char *topic, size_t len, const char *tag)
{
    emit_to(job, topic, -1, len, tag);
}

static inline void toy_end(void *arg)
{
    struct toy_job *work = arg;
    struct toy *toy = work->toy;
    struct engine_job *job = work->job;
    loop_timer_free(work->timer);
    free(work);
    struct error err = {0};
    toy->running--;
    toy->finished++;
    if (engine_cancelled(job)) {
        toy->cancelled++;
    }
    if (is(job, "retry") && engine_attempt(job) < 3) {
        emit_copy(job, TOPIC_CLASSIFIED, 0, "not this one");
        error_set(&err, ERROR_RETRY, "weather", "The first two attempts fail");
        engine_finish(job, ENGINE_FAILED, &err);
    } else if (is(job, "outage") && engine_attempt(job) < 3) {
        error_set(&err, ERROR_RETRY, "db_unavailable", "The database is away for two attempts");
        engine_finish(job, ENGINE_FAILED, &err);
    } else if (is(job, "reject")) {
        emit_copy(job, TOPIC_CLASSIFIED, 0, "nor this one");
        error_set(&err, ERROR_REJECT, "poison", "This record cannot be processed");
        engine_finish(job, ENGINE_FAILED, &err);
    } else if (is(job, "big")) {
        emit_copy(job, TOPIC_CLASSIFIED, 1024 * 1024, "too big");
        engine_finish(job, ENGINE_DONE, NULL);
    } else if (is(job, "skip")) {
        emit_copy(job, TOPIC_CLASSIFIED, 0, "skipped");
        engine_finish(job, ENGINE_SKIP, NULL);
    } else {
        if (is(job, "astray")) {
            emit_to(job, TOPIC_REPLIES, 99, 0, toy->tag);
        }
        emit_copy(job, TOPIC_CLASSIFIED, 0, toy->tag);
        engine_finish(job, ENGINE_DONE, NULL);
    }
}

static inline void toy_process(struct engine_job *job, void *state)
{
    struct toy *toy = state;
    toy->started++;
    if (is(job, "stall") && !toy->never_stall) {
        toy->stuck[toy->stalled++ % 64] = job;
        return;
    }
    toy->running++;
    toy->most_running = toy->running > toy->most_running ? toy->running : toy->most_running;
    struct toy_job *work = xcalloc(1, sizeof(*work));
    *work = (struct toy_job){.toy = toy, .job = job};
    work->timer = loop_timer_new(toy->loop, toy_end, work);
    loop_timer_arm(work->timer, (int64_t)arc4random_uniform((uint32_t)toy->max_delay_ms + 1));
}

static inline void toy_rejected(struct engine_job *job, const struct error *err, void *state)
{
    struct toy *toy = state;
    toy->told++;
    emit_copy(job, TOPIC_ANSWERED, 0, err->code);
}

static const char *const toy_topics[] = {TOPIC_SUBMITTED, NULL};
static const struct engine_stage toy_stage = {
    .name = "classifier", .topics = toy_topics, .process = toy_process, .rejected = toy_rejected};

static inline struct toy *toy_new(const char *tag, int64_t max_delay_ms)
{
    struct toy *toy = xcalloc(1, sizeof(*toy));
    toy->loop = loop_new(1);
    toy->tag = tag;
    toy->max_delay_ms = max_delay_ms;
    struct error err = {0};
    toy->engine = engine_new(toy->loop, conf, &toy_stage, toy, &err);
    if (!toy->engine) {
        fail_msg("%s", err.text);
    }
    return toy;
}

static inline void toy_drained(void *arg)
{
    ((struct toy *)arg)->drained = true;
}

static inline bool toy_is_drained(void *arg)
{
    return ((struct toy *)arg)->drained;
}

/* Drains, frees, and ends what was stalled: nobody takes those results. */
static inline void toy_close(struct toy *toy)
{
    engine_drain(toy->engine, toy_drained, toy);
    assert_true(run_until(toy->loop, toy_is_drained, toy));
    engine_free(toy->engine);
    for (size_t i = 0; i < toy->stalled; i++) {
        assert_true(engine_cancelled(toy->stuck[i]));
        engine_finish(toy->stuck[i], ENGINE_SKIP, NULL);
    }
    loop_free(toy->loop);
    free(toy);
}

static inline bool toy_finished(void *arg)
{
    const struct toy *toy = arg;
    return toy->finished >= toy->wanted;
}

static inline void toy_run(struct toy *toy, size_t finished)
{
    toy->wanted = finished;
    assert_true(run_until(toy->loop, toy_finished, toy));
}

/* ---- records ---- */

struct text {
    char key[32];
    char value[64];
};

static size_t published; /* records published before these */

/* KEYS keys in turn; the value is the sequence within the key. */
static inline void make_plain(size_t index, struct bus_record *record, void *arg)
{
    static struct text text;
    const char *(*what)(size_t index) = (const char *(*)(size_t))arg;
    index += published;
    snprintf(text.key, sizeof(text.key), "default/T-%zu", index % KEYS);
    snprintf(text.value, sizeof(text.value), "%zu:%s", index / KEYS, what ? what(index) : "ok");
    record->key = text.key;
    record->key_len = strlen(text.key);
    record->value = text.value;
    record->value_len = strlen(text.value);
}

static inline size_t sequence_of(const struct bus_record *record)
{
    char text[64] = "";
    assert_true(record->value_len < sizeof(text));
    memcpy(text, record->value, record->value_len);
    return (size_t)strtoul(text, NULL, 10);
}

static inline size_t key_of(const struct bus_record *record)
{
    char text[32] = "";
    assert_true(record->key_len < sizeof(text));
    memcpy(text, record->key, record->key_len);
    return (size_t)strtoul(text + strlen("default/T-"), NULL, 10);
}

/* Every key's sequence is complete and in order. Returns how many outputs are repeats of earlier ones. */
static inline size_t check_order(const struct collected *all, size_t per_key)
{
    size_t next[KEYS] = {0};
    size_t repeats = 0;
    for (size_t i = 0; i < all->count; i++) {
        size_t key = key_of(all->records[i]);
        assert_in_range(key, 0, KEYS - 1);
        size_t sequence = sequence_of(all->records[i]);
        assert_in_range(sequence, 0, next[key]);
        if (sequence < next[key]) {
            repeats++;
        }
        next[key] = sequence + 1 > next[key] ? sequence + 1 : next[key];
    }
    for (size_t key = 0; key < KEYS; key++) {
        assert_int_equal(next[key], per_key);
    }
    return repeats;
}

#endif
