/* Reading one partition from now on, outside any group. */
#include <stdio.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/health.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bus/kafka.h"

#define TURN_EVENTS 256
#define RESOLVE_TIMEOUT_MS 1000
#define RESOLVE_PAUSE_MS 200

/* The lookup of the partition's end; it blocks. */
struct resolve {
    struct background_call call;
    struct bus_reader *reader;
    rd_kafka_resp_err_t code;
    int64_t end;
};

struct bus_reader {
    struct kafka_client client;
    char name[KAFKA_NAME_SIZE];
    char *topic; /* logical */
    int32_t partition;
    bus_read *fn;
    void *arg;
    struct resolve resolve;
    bool ready;
    struct metric *read;
};

static void read_messages(struct bus_reader *reader, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message;
    while ((message = rd_kafka_event_message_next(event)) != NULL) {
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            log_warn("partition", LOG_STR("topic", reader->topic), LOG_INT("partition", reader->partition),
                LOG_STR("error", rd_kafka_err2name(message->err)));
            continue;
        }
        metric_add(reader->read, 1);
        struct bus_record *record = record_from_message(message, reader->topic);
        reader->fn(reader->arg, record);
        free(record);
    }
}

static void reader_serve(void *arg)
{
    struct bus_reader *reader = arg;
    for (int i = 0; i < TURN_EVENTS; i++) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(reader->client.queue, 0);
        if (!event) {
            return;
        }
        struct error err = {0};
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH) {
            read_messages(reader, event);
        } else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR &&
                   kafka_client_error(&reader->client, event, &err)) {
            health_set("replies", false, err.text);
        }
        rd_kafka_event_destroy(event);
    }
    wake_signal(&reader->client.wake); /* the descriptor fires again only when the queue was empty */
}

static void resolve_work(struct background_call *call)
{
    struct resolve *resolve = (struct resolve *)call;
    struct bus_reader *reader = resolve->reader;
    resolve->code = kafka_offset(reader->client.kafka, reader->name, reader->partition, RD_KAFKA_OFFSET_END,
        RESOLVE_TIMEOUT_MS, &resolve->end);
    if (resolve->code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        background_sleep(call->background, RESOLVE_PAUSE_MS);
    }
}

static void resolve_done(struct background_call *call)
{
    struct resolve *resolve = (struct resolve *)call;
    struct bus_reader *reader = resolve->reader;
    if (resolve->code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        char why[128];
        snprintf(why, sizeof(why), "%s, partition %d: %s", reader->topic, (int)reader->partition,
            rd_kafka_err2str(resolve->code));
        health_set("replies", false, why);
        background_submit(call->background, call);
        return;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, reader->name, reader->partition)->offset = resolve->end;
    rd_kafka_assign(reader->client.kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    reader->ready = true;
    health_set("broker", true, "");
    health_set("replies", true, "");
}

static void resolve_drop(struct background_call *call)
{
    (void)call; /* part of the reader */
}

struct bus_reader *bus_reader_new(struct loop *loop, const struct conf *conf, const char *topic,
    int32_t partition, bus_read *fn, void *arg, struct error *err)
{
    rd_kafka_conf_t *kconf = kafka_conf_new(conf, err);
    if (!kconf) {
        return NULL;
    }
    struct bus_reader *reader = xcalloc(1, sizeof(*reader));
    kafka_topic_name(conf, topic, reader->name);
    kafka_conf_consumer(kconf, conf, 1, 0);
    kafka_conf_set(kconf, "group.id", reader->name); /* demanded by librdkafka; no group is joined */
    rd_kafka_conf_set_events(kconf, RD_KAFKA_EVENT_ERROR);
    reader->topic = xstrdup(topic);
    reader->partition = partition;
    reader->fn = fn;
    reader->arg = arg;
    reader->read = metrics_counter("helpdesk_bus_replies_read_total", "Records read from the replies", NULL);
    if (!kafka_client_init(&reader->client, loop, RD_KAFKA_CONSUMER, kconf, reader_serve, reader, err)) {
        free(reader->topic);
        free(reader);
        return NULL;
    }
    health_set("replies", false, "the end of the partition is not known yet");
    reader->resolve.call =
        (struct background_call){.work = resolve_work, .done = resolve_done, .drop = resolve_drop};
    reader->resolve.reader = reader;
    background_submit(reader->client.background, &reader->resolve.call);
    return reader;
}

bool bus_reader_ready(const struct bus_reader *reader)
{
    return reader->ready;
}

void bus_reader_free(struct bus_reader *reader)
{
    if (!reader) {
        return;
    }
    kafka_client_stop(&reader->client);
    rd_kafka_assign(reader->client.kafka, NULL);
    rd_kafka_destroy_flags(reader->client.kafka, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    kafka_client_fini(&reader->client);
    free(reader->topic);
    free(reader);
}
