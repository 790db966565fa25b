/* The retrieve step: passages, accepted answers, the customer, orders and the service level, all asked for at
 * once. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "kb/customer.h"
#include "kb/search.h"
#include "kb/word_memory.h"
#include "model/alike_text.h"
#include "stages/retriever_items.h"
#include "stages/retriever_near.h"
#include "stages/stage.h"
#include "stages/ticket_event.h"

#define MODEL "postgresql-fts/1"
#define NEAR_SHARE 4      /* of the time that is left, for the ticket's vector */
#define NEAR_MOST_MS 2000 /* the same, at most */
#define KB_ITEMS 6
#define TICKET_ITEMS 3

enum part { PART_SEARCH, PART_ORDERS, PART_RULE, PART_CUSTOMER, PART_COUNT };

static const char *const missing[PART_COUNT] = {
    [PART_SEARCH] = "no knowledge base",
    [PART_ORDERS] = "no orders",
    [PART_RULE] = "no service level",
    [PART_CUSTOMER] = "no customer context",
};

struct retriever {
    struct loop *loop;
    struct db *db;
    struct near_finder *finder; /* NULL: words alone */
    struct word_memory *words;
    size_t excerpt_bytes;
    bool shares; /* drafts of questions that mean the same */
    int under_way;
    bool closing; /* the last retrieval frees it */
};

/* One ticket's retrieval. It may outlive its job: what comes after the deadline is dropped. */
struct retrieval {
    struct retriever *retriever;
    struct ticket_job *job; /* NULL: over */
    struct arena *arena;
    struct loop_timer *deadline;
    struct kb_query search;
    struct item_query items;
    int pending;
    bool arrived[PART_COUNT];
    struct item_list lists[PART_CUSTOMER]; /* of the parts before */
    double confidence;
    bool has_revision;
    int64_t revision;
    struct msg_customer_context *customer;
    struct near_result near;
    struct error err; /* why to try again, or why nothing can go on */
};

static void *retriever_open(const struct stage_env *env, struct error *err)
{
    struct near_finder *finder = near_finder_wanted(env->conf) ? near_finder_new(env, err) : NULL;
    if (near_finder_wanted(env->conf) && !finder) {
        return NULL;
    }
    struct retriever *retriever = xcalloc(1, sizeof(*retriever));
    retriever->finder = finder;
    retriever->loop = env->loop;
    retriever->db = env->db;
    retriever->words = word_memory_new(env->db, (size_t)conf_int(env->conf, CONF_RETRIEVER_WORD_BYTES));
    retriever->excerpt_bytes = (size_t)conf_int(env->conf, CONF_RETRIEVER_EXCERPT_BYTES);
    retriever->shares = conf_number(env->conf, CONF_CACHE_SIMILARITY) > 0;
    return retriever;
}

static void retriever_leave(struct retriever *retriever)
{
    if (--retriever->under_way == 0 && retriever->closing) {
        word_memory_close(retriever->words);
        free(retriever);
    }
}

static void retriever_close(void *state)
{
    struct retriever *retriever = state;
    retriever->closing = true;
    retriever->under_way++;
    near_finder_close(retriever->finder);
    retriever_leave(retriever);
}

/* ---- the end of a retrieval ---- */

/* For the generator: of questions that can have the answer of another, and nothing but these. */
static struct msg_question_vector *question_vector(const struct retrieval *retrieval)
{
    const struct ticket_job *job = retrieval->job;
    const struct msg_ticket *ticket = &job->event->ticket;
    if (!retrieval->retriever->shares || !retrieval->near.codes || ticket->messages_count > 0 ||
        !ticket_event_wants(job->event, MSG_STEP_GENERATE) || !alike_text(job->arena, ticket)) {
        return NULL;
    }
    struct msg_question_vector *vector = ARENA_NEW(job->arena, struct msg_question_vector);
    *vector = (struct msg_question_vector){.model = arena_strdup(job->arena, retrieval->near.model),
        .codes = arena_strdup(job->arena, retrieval->near.codes)};
    return vector;
}

static void put_context(struct retrieval *retrieval)
{
    struct ticket_job *job = retrieval->job;
    struct item_list merged =
        items_merge(retrieval->arena, retrieval->lists, PART_CUSTOMER, retrieval->retriever->excerpt_bytes);
    struct msg_context context = {
        .items = merged.items,
        .items_count = merged.count,
        .aggregate_confidence = retrieval->confidence,
        .customer_state = MSG_CUSTOMER_STATE_UNAVAILABLE,
        .customer = retrieval->customer,
    };
    if (retrieval->arrived[PART_CUSTOMER]) {
        context.customer_state =
            retrieval->customer ? MSG_CUSTOMER_STATE_READY : MSG_CUSTOMER_STATE_UNKNOWN_CUSTOMER;
    }
    job->event->context = msg_copy(&msg_context, job->arena, &context);
    job->event->question_vector = question_vector(retrieval);
    job->trace->model =
        retrieval->near.near ? arena_printf(job->arena, MODEL "+%s", retrieval->near.model) : MODEL;
    job->trace->input_tokens = retrieval->near.input_tokens;
    job->trace->cost_usd = retrieval->near.cost_usd;
    job->trace->has_kb_revision = retrieval->has_revision;
    job->trace->kb_revision = retrieval->revision;
}

/* Ends the job with what has arrived, and says what has not. */
static void finish(struct retrieval *retrieval)
{
    struct ticket_job *job = retrieval->job;
    put_context(retrieval);
    for (int part = 0; part < PART_COUNT; part++) {
        if (!retrieval->arrived[part]) {
            job->without = true;
            ticket_job_degraded(job, arena_printf(job->arena, "database unavailable: %s", missing[part]));
        }
    }
    if (retrieval->near.why && retrieval->near.why[0]) {
        ticket_job_degraded(job, arena_printf(job->arena, "search by words alone: %s", retrieval->near.why));
    }
    retrieval->job = NULL;
    ticket_job_done(job);
}

static void fail(struct retrieval *retrieval)
{
    struct ticket_job *job = retrieval->job;
    retrieval->job = NULL;
    ticket_job_fail(job, &retrieval->err);
}

static void retrieval_free(struct retrieval *retrieval)
{
    struct retriever *retriever = retrieval->retriever;
    loop_timer_free(retrieval->deadline);
    arena_free(retrieval->arena);
    free(retrieval);
    retriever_leave(retriever);
}

/* For another attempt: what remains of the deadline within the reserve is for the steps after this one. */
static bool time_is_left(const struct retrieval *retrieval)
{
    int64_t deadline = retrieval->job->deadline_mono_ms;
    return deadline == INT64_MAX || deadline - clock_mono_ms() > ENGINE_RESERVE_MS;
}

/* A part is there, or will not come. Weather is the engine's to try again while there is time; what no
 * repetition heals leaves its part out. */
static void part_ended(struct retrieval *retrieval, enum part part, const struct error *err)
{
    retrieval->arrived[part] = !err;
    if (err && err->disposition != ERROR_REJECT && retrieval->err.disposition != ERROR_FATAL) {
        retrieval->err = *err;
    }
    if (--retrieval->pending > 0) {
        return;
    }
    if (retrieval->job && !retrieval->retriever->closing) {
        if (retrieval->err.disposition == ERROR_FATAL ||
            (retrieval->err.disposition == ERROR_RETRY && time_is_left(retrieval))) {
            fail(retrieval);
        } else {
            finish(retrieval);
        }
    }
    retrieval_free(retrieval);
}

/* Nobody waits much longer: better less now than all too late. */
static void on_deadline(void *arg)
{
    struct retrieval *retrieval = arg;
    if (retrieval->job && !retrieval->retriever->closing) {
        finish(retrieval);
    }
}

/* ---- the parts ---- */

static void on_search(void *arg, const struct kb_search_result *result, const struct error *err)
{
    struct retrieval *retrieval = arg;
    if (result) {
        retrieval->lists[PART_SEARCH] = items_from_hits(retrieval->arena, result);
        retrieval->confidence = result->confidence;
        retrieval->has_revision = true;
        retrieval->revision = result->revision;
    }
    part_ended(retrieval, PART_SEARCH, err);
}

/* Texts near to the ticket are known, or will not be. */
static void on_near(void *arg, const struct near_result *result)
{
    struct retrieval *retrieval = arg;
    retrieval->near = *result;
    retrieval->search.near = result->near;
    if (retrieval->retriever->closing || !retrieval->job) { /* nobody waits for what would be found */
        part_ended(retrieval, PART_SEARCH, NULL);
        return;
    }
    kb_search(retrieval->retriever->db, retrieval->retriever->words, retrieval->arena, &retrieval->search,
        on_search, retrieval);
}

static void start_search(struct retrieval *retrieval)
{
    struct retriever *retriever = retrieval->retriever;
    struct arena *arena = retrieval->arena;
    const struct kb_query *search = &retrieval->search;
    int64_t deadline = retrieval->job->deadline_mono_ms, wait = NEAR_MOST_MS;
    if (!retriever->finder) {
        kb_search(retriever->db, retriever->words, arena, search, on_search, retrieval);
        return;
    }
    if (deadline != INT64_MAX) {
        int64_t share = (deadline - clock_mono_ms()) / NEAR_SHARE;
        wait = share < wait ? share : wait;
    }
    near_find(retriever->finder, arena, search->tenant,
        arena_printf(arena, "%s\n%s", search->subject, search->body), wait > 1 ? wait : 1, on_near,
        retrieval);
}

static void on_orders(void *arg, const struct item_list *list, const struct error *err)
{
    struct retrieval *retrieval = arg;
    if (list) {
        retrieval->lists[PART_ORDERS] = *list;
    }
    part_ended(retrieval, PART_ORDERS, err);
}

static void on_rule(void *arg, const struct item_list *list, const struct error *err)
{
    struct retrieval *retrieval = arg;
    if (list) {
        retrieval->lists[PART_RULE] = *list;
    }
    part_ended(retrieval, PART_RULE, err);
}

static void on_customer(void *arg, struct msg_customer_context *customer, const struct error *err)
{
    struct retrieval *retrieval = arg;
    retrieval->customer = customer;
    part_ended(retrieval, PART_CUSTOMER, err);
}

/* ---- the start ---- */

/* The description, and what the customer wrote last when the conversation went on. */
static const char *body_of(struct arena *arena, const struct msg_ticket *ticket)
{
    for (size_t i = ticket->messages_count; i > 0; i--) {
        const struct msg_message *message = &ticket->messages[i - 1];
        if (message->role == MSG_ROLE_CUSTOMER && strcmp(message->text, ticket->description) != 0) {
            return arena_printf(arena, "%s\n%s", message->text, ticket->description);
        }
        if (message->role == MSG_ROLE_CUSTOMER) {
            break;
        }
    }
    return arena_strdup(arena, ticket->description);
}

static void copy_query(struct retrieval *retrieval, const struct msg_ticket_event *event)
{
    struct arena *arena = retrieval->arena;
    const struct msg_ticket *ticket = &event->ticket;
    const struct msg_classification *classification = event->classification;
    const char *subject = arena_strdup(arena, ticket->subject), *body = body_of(arena, ticket);
    retrieval->search = (struct kb_query){
        .tenant = arena_strdup(arena, event->tenant),
        .subject = subject,
        .body = body,
        .locale = arena_strdup(arena, ticket->locale ? ticket->locale : ""),
        .not_ticket = arena_strdup(arena, ticket->ticket_id ? ticket->ticket_id : ""),
        .max_hits = {KB_ITEMS, TICKET_ITEMS},
    };
    retrieval->items = (struct item_query){
        .tenant = retrieval->search.tenant,
        .customer = arena_strdup(arena, ticket->customer_external_id),
        .subject = subject,
        .body = body,
        .category = arena_strdup(arena, classification ? classification->category : ""),
        .priority = ticket_event_priority(event),
        .priority_confidence = classification ? classification->confidence : 0.5,
    };
}

static void arm_deadline(struct retrieval *retrieval)
{
    int64_t deadline = retrieval->job->deadline_mono_ms;
    if (deadline == INT64_MAX) {
        return;
    }
    int64_t left = deadline - clock_mono_ms();
    left = left > 0 ? left : 0;
    int64_t wait = left > 2 * ENGINE_RESERVE_MS ? left - ENGINE_RESERVE_MS : left / 2;
    retrieval->deadline = loop_timer_new(retrieval->retriever->loop, on_deadline, retrieval);
    loop_timer_arm(retrieval->deadline, wait);
}

static void retriever_process(struct ticket_job *job, void *state)
{
    struct retriever *retriever = state;
    struct retrieval *retrieval = xcalloc(1, sizeof(*retrieval));
    retrieval->retriever = retriever;
    retrieval->job = job;
    retrieval->arena = arena_new(0);
    retrieval->pending = PART_COUNT;
    retriever->under_way++;
    copy_query(retrieval, job->event);
    arm_deadline(retrieval);
    struct arena *arena = retrieval->arena;
    const struct item_query *items = &retrieval->items;
    start_search(retrieval);
    items_load_orders(retriever->db, arena, items, on_orders, retrieval);
    items_load_rule(retriever->db, arena, items, on_rule, retrieval);
    customer_context_load(retriever->db, items->tenant, items->customer, arena, on_customer, retrieval);
}

const struct ticket_step retriever_step = {
    .name = "retriever",
    .step = MSG_STEP_RETRIEVE,
    .spends = near_finder_wanted,
    .open = retriever_open,
    .close = retriever_close,
    .process = retriever_process,
};
