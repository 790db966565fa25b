/* Who owns which partition: rebalances, the offsets to go on from, and how partitions leave.
 *
 * The eager protocol with the range assignor: all partitions of a member leave before the new ones come. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/log.h"
#include "bus/consumer.h"

#define COMMITTED_TIMEOUT_MS 2000
#define COMMITTED_PAUSE_MS 100

/* The lookup of the committed offsets of new partitions; it blocks, so it runs on the client's background
 * thread. */
struct positions {
    struct background_call call;
    struct bus_consumer *consumer; /* NULL: a later rebalance made this one void */
    rd_kafka_t *kafka;
    rd_kafka_topic_partition_list_t *list;
    bool found;
};

struct consumer_partition *assignment_find(
    struct bus_consumer *consumer, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < consumer->partition_count; i++) {
        struct consumer_partition *owned = consumer->partitions[i];
        if (owned->id == partition && strcmp(owned->topic->logical, topic) == 0) {
            return owned;
        }
    }
    return NULL;
}

unsigned consumer_ownership(struct bus_consumer *consumer, const char *topic, int32_t partition)
{
    pthread_mutex_lock(&consumer->lock);
    const struct consumer_partition *owned = assignment_find(consumer, topic, partition);
    unsigned ownership = owned ? owned->ownership : 0;
    pthread_mutex_unlock(&consumer->lock);
    return ownership;
}

static const struct consumer_topic *find_topic(const struct bus_consumer *consumer, const char *name)
{
    for (size_t i = 0; i < consumer->topic_count; i++) {
        if (strcmp(consumer->topics[i].name, name) == 0) {
            return &consumer->topics[i];
        }
    }
    return NULL;
}

static void remove_partition(struct bus_consumer *consumer, struct consumer_partition *owned)
{
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < consumer->partition_count; i++) {
        if (consumer->partitions[i] == owned) {
            consumer->partitions[i] = consumer->partitions[--consumer->partition_count];
            break;
        }
    }
    pthread_mutex_unlock(&consumer->lock);
    kafka_client_unwatch(owned->queue);
    rd_kafka_queue_destroy(owned->queue);
    metric_set(owned->lag, 0);
    free(owned);
}

/* ---- partitions come ---- */

static struct consumer_partition *add_partition(
    struct bus_consumer *consumer, const struct consumer_topic *topic, int32_t id, int64_t offset)
{
    char labels[KAFKA_NAME_SIZE + 48];
    snprintf(labels, sizeof(labels), "topic=\"%s\",partition=\"%d\"", topic->logical, (int)id);
    struct consumer_partition *owned = xcalloc(1, sizeof(*owned));
    owned->topic = topic;
    owned->id = id;
    owned->next = offset;
    owned->lag = metrics_gauge("helpdesk_bus_lag_records", "Records of a partition not yet taken", labels);
    owned->queue = rd_kafka_queue_get_partition(consumer->client.kafka, topic->name, id);
    rd_kafka_queue_forward(owned->queue, NULL); /* not into the common queue: read by our choice */
    kafka_client_watch(&consumer->client, owned->queue);
    pthread_mutex_lock(&consumer->lock);
    owned->ownership = ++consumer->last_ownership;
    consumer->partitions =
        xrealloc(consumer->partitions, (consumer->partition_count + 1) * sizeof(*consumer->partitions));
    consumer->partitions[consumer->partition_count++] = owned;
    pthread_mutex_unlock(&consumer->lock);
    return owned;
}

static void take_partition(struct bus_consumer *consumer, rd_kafka_topic_partition_t *entry)
{
    const struct consumer_topic *topic = find_topic(consumer, entry->topic);
    if (!topic) {
        return; /* not subscribed to: librdkafka does not do that */
    }
    int64_t offset = entry->offset >= 0 ? entry->offset : 0;
    if (entry->offset < 0) {
        entry->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    char *metadata = xcalloc(1, entry->metadata_size + 1);
    if (entry->metadata_size > 0) {
        memcpy(metadata, entry->metadata, entry->metadata_size);
    }
    add_partition(consumer, topic, entry->partition, offset);
    consumer->events.assigned(consumer->arg, topic->logical, entry->partition, offset, metadata);
    free(metadata);
}

static void positions_drop(struct background_call *call)
{
    struct positions *positions = (struct positions *)call;
    rd_kafka_topic_partition_list_destroy(positions->list);
    free(positions);
}

static bool positions_ask(struct positions *positions)
{
    if (rd_kafka_committed(positions->kafka, positions->list, COMMITTED_TIMEOUT_MS) !=
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        return false;
    }
    for (int i = 0; i < positions->list->cnt; i++) {
        if (positions->list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return false;
        }
    }
    return true;
}

static void positions_work(struct background_call *call)
{
    struct positions *positions = (struct positions *)call;
    positions->found = positions_ask(positions);
    if (!positions->found) {
        background_sleep(call->background, COMMITTED_PAUSE_MS);
    }
}

static void positions_done(struct background_call *call)
{
    struct positions *positions = (struct positions *)call;
    struct bus_consumer *consumer = positions->consumer;
    if (consumer &&
        !positions->found) { /* weather: the loop looks between two tries whether it is still wanted */
        background_submit(call->background, call);
        return;
    }
    if (consumer) {
        consumer->positions = NULL;
        for (int i = 0; i < positions->list->cnt; i++) {
            take_partition(consumer, &positions->list->elems[i]);
        }
        rd_kafka_resp_err_t code = rd_kafka_assign(consumer->client.kafka, positions->list);
        log_info("partitions assigned", LOG_INT("count", positions->list->cnt),
            LOG_STR("result", rd_kafka_err2name(code)));
        wake_signal(&consumer->client.wake);
    }
    positions_drop(call);
}

static void forget_positions(struct bus_consumer *consumer)
{
    if (consumer->positions) {
        consumer->positions->consumer = NULL;
    }
    consumer->positions = NULL;
}

static void assign(struct bus_consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    forget_positions(consumer);
    struct positions *positions = xcalloc(1, sizeof(*positions));
    positions->call =
        (struct background_call){.work = positions_work, .done = positions_done, .drop = positions_drop};
    positions->consumer = consumer;
    positions->kafka = consumer->client.kafka;
    positions->list = rd_kafka_topic_partition_list_copy(list);
    consumer->positions = positions;
    background_submit(consumer->client.background, &positions->call);
}

/* ---- partitions leave ---- */

static void unassign_when_released(struct bus_consumer *consumer)
{
    if (!consumer->revoking || consumer->in_revoked || consumer->partition_count > 0) {
        return;
    }
    consumer->revoking = false;
    loop_timer_cancel(consumer->revoke_timer);
    rd_kafka_assign(consumer->client.kafka, NULL);
    wake_signal(&consumer->client.wake);
}

/* Tells the owner of each partition that it leaves. The calls may release; so they go over a copy of the
 * list. */
static void tell_revoked(struct bus_consumer *consumer, bool lost)
{
    struct leaving {
        const char *topic;
        int32_t id;
    };
    size_t count = consumer->partition_count;
    struct leaving *leaving = xcalloc(count, sizeof(*leaving));
    for (size_t i = 0; i < count; i++) {
        consumer->partitions[i]->leaving = true;
        leaving[i] = (struct leaving){consumer->partitions[i]->topic->logical, consumer->partitions[i]->id};
    }
    consumer->in_revoked = true;
    for (size_t i = 0; i < count; i++) {
        consumer->events.revoked(consumer->arg, leaving[i].topic, leaving[i].id, lost);
    }
    consumer->in_revoked = false;
    free(leaving);
    while (lost && consumer->partition_count > 0) {
        remove_partition(consumer, consumer->partitions[0]);
    }
}

static void revoke_overdue(void *arg)
{
    struct bus_consumer *consumer = arg;
    log_warn("partitions leave before their work was committed", LOG_INT("count", consumer->partition_count));
    tell_revoked(consumer, true);
    unassign_when_released(consumer);
}

static void revoke(struct bus_consumer *consumer)
{
    forget_positions(consumer);
    bool lost = rd_kafka_assignment_lost(consumer->client.kafka) != 0;
    log_info("partitions revoked", LOG_INT("count", consumer->partition_count),
        LOG_STR("lost", lost ? "yes" : "no"));
    consumer->revoking = true;
    loop_timer_arm(consumer->revoke_timer, consumer->revoke_limit_ms);
    tell_revoked(consumer, lost);
    unassign_when_released(consumer);
}

void assignment_rebalance(struct bus_consumer *consumer, rd_kafka_event_t *event)
{
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assign(consumer, rd_kafka_event_topic_partition_list(event));
    } else {
        revoke(consumer);
    }
}

void bus_consumer_release(struct bus_consumer *consumer, const char *topic, int32_t partition)
{
    struct consumer_partition *owned = assignment_find(consumer, topic, partition);
    if (!owned || !owned->leaving) {
        return;
    }
    remove_partition(consumer, owned);
    unassign_when_released(consumer);
}

void assignment_show_lag(struct bus_consumer *consumer)
{
    for (size_t i = 0; i < consumer->partition_count; i++) {
        const struct consumer_partition *owned = consumer->partitions[i];
        int64_t low = 0;
        int64_t high = 0;
        /* what the last fetch told; no request */
        if (rd_kafka_get_watermark_offsets(consumer->client.kafka, owned->topic->name, owned->id, &low,
                &high) != RD_KAFKA_RESP_ERR_NO_ERROR ||
            high < 0) {
            continue;
        }
        int64_t from = owned->next > low ? owned->next : low;
        metric_set(owned->lag, high > from ? (double)(high - from) : 0);
    }
}

void assignment_init(struct bus_consumer *consumer, struct loop *loop, const struct conf *conf)
{
    pthread_mutex_init(&consumer->lock, NULL);
    consumer->revoke_timer = loop_timer_new(loop, revoke_overdue, consumer);
    consumer->revoke_limit_ms = 2 * bus_revoke_bound_ms(conf) + 1000;
}

void assignment_fini(struct bus_consumer *consumer)
{
    forget_positions(consumer);
    loop_timer_free(consumer->revoke_timer);
    consumer->revoke_timer = NULL;
    while (consumer->partition_count > 0) {
        remove_partition(consumer, consumer->partitions[0]);
    }
    free(consumer->partitions);
    pthread_mutex_destroy(&consumer->lock);
}
