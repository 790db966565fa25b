/* The engine when the broker misbehaves: a missing dead-letter topic, refused records and offsets, a broker
 * that goes away and comes back. The broker's mock runs in this process, so that it can be told to. */
#include "mock_fixture.h"

static int setup(void **state)
{
    (void)state;
    use_mock();
    set_conf(conf, "kafka.embedded", "true");
    set_conf(conf, "engine.delivery", "at_least_once");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    leave_mock();
    return 0;
}

static void check_complete(size_t letters_wanted)
{
    struct collected letters = read_topic("classifier.dead", letters_wanted, 200);
    assert_int_equal(letters.count, letters_wanted);
    free_collected(&letters);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL - letters_wanted, 200);
    assert_in_range(out.count, TOTAL - letters_wanted, TOTAL + 400);
    free_collected(&out);
}

/* Its dead letters cannot be written: the partition waits, nothing is skipped; then the topic is there again.
 */
static void test_dead_letter_topic_away(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, (void *)(uintptr_t)few_rejects);
    set_topic_error("classifier.dead", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    struct toy *toy = toy_new("a", 2);
    assert_true(run_until(toy->loop, letters_held, NULL));
    int64_t until = clock_mono_ms() + 1500;
    run_until(toy->loop, waited, &until);
    assert_true(letters_held(NULL));
    set_topic_error("classifier.dead", RD_KAFKA_RESP_ERR_NO_ERROR);
    toy_run(toy, TOTAL);
    until = clock_mono_ms() + 3000;
    run_until(toy->loop, waited, &until);
    assert_false(letters_held(NULL));
    toy_close(toy);
    check_complete(TOTAL / 100);
    struct collected told = read_topic(TOPIC_ANSWERED, TOTAL / 100, 200);
    assert_int_equal(told.count, TOTAL / 100); /* not again with each try at the letter */
    free_collected(&told);
}

/* What was held when the worker stopped is a dead letter of the next one. */
static void test_held_letter_over_a_restart(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, (void *)(uintptr_t)few_rejects);
    set_topic_error("classifier.dead", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    struct toy *toy = toy_new("a", 2);
    assert_true(run_until(toy->loop, letters_held, NULL));
    toy_close(toy);
    set_topic_error("classifier.dead", RD_KAFKA_RESP_ERR_NO_ERROR);
    struct toy *second = toy_new("b", 2);
    second->wanted = 1;
    assert_true(run_until(second->loop, toy_finished, second));
    int64_t until = clock_mono_ms() + 3000;
    run_until(second->loop, waited, &until);
    toy_close(second);
    check_complete(TOTAL / 100);
}

/* The broker refuses a record for its size: that job goes to the dead letters, the batch goes on. */
static void test_broker_refuses_an_output(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, 1, make_plain, NULL);
    struct toy *toy = toy_new("a", 0);
    rd_kafka_mock_push_request_errors(mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    toy_run(toy, 1);
    toy_close(toy);
    struct collected letters = read_topic("classifier.dead", 1, 200);
    assert_int_equal(letters.count, 1);
    const struct bus_header *class = bus_record_header(letters.records[0], "helpdesk.error.class");
    assert_memory_equal(class->value, "record_too_large", class->len);
    free_collected(&letters);
    struct collected out = read_topic(TOPIC_CLASSIFIED, 0, 200);
    assert_int_equal(out.count, 0);
    free_collected(&out);
}

static void test_commit_meets_weather(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    struct toy *toy = toy_new("a", 2);
    rd_kafka_mock_push_request_errors(mock, OFFSET_COMMIT, 4, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    toy_run(toy, TOTAL);
    toy_close(toy);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL, 200);
    assert_int_equal(out.count, TOTAL);
    check_order(&out, PER_KEY);
    free_collected(&out);
    publish(TOPIC_SUBMITTED, 1, make_plain, NULL);
    struct toy *second = toy_new("b", 0);
    toy_run(second, 1);
    assert_int_equal(second->started, 1);
    toy_close(second);
}

static void test_produce_meets_weather(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    struct toy *toy = toy_new("a", 2);
    rd_kafka_mock_push_request_errors(mock, PRODUCE, 4, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    toy_run(toy, TOTAL);
    toy_close(toy);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL, 200);
    check_order(&out, PER_KEY);
    free_collected(&out);
}

/* Its queue goes nowhere from then on: another producer sends the batch. */
static void test_the_producer_is_lost(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    rd_kafka_mock_broker_push_request_error_rtts(
        mock, 1, INIT_PRODUCER_ID, 1, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, 6000);
    struct toy *toy = toy_new("a", 2);
    toy_run(toy, TOTAL);
    toy_close(toy);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL, 200);
    check_order(&out, PER_KEY);
    free_collected(&out);
}

static void test_replies_that_lead_nowhere(void **state)
{
    (void)state;
    run_astray();
}

static bool fetch_failed(void *arg)
{
    return metric_value(arg) > 0;
}

static void test_a_partition_that_cannot_be_read_is_told(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    rd_kafka_mock_push_request_errors(mock, FETCH, 2, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    struct toy *toy = toy_new("a", 2);
    struct metric *failed =
        metrics_counter("helpdesk_bus_fetch_errors_total", "", "topic=\"tickets.submitted\"");
    assert_true(run_until(toy->loop, fetch_failed, failed));
    toy_run(toy, TOTAL);
    toy_close(toy);
}

/* Longer than a request, shorter than the session. */
static void test_broker_away_and_back(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    struct toy *toy = toy_new("a", 20);
    toy_run(toy, TOTAL / 4);
    rd_kafka_mock_broker_set_down(mock, 1);
    int64_t until = clock_mono_ms() + 1500;
    run_until(toy->loop, waited, &until);
    rd_kafka_mock_broker_set_up(mock, 1);
    toy_run(toy, TOTAL);
    until = clock_mono_ms() + 2000;
    run_until(toy->loop, waited, &until);
    toy_close(toy);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL, 500);
    check_order(&out, PER_KEY);
    free_collected(&out);
}

/* A stop while the broker is away ends in bounded time. */
static void test_drain_without_a_broker(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    set_conf(conf, "engine.drain-timeout", "500ms");
    struct toy *toy = toy_new("a", 5);
    toy_run(toy, TOTAL / 4);
    rd_kafka_mock_broker_set_down(mock, 1);
    toy_close(toy);
    rd_kafka_mock_broker_set_up(mock, 1);
    struct toy *second = toy_new("b", 5);
    second->wanted = 1;
    assert_true(run_until(second->loop, toy_finished, second));
    int64_t until = clock_mono_ms() + 4000;
    run_until(second->loop, waited, &until);
    toy_close(second);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL, 500);
    check_order(&out, PER_KEY);
    free_collected(&out);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    log_setup("test", getenv("TEST_VERBOSE") ? LOG_DEBUG : LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dead_letter_topic_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_held_letter_over_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broker_refuses_an_output, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commit_meets_weather, setup, teardown),
        cmocka_unit_test_setup_teardown(test_produce_meets_weather, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_producer_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replies_that_lead_nowhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_partition_that_cannot_be_read_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broker_away_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drain_without_a_broker, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
