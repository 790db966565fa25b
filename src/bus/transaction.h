/* A producer's transactions, blocking: librdkafka's calls, repeated while the weather asks for it, and what
 * their errors mean.
 *
 * Model: KIP-98, KIP-447. Each function is for the one thread that owns the producer, whose configuration has
 * a transactional.id and delivery callbacks (a producer in event mode would wait for itself). True: done. On
 * false `err` says what is to be done:
 *   ERROR_RETRY "transaction_aborted"  transaction_abort, then the same again in a new transaction
 *   ERROR_RETRY "offsets_refused"      as above; but the group has moved on: the offsets may be another's now
 *   ERROR_RETRY "map_too_large"        as above; the broker takes no metadata of this size
 *   ERROR_RETRY "given_up"             `patience` ended it; where the transaction stands is not known
 *   ERROR_FATAL "fenced"               a newer producer with the same transactional.id is at work
 *   ERROR_FATAL "transaction_refused"  this producer is beyond use (no permission, a bug) */
#ifndef HELPDESK_BUS_TRANSACTION_H
#define HELPDESK_BUS_TRANSACTION_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include "base/error.h"

/* Asked between two attempts; `give_up` true ends the call with "given_up". Borrowed. */
struct transaction_patience {
    bool (*give_up)(void *arg);
    void *arg;
};

/* Once for each producer: fences whoever had its transactional.id and ends what that one left open. */
bool transaction_init(rd_kafka_t *producer, const struct transaction_patience *patience, struct error *err);
bool transaction_begin(rd_kafka_t *producer, struct error *err);
/* The offsets, with their metadata, are committed for the group when the transaction is. */
bool transaction_send_offsets(rd_kafka_t *producer, const rd_kafka_topic_partition_list_t *offsets,
    const rd_kafka_consumer_group_metadata_t *group, const struct transaction_patience *patience,
    struct error *err);
/* Sends what is still queued, and commits; serves the delivery callbacks. */
bool transaction_commit(rd_kafka_t *producer, const struct transaction_patience *patience, struct error *err);
/* Drops what is still queued (its delivery callbacks say so), and aborts. */
bool transaction_abort(rd_kafka_t *producer, const struct transaction_patience *patience, struct error *err);

#endif
