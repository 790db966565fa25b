/* The calls of a transactional producer, tried again while that may help. */
#include "bus/transaction.h"

#include <stdio.h>
#include <time.h>

#define CALL_TIMEOUT_MS 1000 /* then we look whether to give up; librdkafka resumes the call */
#define PAUSE_MS 20

/* What a call needs besides the producer. */
struct call_args {
    const rd_kafka_topic_partition_list_t *offsets;
    const rd_kafka_consumer_group_metadata_t *group;
};

typedef rd_kafka_error_t *transaction_call(rd_kafka_t *producer, const struct call_args *args);

void transaction_configure(rd_kafka_conf_t *kconf, const char *id)
{
    kafka_conf_set(kconf, "transactional.id", id);
    /* What a killed process left open holds up its readers for this long, and up to 10 s more. */
    kafka_conf_set(kconf, "transaction.timeout.ms", "10000");
    /* The coordinator refuses the next transaction until the last one's markers are written, some
     * milliseconds; librdkafka would ask again after 100. It holds for its other requests, too. */
    kafka_conf_set(kconf, "retry.backoff.ms", "5");
}

/* Takes the error. True when the same call may be made again. */
static bool note(struct transaction *transaction, rd_kafka_error_t *error, enum transaction_end *end)
{
    bool again = rd_kafka_error_is_retriable(error) != 0;
    transaction->code = rd_kafka_error_code(error);
    snprintf(transaction->text, sizeof(transaction->text), "%s", rd_kafka_error_string(error));
    if (rd_kafka_error_is_fatal(error)) {
        *end = TRANSACTION_FATAL;
        again = false;
        /* What was fatal first; later calls only say that something was. */
        transaction->code =
            rd_kafka_fatal_error(transaction->producer, transaction->text, sizeof(transaction->text));
    } else if (rd_kafka_error_txn_requires_abort(error)) {
        *end = TRANSACTION_ABORT;
        again = false;
    } else if (!again) { /* librdkafka: what is none of these is to be treated as fatal */
        *end = TRANSACTION_FATAL;
    }
    rd_kafka_error_destroy(error);
    return again;
}

static enum transaction_end run(
    struct transaction *transaction, transaction_call *call, const struct call_args *args)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    enum transaction_end end = TRANSACTION_GIVEN_UP;
    do {
        rd_kafka_error_t *error = call(transaction->producer, args);
        if (!error) {
            return TRANSACTION_OK;
        }
        if (!note(transaction, error, &end)) {
            return end;
        }
        nanosleep(&pause, NULL);
    } while (!transaction->give_up(transaction->give_up_arg));
    return TRANSACTION_GIVEN_UP;
}

static rd_kafka_error_t *call_init(rd_kafka_t *producer, const struct call_args *args)
{
    (void)args;
    return rd_kafka_init_transactions(producer, CALL_TIMEOUT_MS);
}

static rd_kafka_error_t *call_begin(rd_kafka_t *producer, const struct call_args *args)
{
    (void)args;
    return rd_kafka_begin_transaction(producer);
}

static rd_kafka_error_t *call_send_offsets(rd_kafka_t *producer, const struct call_args *args)
{
    return rd_kafka_send_offsets_to_transaction(producer, args->offsets, args->group, CALL_TIMEOUT_MS);
}

static rd_kafka_error_t *call_commit(rd_kafka_t *producer, const struct call_args *args)
{
    (void)args;
    return rd_kafka_commit_transaction(producer, CALL_TIMEOUT_MS);
}

static rd_kafka_error_t *call_abort(rd_kafka_t *producer, const struct call_args *args)
{
    (void)args;
    return rd_kafka_abort_transaction(producer, CALL_TIMEOUT_MS);
}

enum transaction_end transaction_init(struct transaction *transaction)
{
    return run(transaction, call_init, NULL);
}

enum transaction_end transaction_begin(struct transaction *transaction)
{
    return run(transaction, call_begin, NULL);
}

enum transaction_end transaction_send_offsets(struct transaction *transaction,
    const rd_kafka_topic_partition_list_t *offsets, const rd_kafka_consumer_group_metadata_t *group)
{
    const struct call_args args = {.offsets = offsets, .group = group};
    return run(transaction, call_send_offsets, &args);
}

enum transaction_end transaction_commit(struct transaction *transaction)
{
    return run(transaction, call_commit, NULL);
}

enum transaction_end transaction_abort(struct transaction *transaction)
{
    return run(transaction, call_abort, NULL);
}

bool transaction_offsets_refused(const struct transaction *transaction)
{
    switch (transaction->code) {
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
        return true;
    default:
        return false;
    }
}
