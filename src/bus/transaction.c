/* A producer's transactions: calls that are repeated, and what their errors mean. */
#include "bus/transaction.h"

#include <time.h>

#define ATTEMPT_MS 1000
#define TRANSACTION_TIMEOUT (-1) /* the rest of transaction.timeout.ms: what librdkafka asks for */
#define PAUSE_MS 20

enum verdict { VERDICT_AGAIN, VERDICT_ABORT, VERDICT_FATAL };

static const char *abort_code(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
        return "offsets_refused";
    case RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE:
        return "map_too_large";
    default:
        return "transaction_aborted";
    }
}

static bool is_fenced(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

/* Takes `error`. */
static enum verdict judge(rd_kafka_t *producer, rd_kafka_error_t *error, const char *what, struct error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    enum verdict verdict = VERDICT_FATAL;
    if (rd_kafka_error_txn_requires_abort(error)) {
        verdict = VERDICT_ABORT;
        error_set(err, ERROR_RETRY, abort_code(code), "%s: %s", what, rd_kafka_error_string(error));
    } else if (rd_kafka_error_is_retriable(error)) {
        verdict = VERDICT_AGAIN;
        error_set(err, ERROR_RETRY, "given_up", "%s: %s", what, rd_kafka_error_string(error));
    } else {
        char text[256];
        rd_kafka_resp_err_t first = rd_kafka_fatal_error(producer, text, sizeof(text));
        bool fenced = is_fenced(code) || is_fenced(first);
        error_set(err, ERROR_FATAL, fenced ? "fenced" : "transaction_refused", "%s: %s", what,
            first != RD_KAFKA_RESP_ERR_NO_ERROR ? text : rd_kafka_error_string(error));
    }
    rd_kafka_error_destroy(error);
    return verdict;
}

/* After an attempt that ended with `error`, which is taken: true to try again. */
static bool once_more(rd_kafka_t *producer, rd_kafka_error_t *error, const char *what,
    const struct transaction_patience *patience, struct error *err)
{
    if (judge(producer, error, what, err) != VERDICT_AGAIN || patience->give_up(patience->arg)) {
        return false;
    }
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    nanosleep(&pause, NULL);
    return true;
}

bool transaction_init(rd_kafka_t *producer, const struct transaction_patience *patience, struct error *err)
{
    rd_kafka_error_t *error;
    do {
        error = rd_kafka_init_transactions(producer, ATTEMPT_MS);
    } while (error && once_more(producer, error, "starting transactions", patience, err));
    return !error;
}

bool transaction_begin(rd_kafka_t *producer, struct error *err)
{
    rd_kafka_error_t *error = rd_kafka_begin_transaction(producer);
    if (error) {
        judge(producer, error, "beginning a transaction", err);
    }
    return !error;
}

bool transaction_send_offsets(rd_kafka_t *producer, const rd_kafka_topic_partition_list_t *offsets,
    const rd_kafka_consumer_group_metadata_t *group, const struct transaction_patience *patience,
    struct error *err)
{
    rd_kafka_error_t *error;
    do {
        error = rd_kafka_send_offsets_to_transaction(producer, offsets, group, ATTEMPT_MS);
    } while (error && once_more(producer, error, "the transaction's offsets", patience, err));
    return !error;
}

bool transaction_commit(rd_kafka_t *producer, const struct transaction_patience *patience, struct error *err)
{
    rd_kafka_error_t *error;
    do {
        error = rd_kafka_commit_transaction(producer, TRANSACTION_TIMEOUT);
    } while (error && once_more(producer, error, "committing the transaction", patience, err));
    return !error;
}

bool transaction_abort(rd_kafka_t *producer, const struct transaction_patience *patience, struct error *err)
{
    rd_kafka_error_t *error;
    do {
        error = rd_kafka_abort_transaction(producer, TRANSACTION_TIMEOUT);
    } while (error && once_more(producer, error, "aborting the transaction", patience, err));
    return !error;
}
