/* A batch's inside: what a commit makes happen together. */
#ifndef HELPDESK_BUS_BATCH_H
#define HELPDESK_BUS_BATCH_H

#include "bus/kafka.h"

struct batch_output {
    const struct bus_record *record;
    bool lone;
    bool removed;
    bool sent;  /* handed over and not yet reported */
    bool acked; /* by all in-sync replicas */
    bool away;  /* a lone one whose topic could not be had at the last attempt */
    rd_kafka_resp_err_t code;
};

struct batch_offset {
    char *topic; /* logical */
    int32_t partition;
    int64_t offset;
    char *metadata;
    bool submitted;     /* `ownership` is known; a batch that was given back keeps it */
    unsigned ownership; /* at the first submit; it must still be in force at the commit */
};

struct bus_batch {
    struct batch_output *outputs;
    size_t output_count;
    size_t output_capacity;
    struct batch_offset *offsets;
    size_t offset_count;
    size_t bytes;
};

#endif
