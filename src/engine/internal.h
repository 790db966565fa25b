/* The engine's inside, shared by its files. All of it on the loop thread. */
#ifndef HELPDESK_ENGINE_INTERNAL_H
#define HELPDESK_ENGINE_INTERNAL_H

#include <sys/queue.h>
#include "base/metrics.h"
#include "bus/bus.h"
#include "engine/breaker.h"
#include "engine/engine.h"
#include "engine/journal.h"
#include "engine/order.h"
#include "engine/outcome.h"
#include "engine/ready.h"
#include "engine/window.h"

#define BUFFER_FACTOR 3   /* jobs held beside each that may run: a hot key fills them only slowly */
#define BUFFER_MAX 2048   /* but no more of them: thousands that run keep the memory of thousands */
#define JOB_OVERHEAD 1024 /* bytes counted for a job beside its record */
#define JOB_ERRORS 5      /* earlier attempts whose errors a job remembers: the last ones */
#define JOB_ERROR_MAX 200 /* bytes of each */
#define JOB_CRASHES_MAX 3 /* a record that killed so many processes is run no more */

enum job_state {
    JOB_WAITING,   /* for its key's turn */
    JOB_READY,     /* at the gate: gate.c */
    JOB_RUNNING,   /* the stage has it */
    JOB_REJECTING, /* inside stage->rejected */
    JOB_BACKOFF,   /* its timer brings it back to ready */
    JOB_FINISHED,  /* in engine->finished: its outputs go into the next batch */
    JOB_SEALED,    /* in engine->sealed: in the batch that is being committed */
    JOB_HELD,      /* its dead letter could not be written; its timer brings it back to finished */
    JOB_DROPPED,   /* not done here; kept only because its window still counts it as unfinished */
};

struct engine_output {
    struct bus_record *record; /* ours */
    bool lone;
    struct engine_output *next;
};

struct engine_job {
    struct window_node node; /* first: see window.h */
    struct order_entry turn;
    struct engine *engine;
    struct engine_partition *partition;
    const struct bus_record *record; /* until the handle is freed */
    void *handle;
    size_t bytes; /* counted in engine->bytes: record and outputs */
    enum job_state state;
    bool cancelled;
    int attempt;
    int outages; /* attempts that do not count: what they needed was away */
    struct ready_entry place;
    int64_t deadline_ms;      /* on the monotonic clock, clocks' difference included; INT64_MAX: none */
    int crashes;              /* processes that died while this record ran: attempts too */
    int slot;                 /* in the journal while it runs; -1: none */
    bool admitted;            /* started by the gate, which has not heard of its end */
    bool probe;               /* of the breakers that are half open */
    bool without;             /* its stage has not asked what it depends on */
    char *errors[JOB_ERRORS]; /* of the last attempts before this one, oldest first */
    size_t error_count;
    struct arena *arena; /* while running */
    struct engine_output *outputs;
    struct engine_output **outputs_end;
    struct error emit_error; /* an output that no topic takes */
    int first_output;        /* in the sealed batch */
    int output_count;
    struct loop_timer *timer;
    int64_t taken_ms; /* monotonic */
    int64_t started_us;
    TAILQ_ENTRY(engine_job) link;         /* in suspects, last_chance, finished or sealed */
    TAILQ_ENTRY(engine_job) of_partition; /* in partition->jobs */
};
TAILQ_HEAD(job_list, engine_job);

struct engine_partition {
    const char *topic; /* the consumer's string: compared by address */
    int32_t id;
    struct order *order; /* its topic's */
    struct window window;
    struct job_list jobs; /* all whose node is in the window */
    size_t live;          /* of them: neither dropped nor cancelled */
    size_t held;
    bool dirty;   /* its position is for the next batch */
    bool narrow;  /* its map grew too long: no intake */
    bool paused;  /* as the consumer was told */
    bool leaving; /* revoked; released when its work is committed */
    bool gone;    /* not ours any more; freed with its last job */
    LIST_ENTRY(engine_partition) link;
};
LIST_HEAD(partition_list, engine_partition);

struct engine {
    struct loop *loop;
    const struct engine_stage *stage;
    void *stage_state;
    struct bus_consumer *consumer;
    struct bus_committer *committer;
    struct order **orders; /* one for each topic: a record never waits for one that may need it to be done */
    size_t topic_count;
    struct retry_policy retry;
    size_t max_running;
    size_t max_bytes;
    int64_t revoke_bound_ms;
    int64_t drain_timeout_ms;
    int64_t clock_skew_ms;

    struct partition_list partitions; /* ours */

    /* The gate: jobs whose key's turn has come. */
    struct ready ready;
    struct job_list suspects;    /* with one crash: few at once */
    struct job_list last_chance; /* with two: alone */
    size_t suspects_running;
    size_t suspects_at_once;
    struct engine_job *alone; /* the one of last_chance that runs */
    int64_t alone_since_ms;   /* it runs, or the first of last_chance waits for the others; 0: neither */
    int64_t urgent_after_ms;  /* next look for jobs whose deadline is near */
    struct gate_dependency *dependencies;
    size_t dependency_count;
    struct loop_timer *gate_timer;
    struct journal *journal; /* NULL: none */
    bool journal_stale;      /* partitions have come since it was read */

    struct job_list finished;
    struct job_list sealed;
    size_t running;
    size_t buffered; /* waiting, ready, running or backing off */
    size_t bytes;
    bool full; /* no intake until it is well below the limits */

    struct loop_timer *turn; /* the next turn of the engine; armed while there is something to do */
    bool turn_armed;
    struct loop_timer *revoke_timer;
    struct loop_timer *drain_timer;
    bool draining;
    bool drain_overdue; /* running jobs are given up */
    bool closing;       /* the consumer leaves the group */
    bool refused;       /* the group did not take offsets: nothing new is started or sent until it does, or
                           partitions leave */
    bool stopped;       /* after a fatal error: nothing is started or committed */
    bool freed;         /* waits for jobs that still run */
    void (*drained)(void *arg);
    void *drained_arg;

    struct {
        struct metric *in_flight, *buffered, *bytes, *waiting, *keys, *window, *held;
        struct metric *seconds, *retries, *dead, *skipped, *dropped, *oversized;
        struct metric *crashed;
        struct metric *jobs[5]; /* by enum outcome_action */
    } metric;
};

/* ---- engine.c ---- */

void engine_kick(struct engine *engine); /* a turn soon */
/* A fatal error: says so and ends the loop with code 1. */
void engine_stop(struct engine *engine, const struct error *err);
void engine_free_last(struct engine *engine); /* frees a freed engine once no job runs */

/* ---- job.c ---- */

/* Takes the record's handle. */
struct engine_job *job_new(
    struct engine_partition *partition, struct engine *engine, const struct bus_record *record, void *handle);
/* Before it is ready: so many processes died while its record ran. */
void job_take_crashes(struct engine_job *job, int crashes);
void job_make_ready(struct engine_job *job);
void job_start(struct engine_job *job);
void job_bury(struct engine_job *job); /* it has killed too many processes: a dead letter, unstarted */
/* Its work is not ours any more: resources go, the node stays until the partition is gone. */
void job_drop(struct engine_job *job);
void job_cancel(struct engine_job *job); /* the same for one that runs */
void job_free(struct engine_job *job);   /* out of its partition and its window too */
void job_dead_letter(struct engine_job *job, const struct error *err);
void job_drop_output(struct engine_job *job, struct engine_output *output); /* one of its own */
void job_back_to_finished(struct engine_job *job);
bool job_unstarted(const struct engine_job *job); /* drop, rather than wait for it */

/* ---- gate.c ---- */

void gate_init(struct engine *engine, int64_t breaker_after);
void gate_fini(struct engine *engine);
void gate_add(struct engine_job *job);
void gate_remove(struct engine_job *job);    /* added and not started */
void gate_start(struct engine *engine);      /* starts all that may start now */
bool gate_shut(const struct engine *engine); /* a breaker is open: nothing starts, or one probe */
/* A job that the gate started has ended, or nobody takes its result. Only the first call counts. */
void gate_ended(struct engine_job *job, enum engine_outcome outcome, const struct error *err);

/* ---- intake.c ---- */

void intake_assigned(void *arg, const char *topic, int32_t partition, int64_t offset, const char *metadata);
void intake_record(void *arg, const struct bus_record *record, void *handle);
void intake_update(struct engine *engine); /* pauses and resumes partitions as the limits say */

/* ---- commit.c ---- */

void commit_seal(
    struct engine *engine); /* submits a batch when the committer is idle and there is something */
bool commit_pending(const struct engine *engine);

/* ---- drain.c ---- */

void drain_revoked(void *arg, const char *topic, int32_t id, bool lost);
void drain_step(struct engine *engine); /* releases what is finished, closes when all is */
void drain_revoke_overdue(void *arg);
void drain_timed_out(void *arg);
void drain_give_up_leaving(struct engine *engine); /* nothing of what leaves can be committed any more */
/* It is somebody else's from now on: nothing of it is committed any more. */
void drain_lose(struct engine *engine, struct engine_partition *partition);
void drain_forget(struct engine_partition *partition); /* frees it when it is gone and its last job too */

#endif
