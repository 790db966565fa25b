/* The dead letters of one stage: reading them, publishing them again, and keeping which of them are handled.
 *
 * Which are handled is what the consumer group "<kafka.prefix><stage>.dlq" has committed: an offset, and the
 * caller's metadata with it. On Apache Kafka records and commit are one transaction whose transactional.id
 * goes by the stage: whoever opens it to change something ends the work of all others (KIP-98), so a letter
 * is published once. The embedded broker has no transactions: there it is at least once. One thread; all
 * calls block, and give up after half a minute without progress. */
#ifndef HELPDESK_BUS_DEAD_H
#define HELPDESK_BUS_DEAD_H

#include <stdbool.h>
#include "base/error.h"
#include "bus/record.h"
#include "conf/conf.h"

#define DEAD_COMMIT_MAX 100 /* records in one commit */

struct dead;

/* As it was when the stage's letters were opened. */
struct dead_partition {
    int64_t low;       /* the first offset that is still there */
    int64_t end;       /* after the last one; what comes later is not read */
    int64_t committed; /* all below is handled; -1: nothing was committed */
    char *metadata;    /* that came with it; "" for none; borrowed from the struct dead */
};

enum dead_mode { DEAD_READ, DEAD_CHANGE };

/* `stage` borrowed. With DEAD_CHANGE whoever else changes this stage's letters is fenced, and what that one
 * left open is ended before the commits are read. NULL: ERROR_FATAL "topic_absent", or as of kafka_error and
 * transaction_init. */
struct dead *dead_open(const struct conf *conf, const char *stage, enum dead_mode mode, struct error *err);
void dead_close(struct dead *dead);
int32_t dead_partition_count(const struct dead *dead);
const struct dead_partition *dead_partition(const struct dead *dead, int32_t partition);

/* How long the brokers keep what a group has committed when it commits nothing more
 * (offsets.retention.minutes; Kafka's default of 7 days when they do not tell): of a letter that died longer
 * ago it is not known whether it was handled. INT64_MAX on the embedded broker. In ms. */
int64_t dead_commits_kept_ms(const struct dead *dead);

/* `letter` is borrowed inside the call; its topic is "<stage>.dead". False: read no further. */
typedef bool dead_letter(void *arg, const struct bus_record *letter);
/* The committed letters from `from` on, in order, up to the partition's end. May call dead_commit inside
 * `fn`. ERROR_RETRY "broker_unavailable", ERROR_FATAL. */
bool dead_read(
    struct dead *dead, int32_t partition, int64_t from, dead_letter *fn, void *arg, struct error *err);

struct dead_commit {
    int32_t partition;
    int64_t offset;                          /* all below is handled */
    const char *metadata;                    /* at most 4096 characters */
    const struct bus_record *const *records; /* to publish: topic is a logical name */
    size_t count;                            /* at most DEAD_COMMIT_MAX; 0 for none */
};
/* Publishes the records and commits, all or nothing on Apache Kafka. False: nothing of it is done, but for
 * "given_up" (not known), and the embedded broker (some records may be out). ERROR_REJECT: no broker takes
 * record `*refused`, the same may be tried without it. ERROR_RETRY "map_too_large", "topic_unavailable",
 * "given_up". ERROR_FATAL "fenced": someone else changes this stage's letters now. */
bool dead_commit(struct dead *dead, const struct dead_commit *commit, size_t *refused, struct error *err);

/* Takes the letters below `offset` out of the partition for good; all of them must be handled. The embedded
 * broker keeps them. False: they are still there, which does no harm. */
bool dead_remove(struct dead *dead, int32_t partition, int64_t offset, struct error *err);

#endif
