/* The calls of a transactional producer (KIP-98, KIP-447), tried again while that may help. They block: never
 * on the loop's thread, and one thread at a time. */
#ifndef HELPDESK_BUS_TRANSACTION_H
#define HELPDESK_BUS_TRANSACTION_H

#include "bus/kafka.h"

/* What became of a call. Text and code of what went wrong are in the transaction. */
enum transaction_end {
    TRANSACTION_OK,
    TRANSACTION_ABORT,    /* the transaction cannot be committed: transaction_abort, then it may begin anew */
    TRANSACTION_FATAL,    /* the producer is beyond use: fenced by another one of its id, or forbidden */
    TRANSACTION_GIVEN_UP, /* told to give up while it was tried again */
};

struct transaction {
    rd_kafka_t *producer;       /* with a transactional.id; borrowed */
    bool (*give_up)(void *arg); /* asked between two tries */
    void *give_up_arg;
    rd_kafka_resp_err_t code; /* of the last failure */
    char text[256];
};

/* Properties of a transactional producer: `id` must be the same over restarts, so that the next process ends
 * what this one left open, and no other living process may have it. */
void transaction_configure(rd_kafka_conf_t *kconf, const char *id);

/* Once, before the first transaction: ends what an earlier producer of this id left open, and fences it. */
enum transaction_end transaction_init(struct transaction *transaction);
enum transaction_end transaction_begin(struct transaction *transaction);
/* The offsets become part of the transaction. `group` (rd_kafka_consumer_group_metadata) must be older than
 * the caller's last look at who owns the partitions: the broker then refuses what a rebalance has overtaken.
 */
enum transaction_end transaction_send_offsets(struct transaction *transaction,
    const rd_kafka_topic_partition_list_t *offsets, const rd_kafka_consumer_group_metadata_t *group);
/* Waits for the delivery of all that was produced. */
enum transaction_end transaction_commit(struct transaction *transaction);
/* After it no consumer that reads committed records sees anything of the transaction. */
enum transaction_end transaction_abort(struct transaction *transaction);

/* Whether the last failure says that the group has moved on: somebody else may own the partitions. */
bool transaction_offsets_refused(const struct transaction *transaction);

#endif
