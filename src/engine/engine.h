/* The stage engine: consume -> process -> produce, with thousands of jobs in flight on one loop.
 *
 * Model: Confluent's Parallel Consumer. Order is kept per key of a topic, not per partition; the committed
 * offset is the lowest one not done, and what is done beyond it travels in the commit's metadata as a
 * run-length map, so a restart repeats little. Outputs and offsets are sealed into batches; one commits while
 * the next collects: load sets the batch size and a single record waits for no timer.
 *
 * Among the buffered records whose key's turn has come, header `priority` decides (critical, high, medium,
 * low; medium when it is missing): of 15 that start, 8, 4, 2 and 1 are of these, so nothing starves. Header
 * `deadline-at` (milliseconds since the epoch) says until when somebody waits: whatever is away, a job starts
 * ENGINE_RESERVE_MS before it, so that its stage can do without. Both are copies of what the record says.
 *
 * With run.dir set, a record whose processing kills the process is a dead letter of class "crashed" after the
 * third time (engine/journal.h). Who ran beside it is told from it so: with one crash, as many records run at
 * once as the square root of how many have one, so at most so few have two after the next; with two, a record
 * runs alone (the others wait for it 5 s at most). Only the killer reaches three. */
#ifndef HELPDESK_ENGINE_ENGINE_H
#define HELPDESK_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/error.h"
#include "bus/record.h"
#include "conf/conf.h"
#include "loop/loop.h"

struct engine;
struct engine_job;

/* The last part of a job's deadline, in ms: within it a job starts whatever is away, and its stage should do
 * without what it misses (degrade) rather than be late. */
#define ENGINE_RESERVE_MS 3000

enum engine_outcome {
    ENGINE_DONE,   /* outputs are committed with the offset */
    ENGINE_SKIP,   /* nothing to do for this record; outputs dropped */
    ENGINE_FAILED, /* the error's disposition decides: retry, dead letter, fatal */
};

/* What a stage gives the engine. Static; one per stage. */
struct engine_stage {
    const char *name; /* "classifier": the group, the dead-letter topic "<name>.dead", metric labels */
    const char *const *topics; /* logical names, NULL-terminated */
    int64_t gather_ms; /* nobody waits for its jobs: records may wait so long, to be taken and committed
                          together */
    bool any_order;    /* records of one key need no order: what they say is looked up when they run */
    /* What its jobs need and may miss, NULL-terminated ("db"); NULL: nothing. Each has a circuit breaker that
     * opens when attempts end in "<dependency>_unavailable", engine.breaker-after of them without one that is
     * done between them: then one job at a time tries, and the others wait. */
    const char *const *dependencies;
    /* Starts the work on a job and returns; engine_finish ends it, inside this call or later. Loop thread. */
    void (*process)(struct engine_job *job, void *stage);
    /* The job will become a dead letter: may engine_emit records that tell of it (a `failed` answer), which
     * commit with it. NULL: nothing to tell. */
    void (*rejected)(struct engine_job *job, const struct error *err, void *stage);
};

/* A job, seen from the stage. All on the loop thread; everything borrowed until engine_finish. */
const struct bus_record *engine_record(const struct engine_job *job);
struct arena *engine_arena(struct engine_job *job); /* freed when the job is over; new for each attempt */
int engine_attempt(const struct engine_job *job);   /* 1 for the first */
/* When the record came from the broker, on the monotonic clock: what it tells of had happened before. */
int64_t engine_taken_ms(const struct engine_job *job);
/* Why the attempts before this one failed, the last 5 at most, oldest first: "<code>: <text>", cut to 200
 * bytes. */
size_t engine_error_count(const struct engine_job *job);
const char *engine_error(const struct engine_job *job, size_t index);
/* The attempt ends, or goes on, without an answer of what the stage depends on: it was not asked, or did not
 * answer in time. ENGINE_DONE then closes no breaker. */
void engine_did_without(struct engine_job *job);
/* The partition left while the job ran: its result will be dropped, it may end early. */
bool engine_cancelled(const struct engine_job *job);

/* Adds an output (copied). */
void engine_emit(struct engine_job *job, const struct bus_record *out);
/* Ends the job, exactly once. `err` with ENGINE_FAILED only. A retry comes back to process() later, in its
 * key's turn: full jitter backoff, `retry_after_ms` obeyed unless a deadline comes before, after
 * engine.retries attempts the dead letter. An ERROR_RETRY whose code ends in "_unavailable" says that what
 * the job needs is away: it does not count. */
void engine_finish(struct engine_job *job, enum engine_outcome outcome, const struct error *err);
/* CPU work above 1 ms: `work` on a pool thread (touches only what hangs on `arg`), then `done` on the loop
 * thread. */
void engine_offload(struct engine_job *job, void (*work)(void *arg), void (*done)(void *arg), void *arg);

/* Starts consuming. `stage_state` is handed to process. */
struct engine *engine_new(struct loop *loop, const struct conf *conf, const struct engine_stage *stage,
    void *stage_state, struct error *err);
/* Stops taking, finishes what is in flight within engine.drain-timeout, commits, leaves the group; then calls
 * `drained`. */
void engine_drain(struct engine *engine, void (*drained)(void *arg), void *arg);
void engine_free(struct engine *engine); /* after drained */

#endif
