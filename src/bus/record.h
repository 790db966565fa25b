/* A record of a topic, as it comes in and as it goes out. */
#ifndef HELPDESK_BUS_RECORD_H
#define HELPDESK_BUS_RECORD_H

#include <stddef.h>
#include <stdint.h>

struct bus_header {
    const char *name;
    const void *value;
    size_t len;
};

/* Everything borrowed from whoever hands it out. */
struct bus_record {
    const char *topic; /* logical name, without kafka.prefix: "tickets.submitted" */
    int32_t partition; /* going out: -1 for "by key" (murmur2_random) */
    int64_t offset;    /* coming in only */
    int64_t timestamp; /* ms since the epoch; going out: 0 for now */
    const void *key;   /* NULL: none */
    size_t key_len;
    const void *value;
    size_t value_len;
    const struct bus_header *headers;
    size_t header_count;
};

/* Value of the last header called `name`, or NULL. */
const struct bus_header *bus_record_header(const struct bus_record *record, const char *name);

/* Bytes of key, value and headers: what counts against a topic's limit and against memory. */
size_t bus_record_bytes(const struct bus_record *record);

/* A copy in one piece of memory, topic, key, value and headers included: free(). */
struct bus_record *bus_record_copy(const struct bus_record *record);

#endif
