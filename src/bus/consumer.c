/* A member of a consumer group on the loop: joins, hands out records partition by partition, leaves. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/log.h"
#include "bus/consumer.h"

#define TURN_EVENTS 256     /* of the common queue, in one turn of the loop */
#define TURN_RECORDS 64     /* of each partition, in one turn of the loop */
#define CLOSE_LIMIT_MS 5000 /* the group notices by itself when the broker does not answer */
#define CLOSE_TICK_MS 10
#define LAG_EVERY_MS 1000
#define TELL_AGAIN_MS 10000 /* what keeps a partition from being read */

int64_t bus_revoke_bound_ms(const struct conf *conf)
{
    int64_t bound = conf_int(conf, CONF_ENGINE_REVOKE_TIMEOUT);
    /* The embedded broker drops a member that is not back after 3 s. */
    return conf_bool(conf, CONF_KAFKA_EMBEDDED) && bound > 750 ? 750 : bound;
}

static void stop_with(struct bus_consumer *consumer, const struct error *err)
{
    if (consumer->stopped) {
        return;
    }
    consumer->stopped = true;
    consumer->events.fatal(consumer->arg, err);
}

static void handle_event(struct bus_consumer *consumer, rd_kafka_event_t *event)
{
    struct error err = {0};
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_REBALANCE:
        assignment_rebalance(consumer, event);
        break;
    case RD_KAFKA_EVENT_ERROR:
        if (kafka_client_error(&consumer->client, event, &err)) {
            stop_with(consumer, &err);
        }
        break;
    default: /* an answer that nobody waits for */
        break;
    }
    rd_kafka_event_destroy(event);
}

/* What keeps the partition from being fetched, and is not librdkafka's to mend. It says so each time it has
 * tried: told once, and again when it is something else or still lasts after a while. */
static void fetch_failed(struct consumer_partition *owned, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    metric_add(owned->topic->fetch_errors, 1);
    if (code == owned->failed && clock_mono_ms() < owned->tell_due_ms) {
        return;
    }
    owned->failed = code;
    owned->tell_due_ms = clock_mono_ms() + TELL_AGAIN_MS;
    log_warn("a partition cannot be read", LOG_STR("topic", owned->topic->logical),
        LOG_INT("partition", owned->id), LOG_STR("error", rd_kafka_err2name(code)),
        LOG_STR("text", rd_kafka_event_error_string(event)));
}

/* Messages of the partition up to the turn's share. True when there may be more. */
static bool read_partition(struct bus_consumer *consumer, struct consumer_partition *owned)
{
    for (int i = 0; i < TURN_RECORDS; i++) {
        if (owned->paused || owned->leaving) {
            return false;
        }
        rd_kafka_event_t *event = rd_kafka_queue_poll(owned->queue, 0);
        if (!event) {
            return false;
        }
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
            fetch_failed(owned, event);
        }
        const rd_kafka_message_t *message;
        while ((message = rd_kafka_event_message_next(event)) != NULL) {
            owned->next = message->offset + 1;
            metric_add(owned->topic->consumed, 1);
            refill_note(&consumer->refill, owned->topic->name, owned->id, message->key_len + message->len,
                &owned->taken);
            struct bus_record *record = record_from_message(message, owned->topic->logical);
            consumer->events.record(consumer->arg, record, record);
        }
        rd_kafka_event_destroy(event);
    }
    return true;
}

static void finish_close(struct bus_consumer *consumer)
{
    bool closed = rd_kafka_consumer_closed(consumer->client.kafka) != 0;
    if (!closed && clock_mono_ms() < consumer->close_due_ms) {
        return;
    }
    if (!closed) {
        log_warn("the group was left without its answer");
    }
    consumer->stopped = true;
    consumer->closed(consumer->closed_arg); /* last: may free the consumer */
}

static void consumer_serve(void *arg)
{
    struct bus_consumer *consumer = arg;
    bool more = true;
    for (int i = 0; i < TURN_EVENTS && more && !consumer->stopped; i++) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(consumer->client.queue, 0);
        more = event != NULL;
        if (event) {
            handle_event(consumer, event);
        }
    }
    if (consumer->stopped) {
        return;
    }
    /* Each time another one first: what is read may close the intake for all that come after. */
    consumer->first++;
    for (size_t i = 0; i < consumer->partition_count; i++) {
        size_t turn = (consumer->first + i) % consumer->partition_count;
        more |= read_partition(consumer, consumer->partitions[turn]);
    }
    if (more) { /* the descriptor fires again only when a queue was empty */
        wake_signal(&consumer->client.wake);
    }
    int64_t now = clock_mono_ms();
    if (now >= consumer->lag_due_ms) {
        consumer->lag_due_ms = now + LAG_EVERY_MS;
        assignment_show_lag(consumer);
    }
    if (consumer->closing) {
        finish_close(consumer);
    }
}

static bool subscribe(struct bus_consumer *consumer, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)consumer->topic_count);
    for (size_t i = 0; i < consumer->topic_count; i++) {
        rd_kafka_topic_partition_list_add(list, consumer->topics[i].name, RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t code = rd_kafka_subscribe(consumer->client.kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return error_set(err, ERROR_FATAL, "kafka_subscribe", "Cannot subscribe: %s", rd_kafka_err2str(code));
    }
    return true;
}

static void name_topics(
    struct bus_consumer *consumer, const struct conf *conf, const struct bus_subscription *subscription)
{
    const char *const *topics = subscription->topics;
    size_t topic_count = subscription->topic_count;
    consumer->topics = xcalloc(topic_count, sizeof(*consumer->topics));
    consumer->topic_count = topic_count;
    for (size_t i = 0; i < topic_count; i++) {
        char name[KAFKA_NAME_SIZE];
        char labels[KAFKA_NAME_SIZE + 16];
        kafka_topic_name(conf, topics[i], name);
        snprintf(labels, sizeof(labels), "topic=\"%s\"", topics[i]);
        consumer->topics[i].logical = xstrdup(topics[i]);
        consumer->topics[i].name = xstrdup(name);
        consumer->topics[i].consumed =
            metrics_counter("helpdesk_bus_consumed_total", "Records taken from a topic", labels);
        consumer->topics[i].fetch_errors =
            metrics_counter("helpdesk_bus_fetch_errors_total", "Fetches of a partition that failed", labels);
    }
}

static void free_consumer(struct bus_consumer *consumer)
{
    for (size_t i = 0; i < consumer->topic_count; i++) {
        free(consumer->topics[i].logical);
        free(consumer->topics[i].name);
    }
    free(consumer->topics);
    free(consumer);
}

struct bus_consumer *bus_consumer_new(struct loop *loop, const struct conf *conf,
    const struct bus_subscription *subscription, const struct bus_consumer_events *events, void *arg,
    struct error *err)
{
    rd_kafka_conf_t *kconf = kafka_conf_new(conf, err);
    if (!kconf) {
        return NULL;
    }
    char group_name[KAFKA_NAME_SIZE];
    kafka_topic_name(conf, subscription->group, group_name);
    kafka_conf_set(kconf, "group.id", group_name);
    size_t partitions = subscription->topic_count * (size_t)conf_int(conf, CONF_KAFKA_PARTITIONS);
    kafka_conf_consumer(kconf, conf, partitions, subscription->gather_ms);
    if (!conf_bool(conf, CONF_KAFKA_EMBEDDED) && conf_text(conf, CONF_INSTANCE)[0] != '\0') {
        /* Static membership (KIP-345): who comes back within the session time-out takes its partitions up
         * again, and its neighbours notice nothing. */
        kafka_conf_set(kconf, "group.instance.id", conf_text(conf, CONF_INSTANCE));
    }
    rd_kafka_conf_set_events(kconf, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR);
    struct bus_consumer *consumer = xcalloc(1, sizeof(*consumer));
    consumer->events = *events;
    consumer->arg = arg;
    snprintf(consumer->group, sizeof(consumer->group), "%s", group_name);
    name_topics(consumer, conf, subscription);
    if (!kafka_client_init(
            &consumer->client, loop, RD_KAFKA_CONSUMER, kconf, consumer_serve, consumer, err)) {
        free_consumer(consumer);
        return NULL;
    }
    refill_init(&consumer->refill, &consumer->client, kafka_queue_bytes(partitions));
    assignment_init(consumer, loop, conf);
    health_set("broker", false, "no broker has answered yet");
    kafka_client_probe(&consumer->client);
    if (!subscribe(consumer, err)) {
        bus_consumer_free(consumer);
        return NULL;
    }
    return consumer;
}

void bus_consumer_free_record(void *handle)
{
    free(handle);
}

void bus_consumer_pause(struct bus_consumer *consumer, const char *topic, int32_t partition)
{
    struct consumer_partition *owned = assignment_find(consumer, topic, partition);
    if (owned) {
        owned->paused = true;
    }
}

void bus_consumer_resume(struct bus_consumer *consumer, const char *topic, int32_t partition)
{
    struct consumer_partition *owned = assignment_find(consumer, topic, partition);
    if (!owned || !owned->paused) {
        return;
    }
    owned->paused = false;
    wake_signal(&consumer->client.wake);
}

void bus_consumer_close(struct bus_consumer *consumer, void (*closed)(void *arg), void *arg)
{
    consumer->closing = true;
    consumer->stopped = false; /* after a fatal error too: the owner waits for `closed` */
    consumer->closed = closed;
    consumer->closed_arg = arg;
    consumer->close_due_ms = clock_mono_ms() + CLOSE_LIMIT_MS;
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(consumer->client.kafka, consumer->client.queue);
    if (error) {
        log_warn("leaving the group", LOG_STR("text", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
    }
    kafka_client_set_tick(&consumer->client, CLOSE_TICK_MS);
    wake_signal(&consumer->client.wake);
}

void bus_consumer_free(struct bus_consumer *consumer)
{
    if (!consumer) {
        return;
    }
    assignment_fini(consumer); /* first: it forgets a lookup that the background still has */
    kafka_client_stop(&consumer->client);
    rd_kafka_destroy_flags(consumer->client.kafka, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    kafka_client_fini(&consumer->client);
    free_consumer(consumer);
}

rd_kafka_t *consumer_kafka(const struct bus_consumer *consumer)
{
    return consumer->client.kafka;
}

const char *consumer_group(const struct bus_consumer *consumer)
{
    return consumer->group;
}
