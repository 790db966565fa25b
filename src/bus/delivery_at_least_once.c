/* At least once: outputs are acknowledged by all in-sync replicas, then the offsets are committed. */
#include <string.h>
#include "base/crash.h"
#include "bus/delivery.h"

#define POLL_MS 100

static bool least_open(struct delivery *delivery, struct error *err)
{
    if (!sender_open(&delivery->sender, NULL, err)) {
        return false;
    }
    delivery->answers = rd_kafka_queue_new(consumer_kafka(delivery->consumer));
    return true;
}

static void least_close(struct delivery *delivery)
{
    sender_close(&delivery->sender);
    rd_kafka_queue_destroy(delivery->answers);
}

static rd_kafka_resp_err_t first_error(rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    for (int i = 0; list && i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err;
    }
    return code;
}

/* Waits for the answer to this very commit, told by its number; older ones come late and are thrown away. */
static rd_kafka_resp_err_t await_answer(struct delivery *delivery, const void *tag)
{
    while (!delivery->give_up(delivery->give_up_arg)) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(delivery->answers, POLL_MS);
        if (!event) {
            continue;
        }
        bool ours = rd_kafka_event_opaque(event) == tag;
        rd_kafka_resp_err_t code = first_error(event);
        rd_kafka_event_destroy(event);
        if (ours) {
            return code;
        }
    }
    return RD_KAFKA_RESP_ERR__DESTROY;
}

/* False: weather. */
static bool offsets_failed(rd_kafka_resp_err_t code, struct commit_result *result)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
        result->end = BUS_OFFSETS_REFUSED;
        error_set(&result->err, ERROR_RETRY, "offsets_refused", "The group: %s", rd_kafka_err2str(code));
        return true;
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        result->end = BUS_COMMIT_FATAL;
        error_set(&result->err, ERROR_FATAL, "commit_forbidden", "The group: %s", rd_kafka_err2str(code));
        return true;
    default:
        return kafka_error(&result->err, code, "commit");
    }
}

static bool commit_offsets(struct delivery *delivery, struct bus_batch *batch, struct commit_result *result)
{
    bool all;
    rd_kafka_topic_partition_list_t *list = delivery_owned_offsets(delivery, batch, &all);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (list->cnt > 0) {
        code = rd_kafka_commit_queue(consumer_kafka(delivery->consumer), list, delivery->answers, NULL, list);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = await_answer(delivery, list);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE) {
        delivery_drop_maps(batch);
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__NO_OFFSET ||
           offsets_failed(code, result);
}

static bool least_attempt(struct delivery *delivery, struct bus_batch *batch, struct commit_result *result)
{
    bool stands;
    sender_send(&delivery->sender, batch);
    sender_await(&delivery->sender, batch);
    if (!sender_renew_if_fatal(&delivery->sender, &result->err)) {
        result->end = BUS_COMMIT_FATAL;
        return true;
    }
    if (!delivery_outputs_acked(batch, result, &stands)) {
        return stands;
    }
    crash_point("commit.outputs_acknowledged");
    return commit_offsets(delivery, batch, result);
}

const struct delivery_mode delivery_at_least_once = {
    .open = least_open, .attempt = least_attempt, .close = least_close};
