/* Kafka on the loop (librdkafka): a group member that consumes and commits, a producer, a reader of one
 * partition. */
#ifndef HELPDESK_BUS_BUS_H
#define HELPDESK_BUS_BUS_H

#include <stdbool.h>
#include "base/error.h"
#include "bus/record.h"
#include "conf/conf.h"
#include "loop/loop.h"

/* ---- consuming as a member of a group ---- */

struct bus_consumer;

/* How long a partition that leaves may still be worked on (setting engine.revoke-timeout; less on the
 * embedded broker). At about twice that the consumer lets it go whatever its owner does. */
int64_t bus_revoke_bound_ms(const struct conf *conf);

struct bus_consumer_events { /* all on the loop thread */
    /* Partition is ours from `offset` on; `metadata` is what was committed with it ("" if nothing). */
    void (*assigned)(void *arg, const char *topic, int32_t partition, int64_t offset, const char *metadata);
    /* Partition leaves. `lost`: another member may have it already, no commit for it can succeed; it is gone
     * with this call. Else the owner stops starting work on it, finishes within bus_revoke_bound_ms, commits,
     * and then calls bus_consumer_release (a second call with `lost` says that it took too long). */
    void (*revoked)(void *arg, const char *topic, int32_t partition, bool lost);
    /* `record` is borrowed until bus_consumer_free_record(handle). */
    void (*record)(void *arg, const struct bus_record *record, void *handle);
    void (*fatal)(void *arg, const struct error *err);
};

/* What a member of a group reads. */
struct bus_subscription {
    const char *group;         /* without kafka.prefix */
    const char *const *topics; /* logical names */
    size_t topic_count;
    int64_t gather_ms; /* how long few records may wait at the broker for others, so that they come together;
                          0: each comes at once */
};

/* Joins the group. Waits for an absent broker: health part "broker". */
struct bus_consumer *bus_consumer_new(struct loop *loop, const struct conf *conf,
    const struct bus_subscription *subscription, const struct bus_consumer_events *events, void *arg,
    struct error *err);
void bus_consumer_free_record(void *handle);
void bus_consumer_pause(struct bus_consumer *consumer, const char *topic, int32_t partition);
void bus_consumer_resume(
    struct bus_consumer *consumer, const char *topic, int32_t partition); /* only what was paused */
void bus_consumer_release(struct bus_consumer *consumer, const char *topic, int32_t partition);
/* Leaves the group; `closed` is called when it is done; then bus_consumer_free. */
void bus_consumer_close(struct bus_consumer *consumer, void (*closed)(void *arg), void *arg);
void bus_consumer_free(struct bus_consumer *consumer);

/* ---- committing: outputs and offsets together ---- */

enum bus_delivery {
    BUS_EXACTLY_ONCE,  /* a batch is one Kafka transaction: readers of committed records see all of it or none
                        */
    BUS_AT_LEAST_ONCE, /* outputs are acknowledged by all in-sync replicas, then the offsets are committed; a
                          process that dies in between leaves outputs behind that its successor repeats */
};
enum bus_delivery bus_delivery_setting(const struct conf *conf); /* engine.delivery */

/* The committer thread: one batch commits while the next collects. Its consumer must outlive it. ERROR_FATAL
 * "setting_missing" (exactly once needs `instance`), "setting_conflict" (the embedded broker knows no
 * transactions). */
struct bus_committer;
struct bus_batch; /* outputs, offsets and maps, sealed by bus_committer_submit */

struct bus_committer *bus_committer_new(struct loop *loop, const struct conf *conf,
    struct bus_consumer *consumer, enum bus_delivery delivery, struct error *err);
struct bus_batch *bus_batch_new(void);
void bus_batch_free(struct bus_batch *batch); /* for a batch that was never submitted or was given back */
/* Adds an output and returns its index. Borrows `out` and all it points to until `done`. A `lone` output is
 * one whose topic may be away without all waiting for it (a dead letter): the batch is given back without
 * being committed. */
int bus_batch_output(struct bus_batch *batch, const struct bus_record *out, bool lone);
/* In a batch that was given back: this lone output's topic is away, too. */
bool bus_batch_away(const struct bus_batch *batch, int output);
/* In a batch that was given back: this output is delivered, and will not be sent again. */
bool bus_batch_acked(const struct bus_batch *batch, int output);
/* Leaves out an output of a batch that was given back. */
void bus_batch_remove(struct bus_batch *batch, int output);
/* Commit `offset` as the next to read of the partition, with `metadata` (copied). The last call for a
 * partition wins. */
void bus_batch_offset(
    struct bus_batch *batch, const char *topic, int32_t partition, int64_t offset, const char *metadata);
size_t bus_batch_bytes(const struct bus_batch *batch);
/* What became of a batch. Weather has been retried inside until one of these came. */
enum bus_commit_end {
    BUS_COMMITTED,  /* all of it */
    BUS_GIVEN_BACK, /* none of it: no broker takes `output` (ERROR_REJECT), or the topic of the lone `output`
                       is away (ERROR_RETRY). It may be submitted again, changed; what was acknowledged of it
                       is then not sent again. */
    BUS_ABORTED,    /* exactly once: none of it; the group did not take the offsets. A rebalance is near. */
    BUS_OFFSETS_REFUSED, /* at least once: the same, but the outputs are out */
    BUS_COMMIT_FATAL,    /* this process may not commit, or another one of its name has taken over */
};
/* `err` NULL with BUS_COMMITTED. `batch` with BUS_GIVEN_BACK: the caller's again; else it was freed. */
typedef void bus_committed(
    void *arg, enum bus_commit_end end, const struct error *err, struct bus_batch *batch, int output);
/* Takes the batch; one at a time. `done` on the loop thread, not called when the committer closes before. */
void bus_committer_submit(
    struct bus_committer *committer, struct bus_batch *batch, bus_committed *done, void *arg);
bool bus_committer_busy(const struct bus_committer *committer);
void bus_committer_free(
    struct bus_committer *committer); /* joins its thread; a batch under way is finished or given up in 5 s */

/* ---- producing one record at a time, with its acknowledgement ---- */

struct bus_producer;
struct bus_producer *bus_producer_new(struct loop *loop, const struct conf *conf, const char *const *topics,
    size_t topic_count, struct error *err); /* `topics`: warmed up at start; health part "broker" */
typedef void bus_delivered(
    void *arg, const struct error *err); /* loop thread; err NULL: acknowledged by all replicas */
/* Copies the record. `done` is always called, never inside this call. ERROR_RETRY "broker_unavailable",
 * "queue_full". */
void bus_produce(
    struct bus_producer *producer, const struct bus_record *record, bus_delivered *done, void *arg);
size_t bus_producer_pending(const struct bus_producer *producer); /* records not yet acknowledged */
void bus_producer_free(struct bus_producer *producer);

/* ---- reading one partition from now on, outside any group (the gateway's replies) ---- */

struct bus_reader;
typedef void bus_read(void *arg, const struct bus_record *record); /* record borrowed inside the call */
/* Ready (health part "replies") once the end offset was resolved: nothing produced after that is missed. */
struct bus_reader *bus_reader_new(struct loop *loop, const struct conf *conf, const char *topic,
    int32_t partition, bus_read *fn, void *arg, struct error *err);
bool bus_reader_ready(const struct bus_reader *reader);
void bus_reader_free(struct bus_reader *reader);

#endif
