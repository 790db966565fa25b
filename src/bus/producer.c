/* Publishing one record at a time on the loop, each with its acknowledgement. */
#include <stdio.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/health.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bus/kafka.h"

#define TURN_EVENTS 64
#define CLOSE_LIMIT_MS 5000
#define QUEUE_MAX_KBYTES 262144

struct delivery {
    bus_delivered *done;
    void *arg;
    struct delivery *next; /* among those refused at once */
    struct error err;
};

struct bus_producer {
    struct kafka_client client;
    struct loop *loop;
    const struct conf *conf;
    rd_kafka_topic_t **warm; /* handles kept so that their leaders stay known */
    size_t warm_count;
    size_t pending;
    struct delivery *refused; /* told in the next turn, never inside bus_produce */
    struct metric *produced, *failed;
    bool renew; /* the handle is beyond use */
};

static void finish(struct bus_producer *producer, struct delivery *delivery, const struct error *err)
{
    producer->pending--;
    metric_add(err ? producer->failed : producer->produced, 1);
    bus_delivered *done = delivery->done;
    void *arg = delivery->arg;
    free(delivery);
    done(arg, err);
}

static void finish_refused(struct bus_producer *producer)
{
    struct delivery *delivery = producer->refused;
    producer->refused = NULL;
    while (delivery) {
        struct delivery *next = delivery->next;
        struct error err = delivery->err;
        finish(producer, delivery, &err);
        delivery = next;
    }
}

static void handle_event(struct bus_producer *producer, rd_kafka_event_t *event)
{
    struct error err = {0};
    const rd_kafka_message_t *message;
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_DR:
        while ((message = rd_kafka_event_message_next(event)) != NULL) {
            bool acked = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
            if (!acked) {
                kafka_error(&err, message->err, "publish");
            }
            if (err.disposition == ERROR_FATAL) {
                err.disposition = ERROR_RETRY; /* the handle is renewed */
            }
            finish(producer, message->_private, acked ? NULL : &err);
        }
        break;
    case RD_KAFKA_EVENT_ERROR:
        if (kafka_client_error(&producer->client, event, &err)) { /* the next record makes it anew */
            log_warn("the producer is beyond use", LOG_STR("text", err.text));
        }
        break;
    default:
        break;
    }
    rd_kafka_event_destroy(event);
}

static bool drain(struct bus_producer *producer, int limit)
{
    for (int i = 0; i < limit; i++) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(producer->client.queue, 0);
        if (!event) {
            return false;
        }
        handle_event(producer, event);
    }
    return true;
}

static void producer_serve(void *arg);

static bool open_client(struct bus_producer *producer, struct error *err)
{
    rd_kafka_conf_t *kconf = kafka_conf_new(producer->conf, err);
    if (!kconf) {
        return false;
    }
    kafka_conf_producer(kconf);
    /* With several, librdkafka may take the retry of a record that never arrived for a duplicate: see
     * sender.c. What is published here has no transaction to be sent again in. */
    kafka_conf_set(kconf, "max.in.flight.requests.per.connection", "1");
    /* The embedded broker collapses under one request a record. */
    kafka_conf_set(kconf, "linger.ms", conf_bool(producer->conf, CONF_KAFKA_EMBEDDED) ? "1" : "0");
    kafka_conf_set_int(kconf, "message.timeout.ms", conf_int(producer->conf, CONF_KAFKA_DELIVERY_TIMEOUT));
    kafka_conf_set_int(kconf, "queue.buffering.max.kbytes", QUEUE_MAX_KBYTES);
    rd_kafka_conf_set_events(kconf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    return kafka_client_init(
        &producer->client, producer->loop, RD_KAFKA_PRODUCER, kconf, producer_serve, producer, err);
}

static void warm_topic(struct bus_producer *producer, size_t index, const char *name)
{
    producer->warm[index] = rd_kafka_topic_new(producer->client.kafka, name, NULL);
}

static void close_client(struct bus_producer *producer)
{
    rd_kafka_purge(producer->client.kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(producer->client.kafka, 0);
    while (drain(producer, TURN_EVENTS)) {
        continue;
    }
    for (size_t i = 0; i < producer->warm_count; i++) {
        rd_kafka_topic_destroy(producer->warm[i]);
    }
    kafka_client_stop(&producer->client);
    rd_kafka_destroy(producer->client.kafka);
    kafka_client_fini(&producer->client);
}

static void renew_client(struct bus_producer *producer)
{
    char **names = xcalloc(producer->warm_count, sizeof(*names));
    for (size_t i = 0; i < producer->warm_count; i++) {
        names[i] = xstrdup(rd_kafka_topic_name(producer->warm[i]));
    }
    close_client(producer);
    producer->renew = false; /* what the old one told at its end too */
    struct error err = {0};
    if (!open_client(producer, &err)) { /* it opened at the start, so the machine is at its end */
        log_error("the producer cannot be made anew", LOG_STR("text", err.text));
        abort();
    }
    for (size_t i = 0; i < producer->warm_count; i++) {
        warm_topic(producer, i, names[i]);
        free(names[i]);
    }
    free(names);
    kafka_client_probe(&producer->client);
}

static void producer_serve(void *arg)
{
    struct bus_producer *producer = arg;
    finish_refused(producer);
    if (drain(producer, TURN_EVENTS)) {
        wake_signal(&producer->client.wake);
    }
    if (producer->renew) {
        renew_client(producer);
    }
}

struct bus_producer *bus_producer_new(struct loop *loop, const struct conf *conf, const char *const *topics,
    size_t topic_count, struct error *err)
{
    struct bus_producer *producer = xcalloc(1, sizeof(*producer));
    producer->loop = loop;
    producer->conf = conf;
    producer->produced =
        metrics_counter("helpdesk_bus_produced_total", "Records published and acknowledged", NULL);
    producer->failed =
        metrics_counter("helpdesk_bus_produce_failures_total", "Records not acknowledged", NULL);
    if (!open_client(producer, err)) {
        free(producer);
        return NULL;
    }
    producer->warm = xcalloc(topic_count, sizeof(rd_kafka_topic_t *));
    producer->warm_count = topic_count;
    for (size_t i = 0; i < topic_count; i++) {
        char name[KAFKA_NAME_SIZE];
        kafka_topic_name(conf, topics[i], name);
        warm_topic(producer, i, name);
    }
    health_set("broker", false, "no broker has answered yet");
    kafka_client_probe(&producer->client);
    return producer;
}

void bus_produce(
    struct bus_producer *producer, const struct bus_record *record, bus_delivered *done, void *arg)
{
    char name[KAFKA_NAME_SIZE];
    kafka_topic_name(producer->conf, record->topic, name);
    struct delivery *delivery = xcalloc(1, sizeof(*delivery));
    delivery->done = done;
    delivery->arg = arg;
    producer->pending++;
    rd_kafka_resp_err_t code = record_produce(producer->client.kafka, name, record, true, delivery);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    kafka_error(&delivery->err, code, "publish");
    if (delivery->err.disposition == ERROR_FATAL) {
        delivery->err.disposition = ERROR_RETRY;
        producer->renew = true;
    }
    delivery->next = producer->refused;
    producer->refused = delivery;
    wake_signal(&producer->client.wake);
}

size_t bus_producer_pending(const struct bus_producer *producer)
{
    return producer->pending;
}

void bus_producer_free(struct bus_producer *producer)
{
    if (!producer) {
        return;
    }
    rd_kafka_flush(producer->client.kafka, producer->pending > 0 ? CLOSE_LIMIT_MS : 0);
    close_client(producer);
    finish_refused(producer);
    free(producer->warm);
    free(producer);
}
