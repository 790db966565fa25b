/* librdkafka's mock cluster in this process, so that it can be told to misbehave. Included once by each test
 * program.
 */
#ifndef HELPDESK_TESTS_MOCK_FIXTURE_H
#define HELPDESK_TESTS_MOCK_FIXTURE_H

#include "toy_stage.h"
#include <librdkafka/rdkafka_mock.h> /* after librdkafka itself */

/* Kafka's numbers of requests. */
#define PRODUCE 0
#define FETCH 1
#define OFFSET_COMMIT 8
#define HEARTBEAT 12
#define INIT_PRODUCER_ID 22
#define ADD_PARTITIONS_TO_TXN 24
#define END_TXN 26
#define TXN_OFFSET_COMMIT 28

static rd_kafka_t *mock_handle;
static rd_kafka_mock_cluster_t *mock;

static inline void use_mock(void)
{
    struct error err = {0};
    mock_handle = kafka_new(RD_KAFKA_PRODUCER, kafka_conf_bare("mock"), &err);
    assert_non_null(mock_handle);
    mock = rd_kafka_mock_cluster_new(mock_handle, 1);
    assert_non_null(mock);
    snprintf(broker_address, sizeof(broker_address), "%s", rd_kafka_mock_cluster_bootstraps(mock));
    conf = new_conf();
    set_conf(conf, "engine.retry-base", "20ms");
    for (const struct bus_topic *topic = bus_topics; topic->name; topic++) {
        char name[KAFKA_NAME_SIZE];
        kafka_topic_name(conf, topic->name, name);
        rd_kafka_mock_topic_create(mock, name, 4, 1);
    }
}

static inline void leave_mock(void)
{
    conf_free(conf);
    conf = NULL;
    broker_address[0] = '\0';
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(mock_handle);
}

static inline void set_topic_error(const char *topic, rd_kafka_resp_err_t code)
{
    char name[KAFKA_NAME_SIZE];
    kafka_topic_name(conf, topic, name);
    rd_kafka_mock_topic_set_error(mock, name, code);
}

static inline const char *few_rejects(size_t index)
{
    return index % 100 == 42 ? "reject" : "ok";
}

static inline const char *few_astray(size_t index)
{
    return index % 100 == 42 ? "astray" : "ok";
}

/* Replies that nobody can get hold up nothing. */
static inline void run_astray(void)
{
    double before = metric_value(metrics_counter("helpdesk_bus_replies_left_out_total", "", NULL));
    publish(TOPIC_SUBMITTED, TOTAL, make_plain, (void *)(uintptr_t)few_astray);
    struct toy *toy = toy_new("a", 2);
    toy_run(toy, TOTAL);
    toy_close(toy);
    struct collected out = read_topic(TOPIC_CLASSIFIED, TOTAL, 200);
    check_order(&out, PER_KEY);
    free_collected(&out);
    double left_out = metric_value(metrics_counter("helpdesk_bus_replies_left_out_total", "", NULL)) - before;
    assert_true(left_out >= TOTAL / 100);
}

static inline bool letters_held(void *arg)
{
    (void)arg;
    return metric_value(metrics_gauge("helpdesk_engine_held", "", "stage=\"classifier\"")) > 0;
}

#endif
