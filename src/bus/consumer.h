/* A group member's inside: what consumer.c (records) and assignment.c (who owns what) share. */
#ifndef HELPDESK_BUS_CONSUMER_H
#define HELPDESK_BUS_CONSUMER_H

#include <pthread.h>
#include "base/metrics.h"
#include "bus/kafka.h"
#include "bus/refill.h"

struct consumer_topic {
    char *logical;
    char *name;
    struct metric *consumed, *fetch_errors;
};

/* A partition that is ours. It has a queue of its own in librdkafka: a paused one is simply not read, and
 * nothing that was fetched is thrown away. */
struct consumer_partition {
    const struct consumer_topic *topic;
    int32_t id;
    unsigned ownership; /* see consumer_ownership */
    rd_kafka_queue_t *queue;
    bool paused;
    bool leaving;               /* revoked, not yet released: not read any more */
    int64_t next;               /* the offset after the last record that was taken */
    size_t taken;               /* bytes, see refill.h */
    rd_kafka_resp_err_t failed; /* what kept it from being fetched last */
    int64_t tell_due_ms;        /* then that is told again */
    struct metric *lag;
};

struct bus_consumer {
    struct kafka_client client;
    struct bus_consumer_events events;
    void *arg;
    char group[KAFKA_NAME_SIZE];
    struct consumer_topic *topics;
    size_t topic_count;

    pthread_mutex_t lock; /* guards the array for consumer_ownership; only the loop thread changes it */
    struct consumer_partition **partitions;
    size_t partition_count;
    unsigned last_ownership;

    size_t first; /* counts who is read first */
    struct refill refill;
    struct positions *positions; /* the lookup of committed offsets that is under way */
    struct loop_timer *revoke_timer;
    int64_t revoke_limit_ms;
    bool revoking;   /* partitions are leaving: librdkafka waits for our unassign */
    bool in_revoked; /* inside the events->revoked calls */
    int64_t lag_due_ms;

    bool closing;
    bool stopped; /* closed or fatal: no more events */
    int64_t close_due_ms;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- assignment.c ---- */

void assignment_init(struct bus_consumer *consumer, struct loop *loop, const struct conf *conf);
void assignment_fini(struct bus_consumer *consumer);
void assignment_rebalance(struct bus_consumer *consumer, rd_kafka_event_t *event);
struct consumer_partition *assignment_find(
    struct bus_consumer *consumer, const char *topic, int32_t partition);
/* Shows how far behind each partition is; costs no request. */
void assignment_show_lag(struct bus_consumer *consumer);

#endif
