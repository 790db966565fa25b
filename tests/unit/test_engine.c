/* The engine on a broker: order per key among thousands, retries, dead letters, restarts from the map, two
 * members of a group, drain. */
#include "kafka_fixture.h"
#include <fcntl.h>
#include "engine/engine.h"

#define KEYS 40
#define PER_KEY 25
#define TOTAL (KEYS * PER_KEY)

/* ---- a stage that does what its records say ---- */

/* A record's value is "<sequence>:<what>": ok, retry (fails twice first), reject, stall (never ends), big. */
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

static bool is(const struct engine_job *job, const char *what)
{
    const struct bus_record *record = engine_record(job);
    const char *at = what_of(job);
    size_t len = (size_t)((const char *)record->value + record->value_len - at);
    return len == strlen(what) && memcmp(at, what, len) == 0;
}

static void emit_copy(struct engine_job *job, const char *topic, size_t len, const char *tag)
{
    const struct bus_record *in = engine_record(job);
    char *value = (char *)in->value;
    if (len > 0) {
        value = arena_alloc(engine_arena(job), len);
    }
    struct bus_header header = {"tag", tag, strlen(tag)};
    struct bus_record out = {.topic = topic, .partition = -1, .key = in->key, .key_len = in->key_len};
    out.value = value;
    out.value_len = len > 0 ? len : in->value_len;
    out.headers = &header;
    out.header_count = 1;
    engine_emit(job, &out);
}

static void toy_end(void *arg)
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
        emit_copy(job, TOPIC_CLASSIFIED, 0, toy->tag);
        engine_finish(job, ENGINE_DONE, NULL);
    }
}

static void toy_process(struct engine_job *job, void *state)
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

static void toy_rejected(struct engine_job *job, const struct error *err, void *state)
{
    struct toy *toy = state;
    toy->told++;
    emit_copy(job, TOPIC_ANSWERED, 0, err->code);
}

static const char *const toy_topics[] = {TOPIC_SUBMITTED, NULL};
static const struct engine_stage toy_stage = {
    .name = "classifier", .topics = toy_topics, .process = toy_process, .rejected = toy_rejected};

static struct toy *toy_new(const char *tag, int64_t max_delay_ms)
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

static void toy_drained(void *arg)
{
    ((struct toy *)arg)->drained = true;
}

static bool toy_is_drained(void *arg)
{
    return ((struct toy *)arg)->drained;
}

/* Drains, frees, and ends what was stalled: nobody takes those results. */
static void toy_close(struct toy *toy)
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

static bool toy_finished(void *arg)
{
    const struct toy *toy = arg;
    return toy->finished >= toy->wanted;
}

static void toy_run(struct toy *toy, size_t finished)
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
static void make_plain(size_t index, struct bus_record *record, void *arg)
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

static size_t sequence_of(const struct bus_record *record)
{
    char text[64] = "";
    assert_true(record->value_len < sizeof(text));
    memcpy(text, record->value, record->value_len);
    return (size_t)strtoul(text, NULL, 10);
}

static size_t key_of(const struct bus_record *record)
{
    char text[32] = "";
    assert_true(record->key_len < sizeof(text));
    memcpy(text, record->key, record->key_len);
    return (size_t)strtoul(text + strlen("default/T-"), NULL, 10);
}

/* Every key's sequence is complete and in order. Returns how many outputs are repeats of earlier ones. */
static size_t check_order(const struct collected *all, size_t per_key)
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

/* ---- tests ---- */

static int setup(void **state)
{
    (void)state;
    use_kafka();
    set_conf(conf, "engine.retry-base", "20ms");
    set_conf(conf, "engine.retry-cap", "50ms");
    set_conf(conf, "engine.drain-timeout", "1s");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    leave_kafka();
    return 0;
}

static void test_order_per_key(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    struct toy *toy = toy_new("a", 5);
    toy_run(toy, TOTAL);
    assert_int_equal(toy->started, TOTAL);
    assert_in_range(toy->most_running, 2, KEYS);
    toy_close(toy);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL, 200);
    assert_int_equal(out.count, TOTAL);
    assert_int_equal(check_order(&out, PER_KEY), 0);
    free_collected(&out);
}

static const char *often_retry(size_t index)
{
    return index % 7 == 0 ? "retry" : "ok";
}

static void test_retries_keep_their_turn(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, (void *)(uintptr_t)often_retry);
    size_t retried = (TOTAL + 6) / 7;
    struct toy *toy = toy_new("a", 2);
    toy_run(toy, TOTAL + 2 * retried);
    toy_close(toy);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL, 200);
    assert_int_equal(out.count, TOTAL);
    assert_int_equal(check_order(&out, PER_KEY), 0);
    free_collected(&out);
}

static const char *some_bad(size_t index)
{
    return index % 10 == 3 ? "reject" : index % 10 == 5 ? "big" : index % 10 == 7 ? "skip" : "ok";
}

static void header_is(const struct bus_record *record, const char *name, const char *value)
{
    const struct bus_header *header = bus_record_header(record, name);
    assert_non_null(header);
    assert_int_equal(header->len, strlen(value));
    assert_memory_equal(header->value, value, header->len);
}

static void make_bad(size_t index, struct bus_record *record, void *arg)
{
    static const struct bus_header headers[] = {
        {"tenant", "default", 7}, {"raw", "\0\xff\x80", 3}, {"empty", "", 0}, {"tenant", "twice", 5}};
    make_plain(index, record, arg);
    record->headers = headers;
    record->header_count = 4;
    record->timestamp = 1700000000000 + (int64_t)index;
}

static void check_letter(const struct bus_record *letter)
{
    struct bus_record original = {0};
    size_t index = sequence_of(letter) * KEYS + key_of(letter);
    make_bad(index, &original, (void *)(uintptr_t)some_bad);
    assert_int_equal(letter->value_len, original.value_len);
    assert_memory_equal(letter->value, original.value, original.value_len);
    assert_int_equal(letter->key_len, original.key_len);
    assert_memory_equal(letter->key, original.key, original.key_len);
    assert_int_equal(letter->timestamp, original.timestamp);
    assert_int_equal(letter->header_count, original.header_count + 7);
    for (size_t i = 0; i < original.header_count; i++) {
        assert_string_equal(letter->headers[i].name, original.headers[i].name);
        assert_int_equal(letter->headers[i].len, original.headers[i].len);
        assert_memory_equal(letter->headers[i].value, original.headers[i].value, original.headers[i].len);
    }
    bool big = index % 10 == 5;
    header_is(letter, "helpdesk.error.stage", "classifier");
    header_is(letter, "helpdesk.error.class", big ? "output_too_large" : "poison");
    header_is(letter, "helpdesk.error.attempts", "1");
    header_is(letter, "helpdesk.error.topic", TOPIC_SUBMITTED);
    assert_non_null(bus_record_header(letter, "helpdesk.error.message"));
    assert_non_null(bus_record_header(letter, "helpdesk.error.partition"));
    assert_non_null(bus_record_header(letter, "helpdesk.error.offset"));
}

static void test_dead_letters(void **state)
{
    (void)state;
    const size_t letters_wanted = TOTAL / 10 * 2;
    publish(TOPIC_SUBMITTED, TOTAL, make_bad, (void *)(uintptr_t)some_bad);
    struct toy *toy = toy_new("a", 2);
    toy_run(toy, TOTAL);
    assert_int_equal(toy->told, letters_wanted);
    toy_close(toy);
    struct collected letters = read_topic("classifier.dead", letters_wanted, 200);
    assert_int_equal(letters.count, letters_wanted);
    for (size_t i = 0; i < letters.count; i++) {
        check_letter(letters.records[i]);
    }
    free_collected(&letters);
    struct collected told = read_topic(TOPIC_ANSWERED, letters_wanted, 200);
    assert_int_equal(told.count, letters_wanted);
    free_collected(&told);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL - TOTAL / 10 * 3, 200);
    assert_int_equal(out.count, TOTAL - TOTAL / 10 * 3);
    for (size_t i = 0; i < out.count; i++) {
        header_is(out.records[i], "tag", "a");
    }
    free_collected(&out);
}

static void test_retries_end_in_a_dead_letter(void **state)
{
    (void)state;
    set_conf(conf, "engine.retries", "1"); /* the record fails twice */
    publish(TOPIC_SUBMITTED, 1, make_plain, (void *)(uintptr_t)often_retry);
    struct toy *toy = toy_new("a", 0);
    toy_run(toy, 2);
    toy_close(toy);
    struct collected letters = read_topic("classifier.dead", 1, 200);
    assert_int_equal(letters.count, 1);
    header_is(letters.records[0], "helpdesk.error.class", "weather");
    header_is(letters.records[0], "helpdesk.error.attempts", "2");
    free_collected(&letters);
}

/* The first record of each third key never ends. */
static const char *some_stall(size_t index)
{
    return index < KEYS && index % 3 == 0 ? "stall" : "ok";
}

static void test_restart_repeats_only_what_was_not_done(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, (void *)(uintptr_t)some_stall);
    const size_t stalled = (KEYS + 2) / 3;
    const size_t behind = stalled * PER_KEY; /* the stalled and what waits behind them */
    struct toy *toy = toy_new("a", 2);
    toy_run(toy, TOTAL - behind);
    assert_int_equal(toy->stalled, stalled);
    toy_close(toy);
    struct toy *second = toy_new("b", 2);
    second->never_stall = true;
    toy_run(second, behind);
    assert_int_equal(second->started, behind);
    toy_close(second);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL, 200);
    assert_int_equal(out.count, TOTAL);
    assert_int_equal(check_order(&out, PER_KEY), 0);
    free_collected(&out);
    /* All of it is committed now: a third finds only what is new. */
    publish(TOPIC_SUBMITTED, 3, make_plain, NULL);
    struct toy *third = toy_new("c", 0);
    toy_run(third, 3);
    assert_int_equal(third->started, 3);
    toy_close(third);
}

/* ---- two processes ---- */

struct report {
    size_t started;
    size_t finished;
};

static bool told_to_end(void *arg)
{
    char c;
    return read(*(int *)arg, &c, 1) == 0; /* the pipe does not block */
}

/* A member in a process of its own, from the go on `control` until that pipe closes. */
static void member_main(int control, int report_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char c;
    if (read(control, &c, 1) != 1) {
        _exit(1);
    }
    fcntl(control, F_SETFL, O_NONBLOCK);
    struct toy *toy = toy_new("child", 5);
    if (!run_until(toy->loop, told_to_end, &control)) {
        _exit(1);
    }
    engine_drain(toy->engine, toy_drained, toy);
    if (!run_until(toy->loop, toy_is_drained, toy)) {
        _exit(1);
    }
    struct report report = {toy->started, toy->finished};
    ssize_t written = write(report_fd, &report, sizeof(report));
    _exit(written == (ssize_t)sizeof(report) ? 0 : 1);
}

/* The number of records in a topic, asked for at most every 200 ms. */
struct watch {
    rd_kafka_t *kafka;
    char name[KAFKA_NAME_SIZE];
    size_t count;
    size_t wanted;
    int64_t due;
};

static bool has_records(void *arg)
{
    struct watch *watch = arg;
    if (clock_mono_ms() < watch->due) {
        return false;
    }
    watch->due = clock_mono_ms() + 200;
    watch->count = 0;
    for (int i = 0; i < 4; i++) {
        int64_t low = 0;
        int64_t high = 0;
        if (rd_kafka_query_watermark_offsets(watch->kafka, watch->name, i, &low, &high, 5000) == 0) {
            watch->count += (size_t)high;
        }
    }
    return watch->count >= watch->wanted;
}

static void test_two_members(void **state)
{
    (void)state;
    int control[2];
    int answer[2];
    assert_int_equal(pipe(control), 0);
    assert_int_equal(pipe(answer), 0);
    pid_t child = fork(); /* no thread runs now */
    if (child == 0) {
        close(control[1]);
        member_main(control[0], answer[1]);
    }
    close(control[0]);
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    struct watch watch = {.wanted = TOTAL};
    kafka_topic_name(conf, TOPIC_CLASSIFIED, watch.name);
    struct toy *toy = toy_new("parent", 20);
    toy_run(toy, TOTAL / 5); /* in the middle of it the other one joins */
    assert_int_equal(write(control[1], "g", 1), 1);
    watch.kafka = open_reader(watch.name);
    assert_true(run_until(toy->loop, has_records, &watch));
    int64_t until = clock_mono_ms() + 8000; /* by now the other one has its partitions */
    run_until(toy->loop, waited, &until);
    assert_true(has_records(&watch));
    size_t before = watch.count;
    published = TOTAL;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    published = 0;
    watch.wanted = before + TOTAL;
    assert_true(run_until(toy->loop, has_records, &watch));
    rd_kafka_destroy(watch.kafka);
    close(control[1]); /* the other one drains, and its partitions come back */
    struct report report = {0};
    assert_int_equal(read(answer[0], &report, sizeof(report)), sizeof(report));
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_true(report.finished > 0);
    struct collected out = read_topic(TOPIC_CLASSIFIED, 2 * TOTAL, 500);
    size_t repeats = check_order(&out, 2 * PER_KEY);
    print_message("parent %zu, child %zu, repeats %zu\n", toy->finished, report.finished, repeats);
    /* The embedded broker takes no offsets from the moment a member joins: what ran then is repeated. Kafka
     * takes them until the partitions have left. */
    assert_in_range(repeats, 0, getenv("HELPDESK_TEST_KAFKA") ? 0 : KEYS * 4);
    free_collected(&out);
    toy_close(toy);
}

int main(int argc, char **argv)
{
    log_setup("test", getenv("TEST_VERBOSE") ? LOG_DEBUG : LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_per_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retries_keep_their_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dead_letters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retries_end_in_a_dead_letter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_repeats_only_what_was_not_done, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_members, setup, teardown),
    };
    return (argc > 1 ? cmocka_set_test_filter(argv[1]) : (void)0), cmocka_run_group_tests(tests, NULL, NULL);
}
