/* Keeps librdkafka fetching while its queues are emptied.
 *
 * Up to version 2.1 librdkafka leaves a broker whose partitions' queues are all full alone for a second,
 * unless anything else wakes the thread of its connection; later versions obey fetch.queue.backoff.ms. A
 * stage that catches up empties its queues in a fraction of that and would stand still for the rest. Asking
 * the broker for the end of a partition wakes the thread: so it is asked whenever half a queue has been
 * taken. */
#ifndef HELPDESK_BUS_REFILL_H
#define HELPDESK_BUS_REFILL_H

#include "bus/kafka.h"

struct refill {
    struct background_call call;
    struct background *background;
    rd_kafka_t *kafka;
    size_t after; /* bytes taken from a partition; SIZE_MAX: librdkafka does it by itself */
    bool asking;
    char topic[KAFKA_NAME_SIZE];
    int32_t partition;
};

/* `client` is borrowed until its background ends; `queue_bytes`: what a partition's queue holds. */
void refill_init(struct refill *refill, const struct kafka_client *client, size_t queue_bytes);
/* Notes that `bytes` more were taken from a partition; `taken` is the partition's own count, from 0. Loop
 * thread; never blocks. */
void refill_note(struct refill *refill, const char *topic, int32_t partition, size_t bytes, size_t *taken);

#endif
