/* Exactly once: a batch is one transaction of its outputs, its offsets and their maps.
 *
 * A process that was taken for dead can change nothing: its offsets carry the generation of the group in
 * which the partitions were its own (KIP-447), and its transactions the epoch of its transactional.id. */
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "bus/delivery.h"

#define CLOSE_ABORT_MS 1000
#define RENEWALS_MAX 5 /* in a row */
#define SETTLING_MS 20 /* for so long the markers of a transaction may be on their way after its end */

static bool open_producer(struct delivery *delivery, struct error *err)
{
    char id[2 * KAFKA_NAME_SIZE];
    snprintf(id, sizeof(id), "%s.%s", consumer_group(delivery->consumer),
        conf_text(delivery->conf, CONF_INSTANCE));
    delivery->initialised = false;
    if (!sender_open(&delivery->sender, id, err)) {
        return false;
    }
    delivery->transaction = (struct transaction){.producer = delivery->sender.producer,
        .give_up = delivery->give_up,
        .give_up_arg = delivery->give_up_arg};
    return true;
}

static bool once_open(struct delivery *delivery, struct error *err)
{
    if (conf_bool(delivery->conf, CONF_KAFKA_EMBEDDED)) {
        return error_set(err, ERROR_FATAL, "setting_conflict",
            "engine.delivery is exactly_once, and the embedded broker knows no transactions; set "
            "engine.delivery=at_least_once, or use Apache Kafka");
    }
    if (conf_text(delivery->conf, CONF_INSTANCE)[0] == '\0') {
        return error_set(err, ERROR_FATAL, "setting_missing",
            "engine.delivery is exactly_once, which needs `instance`: a name of this process, its own and "
            "the same "
            "after a restart (HELPDESK_INSTANCE); or set engine.delivery=at_least_once");
    }
    return open_producer(delivery, err);
}

static void once_close(struct delivery *delivery)
{
    if (!delivery->sender.producer) { /* it could not be made anew */
        return;
    }
    /* What was given up in the middle must not hold up its readers until the broker's time-out. */
    rd_kafka_error_t *error = rd_kafka_abort_transaction(delivery->sender.producer, CLOSE_ABORT_MS);
    if (error) {
        rd_kafka_error_destroy(error); /* most often: there is none */
    }
    sender_close(&delivery->sender);
}

/* ---- what a failed call means ---- */

/* Either librdkafka lost the sequence of what it sent, or the broker has ended the transaction: after its
 * time-out when a leader was away, or for another process with our name. */
static bool renewable(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
    case RD_KAFKA_RESP_ERR__INCONSISTENT:
    case RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE:
    case RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING:
    case RD_KAFKA_RESP_ERR_INVALID_TXN_STATE:
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
        return true;
    default:
        return false;
    }
}

static void tell_fatal(const struct delivery *delivery, const char *what, struct commit_result *result)
{
    const struct transaction *transaction = &delivery->transaction;
    result->end = BUS_COMMIT_FATAL;
    error_set(&result->err, ERROR_FATAL, "transaction_fatal",
        "%s: %s (does another process run with this `instance`?)", what, transaction->text);
}

/* True when `result` stands, false for weather. */
static bool tell_failed(const struct delivery *delivery, const char *what, struct commit_result *result)
{
    const struct transaction *transaction = &delivery->transaction;
    if (transaction_offsets_refused(transaction)) {
        result->end = BUS_ABORTED;
        error_set(&result->err, ERROR_RETRY, "offsets_refused", "The group: %s", transaction->text);
        return true;
    }
    if (transaction->code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) {
        result->end = BUS_COMMIT_FATAL;
        error_set(&result->err, ERROR_FATAL, "commit_forbidden", "The group: %s", transaction->text);
        return true;
    }
    kafka_error(&result->err, transaction->code, what);
    result->err.disposition = ERROR_RETRY; /* a refused output is told by its own report */
    return false;
}

/* After a fatal error before the commit was asked for: nothing of the transaction happened, and a new
 * producer of the same name ends it. It can do no harm if another process has the name: the group takes
 * offsets from the owner of a partition alone. False: this process has to go, told in `result`. */
static bool renew(struct delivery *delivery, const char *what, struct commit_result *result)
{
    const struct transaction *transaction = &delivery->transaction;
    if (!renewable(transaction->code) || delivery->renewals++ == RENEWALS_MAX) {
        tell_fatal(delivery, what, result);
        return false;
    }
    log_warn("the producer is made anew", LOG_STR("error", rd_kafka_err2name(transaction->code)),
        LOG_STR("text", transaction->text));
    error_set(&result->err, ERROR_RETRY, "broker_unavailable", "%s: %s", what, transaction->text);
    sender_close(&delivery->sender);
    struct error err = {0};
    if (!open_producer(delivery, &err)) {
        result->end = BUS_COMMIT_FATAL;
        result->err = err;
        return false;
    }
    return true;
}

/* ---- a batch ---- */

/* Ends the open transaction without effect; every output has its report. False: this process has to go, told
 * in `result`. */
static bool undo(struct delivery *delivery, struct commit_result *result)
{
    enum transaction_end end = transaction_abort(&delivery->transaction);
    delivery->ended_ms = clock_mono_ms();
    sender_settle(&delivery->sender);
    const struct commit_result found = *result;
    if (end != TRANSACTION_FATAL) {
        return true;
    }
    if (!renew(delivery, "abort", result)) {
        return false;
    }
    *result = found;
    return true;
}

/* The offsets, if every partition of the batch is still ours: a lost one's outputs must not get out. */
static enum transaction_end send_offsets(struct delivery *delivery, struct bus_batch *batch, bool *all_owned)
{
    rd_kafka_consumer_group_metadata_t *group =
        rd_kafka_consumer_group_metadata(consumer_kafka(delivery->consumer));
    if (!group) { /* the consumer is closed: nothing is ours any more */
        *all_owned = false;
        return TRANSACTION_OK;
    }
    rd_kafka_topic_partition_list_t *list = delivery_owned_offsets(delivery, batch, all_owned);
    enum transaction_end end = TRANSACTION_OK;
    if (*all_owned && list->cnt > 0) {
        end = transaction_send_offsets(&delivery->transaction, list, group);
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_group_metadata_destroy(group);
    if (end == TRANSACTION_ABORT &&
        delivery->transaction.code == RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE) {
        delivery_drop_maps(batch);
    }
    return end;
}

static void send_outputs(struct delivery *delivery, struct bus_batch *batch)
{
    sender_send(&delivery->sender, batch);
    crash_point("commit.outputs_sent");
}

/* Puts the batch into the open transaction. False: it cannot be committed; `stands` as in attempt.
 *
 * Outputs and offsets travel side by side, but while the last transaction settles the coordinator takes
 * neither, and librdkafka asks again after 20 ms for outputs, after retry.backoff.ms for offsets: then the
 * offsets go first. */
static bool fill(
    struct delivery *delivery, struct bus_batch *batch, struct commit_result *result, bool *stands)
{
    bool all_owned;
    bool settling = clock_mono_ms() < delivery->ended_ms + SETTLING_MS;
    if (!settling) {
        send_outputs(delivery, batch);
    }
    enum transaction_end end = send_offsets(delivery, batch, &all_owned);
    if (!all_owned) {
        result->end = BUS_ABORTED;
        *stands = true;
        return error_set(
            &result->err, ERROR_RETRY, "partition_lost", "A partition of the batch is not ours any more");
    }
    if (end != TRANSACTION_OK) {
        *stands = tell_failed(delivery, "offsets", result);
        return false;
    }
    crash_point("commit.offsets_sent");
    if (settling) {
        send_outputs(delivery, batch);
    }
    sender_await(&delivery->sender, batch);
    return delivery_outputs_acked(batch, result, stands);
}

/* Ends the transactions of our predecessor. */
static enum transaction_end initialise(struct delivery *delivery)
{
    enum transaction_end end =
        delivery->initialised ? TRANSACTION_OK : transaction_init(&delivery->transaction);
    delivery->initialised = end == TRANSACTION_OK;
    return end;
}

static enum transaction_end begin(struct delivery *delivery)
{
    enum transaction_end end = initialise(delivery);
    return end == TRANSACTION_OK ? transaction_begin(&delivery->transaction) : end;
}

/* At once, not with the first batch: what a killed predecessor left open keeps our own partitions' offsets
 * back. A failure is the first batch's to tell. */
static void once_start(struct delivery *delivery)
{
    initialise(delivery);
}

static bool once_attempt(struct delivery *delivery, struct bus_batch *batch, struct commit_result *result)
{
    bool stands = false;
    enum transaction_end end = begin(delivery);
    if (end == TRANSACTION_FATAL) {
        return !renew(delivery, "begin", result);
    }
    if (end != TRANSACTION_OK) {
        return tell_failed(delivery, "begin", result);
    }
    crash_point("commit.begun");
    if (fill(delivery, batch, result, &stands)) {
        end = transaction_commit(&delivery->transaction);
        delivery->ended_ms = clock_mono_ms();
        switch (end) {
        case TRANSACTION_OK:
            crash_point("commit.committed");
            delivery->renewals = 0;
            return true;
        case TRANSACTION_FATAL: /* committed or not: the next process sees it by the offsets */
            tell_fatal(delivery, "commit", result);
            return true;
        case TRANSACTION_GIVEN_UP:
            return false;
        case TRANSACTION_ABORT:
            stands = tell_failed(delivery, "commit", result);
            break;
        }
    }
    if (!undo(delivery, result)) {
        return true;
    }
    if (!stands) { /* it may be a refused output that made the transaction fail */
        delivery_outputs_acked(batch, result, &stands);
    }
    sender_forget(batch);
    return stands;
}

const struct delivery_mode delivery_exactly_once = {
    .open = once_open, .start = once_start, .attempt = once_attempt, .close = once_close};
