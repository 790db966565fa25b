/* Records: copied into one piece of memory, taken from librdkafka's messages and handed to its producers. */
#include "bus/record.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "bus/kafka.h"

const struct bus_header *bus_record_header(const struct bus_record *record, const char *name)
{
    for (size_t i = record->header_count; i > 0; i--) {
        if (strcmp(record->headers[i - 1].name, name) == 0) {
            return &record->headers[i - 1];
        }
    }
    return NULL;
}

size_t bus_record_bytes(const struct bus_record *record)
{
    size_t bytes = record->key_len + record->value_len;
    for (size_t i = 0; i < record->header_count; i++) {
        bytes += strlen(record->headers[i].name) + record->headers[i].len;
    }
    return bytes;
}

static const void *put(char **at, const void *data, size_t len)
{
    if (!data) {
        return NULL;
    }
    char *start = *at;
    if (len > 0) {
        memcpy(start, data, len);
    }
    *at += len;
    return start;
}

struct bus_record *bus_record_copy(const struct bus_record *record)
{
    size_t names = record->header_count; /* their NULs */
    size_t head = sizeof(*record) + record->header_count * sizeof(struct bus_header);
    size_t topic_len = strlen(record->topic) + 1;
    char *block = xmalloc(head + names + bus_record_bytes(record) + topic_len);
    struct bus_record *copy = (struct bus_record *)(void *)block;
    struct bus_header *headers = (struct bus_header *)(void *)(block + sizeof(*record));
    char *at = block + head;
    *copy = *record;
    copy->headers = headers;
    for (size_t i = 0; i < record->header_count; i++) {
        const struct bus_header *header = &record->headers[i];
        headers[i].len = header->len;
        headers[i].name = put(&at, header->name, strlen(header->name) + 1);
        headers[i].value = put(&at, header->value, header->len);
    }
    copy->key = put(&at, record->key, record->key_len);
    copy->value = put(&at, record->value, record->value_len);
    copy->topic = put(&at, record->topic, topic_len);
    return copy;
}

struct bus_record *record_from_message(const rd_kafka_message_t *message, const char *topic)
{
    struct bus_header some[16];
    struct bus_header *headers = some;
    rd_kafka_headers_t *list = NULL;
    size_t count = 0;
    if (rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        count = rd_kafka_header_cnt(list);
    }
    if (count > sizeof(some) / sizeof(some[0])) {
        headers = xcalloc(count, sizeof(*headers));
    }
    for (size_t i = 0; i < count; i++) {
        rd_kafka_header_get_all(list, i, &headers[i].name, &headers[i].value, &headers[i].len);
    }
    const struct bus_record record = {
        .topic = topic,
        .partition = message->partition,
        .offset = message->offset,
        .timestamp = rd_kafka_message_timestamp(message, NULL),
        .key = message->key,
        .key_len = message->key_len,
        .value = message->payload,
        .value_len = message->len,
        .headers = headers,
        .header_count = count,
    };
    struct bus_record *copy = bus_record_copy(&record);
    copy->topic = topic;
    if (headers != some) {
        free(headers);
    }
    return copy;
}

static rd_kafka_headers_t *make_headers(const struct bus_record *record)
{
    if (record->header_count == 0) {
        return NULL;
    }
    rd_kafka_headers_t *list = rd_kafka_headers_new(record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct bus_header *header = &record->headers[i];
        rd_kafka_header_add(list, header->name, -1, header->value, (ssize_t)header->len);
    }
    return list;
}

rd_kafka_resp_err_t record_produce(
    rd_kafka_t *producer, const char *topic_name, const struct bus_record *record, bool copy, void *opaque)
{
    rd_kafka_headers_t *headers = make_headers(record);
    /* The casts: librdkafka's interface has no const, it only reads. */
    rd_kafka_resp_err_t code = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic_name),
        RD_KAFKA_V_PARTITION(record->partition < 0 ? RD_KAFKA_PARTITION_UA : record->partition),
        RD_KAFKA_V_KEY(record->key, record->key_len),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value, record->value_len), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_TIMESTAMP(record->timestamp), RD_KAFKA_V_MSGFLAGS(copy ? RD_KAFKA_MSG_F_COPY : 0),
        RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers) {
        rd_kafka_headers_destroy(headers);
    }
    return code;
}
