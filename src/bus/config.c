/* librdkafka's configuration, common to all our clients, and its errors in our terms. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "bus/kafka.h"

#define GATHER_BYTES 65536                     /* so much is not kept waiting for more */
#define QUEUES_BYTES ((size_t)8 * 1024 * 1024) /* fetched and not yet taken, over all partitions */
#define QUEUE_MIN_BYTES ((size_t)128 * 1024)

/* librdkafka reports each attempt at a connection; that a broker is away is said once, by the health part. */
static void log_line(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    (void)kafka;
    log_at(level <= 2 ? LOG_ERROR : LOG_DEBUG, "librdkafka", LOG_STR("facility", facility),
        LOG_STR("text", text));
}

void kafka_conf_set(rd_kafka_conf_t *kconf, const char *name, const char *value)
{
    char text[256];
    if (rd_kafka_conf_set(kconf, name, value, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
        log_error("librdkafka refuses a property", LOG_STR("text", text));
        abort();
    }
}

void kafka_conf_set_int(rd_kafka_conf_t *kconf, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    kafka_conf_set(kconf, name, text);
}

void kafka_conf_set_if_known(rd_kafka_conf_t *kconf, const char *name, const char *value)
{
    char text[256];
    if (rd_kafka_conf_set(kconf, name, value, text, sizeof(text)) == RD_KAFKA_CONF_INVALID) {
        kafka_conf_set(kconf, name, value); /* says so and aborts */
    }
}

rd_kafka_conf_t *kafka_conf_bare(const char *client_id)
{
    rd_kafka_conf_t *kconf = rd_kafka_conf_new();
    kafka_conf_set(kconf, "client.id", client_id);
    rd_kafka_conf_set_log_cb(kconf, log_line);
    return kconf;
}

rd_kafka_conf_t *kafka_conf_new(const struct conf *conf, struct error *err)
{
    const char *brokers = conf_text(conf, CONF_KAFKA_BROKERS);
    if (brokers[0] == '\0') {
        error_set(
            err, ERROR_FATAL, "no_brokers", "kafka.brokers is not set: there is no broker to connect to");
        return NULL;
    }
    rd_kafka_conf_t *kconf = kafka_conf_bare("helpdesk");
    kafka_conf_set(kconf, "bootstrap.servers", brokers);
    kafka_conf_set(kconf, "socket.nagle.disable", "true");
    kafka_conf_set(kconf, "socket.keepalive.enable", "true");
    kafka_conf_set(kconf, "log.connection.close", "false");
    kafka_conf_set(kconf, "reconnect.backoff.max.ms", "2000");
    /* A topic that is made later is found within this time. */
    kafka_conf_set(kconf, "topic.metadata.refresh.interval.ms", "10000");
    return kconf;
}

void kafka_conf_producer(rd_kafka_conf_t *kconf)
{
    kafka_conf_set(kconf, "enable.idempotence", "true");
    kafka_conf_set(kconf, "acks", "all");
    kafka_conf_set(kconf, "partitioner", "murmur2_random"); /* Java's: order per key among all publishers */
    kafka_conf_set_int(kconf, "message.max.bytes", KAFKA_MAX_RECORD);
    /* A topic's limit counts for a whole batch, and the smallest of them is 256 KiB. */
    kafka_conf_set(kconf, "batch.size", "131072");
}

size_t kafka_queue_bytes(size_t partitions)
{
    size_t bytes = QUEUES_BYTES / (partitions > 0 ? partitions : 1);
    return bytes < QUEUE_MIN_BYTES ? QUEUE_MIN_BYTES : bytes;
}

void kafka_conf_consumer(
    rd_kafka_conf_t *kconf, const struct conf *conf, size_t partitions, int64_t gather_ms)
{
    bool embedded = conf_bool(conf, CONF_KAFKA_EMBEDDED);
    int64_t session = conf_int(conf, CONF_KAFKA_SESSION_TIMEOUT);
    kafka_conf_set(kconf, "enable.auto.commit", "false");
    kafka_conf_set(kconf, "enable.auto.offset.store", "false");
    kafka_conf_set(kconf, "auto.offset.reset", "earliest");
    kafka_conf_set(kconf, "isolation.level", "read_committed");
    kafka_conf_set(
        kconf, "partition.assignment.strategy", "range"); /* cooperative-sticky: see the design's list */
    /* The embedded broker never wakes a waiting fetch, and moves partitions after a session time-out less 1
     * s. */
    kafka_conf_set_int(kconf, "fetch.wait.max.ms", gather_ms > 0 ? gather_ms : embedded ? 1 : 500);
    kafka_conf_set_int(kconf, "fetch.min.bytes", gather_ms > 0 ? GATHER_BYTES : 1);
    kafka_conf_set_int(kconf, "session.timeout.ms", embedded ? 4000 : session);
    kafka_conf_set_int(kconf, "heartbeat.interval.ms", embedded ? 500 : session / 3);
    kafka_conf_set_int(kconf, "queued.max.messages.kbytes", (int64_t)kafka_queue_bytes(partitions) / 1024);
    /* From librdkafka 2.2 on a full queue is looked at again after the back-off; before, see refill.h. */
    kafka_conf_set(kconf, "fetch.error.backoff.ms", "20");
    kafka_conf_set_if_known(kconf, "fetch.queue.backoff.ms", "20");
    kafka_conf_set(kconf, "fetch.message.max.bytes", "1048576");
    kafka_conf_set(kconf, "fetch.max.bytes", "8388608");
    if (embedded) {
        kafka_conf_rest(kconf);
    }
}

rd_kafka_t *kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *kconf, struct error *err)
{
    char text[256];
    rd_kafka_t *kafka = rd_kafka_new(type, kconf, text, sizeof(text));
    if (!kafka) {
        rd_kafka_conf_destroy(kconf);
        error_set(err, ERROR_FATAL, "kafka_client", "The Kafka client cannot start: %s", text);
    }
    return kafka;
}

void kafka_topic_name(const struct conf *conf, const char *logical, char out[KAFKA_NAME_SIZE])
{
    snprintf(out, KAFKA_NAME_SIZE, "%s%s", conf_text(conf, CONF_KAFKA_PREFIX), logical);
}

bool kafka_error(struct error *err, rd_kafka_resp_err_t code, const char *what)
{
    const char *text = rd_kafka_err2str(code);
    switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
        return error_set(err, ERROR_REJECT, "record_too_large", "%s: %s", what, text);
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
        return error_set(err, ERROR_REJECT, "record_refused", "%s: %s", what, text);
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return error_set(err, ERROR_RETRY, "queue_full", "%s: %s", what, text);
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return error_set(err, ERROR_RETRY, "topic_unavailable", "%s: %s", what, text);
    case RD_KAFKA_RESP_ERR__FATAL:
        return error_set(err, ERROR_FATAL, "kafka_fatal", "%s: %s", what, text);
    default:
        return error_set(err, ERROR_RETRY, "broker_unavailable", "%s: %s", what, text);
    }
}
