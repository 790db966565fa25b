/* Asking where a partition begins and ends, also of a broker that hangs. */
#include "mock_fixture.h"

#define BROKER 1
#define HANGS_MS 60000

static int setup(void **state)
{
    (void)state;
    use_mock();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    leave_mock();
    return 0;
}

static rd_kafka_t *open_client(void)
{
    struct error err = {0};
    rd_kafka_conf_t *kconf = kafka_conf_new(conf, &err);
    assert_non_null(kconf);
    rd_kafka_t *kafka = kafka_new(RD_KAFKA_PRODUCER, kconf, &err);
    assert_non_null(kafka);
    return kafka;
}

static void make_record(size_t index, struct bus_record *record, void *arg)
{
    (void)index;
    (void)arg;
    record->partition = 2;
    record->value = (const uint8_t *)"v";
    record->value_len = 1;
}

static void a_partition_has_its_bounds(void **state)
{
    (void)state;
    publish(TOPIC_SUBMITTED, 3, make_record, NULL);
    char name[KAFKA_NAME_SIZE];
    kafka_topic_name(conf, TOPIC_SUBMITTED, name);
    rd_kafka_t *kafka = open_client();
    int64_t low = -1, end = -1;
    assert_int_equal(kafka_offset(kafka, name, 2, RD_KAFKA_OFFSET_BEGINNING, PATIENCE_MS, &low), 0);
    assert_int_equal(kafka_offset(kafka, name, 2, RD_KAFKA_OFFSET_END, PATIENCE_MS, &end), 0);
    assert_int_equal(low, 0);
    assert_int_equal(end, 3);
    end = -1;
    assert_int_not_equal(kafka_offset(kafka, name, 99, RD_KAFKA_OFFSET_END, 500, &end), 0);
    assert_int_equal(end, -1);
    rd_kafka_destroy(kafka);
}

static void who_hangs_is_waited_for_as_long_as_told(void **state)
{
    (void)state;
    char name[KAFKA_NAME_SIZE];
    kafka_topic_name(conf, TOPIC_SUBMITTED, name);
    rd_kafka_t *kafka = open_client();
    int64_t end = -1;
    assert_int_equal(kafka_offset(kafka, name, 0, RD_KAFKA_OFFSET_END, PATIENCE_MS, &end), 0);
    assert_int_equal(end, 0);
    end = -1;
    rd_kafka_mock_broker_set_rtt(mock, BROKER, HANGS_MS);
    assert_int_equal(
        kafka_offset(kafka, name, 0, RD_KAFKA_OFFSET_END, 200, &end), RD_KAFKA_RESP_ERR__TIMED_OUT);
    assert_int_equal(end, -1);
    rd_kafka_mock_broker_set_rtt(mock, BROKER, 0);
    rd_kafka_destroy(kafka);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_partition_has_its_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(who_hangs_is_waited_for_as_long_as_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
