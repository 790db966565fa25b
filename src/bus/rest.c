/* Lets consumers of the embedded broker rest. It never wakes a waiting fetch, so its consumers ask a thousand
 * times a second; who has had no record for a while asks a hundred times.
 *
 * An interceptor of librdkafka (rdkafka.h, "Interceptors") holds the thread that asks. Its documentation
 * forbids that for long: the thread serves nobody but this consumer, whose heartbeats and commits come 10 ms
 * later, then. */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "base/clock.h"
#include "bus/kafka.h"

#define NAME "helpdesk_rest"
#define API_FETCH 1 /* the protocol's number */
#define AFTER_MS 1000
#define REST_MS 10

static _Atomic int64_t record_ms;      /* when this process took the last record */
static _Thread_local size_t last_size; /* of the answer before: one thread asks for each consumer */

static rd_kafka_resp_err_t on_consume(rd_kafka_t *kafka, rd_kafka_message_t *message, void *arg)
{
    (void)kafka, (void)message, (void)arg;
    atomic_store_explicit(&record_ms, clock_mono_ms(), memory_order_relaxed);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_response(rd_kafka_t *kafka, int socket, const char *broker, int32_t broker_id,
    int16_t api, int16_t version, int32_t correlation, size_t size, int64_t rtt, rd_kafka_resp_err_t code,
    void *arg)
{
    (void)kafka, (void)socket, (void)broker, (void)broker_id, (void)version, (void)correlation;
    (void)rtt, (void)code, (void)arg;
    if (api != API_FETCH) {
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    bool empty = size == last_size; /* as the one before: with a record it is larger */
    last_size = size;
    if (empty && clock_mono_ms() - atomic_load_explicit(&record_ms, memory_order_relaxed) > AFTER_MS) {
        const struct timespec pause = {.tv_nsec = REST_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(/* NOLINTNEXTLINE(readability-non-const-parameter): librdkafka's type */
    rd_kafka_t *kafka, const rd_kafka_conf_t *kconf, void *arg, char *text, size_t size)
{
    (void)kconf, (void)arg, (void)text, (void)size;
    atomic_store_explicit(&record_ms, clock_mono_ms(), memory_order_relaxed);
    rd_kafka_resp_err_t code = rd_kafka_interceptor_add_on_consume(kafka, NAME, on_consume, NULL);
    return code != RD_KAFKA_RESP_ERR_NO_ERROR
               ? code
               : rd_kafka_interceptor_add_on_response_received(kafka, NAME, on_response, NULL);
}

void kafka_conf_rest(rd_kafka_conf_t *kconf)
{
    rd_kafka_resp_err_t code = rd_kafka_conf_interceptor_add_on_new(kconf, NAME, on_new, NULL);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) { /* there is one of that name */
        abort();
    }
}
