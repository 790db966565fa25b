/* The engine's gate on a broker: priorities, the circuit breaker, deadlines, what a job knows of earlier
 * attempts, and records that kill the process. */
#include "toy_stage.h"
#include <sys/resource.h>
#include "base/health.h"

#define LABELS "stage=\"classifier\",dependency=\"db\""

static int setup(void **state)
{
    (void)state;
    use_kafka();
    set_conf(conf, "engine.retry-base", "20ms");
    set_conf(conf, "engine.retry-cap", "200ms");
    set_conf(conf, "engine.drain-timeout", "1s");
    set_conf(conf, "instance", "gate");
    set_conf(conf, "kafka.session-timeout", "6s");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    leave_kafka();
    return 0;
}

static double gauge(const char *name, const char *labels)
{
    return metric_value(metrics_gauge(name, "", labels));
}

/* ---- priority ---- */

#define HELD 16
#define EACH 12

static const char *const priorities[] = {"critical", "high", "medium", "low"};

struct queue {
    struct engine *engine;
    struct engine_job *held[HELD];
    size_t held_count;
    char order[4 * EACH + 1]; /* first letters of priorities, as they started */
    size_t count;
    size_t buffered;
};

static void queue_process(struct engine_job *job, void *state)
{
    struct queue *queue = state;
    const struct bus_header *priority = bus_record_header(engine_record(job), "priority");
    if (!priority) {
        queue->held[queue->held_count++] = job;
        return;
    }
    queue->order[queue->count++] = *(const char *)priority->value;
    engine_finish(job, ENGINE_SKIP, NULL);
}

static const struct engine_stage queue_stage = {
    .name = "classifier", .topics = toy_topics, .process = queue_process};

static void make_priority(size_t index, struct bus_record *record, void *arg)
{
    static struct bus_header header;
    (void)arg;
    const char *priority = priorities[3 - index / EACH]; /* the lowest come first */
    header = (struct bus_header){"priority", priority, strlen(priority)};
    record->headers = &header;
    record->header_count = 1;
}

static void make_bare(size_t index, struct bus_record *record, void *arg)
{
    (void)index;
    (void)record;
    (void)arg;
}

static bool all_buffered(void *arg)
{
    struct queue *queue = arg;
    return queue->held_count == HELD &&
           gauge("helpdesk_engine_buffered", "stage=\"classifier\"") >= (double)queue->buffered;
}

static bool all_started(void *arg)
{
    return ((struct queue *)arg)->count == 4 * EACH;
}

static void drain(struct loop *loop, struct engine *engine)
{
    struct toy ending = {0};
    engine_drain(engine, toy_drained, &ending);
    assert_true(run_until(loop, toy_is_drained, &ending));
    engine_free(engine);
}

static size_t count_of(const char *text, size_t len, char c)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        count += text[i] == c;
    }
    return count;
}

static void test_priority(void **state)
{
    (void)state;
    struct queue queue = {.buffered = HELD};
    struct error err = {0};
    set_conf(conf, "engine.in-flight", "16");
    struct loop *loop = loop_new(0);
    publish(TOPIC_SUBMITTED, HELD, make_bare, NULL);
    queue.engine = engine_new(loop, conf, &queue_stage, &queue, &err);
    assert_non_null(queue.engine);
    assert_true(run_until(loop, all_buffered, &queue));
    publish(TOPIC_SUBMITTED, 4 * EACH, make_priority, NULL);
    queue.buffered = HELD + 4 * EACH;
    assert_true(run_until(loop, all_buffered, &queue));
    assert_int_equal(queue.count, 0);
    for (size_t i = 0; i < HELD; i++) {
        engine_finish(queue.held[i], ENGINE_SKIP, NULL);
    }
    assert_true(run_until(loop, all_started, &queue));
    assert_int_equal(queue.order[0], 'c');
    assert_int_equal(count_of(queue.order, 15, 'c'), 8);
    assert_int_equal(count_of(queue.order, 15, 'h'), 4);
    assert_int_equal(count_of(queue.order, 15, 'm'), 2);
    assert_int_equal(count_of(queue.order, 15, 'l'), 1);
    assert_int_equal(count_of(queue.order, 4 * EACH, 'l'), EACH);
    drain(loop, queue.engine);
    loop_free(loop);
}

/* ---- a dependency that is away ---- */

struct store {
    struct loop *loop;
    bool away;
    int64_t retry_after_ms; /* it asks for, while away */
    size_t started;
    size_t running;
    size_t probing; /* most that ran at once while the breaker was open and nothing was left from before */
    bool quiet;     /* what ran when it opened has ended */
    size_t done;
    size_t degraded;
    size_t errors;
    char error[256];
};

struct access {
    struct store *store;
    struct engine_job *job;
    struct loop_timer *timer;
};

static int64_t left_of(const struct engine_job *job)
{
    const struct bus_header *header = bus_record_header(engine_record(job), "deadline-at");
    return header ? strtoll((const char *)header->value, NULL, 10) - clock_wall_ms() : INT64_MAX;
}

static void access_end(void *arg)
{
    struct access *access = arg;
    struct store *store = access->store;
    struct engine_job *job = access->job;
    struct error err;
    loop_timer_free(access->timer);
    free(access);
    store->running--;
    if (!store->away) {
        store->done++;
        emit_copy(job, TOPIC_CLASSIFIED, 0, "done");
        engine_finish(job, ENGINE_DONE, NULL);
    } else if (left_of(job) <= ENGINE_RESERVE_MS) {
        store->degraded++;
        engine_did_without(job);
        engine_finish(job, ENGINE_DONE, NULL);
    } else {
        error_set(&err, ERROR_RETRY, "db_unavailable", "The store is away");
        err.retry_after_ms = store->retry_after_ms;
        engine_finish(job, ENGINE_FAILED, &err);
    }
}

static void store_process(struct engine_job *job, void *state)
{
    struct store *store = state;
    struct access *access = xcalloc(1, sizeof(*access));
    store->quiet = store->quiet || (store->running == 0 && gauge("helpdesk_engine_breaker_open", LABELS) > 0);
    store->started++;
    store->running++;
    if (store->quiet && store->away && store->running > store->probing) {
        store->probing = store->running;
    }
    store->errors = engine_error_count(job);
    if (store->errors > 0) {
        snprintf(store->error, sizeof(store->error), "%s", engine_error(job, store->errors - 1));
    }
    *access = (struct access){store, job, loop_timer_new(store->loop, access_end, access)};
    loop_timer_arm(access->timer, 2);
}

static const char *const store_dependencies[] = {"db", NULL};
static const struct engine_stage store_stage = {
    .name = "classifier", .topics = toy_topics, .dependencies = store_dependencies, .process = store_process};

static struct engine *start_store(struct store *store)
{
    struct error err = {0};
    store->loop = loop_new(0);
    struct engine *engine = engine_new(store->loop, conf, &store_stage, store, &err);
    assert_non_null(engine);
    return engine;
}

static void end_store(struct store *store, struct engine *engine)
{
    drain(store->loop, engine);
    loop_free(store->loop);
}

static bool breaker_is_open(void *arg)
{
    (void)arg;
    return gauge("helpdesk_engine_breaker_open", LABELS) > 0;
}

static bool store_done(void *arg)
{
    return ((struct store *)arg)->done == TOTAL;
}

static void test_breaker(void **state)
{
    (void)state;
    struct store store = {.away = true};
    set_conf(conf, "engine.in-flight", "30");
    set_conf(conf, "engine.retries", "0");
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    struct engine *engine = start_store(&store);
    assert_true(run_until(store.loop, breaker_is_open, NULL));
    assert_false(health_ok("breaker.db"));
    int64_t until = clock_mono_ms() + 2000;
    run_until(store.loop, waited, &until);
    assert_true(breaker_is_open(NULL));
    assert_in_range(store.started, 6, 120); /* without the breaker: some 100 for each of 30 jobs */
    assert_int_equal(store.probing, 1);
    assert_true(store.errors > 0);
    assert_string_equal(store.error, "db_unavailable: The store is away");
    store.away = false;
    assert_true(run_until(store.loop, store_done, &store));
    assert_false(breaker_is_open(NULL));
    assert_true(health_ok("breaker.db"));
    end_store(&store, engine);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL, 200);
    assert_int_equal(out.count, TOTAL);
    assert_int_equal(check_order(&out, PER_KEY), 0);
    free_collected(&out);
}

/* ---- deadlines ---- */

/* Every second record has a deadline, `arg` from now. */
static void make_deadline(size_t index, struct bus_record *record, void *arg)
{
    static char text[32];
    static struct bus_header header;
    make_plain(index, record, NULL);
    if (index % 2 == 0) {
        snprintf(text, sizeof(text), "%lld", (long long)(clock_wall_ms() + *(int64_t *)arg));
        header = (struct bus_header){"deadline-at", text, strlen(text)};
        record->headers = &header;
        record->header_count = 1;
    }
}

static bool half_degraded(void *arg)
{
    return ((struct store *)arg)->degraded == KEYS / 2;
}

static bool half_done(void *arg)
{
    return ((struct store *)arg)->done == KEYS / 2;
}

static bool one_done(void *arg)
{
    return ((struct store *)arg)->done == 1;
}

/* A worker that has its partitions and an answer from the store, which then goes away; then come records with
 * three seconds until their reserve. */
static struct engine *start_deadlines(struct store *store, int64_t *published_ms)
{
    int64_t deadline = ENGINE_RESERVE_MS + 3000;
    set_conf(conf, "stage.clock-skew", "0s");
    publish(TOPIC_SUBMITTED, 1, make_plain, NULL);
    *store = (struct store){.retry_after_ms = 60000}; /* no attempt comes by itself meanwhile */
    struct engine *engine = start_store(store);
    assert_true(run_until(store->loop, one_done, store));
    store->away = true;
    store->done = 0;
    store->started = 0;
    *published_ms = clock_mono_ms();
    publish(TOPIC_SUBMITTED, KEYS, make_deadline, &deadline);
    return engine;
}

/* They were answered in the last part of their deadline, not before. */
static void check_in_time(int64_t published_ms)
{
    assert_true(clock_mono_ms() - published_ms >= 2900);
}

/* The store is away: who waits gets less, in time; who does not, waits. */
static void test_deadline_with_an_open_breaker(void **state)
{
    (void)state;
    struct store store;
    int64_t published_ms;
    set_conf(conf, "engine.breaker-after", "1");
    struct engine *engine = start_deadlines(&store, &published_ms);
    assert_true(run_until(store.loop, half_degraded, &store));
    check_in_time(published_ms);
    assert_true(breaker_is_open(NULL)); /* an answer without the store says nothing of it */
    assert_int_equal(store.done, 0);
    end_store(&store, engine);
    store = (struct store){.away = false};
    engine = start_store(&store);
    assert_true(run_until(store.loop, half_done, &store));
    assert_int_equal(store.started, KEYS / 2);
    end_store(&store, engine);
}

/* A retry does not wait past the deadline. */
static void test_retry_at_the_edge(void **state)
{
    (void)state;
    struct store store;
    int64_t published_ms;
    set_conf(conf, "engine.breaker-after", "1000");
    struct engine *engine = start_deadlines(&store, &published_ms);
    assert_true(run_until(store.loop, half_degraded, &store));
    assert_false(breaker_is_open(NULL));
    check_in_time(published_ms);
    assert_in_range(store.started, KEYS / 2 * 3, KEYS / 2 * 3 + 4);
    end_store(&store, engine);
}

/* ---- records that kill the process ---- */

#define LETHAL 200
#define CRASHES_MAX 8

static const char *two_kill(size_t index)
{
    return index == 50 ? "kill" : index == 57 ? "kill twice" : "ok";
}

static void lethal_process(struct engine_job *job, void *state)
{
    if (is(job, "kill") || is(job, "kill twice")) {
        abort();
    }
    toy_process(job, state);
}

/* Even what is told of the second one kills. */
static void lethal_rejected(struct engine_job *job, const struct error *err, void *state)
{
    if (is(job, "kill twice")) {
        abort();
    }
    toy_rejected(job, err, state);
}

static const struct engine_stage lethal_stage = {
    .name = "classifier", .topics = toy_topics, .process = lethal_process, .rejected = lethal_rejected};

/* Two seconds without a start, after something happened. */
struct calm {
    struct toy *toy;
    size_t seen;
    int64_t since_ms;
};

static bool is_calm(void *arg)
{
    struct calm *calm = arg;
    size_t seen = calm->toy->finished + calm->toy->told;
    if (seen != calm->seen || calm->toy->running > 0) {
        calm->seen = seen;
        calm->since_ms = clock_mono_ms();
    }
    return seen > 0 && clock_mono_ms() - calm->since_ms > 2000;
}

static void lethal_main(void)
{
    const struct rlimit no_core = {0, 0};
    struct error err = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL);
    struct toy *toy = xcalloc(1, sizeof(*toy));
    struct calm calm = {.toy = toy};
    toy->loop = loop_new(1);
    toy->tag = "lethal";
    toy->max_delay_ms = 50;
    toy->engine = engine_new(toy->loop, conf, &lethal_stage, toy, &err);
    if (!toy->engine || !run_until(toy->loop, is_calm, &calm)) {
        _exit(1);
    }
    engine_drain(toy->engine, toy_drained, toy);
    if (!run_until(toy->loop, toy_is_drained, toy)) {
        _exit(1);
    }
    engine_free(toy->engine);
    _exit(0);
}

/* Starts the worker again until it ends by itself. Returns how often it died. */
static size_t run_lethal(void)
{
    size_t crashes = 0;
    for (;;) {
        int status = 0;
        pid_t child = fork(); /* no thread runs now */
        if (child == 0) {
            lethal_main();
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            return crashes;
        }
        assert_int_equal(WTERMSIG(status), SIGABRT);
        assert_in_range(++crashes, 1, CRASHES_MAX);
    }
}

static void check_lethal_letters(void)
{
    struct collected letters = read_topic("classifier.dead", 2, 500);
    bool seen[2] = {false, false};
    for (size_t i = 0; i < letters.count; i++) {
        const struct bus_record *letter = letters.records[i];
        const struct bus_header *class = bus_record_header(letter, "helpdesk.error.class");
        const struct bus_header *attempts = bus_record_header(letter, "helpdesk.error.attempts");
        size_t index = sequence_of(letter) * KEYS + key_of(letter);
        assert_true(index == 50 || index == 57);
        seen[index == 57] = true;
        assert_memory_equal(class->value, "crashed", class->len);
        assert_memory_equal(attempts->value, index == 57 ? "4" : "3", attempts->len);
    }
    assert_true(seen[0] && seen[1]);
    free_collected(&letters);
}

static void check_lethal_outputs(void)
{
    struct collected out = read_topic(TOPIC_CLASSIFIED, LETHAL - 2, 500);
    bool seen[LETHAL] = {false};
    size_t count = 0;
    for (size_t i = 0; i < out.count; i++) {
        size_t index = sequence_of(out.records[i]) * KEYS + key_of(out.records[i]);
        assert_in_range(index, 0, LETHAL - 1);
        assert_true(index < KEYS || seen[index - KEYS] || index - KEYS == 50 || index - KEYS == 57);
        count += !seen[index];
        seen[index] = true;
    }
    assert_int_equal(count, LETHAL - 2);
    assert_false(seen[50] || seen[57]);
    free_collected(&out);
}

static void test_records_that_kill(void **state)
{
    (void)state;
    char dir[] = "/tmp/hd-lethal-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(dir));
    set_conf(conf, "run.dir", dir);
    set_conf(conf, "engine.in-flight", "16");
    publish(TOPIC_SUBMITTED, LETHAL, make_plain, (void *)(uintptr_t)two_kill);
    size_t crashes = run_lethal();
    print_message("%zu crashes\n", crashes);
    assert_in_range(crashes, 3, CRASHES_MAX);
    check_lethal_letters();
    check_lethal_outputs();
    snprintf(path, sizeof(path), "%s/journal/classifier.0", dir);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof(path), "%s/journal", dir);
    assert_int_equal(rmdir(path), 0); /* one file served them all */
    assert_int_equal(rmdir(dir), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    log_setup("test", getenv("TEST_VERBOSE") ? LOG_DEBUG : LOG_ERROR);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_priority),
        TEST(test_breaker),
        TEST(test_deadline_with_an_open_breaker),
        TEST(test_retry_at_the_edge),
        TEST(test_records_that_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
