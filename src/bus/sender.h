/* The committer's producer: sends a batch's outputs and waits until each is acknowledged or refused. Used on
 * the committer's thread alone. */
#ifndef HELPDESK_BUS_SENDER_H
#define HELPDESK_BUS_SENDER_H

#include "bus/batch.h"

struct sender {
    const struct conf *conf;
    bool (*give_up)(void *arg); /* asked while waiting */
    void *give_up_arg;
    rd_kafka_t *producer;
    rd_kafka_topic_t **warm; /* handles kept so that their leaders stay known */
    size_t warm_count;
    size_t in_flight;           /* outputs not yet reported */
    char away[KAFKA_NAME_SIZE]; /* the topic of a lone output that was away at the last look; "" when none was
                                 */
};

/* With conf and give_up set, the rest zero. `transactional_id` NULL: no transactions. */
bool sender_open(struct sender *sender, const char *transactional_id, struct error *err);
void sender_close(struct sender *sender); /* nothing of any batch is borrowed any more */
/* Hands over what was not acknowledged yet; sender_await is to follow. */
void sender_send(struct sender *sender, struct bus_batch *batch);
/* Returns when each output has its `acked` or its `code`, or when told to give up. It waits as long as there
 * is no broker; a topic that the brokers do not know or do not let us write does not keep it waiting for a
 * lone output. */
void sender_await(struct sender *sender, struct bus_batch *batch);
/* After an aborted transaction: waits until every output has its report; nothing of a batch is borrowed any
 * more. */
void sender_settle(struct sender *sender);
/* What was acknowledged or refused in an aborted transaction counts as not sent. */
void sender_forget(struct bus_batch *batch);
/* An idempotent producer that lost its sequence is beyond use: opens a new one. False when that fails. */
bool sender_renew_if_fatal(struct sender *sender, struct error *err);

#endif
