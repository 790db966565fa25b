/* How the committer delivers a batch: the contract of the two ways, one file each. On the committer's thread.
 */
#ifndef HELPDESK_BUS_DELIVERY_H
#define HELPDESK_BUS_DELIVERY_H

#include "bus/batch.h"
#include "bus/sender.h"
#include "bus/transaction.h"

struct commit_result {
    enum bus_commit_end end;
    struct error err; /* ERROR_NONE with BUS_COMMITTED */
    int output;       /* -1: about none of them */
};

struct delivery {
    const struct delivery_mode *mode;
    struct bus_consumer *consumer;
    const struct conf *conf;
    bool (*give_up)(void *arg); /* asked while waiting */
    void *give_up_arg;
    struct sender sender;
    rd_kafka_queue_t *answers;      /* at least once: of commits */
    struct transaction transaction; /* exactly once */
    bool initialised;               /* the same: earlier transactions of our name are over */
    int renewals;                   /* the same: of the producer, since the last commit */
    int64_t ended_ms;               /* the same: when the last transaction did */
};

struct delivery_mode {
    /* Opens the producer. False: ERROR_FATAL. */
    bool (*open)(struct delivery *delivery, struct error *err);
    void (*start)(struct delivery *delivery); /* before the first batch; NULL: nothing to do */
    /* One attempt at a batch. True when `result` stands; false: weather, told in result->err, try again. */
    bool (*attempt)(struct delivery *delivery, struct bus_batch *batch, struct commit_result *result);
    void (*close)(struct delivery *delivery);
};

extern const struct delivery_mode delivery_exactly_once;
extern const struct delivery_mode delivery_at_least_once;

/* ---- what both need ---- */

/* The batch's offsets of partitions that are still owned as they were when it was submitted; the broker would
 * take a live member's offset for a partition that it lost. `all`: none was left out. */
rd_kafka_topic_partition_list_t *delivery_owned_offsets(
    const struct delivery *delivery, const struct bus_batch *batch, bool *all);
/* Whether every output is acknowledged. Else the worst of what they met: a refusal before a lone one's
 * missing topic (both BUS_GIVEN_BACK, `stands`) before weather. */
bool delivery_outputs_acked(struct bus_batch *batch, struct commit_result *result, bool *stands);
/* After the broker refused an offset's metadata for its size. */
void delivery_drop_maps(struct bus_batch *batch);

#endif
