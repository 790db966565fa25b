/* The engine's transactions when the broker misbehaves. The mock shows aborted records too; what a reader of
 * committed ones sees is tested on Apache Kafka. */
#include "mock_fixture.h"
#include "base/health.h"

/* librdkafka forgets a request of the producer that it gave up; its callers cannot free that. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:librdkafka.so";
}

static int setup(void **state)
{
    (void)state;
    use_mock();
    set_conf(conf, "kafka.embedded", "false");
    set_conf(conf, "kafka.session-timeout", "6s");
    set_conf(conf, "engine.delivery", "exactly_once");
    set_conf(conf, "instance", "a");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    leave_mock();
    return 0;
}

/* Every record is worked on once and comes out, in order within its key; repeats are those of aborted
 * transactions. */
static void run_all_once(struct toy *toy)
{
    toy_run(toy, TOTAL);
    toy_close(toy);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL, 300);
    check_order(&out, PER_KEY);
    free_collected(&out);
}

static bool committed_some(void *arg)
{
    (void)arg;
    return metric_value(metrics_counter("helpdesk_bus_commits_total", "", NULL)) > 0;
}

static void test_refused_offsets_abort_and_come_again(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    rd_kafka_mock_push_request_errors(mock, TXN_OFFSET_COMMIT, 3, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
        RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS);
    struct toy *toy = toy_new("a", 2);
    assert_true(run_until(toy->loop, committed_some, NULL));
    run_all_once(toy);
}

static void test_coordinator_weather(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    rd_kafka_mock_push_request_errors(mock, ADD_PARTITIONS_TO_TXN, 3,
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR);
    rd_kafka_mock_push_request_errors(mock, END_TXN, 2, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS);
    rd_kafka_mock_push_request_errors(mock, TXN_OFFSET_COMMIT, 2,
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE);
    run_all_once(toy_new("a", 2));
}

static void test_a_failed_produce_aborts(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, NULL);
    rd_kafka_mock_push_request_errors(mock, PRODUCE, 2, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    run_all_once(toy_new("a", 2));
}

/* Another process with our name has taken over: this one ends, and says so. */
static void test_fenced(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, 1, make_plain, NULL);
    rd_kafka_mock_push_request_errors(mock, END_TXN, 1, RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
    struct toy *toy = toy_new("a", 0);
    toy->wanted = SIZE_MAX;
    assert_false(run_until(toy->loop, toy_finished, toy)); /* the loop was stopped */
    assert_int_equal(toy->finished, 1);
    toy_close(toy);
}

/* The same, seen by the group first: nothing would come any more. */
static void test_fenced_in_the_group(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, 1, make_plain, NULL);
    rd_kafka_mock_push_request_errors(mock, HEARTBEAT, 1, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
    struct toy *toy = toy_new("a", 0);
    health_set("engine", true, "");
    toy->wanted = SIZE_MAX;
    assert_false(run_until(toy->loop, toy_finished, toy));
    assert_false(health_ok("engine")); /* it was stopped, and patience was not over */
    toy_close(toy);
}

static void test_replies_that_lead_nowhere(void **state)
{
    (void)state;
    run_astray();
}

static void test_broker_refuses_an_output(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, 1, make_plain, NULL);
    rd_kafka_mock_push_request_errors(mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    struct toy *toy = toy_new("a", 0);
    toy_run(toy, 1);
    toy_close(toy);
    struct collected letters = read_topic("classifier.dead", 1, 200);
    assert_int_equal(letters.count, 1);
    const struct bus_header *class = bus_record_header(letters.records[0], "helpdesk.error.class");
    assert_memory_equal(class->value, "record_too_large", class->len);
    free_collected(&letters);
}

static void test_dead_letter_topic_away(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, (void *)(uintptr_t)few_rejects);
    set_topic_error("classifier.dead", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    struct toy *toy = toy_new("a", 2);
    assert_true(run_until(toy->loop, letters_held, NULL));
    set_topic_error("classifier.dead", RD_KAFKA_RESP_ERR_NO_ERROR);
    toy_run(toy, TOTAL);
    int64_t until = clock_mono_ms() + 3000;
    run_until(toy->loop, waited, &until);
    assert_false(letters_held(NULL));
    toy_close(toy);
    struct collected letters = read_topic("classifier.dead", TOTAL / 100, 200);
    assert_int_equal(letters.count, TOTAL / 100);
    free_collected(&letters);
}

static void refused_at_start(const char *code)
{
    struct loop *loop = loop_new(0);
    struct error err = {0};
    assert_null(engine_new(loop, conf, &toy_stage, NULL, &err));
    assert_int_equal(err.disposition, ERROR_FATAL);
    assert_string_equal(err.code, code);
    loop_free(loop);
}

static void test_what_transactions_need(void **state)
{
    (void)state;
    set_conf(conf, "instance", "");
    refused_at_start("setting_missing");
    set_conf(conf, "instance", "a");
    set_conf(conf, "kafka.embedded", "true");
    refused_at_start("setting_conflict");
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    log_setup("test", getenv("TEST_VERBOSE") ? LOG_DEBUG : LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused_offsets_abort_and_come_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_coordinator_weather, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failed_produce_aborts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fenced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fenced_in_the_group, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replies_that_lead_nowhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broker_refuses_an_output, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dead_letter_topic_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_transactions_need, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
