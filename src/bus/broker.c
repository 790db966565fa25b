/* The embedded broker: librdkafka's mock cluster with the table's topics made. */
#include "bus/broker.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/log.h"
#include "bus/kafka.h"
#include "bus/topics.h"

struct broker {
    rd_kafka_t *kafka; /* whose threads the cluster runs on */
    rd_kafka_mock_cluster_t *cluster;
};

static bool make_topics(struct broker *broker, const struct conf *conf, struct error *err)
{
    int partitions = (int)conf_int(conf, CONF_KAFKA_PARTITIONS);
    for (const struct bus_topic *topic = bus_topics; topic->name; topic++) {
        char name[KAFKA_NAME_SIZE];
        kafka_topic_name(conf, topic->name, name);
        rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(broker->cluster, name, partitions, 1);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return error_set(
                err, ERROR_FATAL, "embedded_broker", "Topic %s: %s", topic->name, rd_kafka_err2str(code));
        }
    }
    return true;
}

struct broker *broker_new(const struct conf *conf, char *address, size_t size, struct error *err)
{
    struct broker *broker = xcalloc(1, sizeof(*broker));
    broker->kafka = kafka_new(RD_KAFKA_PRODUCER, kafka_conf_bare("helpdesk-broker"), err);
    if (broker->kafka) {
        broker->cluster = rd_kafka_mock_cluster_new(broker->kafka, 1);
    }
    if (!broker->cluster) {
        error_set(err, ERROR_FATAL, "embedded_broker", "The embedded broker cannot start");
        broker_free(broker);
        return NULL;
    }
    if (!make_topics(broker, conf, err)) {
        broker_free(broker);
        return NULL;
    }
    snprintf(address, size, "%s", rd_kafka_mock_cluster_bootstraps(broker->cluster));
    log_info("embedded broker", LOG_STR("address", address), LOG_STR("durability", "none"));
    return broker;
}

void broker_free(struct broker *broker)
{
    if (!broker) {
        return;
    }
    if (broker->cluster) {
        rd_kafka_mock_cluster_destroy(broker->cluster);
    }
    if (broker->kafka) {
        rd_kafka_destroy(broker->kafka);
    }
    free(broker);
}
