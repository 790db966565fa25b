/* The engine on a broker: order per key among thousands, retries, dead letters, restarts from the map, two
 * members of a group, drain. */
#include "toy_stage.h"
#include <fcntl.h>

/* ---- tests ---- */

static int setup(void **state)
{
    (void)state;
    use_kafka();
    set_conf(conf, "engine.retry-base", "20ms");
    set_conf(conf, "engine.retry-cap", "50ms");
    set_conf(conf, "engine.drain-timeout", "1s");
    set_conf(conf, "instance", "parent");
    set_conf(conf, "kafka.session-timeout", "6s");
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

/* Partitions that are all full are read by turns, although the few records that may wait fit into one. */
static void test_partitions_take_turns(void **state)
{
    (void)state;
    set_conf(conf, "engine.in-flight", "1");
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    struct toy *toy = toy_new("a", 2);
    toy_run(toy, TOTAL / 5);
    toy_close(toy);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL / 5, 200);
    bool seen[KEYS] = {false};
    size_t keys = 0;
    for (size_t i = 0; i < out.count; i++) {
        keys += seen[key_of(out.records[i])] ? 0 : 1;
        seen[key_of(out.records[i])] = true;
    }
    assert_int_equal(keys, KEYS); /* of all partitions */
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
    assert_int_equal(letter->header_count, original.header_count + 8);
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

static const char *outage(size_t index)
{
    (void)index;
    return "outage";
}

static void test_what_is_away_is_waited_for(void **state)
{
    (void)state;
    set_conf(conf, "engine.retries", "0");
    publish(TOPIC_SUBMITTED, 1, make_plain, (void *)(uintptr_t)outage);
    struct toy *toy = toy_new("a", 0);
    toy_run(toy, 3);
    toy_close(toy);
    struct collected out = read_topic(TOPIC_CLASSIFIED, 1, 200);
    assert_int_equal(out.count, 1);
    free_collected(&out);
}

/* ---- two topics ---- */

/* The feedback's record is done only when the ticket's is, which has the same key. */
struct pair {
    size_t tries;
    bool ticket;
    bool feedback;
};

static void pair_process(struct engine_job *job, void *state)
{
    struct pair *pair = state;
    struct error err = {0};
    if (strcmp(engine_record(job)->topic, TOPIC_SUBMITTED) == 0) {
        pair->ticket = true;
    } else if (!pair->ticket) {
        pair->tries++;
        error_set(&err, ERROR_RETRY, "ticket_unknown", "The ticket is not there yet");
        engine_finish(job, ENGINE_FAILED, &err);
        return;
    } else {
        pair->feedback = true;
    }
    engine_finish(job, ENGINE_DONE, NULL);
}

static bool pair_tried(void *arg)
{
    return ((struct pair *)arg)->tries > 0;
}

static bool pair_done(void *arg)
{
    return ((struct pair *)arg)->feedback;
}

static void test_topics_do_not_wait_for_each_other(void **state)
{
    (void)state;
    static const char *const topics[] = {TOPIC_FEEDBACK, TOPIC_SUBMITTED, NULL};
    static const struct engine_stage stage = {.name = "logger", .topics = topics, .process = pair_process};
    struct pair pair = {0};
    struct error err = {0};
    struct toy ending = {0};
    struct loop *loop = loop_new(0);
    set_conf(conf, "engine.retries", "1000"); /* until the ticket is published, however long that takes */
    publish(TOPIC_FEEDBACK, 1, make_plain, NULL);
    struct engine *engine = engine_new(loop, conf, &stage, &pair, &err);
    assert_non_null(engine);
    assert_true(run_until(loop, pair_tried, &pair));
    publish(TOPIC_SUBMITTED, 1, make_plain, NULL);
    assert_true(run_until(loop, pair_done, &pair));
    engine_drain(engine, toy_drained, &ending);
    assert_true(run_until(loop, toy_is_drained, &ending));
    engine_free(engine);
    loop_free(loop);
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
    set_conf(conf, "instance", "child");
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

/* What a committed reader has seen of a topic: of each key the number of its records, repeats left out. What
 * is counted at the broker holds the marks of transactions, too. */
struct watch {
    rd_kafka_t *kafka;
    size_t next[KEYS];
    size_t wanted; /* of all keys together */
};

static bool has_records(void *arg)
{
    struct watch *watch = arg;
    size_t count = 0;
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consumer_poll(watch->kafka, 0)) != NULL) {
        if (!message->err) {
            struct bus_record *record = record_from_message(message, TOPIC_CLASSIFIED);
            size_t key = key_of(record), sequence = sequence_of(record);
            assert_in_range(key, 0, KEYS - 1);
            watch->next[key] = sequence + 1 > watch->next[key] ? sequence + 1 : watch->next[key];
            free(record);
        }
        rd_kafka_message_destroy(message);
    }
    for (size_t key = 0; key < KEYS; key++) {
        count += watch->next[key];
    }
    return count >= watch->wanted;
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
    char outputs[KAFKA_NAME_SIZE];
    kafka_topic_name(conf, TOPIC_CLASSIFIED, outputs);
    struct toy *toy = toy_new("parent", 20);
    toy_run(toy, TOTAL / 5); /* in the middle of it the other one joins */
    assert_int_equal(write(control[1], "g", 1), 1);
    watch.kafka = open_reader(outputs);
    assert_true(run_until(toy->loop, has_records, &watch));
    int64_t until = clock_mono_ms() + 8000; /* by now the other one has its partitions */
    run_until(toy->loop, waited, &until);
    published = TOTAL;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    published = 0;
    watch.wanted = 2 * TOTAL;
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
    /* The embedded broker takes no offsets from the moment a member joins: what ended just before is
     * repeated. Kafka takes them until the partitions have left. */
    assert_in_range(repeats, 0, getenv("HELPDESK_TEST_KAFKA") ? 0 : TOTAL);
    free_collected(&out);
    toy_close(toy);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    log_setup("test", getenv("TEST_VERBOSE") ? LOG_DEBUG : LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_per_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_partitions_take_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retries_keep_their_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dead_letters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retries_end_in_a_dead_letter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_away_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_topics_do_not_wait_for_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_repeats_only_what_was_not_done, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_members, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
