/* Every ticket through the stages as they run in production, many at once, without a broker. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "blob/blob.h"
#include "cmd/evaluate.h"
#include "kb/sync.h"
#include "model/chat.h"
#include "stages/stage.h"

#define OFFLOAD_THREADS 2
#define DB_QUERY_TIMEOUT_MS 30000
#define AT_ONCE_LOCAL 2   /* where the work is this machine's own */
#define AT_ONCE_REMOTE 16 /* where most of the time is waiting for a model */
#define ATTEMPTS 5        /* at a step that fails for a passing reason */
#define RETRY_MS 500      /* before the second attempt; more before the next ones */
#define PROGRESS_MS 500

static const struct ticket_step *const steps[MSG_STEP_COUNT] = {
    &classifier_step, &retriever_step, &generator_step};

struct run {
    struct evaluate *evaluate;
    struct loop *loop;
    struct db *db;
    struct blob_source *source;
    struct kb_sync_env sync;
    struct loop_timer *progress;
    void *states[MSG_STEP_COUNT];
    void *current; /* classifier of the current settings; NULL without a candidate */
    struct job *jobs;
    size_t next;
    size_t finished;
    int under_way;
    bool syncing; /* the knowledge base is being filled: the loop runs until that has ended */
    bool over;    /* what comes back now is dropped */
    struct error err;
};

/* A ticket under way. */
struct job {
    struct run *run;
    struct job *later; /* the list of those under way */
    struct job **link;
    struct evaluate_ticket *ticket;
    struct arena *arena;
    struct msg_ticket_event *event;
    struct loop_timer *timer;
    bool by_current; /* the current settings classify first */
    int step;
    int attempt;
};

static void end_run(struct run *run, const struct error *err)
{
    if (err != NULL && run->err.disposition == ERROR_NONE) {
        run->err = *err;
    }
    run->over = true;
    if (!run->syncing) {
        loop_stop(run->loop, 0);
    }
}

static void show_progress(void *arg)
{
    struct run *run = arg;
    (void)fprintf(stderr, "\r  %zu of %zu tickets ", run->finished, run->evaluate->ticket_count);
    loop_timer_arm(run->progress, PROGRESS_MS);
}

/* ---- what came out of a ticket ---- */

static const char *keep(const struct job *job, const char *text)
{
    return arena_strdup(job->run->evaluate->arena, text);
}

static const char **keep_all(const struct job *job, const char *const *texts, size_t count)
{
    const char **kept = arena_array(job->run->evaluate->arena, count + 1, sizeof(*kept));
    for (size_t i = 0; i < count; i++) {
        kept[i] = keep(job, texts[i]);
    }
    return kept;
}

static void add_reasons(struct job *job, const char *const *reasons, size_t count)
{
    struct evaluate_ticket *ticket = job->ticket;
    const char **all = arena_array(job->run->evaluate->arena, ticket->reason_count + count + 1, sizeof(*all));
    if (ticket->reason_count > 0) {
        memcpy(all, ticket->reasons, ticket->reason_count * sizeof(*all));
    }
    for (size_t i = 0; i < count; i++) {
        all[ticket->reason_count++] = keep(job, reasons[i]);
    }
    ticket->reasons = all;
}

static void take_classification(struct job *job, const struct msg_classification *classification)
{
    struct evaluate_ticket *ticket = job->ticket;
    struct arena *arena = job->run->evaluate->arena;
    ticket->answers[EVALUATE_CATEGORY] = utf8_fold(arena, classification->category);
    ticket->answers[EVALUATE_PRIORITY] = msg_priority_name(classification->priority);
    ticket->answers[EVALUATE_DEPARTMENT] = utf8_fold(arena, classification->department);
    ticket->answers[EVALUATE_SENTIMENT] = msg_sentiment_name(classification->sentiment);
    ticket->confidence = classification->confidence;
}

static void take_draft(struct job *job, const struct msg_draft *draft)
{
    struct evaluate_ticket *ticket = job->ticket;
    ticket->draft = keep(job, draft->text);
    ticket->citations = keep_all(job, draft->citations, draft->citations_count);
    ticket->citation_count = draft->citations_count;
    ticket->flags = arena_array(job->run->evaluate->arena, draft->safety_flags_count + 1, sizeof(char *));
    for (size_t i = 0; i < draft->safety_flags_count; i++) {
        ticket->flags[ticket->flag_count++] = msg_flag_name(draft->safety_flags[i]);
    }
    add_reasons(job, draft->not_ready_because, draft->not_ready_because_count);
}

static void take_step(struct job *job, const struct msg_step_trace *trace)
{
    struct evaluate_ticket *ticket = job->ticket;
    ticket->ran[trace->step] = true;
    ticket->latency_ms[trace->step] = trace->latency_ms;
    ticket->models[trace->step] = keep(job, trace->model);
    ticket->input_tokens += trace->input_tokens;
    ticket->output_tokens += trace->output_tokens;
    ticket->cost_usd += trace->cost_usd;
    ticket->degraded = ticket->degraded || trace->degraded_count > 0;
    add_reasons(job, trace->degraded, trace->degraded_count);
}

static enum evaluate_outcome judge(const struct msg_ticket_event *event)
{
    const struct msg_generation *generation = event->generation;
    if (generation == NULL) {
        return EVALUATE_FAILED;
    }
    if (event->state == MSG_STATE_FALLBACK_GUARDRAIL_FAILURE) {
        return EVALUATE_FALLBACK;
    }
    if (generation->primary_draft.ready) {
        return EVALUATE_READY;
    }
    for (size_t i = 0; i < generation->primary_draft.safety_flags_count; i++) {
        if (generation->primary_draft.safety_flags[i] != MSG_FLAG_LOW_CONTEXT_CONFIDENCE) {
            return EVALUATE_FLAGGED;
        }
    }
    bool low = generation->primary_draft.safety_flags_count > 0;
    return low || event->state == MSG_STATE_ESCALATED_LOW_CONFIDENCE ? EVALUATE_ESCALATED : EVALUATE_HELD;
}

/* ---- a ticket's way ---- */

static void start_some(void *arg);

static void job_free(struct job *job)
{
    *job->link = job->later;
    if (job->later != NULL) {
        job->later->link = job->link;
    }
    loop_timer_free(job->timer);
    arena_free(job->arena);
    free(job);
}

static void job_end(struct job *job)
{
    struct run *run = job->run;
    for (size_t i = 0; i < job->event->steps_count; i++) {
        take_step(job, &job->event->steps[i]);
    }
    if (job->event->generation != NULL) {
        take_draft(job, &job->event->generation->primary_draft);
    }
    job->ticket->outcome = judge(job->event);
    job_free(job);
    run->finished++;
    run->under_way--;
    loop_post(run->loop, start_some, run); /* not from in here: answers may come inside the call */
}

static struct msg_ticket_event *new_event(struct job *job)
{
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, job->arena);
    event->tenant = conf_text(job->run->evaluate->current, CONF_TENANT);
    event->ticket.subject = job->ticket->subject;
    event->ticket.description = job->ticket->description;
    event->ticket.customer_external_id = job->ticket->customer;
    event->ticket.locale = job->ticket->locale;
    return event;
}

static void step_done(void *arg, struct msg_ticket_event *event, const struct error *err);

static void step_start(void *arg)
{
    struct job *job = arg;
    void *state = job->by_current ? job->run->current : job->run->states[job->step];
    ticket_step_try(steps[job->step], state, job->arena, job->event, step_done, job);
}

static void step_failed(struct job *job, const struct error *err)
{
    if (err->disposition == ERROR_FATAL) {
        end_run(job->run, err);
    } else if (err->disposition == ERROR_RETRY && ++job->attempt < ATTEMPTS) {
        int64_t wait = (int64_t)RETRY_MS << job->attempt;
        loop_timer_arm(job->timer, wait > err->retry_after_ms ? wait : err->retry_after_ms);
    } else {
        const char *why = arena_printf(job->arena, "%s: %s", err->code, err->text);
        add_reasons(job, &why, 1);
        job->event->generation = NULL;
        job_end(job);
    }
}

static void step_done(void *arg, struct msg_ticket_event *event, const struct error *err)
{
    struct job *job = arg;
    if (job->run->over) {
        return;
    }
    if (err != NULL) {
        step_failed(job, err);
        return;
    }
    job->attempt = 0;
    if (job->by_current) {
        job->ticket->current = utf8_fold(job->run->evaluate->arena, event->classification->category);
        job->by_current = false;
        job->event = new_event(job);
    } else {
        if (job->step == MSG_STEP_CLASSIFY) {
            take_classification(job, event->classification);
        }
        job->step++;
    }
    if (job->step == MSG_STEP_COUNT) {
        job_end(job);
    } else {
        step_start(job);
    }
}

static void job_start(struct run *run, struct evaluate_ticket *ticket)
{
    struct job *job = xcalloc(1, sizeof(*job));
    job->run = run;
    job->ticket = ticket;
    job->arena = arena_new(0);
    job->event = new_event(job);
    job->timer = loop_timer_new(run->loop, step_start, job);
    job->by_current = run->current != NULL;
    job->later = run->jobs;
    job->link = &run->jobs;
    if (job->later != NULL) {
        job->later->link = &job->later;
    }
    run->jobs = job;
    run->under_way++;
    step_start(job);
}

static void start_some(void *arg)
{
    struct run *run = arg;
    struct evaluate *evaluate = run->evaluate;
    while (!run->over && run->next < evaluate->ticket_count && run->under_way < evaluate->in_flight) {
        job_start(run, &evaluate->tickets[run->next++]);
    }
    if (!run->over && run->finished == evaluate->ticket_count) {
        end_run(run, NULL);
    }
}

/* ---- before: the knowledge base ---- */

static void on_synced(
    void *arg, const struct kb_sync_counts *counts, const char *why, const struct error *err)
{
    struct run *run = arg;
    struct error problem = {0};
    run->syncing = false;
    if (run->over) { /* interrupted */
        end_run(run, NULL);
        return;
    }
    if (err != NULL || *why != '\0') {
        error_set(&problem, ERROR_FATAL, "kb_source", "the knowledge base cannot be read: %s",
            err != NULL ? err->text : why);
        end_run(run, &problem);
        return;
    }
    run->evaluate->documents = counts->found;
    run->evaluate->documents_failed = counts->failed;
    if (run->progress != NULL) {
        loop_timer_arm(run->progress, 0);
    }
    start_some(run);
}

static bool is_over(void *arg)
{
    const struct run *run = arg;
    return run->over;
}

static void on_shutdown(void *arg)
{
    struct error err = {0};
    error_set(&err, ERROR_RETRY, "interrupted", "interrupted: nothing is left behind");
    end_run(arg, &err);
}

static bool open_stages(struct run *run, struct error *err)
{
    const struct evaluate *evaluate = run->evaluate;
    struct stage_env env = {.loop = run->loop, .conf = evaluate->conf, .db = run->db};
    for (int i = 0; i < MSG_STEP_COUNT; i++) {
        run->states[i] = steps[i]->open(&env, err);
        if (run->states[i] == NULL) {
            return false;
        }
    }
    if (evaluate->candidate != NULL) {
        env.conf = evaluate->current;
        run->current = classifier_step.open(&env, err);
    }
    return evaluate->candidate == NULL || run->current != NULL;
}

static bool open_all(struct run *run, const char *url, struct error *err)
{
    struct evaluate *evaluate = run->evaluate;
    const struct chat_options wanted = chat_options_of(evaluate->conf);
    const struct chat_options current = chat_options_of(evaluate->current);
    bool remote = chat_wanted(&wanted) || chat_wanted(&current);
    evaluate->in_flight = remote ? AT_ONCE_REMOTE : AT_ONCE_LOCAL;
    run->loop = loop_new(OFFLOAD_THREADS);
    loop_on_shutdown(run->loop, on_shutdown, run);
    evaluate_hold_signals(false);
    const struct db_options options = {.url = url,
        .connections = (int)conf_int(evaluate->conf, CONF_DATABASE_POOL),
        .query_timeout_ms = DB_QUERY_TIMEOUT_MS};
    run->db = db_new(run->loop, &options);
    const struct blob_place place = {
        .name = conf_text(evaluate->conf, CONF_KB_NAME), .place = evaluate->folder};
    run->source = blob_open(run->loop, &place, err);
    if (run->source == NULL || !open_stages(run, err)) {
        return false;
    }
    run->sync = (struct kb_sync_env){.loop = run->loop,
        .db = run->db,
        .source = run->source,
        .tenant = conf_text(evaluate->current, CONF_TENANT),
        .rules = {.public_url = conf_text(evaluate->conf, CONF_KB_PUBLIC_URL), .locale = ""},
        .max_document = (size_t)conf_int(evaluate->conf, CONF_KB_MAX_DOCUMENT)};
    if (isatty(STDERR_FILENO)) {
        run->progress = loop_timer_new(run->loop, show_progress, run);
    }
    return true;
}

/* In the order that a worker keeps: nobody may be at work with what goes. */
static void close_all(struct run *run)
{
    evaluate_hold_signals(true); /* the loop, which handles them, goes */
    run->over = true;
    loop_end_offload(run->loop);
    if (run->progress != NULL) {
        loop_timer_free(run->progress);
        (void)fputs("\r\x1b[K", stderr);
    }
    for (int i = 0; i < MSG_STEP_COUNT; i++) {
        if (run->states[i] != NULL) {
            steps[i]->close(run->states[i]);
        }
    }
    if (run->current != NULL) {
        classifier_step.close(run->current);
    }
    db_free(run->db);
    for (struct job *job = run->jobs, *later; job != NULL; job = later) {
        later = job->later;
        job_free(job);
    }
    blob_close(run->source);
    loop_free(run->loop);
}

void evaluate_hold_signals(bool held)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(held ? SIG_BLOCK : SIG_UNBLOCK, &signals, NULL);
}

bool evaluate_run(struct evaluate *evaluate, const char *url, struct error *err)
{
    struct run run = {.evaluate = evaluate};
    int64_t started = clock_mono_ms();
    bool opened = open_all(&run, url, err);
    if (opened) {
        const struct kb_sync_request request = {.stopped = is_over, .done = on_synced, .arg = &run};
        run.syncing = true;
        kb_sync_run(&run.sync, &request);
        (void)loop_run(run.loop);
    }
    close_all(&run);
    evaluate->seconds = (double)(clock_mono_ms() - started) / 1000;
    if (opened && run.err.disposition != ERROR_NONE) {
        *err = run.err;
    }
    return opened && run.err.disposition == ERROR_NONE;
}
