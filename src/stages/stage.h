/* What a stage is to the rest of the program, and the common half of the three ticket stages.
 *
 * A ticket stage is a struct ticket_step: a name, the step of the plan it does, and a process function that
 * reads and extends the event. Decoding, the plan, deadlines, provenance, the next topic, the answer and the
 * reply are done once, in ticket_step.c. A step knows no Kafka and no sockets, so `helpdesk try` and the
 * tests run it as a plain function. */
#ifndef HELPDESK_STAGES_STAGE_H
#define HELPDESK_STAGES_STAGE_H

#include "base/arena.h"
#include "base/error.h"
#include "conf/conf.h"
#include "db/db.h"
#include "engine/engine.h"
#include "loop/loop.h"
#include "msg/codec.h"

/* What stages are made from; borrowed, lives longer than any stage. */
struct stage_env {
    struct loop *loop;
    const struct conf *conf;
    struct db *db;   /* NULL when the stage needs none, or spends and there is none */
    bool unbudgeted; /* without a database, models that cost money are asked all the same, and nobody counts:
                        for a person's own trial */
};

/* A stage as the worker runs it. */
struct stage {
    const char *name; /* the role: "classifier" */
    bool needs_db;
    bool uses_db;                      /* takes one when the settings name it */
    const struct ticket_step *step;    /* or NULL */
    const struct engine_stage *engine; /* what the engine runs */
    const char *const *produces;       /* topics (logical names), NULL-terminated; dead letters apart */
    void *(*open)(
        const struct stage_env *env, struct error *err); /* state for the engine's callbacks; NULL: err */
    void (*close)(void *state);
};
extern const struct stage stage_classifier, stage_retriever, stage_generator, stage_kb_sync, stage_logger;

/* ---- ticket steps ---- */

struct ticket_job {
    struct arena *arena;            /* lives until the job ends */
    struct msg_ticket_event *event; /* extended by the step; ids, received_at, locale are always set */
    struct msg_step_trace *trace;   /* the step fills model, prompt_version, policy_version, kb_revision,
                                       tokens, cost, cache_hit */
    int64_t deadline_mono_ms; /* when nobody waits any more, on this process's monotonic clock; INT64_MAX:
                                 never */
    bool without; /* set by a step that ends without an answer of what it depends on (engine_did_without) */
    /* For ticket_step.c and `try`: */
    void (*finished)(struct ticket_job *job, const struct error *err);
    void *owner;
};

struct ticket_step {
    const char *name; /* "classifier" */
    enum msg_step step;
    /* With these settings it asks models, and wants a database where their cost is kept. NULL: never. */
    bool (*spends)(const struct conf *conf);
    void *(*open)(const struct stage_env *env, struct error *err);
    void (*close)(void *state);
    void (*process)(
        struct ticket_job *job, void *state); /* ends with one of the two below, now or later; loop thread */
};
extern const struct ticket_step classifier_step, retriever_step, generator_step;

void ticket_job_done(struct ticket_job *job);
void ticket_job_fail(struct ticket_job *job, const struct error *err);
/* Says in the provenance why this result is less than it could be ("database unavailable: no customer
 * context"). */
void ticket_job_degraded(struct ticket_job *job, const char *reason);

/* Runs one step on one event without a broker: for `helpdesk try` and tests. `done` gets the extended event.
 */
void ticket_step_try(const struct ticket_step *step, void *state, struct arena *arena,
    struct msg_ticket_event *event,
    void (*done)(void *arg, struct msg_ticket_event *event, const struct error *err), void *arg);

#endif
