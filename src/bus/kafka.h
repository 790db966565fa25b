/* What the files of bus share: librdkafka's configuration, names, errors, records, and a client on the loop.
 */
#ifndef HELPDESK_BUS_KAFKA_H
#define HELPDESK_BUS_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include "base/error.h"
#include "bus/background.h"
#include "bus/bus.h"
#include "bus/wake.h"
#include "conf/conf.h"

#define KAFKA_NAME_SIZE 250 /* Kafka allows topic names of 249 characters */
#define KAFKA_MAX_RECORD                                                                                     \
    (4 * 1024 * 1024) /* the largest record a producer takes; each topic's own limit is lower */

/* ---- config.c ---- */

/* Only a name, and librdkafka's lines into our log. */
rd_kafka_conf_t *kafka_conf_bare(const char *client_id);
/* What every client needs. NULL and ERROR_FATAL when kafka.brokers is not set. */
rd_kafka_conf_t *kafka_conf_new(const struct conf *conf, struct error *err);
/* Sets a property of ours; a name or value that librdkafka refuses is a bug and aborts. */
void kafka_conf_set(rd_kafka_conf_t *kconf, const char *name, const char *value);
void kafka_conf_set_int(rd_kafka_conf_t *kconf, const char *name, int64_t value);
/* Sets a property that newer versions of librdkafka know and older ones do not. */
void kafka_conf_set_if_known(rd_kafka_conf_t *kconf, const char *name, const char *value);
void kafka_conf_producer(rd_kafka_conf_t *kconf);
/* How much of each of `partitions` may be fetched and not yet taken. */
size_t kafka_queue_bytes(size_t partitions);
/* Fetching `partitions` of them. `gather_ms`: as of bus_consumer_new. */
void kafka_conf_consumer(
    rd_kafka_conf_t *kconf, const struct conf *conf, size_t partitions, int64_t gather_ms);
/* For a consumer of the embedded broker: seldom asks while there is nothing to read. */
void kafka_conf_rest(rd_kafka_conf_t *kconf); /* rest.c */
/* Takes kconf. NULL: ERROR_FATAL. */
rd_kafka_t *kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *kconf, struct error *err);
void kafka_topic_name(const struct conf *conf, const char *logical, char out[KAFKA_NAME_SIZE]);
/* Fills err from librdkafka's code; always returns false. `what` names what was tried. */
bool kafka_error(struct error *err, rd_kafka_resp_err_t code, const char *what);

/* ---- record.c ---- */

/* A copy of librdkafka's message, as bus_record_copy makes it; but `topic`, its logical name, stays borrowed.
 */
struct bus_record *record_from_message(const rd_kafka_message_t *message, const char *topic);
/* Hands the record to the producer. With `copy` the bytes are copied, else they must live until its delivery
 * report. */
rd_kafka_resp_err_t record_produce(
    rd_kafka_t *producer, const char *topic_name, const struct bus_record *record, bool copy, void *opaque);

/* ---- client.c ---- */

/* A librdkafka handle on the loop: woken by its queues, ticking, its broker's health watched. */
struct kafka_client {
    rd_kafka_t *kafka;
    rd_kafka_queue_t *queue; /* the main or the consumer queue */
    struct wake wake;
    struct loop_timer *tick; /* also when the queue was never empty: a missed wake costs a tick at most */
    int64_t tick_ms;
    loop_fn *serve;
    void *arg;
    struct background *background;
    struct probe *probe; /* the search for a broker that answers, while there is one */
};

/* Takes kconf. `serve` is called on the loop thread when there may be events, and every tick. */
bool kafka_client_init(struct kafka_client *client, struct loop *loop, rd_kafka_type_t type,
    rd_kafka_conf_t *kconf, loop_fn *serve, void *arg, struct error *err);
/* Wakes the loop when `queue` turns from empty to not. */
void kafka_client_watch(struct kafka_client *client, rd_kafka_queue_t *queue);
void kafka_client_unwatch(rd_kafka_queue_t *queue);
void kafka_client_set_tick(struct kafka_client *client, int64_t tick_ms);
/* Looks for a broker until one answers: health part "broker". */
void kafka_client_probe(struct kafka_client *client);
/* An RD_KAFKA_EVENT_ERROR: health, log. True when the handle is beyond use (err filled). */
bool kafka_client_error(struct kafka_client *client, rd_kafka_event_t *event, struct error *err);
/* Stops all of it but the handle itself; then the owner destroys `kafka`, then kafka_client_fini. */
void kafka_client_stop(struct kafka_client *client);
void kafka_client_fini(struct kafka_client *client);

/* ---- offset.c ---- */

/* Asks the partition's leader for `place`, RD_KAFKA_OFFSET_BEGINNING or _END (read_committed: of the last
 * transaction that is over). Blocks, but no longer than it is told: rd_kafka_query_watermark_offsets, made
 * for this, waits for a leader that hangs for as long as its socket does (librdkafka 2.0.2). `offset` is set
 * only without an error. Any thread. */
rd_kafka_resp_err_t kafka_offset(rd_kafka_t *kafka, const char *topic_name, int32_t partition, int64_t place,
    int timeout_ms, int64_t *offset);

/* ---- consumer.c, for the committer ---- */

rd_kafka_t *consumer_kafka(const struct bus_consumer *consumer);
const char *consumer_group(const struct bus_consumer *consumer); /* with the prefix */
/* Which ownership of the partition is in force: a number that no other one has, 0 when it is not ours. Any
 * thread. */
unsigned consumer_ownership(struct bus_consumer *consumer, const char *topic, int32_t partition);

#endif
