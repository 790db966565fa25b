/* The committer's producer: sends a batch's outputs and waits until each is acknowledged or refused. */
#include "bus/sender.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "bus/topics.h"
#include "bus/transaction.h"

#define POLL_MS 100
#define LOOK_AFTER_MS 2000 /* an output that takes longer makes us look at its topic */
#define LOOK_TIMEOUT_MS 1000

static void delivered(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    (void)kafka;
    struct sender *sender = opaque;
    struct batch_output *output = message->_private;
    output->code = message->err;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset < 0) {
        /* The broker called a retry a duplicate, and librdkafka believes it. On a new partition that may be
         * of a record that never arrived, when a later request was taken first: it is sent again. */
        output->code = RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    }
    output->acked = output->code == RD_KAFKA_RESP_ERR_NO_ERROR;
    output->sent = false;
    sender->in_flight--;
}

bool sender_open(struct sender *sender, const char *transactional_id, struct error *err)
{
    rd_kafka_conf_t *kconf = kafka_conf_new(sender->conf, err);
    if (!kconf) {
        return false;
    }
    kafka_conf_producer(kconf);
    /* The batch is all there is to wait for. The embedded broker collapses without any linger, and its
     * sockets hold back a second answer until the first is acknowledged (Nagle against delayed ACK, 40 ms):
     * one request at a time. */
    bool embedded = conf_bool(sender->conf, CONF_KAFKA_EMBEDDED);
    kafka_conf_set(kconf, "linger.ms", embedded ? "1" : "0");
    kafka_conf_set(kconf, "max.in.flight.requests.per.connection", embedded ? "1" : "5");
    if (transactional_id) {
        transaction_configure(kconf, transactional_id);
    } else {
        kafka_conf_set(kconf, "message.timeout.ms", "0"); /* a batch is kept until committed */
    }
    kafka_conf_set(kconf, "topic.metadata.propagation.max.ms", "2000");
    rd_kafka_conf_set_opaque(kconf, sender);
    rd_kafka_conf_set_dr_msg_cb(kconf, delivered);
    sender->producer = kafka_new(RD_KAFKA_PRODUCER, kconf, err);
    if (!sender->producer) {
        return false;
    }
    for (const struct bus_topic *topic = bus_topics; topic->name; topic++) {
        char name[KAFKA_NAME_SIZE];
        kafka_topic_name(sender->conf, topic->name, name);
        sender->warm = xrealloc(sender->warm, (sender->warm_count + 1) * sizeof(rd_kafka_topic_t *));
        sender->warm[sender->warm_count++] = rd_kafka_topic_new(sender->producer, name, NULL);
    }
    return true;
}

void sender_close(struct sender *sender)
{
    if (!sender->producer) {
        return;
    }
    rd_kafka_purge(sender->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(sender->producer, POLL_MS);
    for (size_t i = 0; i < sender->warm_count; i++) {
        rd_kafka_topic_destroy(sender->warm[i]);
    }
    free(sender->warm);
    sender->warm = NULL;
    sender->warm_count = 0;
    rd_kafka_destroy(sender->producer);
    sender->producer = NULL;
    sender->in_flight = 0;
}

bool sender_renew_if_fatal(struct sender *sender, struct error *err)
{
    char why[256];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(sender->producer, why, sizeof(why));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return true;
    }
    log_warn("the producer is made anew", LOG_STR("error", rd_kafka_err2name(code)), LOG_STR("text", why));
    sender_close(sender);
    return sender_open(sender, NULL, err);
}

/* ---- topics that are away ---- */

/* What the brokers say of a topic; no answer is no error: then there is no broker, which is another matter.
 */
static rd_kafka_resp_err_t look_at_topic(struct sender *sender, const char *name)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(sender->producer, name, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (rd_kafka_metadata(sender->producer, 0, topic, &metadata, LOOK_TIMEOUT_MS) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (metadata->topic_cnt == 1) {
            code = metadata->topics[0].err;
        }
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(topic);
    return code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ? RD_KAFKA_RESP_ERR_NO_ERROR : code;
}

/* Takes back what waits in vain: librdkafka keeps the records of such a topic without end. The others that it
 * takes back are sent with the next attempt. */
static void take_back(struct sender *sender, struct bus_batch *batch, struct batch_output *vain)
{
    char name[KAFKA_NAME_SIZE];
    kafka_topic_name(sender->conf, vain->record->topic, name);
    rd_kafka_resp_err_t code = look_at_topic(sender, name);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    snprintf(sender->away, sizeof(sender->away), "%s", name);
    rd_kafka_purge(sender->producer, RD_KAFKA_PURGE_F_QUEUE);
    while (sender->in_flight > 0 && !sender->give_up(sender->give_up_arg)) {
        rd_kafka_flush(sender->producer, POLL_MS);
    }
    for (size_t i = 0; i < batch->output_count; i++) {
        struct batch_output *output = &batch->outputs[i];
        if (output->lone && !output->acked && !output->removed &&
            strcmp(output->record->topic, vain->record->topic) == 0) {
            output->code = code;
        }
    }
}

static struct batch_output *find_unreported(struct bus_batch *batch)
{
    for (size_t i = 0; i < batch->output_count; i++) {
        if (batch->outputs[i].sent && batch->outputs[i].lone) {
            return &batch->outputs[i];
        }
    }
    return NULL;
}

void sender_await(struct sender *sender, struct bus_batch *batch)
{
    int64_t look_due = clock_mono_ms() + LOOK_AFTER_MS;
    while (sender->in_flight > 0 && !sender->give_up(sender->give_up_arg)) {
        rd_kafka_flush(sender->producer, POLL_MS);
        if (sender->in_flight == 0 || clock_mono_ms() < look_due) {
            continue;
        }
        struct batch_output *vain = find_unreported(batch);
        if (vain) {
            take_back(sender, batch, vain);
        }
        look_due = clock_mono_ms() + LOOK_AFTER_MS;
    }
}

/* ---- sending ---- */

static void hand_over(struct sender *sender, struct batch_output *output, rd_kafka_resp_err_t away_code)
{
    char name[KAFKA_NAME_SIZE];
    kafka_topic_name(sender->conf, output->record->topic, name);
    if (output->lone && away_code != RD_KAFKA_RESP_ERR_NO_ERROR && strcmp(name, sender->away) == 0) {
        output->code = away_code;
        return;
    }
    do {
        output->code = record_produce(sender->producer, name, output->record, false, output);
        if (output->code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_poll(sender->producer, POLL_MS);
        }
    } while (output->code == RD_KAFKA_RESP_ERR__QUEUE_FULL && !sender->give_up(sender->give_up_arg));
    output->sent = output->code == RD_KAFKA_RESP_ERR_NO_ERROR;
    sender->in_flight += output->sent ? 1 : 0;
}

static bool has_lone(const struct bus_batch *batch)
{
    for (size_t i = 0; i < batch->output_count; i++) {
        if (batch->outputs[i].lone && !batch->outputs[i].removed) {
            return true;
        }
    }
    return false;
}

void sender_send(struct sender *sender, struct bus_batch *batch)
{
    rd_kafka_resp_err_t away_code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (sender->away[0] != '\0' &&
        has_lone(batch)) { /* once away, it is looked at first: nobody waits for it again */
        away_code = look_at_topic(sender, sender->away);
        if (away_code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            sender->away[0] = '\0';
        }
    }
    for (size_t i = 0; i < batch->output_count; i++) {
        if (!batch->outputs[i].acked && !batch->outputs[i].removed) {
            hand_over(sender, &batch->outputs[i], away_code);
        }
    }
}

void sender_settle(struct sender *sender)
{
    while (sender->in_flight > 0 && !sender->give_up(sender->give_up_arg)) {
        rd_kafka_flush(sender->producer, POLL_MS);
    }
}

void sender_forget(struct bus_batch *batch)
{
    for (size_t i = 0; i < batch->output_count; i++) {
        batch->outputs[i].acked = false;
        batch->outputs[i].code = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
}
