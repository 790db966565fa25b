/* Sealing what is finished into batches, and what becomes of a batch. */
#include <string.h>
#include "base/log.h"
#include "engine/internal.h"

#define BATCH_BYTES ((size_t)8 * 1024 * 1024) /* about as much as a transaction may hold to be over soon */
#define HOLD_MS 1000                          /* between two tries at a dead letter whose topic is away */
#define REFUSED_PAUSE_MS 200                  /* a rebalance is near: its events come first */

bool commit_pending(const struct engine *engine)
{
    const struct engine_partition *partition;
    if (!TAILQ_EMPTY(&engine->finished) || !TAILQ_EMPTY(&engine->sealed)) {
        return true;
    }
    LIST_FOREACH(partition, &engine->partitions, link)
    {
        if (partition->dirty) {
            return true;
        }
    }
    return false;
}

static void add_offset(struct bus_batch *batch, struct engine_partition *partition)
{
    char map[WINDOW_MAP_SIZE];
    bool whole = window_encode(&partition->window, map);
    size_t len = strlen(map);
    if (!whole || len > WINDOW_MAP_MAX / 4 * 3) {
        partition->narrow = true;
    } else if (len < WINDOW_MAP_MAX / 2) {
        partition->narrow = false;
    }
    partition->dirty = false;
    bus_batch_offset(batch, partition->topic, partition->id, window_position(&partition->window), map);
}

static void add_outputs(struct bus_batch *batch, struct engine_job *job)
{
    job->first_output = -1;
    job->output_count = 0;
    for (struct engine_output *output = job->outputs; output; output = output->next) {
        int index = bus_batch_output(batch, output->record, output->lone);
        if (job->first_output < 0) {
            job->first_output = index;
        }
        job->output_count++;
    }
}

/* What a batch that was given back has delivered beside a letter is not sent again with it. */
static void drop_delivered(struct bus_batch *batch, struct engine_job *job)
{
    int index = job->first_output;
    for (struct engine_output *output = job->outputs, *next; output; output = next, index++) {
        next = output->next;
        if (!output->lone && bus_batch_acked(batch, index)) {
            job_drop_output(job, output);
        }
    }
}

static void remove_outputs(struct bus_batch *batch, struct engine_job *job)
{
    for (int i = 0; i < job->output_count; i++) {
        bus_batch_remove(batch, job->first_output + i);
    }
    job->output_count = 0;
}

/* ---- a batch that was given back ---- */

static struct engine_job *find_job(struct engine *engine, int output)
{
    struct engine_job *job;
    TAILQ_FOREACH(job, &engine->sealed, link)
    {
        if (output >= job->first_output && output < job->first_output + job->output_count) {
            return job;
        }
    }
    return NULL;
}

static void hold_over(void *arg)
{
    struct engine_job *job = arg;
    job->partition->held--;
    job_back_to_finished(job);
}

/* The job is not done after all; it is tried again, and until then its partition takes nothing in. */
static void hold(struct engine *engine, struct bus_batch *batch, struct engine_job *job)
{
    struct engine_partition *partition = job->partition;
    remove_outputs(batch, job); /* first: it looks at their records */
    drop_delivered(batch, job);
    window_set_done(&job->node, false);
    TAILQ_REMOVE(&engine->sealed, job, link);
    job->state = JOB_HELD;
    partition->held++;
    if (!partition->gone) {
        add_offset(batch, partition);
    }
    if (partition->leaving || partition->gone || engine->draining) {
        job_drop(job);
        return;
    }
    job->timer = job->timer ? job->timer : loop_timer_new(engine->loop, hold_over, job);
    loop_timer_arm(job->timer, HOLD_MS);
}

static bool is_away(const struct bus_batch *batch, const struct engine_job *job)
{
    for (int i = 0; i < job->output_count; i++) {
        if (bus_batch_away(batch, job->first_output + i)) {
            return true;
        }
    }
    return false;
}

static void hold_all_away(struct engine *engine, struct bus_batch *batch, const struct error *err)
{
    struct engine_job *job;
    struct engine_job *next;
    log_error("dead letters cannot be written; their partitions wait", LOG_STR("stage", engine->stage->name),
        LOG_STR("text", err->text));
    for (job = TAILQ_FIRST(&engine->sealed); job; job = next) {
        next = TAILQ_NEXT(job, link);
        if (is_away(batch, job)) {
            hold(engine, batch, job);
        }
    }
}

static bool is_dead_letter(const struct engine_job *job)
{
    return job->outputs && job->outputs->lone;
}

static void batch_ended(
    void *arg, enum bus_commit_end end, const struct error *err, struct bus_batch *batch, int output);

static void given_back(struct engine *engine, const struct error *err, struct bus_batch *batch, int output)
{
    struct engine_job *job = find_job(engine, output);
    if (err->disposition != ERROR_REJECT) {
        hold_all_away(engine, batch, err);
    } else if (is_dead_letter(job) && output != job->first_output) {
        log_error("what tells of a dead letter is refused: left out", LOG_STR("stage", engine->stage->name),
            LOG_STR("text", err->text));
        bus_batch_remove(batch, output);
    } else if (is_dead_letter(job)) { /* refused where it must be kept: never skipped */
        log_error("a dead letter is refused; its partition waits", LOG_STR("stage", engine->stage->name),
            LOG_STR("text", err->text));
        hold(engine, batch, job);
    } else {
        remove_outputs(batch, job);
        job_dead_letter(job, err);
        add_outputs(batch, job);
    }
    bus_committer_submit(engine->committer, batch, batch_ended, engine);
    engine_kick(engine);
}

/* ---- a batch that is through ---- */

/* What is committed is no suspect any more. */
static void forget_crashes(struct engine *engine)
{
    struct engine_job *job;
    TAILQ_FOREACH(job, &engine->sealed, link)
    {
        if (job->crashes > 0 && engine->journal) {
            journal_forget(engine->journal, job->record);
        }
    }
}

static void free_sealed(struct engine *engine)
{
    struct engine_job *job;
    while ((job = TAILQ_FIRST(&engine->sealed)) != NULL) {
        TAILQ_REMOVE(&engine->sealed, job, link);
        job_free(job);
    }
}

/* Whatever the batch held, there is something to ask with: nothing else ends the refusal. */
static void ask_again_for_all(struct engine *engine)
{
    struct engine_partition *partition;
    LIST_FOREACH(partition, &engine->partitions, link)
    {
        partition->dirty = true;
    }
}

/* Nothing of the batch happened: its jobs are finished as before, with the outputs they made, and go into the
 * next one; but those of a partition that has left meanwhile belong to its next owner. */
static void unseal(struct engine *engine)
{
    struct engine_job *job;
    while ((job = TAILQ_LAST(&engine->sealed, job_list)) != NULL) {
        TAILQ_REMOVE(&engine->sealed, job, link);
        TAILQ_INSERT_HEAD(&engine->finished, job, link);
        job->state = JOB_FINISHED;
        window_set_done(&job->node, false);
        if (job->partition->gone) {
            job_drop(job);
        }
    }
}

/* The group did not take the offsets: either a rebalance comes, or it takes the next ones. */
static void refused(struct engine *engine, const struct error *err)
{
    log_warn("offsets were not taken", LOG_STR("code", err->code), LOG_STR("text", err->text));
    engine->refused = true;
    engine->turn_armed = true;
    loop_timer_arm(engine->turn, REFUSED_PAUSE_MS);
    drain_give_up_leaving(engine);
    ask_again_for_all(engine);
}

static void batch_ended(
    void *arg, enum bus_commit_end end, const struct error *err, struct bus_batch *batch, int output)
{
    struct engine *engine = arg;
    switch (end) {
    case BUS_COMMITTED:
        forget_crashes(engine);
        free_sealed(engine);
        engine->refused = false;
        engine_kick(engine);
        break;
    case BUS_GIVEN_BACK:
        given_back(engine, err, batch, output);
        break;
    case BUS_ABORTED:
        unseal(engine);
        refused(engine, err);
        break;
    case BUS_OFFSETS_REFUSED:
        free_sealed(engine);
        refused(engine, err);
        break;
    case BUS_COMMIT_FATAL:
        engine_stop(engine, err);
        break;
    }
}

/* ---- sealing ---- */

static void seal_finished(struct engine *engine, struct bus_batch *batch)
{
    struct engine_job *job;
    while ((job = TAILQ_FIRST(&engine->finished)) != NULL && bus_batch_bytes(batch) < BATCH_BYTES) {
        TAILQ_REMOVE(&engine->finished, job, link);
        TAILQ_INSERT_TAIL(&engine->sealed, job, link);
        job->state = JOB_SEALED;
        job->partition->dirty = true;
        window_set_done(&job->node, true);
        add_outputs(batch, job);
    }
}

void commit_seal(struct engine *engine)
{
    if (engine->stopped || bus_committer_busy(engine->committer) || !commit_pending(engine)) {
        return;
    }
    struct bus_batch *batch = bus_batch_new();
    if (!engine->refused) { /* else only ask whether offsets are taken again */
        seal_finished(engine, batch);
    }
    struct engine_partition *partition;
    LIST_FOREACH(partition, &engine->partitions, link)
    {
        if (partition->dirty) {
            add_offset(batch, partition);
        }
    }
    bus_committer_submit(engine->committer, batch, batch_ended, engine);
}
