/* Takes a ticket in: reads the request, claims the run, hands the record to the broker. */
#include "gateway/submit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/publish.h"

#define LEASE_SIZE 64
#define FOLLOW_MS 50 /* until the first look for the answer of a run that is under way */

static const struct submit_endpoint intake = {
    .route = "POST /tickets", .shape = ANSWER_INTAKE, .kind = MSG_KIND_TICKET, .rules = {.intake = true}};
static const struct submit_endpoint classify = {
    .route = "POST /tickets/classify", .shape = ANSWER_CLASSIFICATION, .kind = MSG_KIND_QUESTION};
static const struct submit_endpoint context = {.route = "POST /tickets/context",
    .shape = ANSWER_RETRIEVAL,
    .kind = MSG_KIND_QUESTION,
    .rules = {.takes_classification = true}};
static const struct submit_endpoint respond = {.route = "POST /tickets/respond",
    .shape = ANSWER_GENERATION,
    .kind = MSG_KIND_QUESTION,
    .rules = {.takes_classification = true,
        .needs_classification = true,
        .needs_context = true,
        .takes_sonnet = true}};
static const struct submit_endpoint orchestrate = {.route = "POST /tickets/auto-orchestrate",
    .shape = ANSWER_ORCHESTRATION,
    .kind = MSG_KIND_TICKET,
    .rules = {.takes_sonnet = true}};

/* ---- queries whose submission may be gone when they complete ---- */

static void guard(struct submission *s)
{
    s->guard = xcalloc(1, sizeof *s->guard);
    *s->guard = (struct submit_guard){.gateway = s->gateway, .submission = s};
}

void submit_query(struct submission *s, const struct db_query *query, db_done *done)
{
    guard(s);
    gateway_query(s->gateway, query, done, s->guard);
}

struct submission *submit_guard_take(void *arg)
{
    struct submit_guard *guard = arg;
    struct submission *s = guard->submission;
    free(guard);
    if (s != NULL) {
        s->guard = NULL;
    }
    return s;
}

/* ---- leases ---- */

const char *submit_lease_ms(struct submission *s)
{
    int64_t lease = conf_int(s->gateway->conf, CONF_KAFKA_DELIVERY_TIMEOUT) + SUBMIT_MARGIN_S * 1000;
    s->leased_ms = clock_mono_ms();
    return arena_printf(s->arena, "%lld", (long long)lease);
}

static void given_back(void *arg, const struct db_result *result, const struct error *err)
{
    (void)arg, (void)result;
    if (err != NULL) { /* it ends by itself */
        log_warn("lease of a run not given back", LOG_STR("code", err->code));
    }
}

/* The run is not published, and another may do it at once. */
static void give_back(struct gateway *gateway, const char *correlation_id, const char *lease)
{
    struct db_query query = {
        .sql = "UPDATE runs SET publish_until = now() WHERE tenant = $1 AND correlation_id = $2 AND "
               "publish_until = $3::timestamptz AND published_at IS NULL",
        .param_count = 3,
        .params = {gateway->tenant, correlation_id, lease},
    };
    gateway_query(gateway, &query, given_back, NULL);
}

struct submission *submit_guard_take_run(
    void *arg, const struct db_result *result, int correlation_id, int lease)
{
    struct gateway *gateway = ((struct submit_guard *)arg)->gateway;
    struct submission *s = submit_guard_take(arg);
    if (s == NULL && result != NULL && db_rows(result) > 0 && db_value(result, 0, lease) != NULL) {
        give_back(gateway, db_value(result, 0, correlation_id), db_value(result, 0, lease));
    }
    return s;
}

bool submit_leased(struct submission *s, const char *lease)
{
    struct error err;
    if (clock_mono_ms() - s->leased_ms < (SUBMIT_MARGIN_S - 1) * 1000) {
        s->lease = arena_strdup(s->arena, lease);
        return true;
    }
    give_back(s->gateway, s->event->correlation_id, lease);
    error_set(&err, ERROR_RETRY, "db_unavailable", "The database took too long to answer.");
    submit_end_error(s, &err);
    return false;
}

/* ---- publishing ---- */

struct publication {
    struct gateway *gateway;
    char correlation_id[UUID_TEXT_SIZE];
    char lease[LEASE_SIZE]; /* "": nobody else knows of the run */
    bool is_ticket;
};

static void marked(void *arg, const struct db_result *result, const struct error *err)
{
    (void)result;
    (void)arg;
    if (err != NULL) { /* the log marks it, too, when it has read the record */
        log_warn("run not marked as published", LOG_STR("code", err->code));
    }
}

static void published(void *arg, const struct error *err)
{
    struct publication *publication = arg;
    struct gateway *gateway = publication->gateway;
    if (err != NULL) {
        log_warn("ticket not published", LOG_STR("correlation_id", publication->correlation_id),
            LOG_STR("code", err->code));
        if (publication->lease[0] != '\0' && strcmp(err->code, "queue_full") == 0) {
            give_back(
                gateway, publication->correlation_id, publication->lease); /* the broker cannot have it */
        }
        waits_fail(gateway->waits, publication->correlation_id, err);
    } else {
        metric_add(publication->is_ticket ? gateway->metrics.published_tickets
                                          : gateway->metrics.published_questions,
            1);
        waits_acknowledged(gateway->waits, publication->correlation_id);
        if (publication->lease[0] != '\0') {
            struct db_query query = {
                .sql = "UPDATE runs SET published_at = now() WHERE tenant = $1 AND correlation_id = $2 AND "
                       "published_at IS NULL",
                .param_count = 2,
                .params = {gateway->tenant, publication->correlation_id},
            };
            gateway_query(gateway, &query, marked, NULL);
        }
    }
    free(publication);
}

void submit_publish(struct submission *s)
{
    struct gateway *gateway = s->gateway;
    const char *id = s->event->correlation_id;
    struct error err = {0};
    if (!waits_open(
            gateway->waits, id, s->charge, gateway->embedded && s->endpoint->kind == MSG_KIND_TICKET)) {
        return; /* another request of this gateway is publishing the same run */
    }
    s->charge = 0; /* the run's now */
    struct publication *publication = xcalloc(1, sizeof *publication);
    publication->gateway = gateway;
    snprintf(publication->lease, sizeof publication->lease, "%s", s->lease != NULL ? s->lease : "");
    publication->is_ticket = s->endpoint->kind == MSG_KIND_TICKET;
    snprintf(publication->correlation_id, sizeof publication->correlation_id, "%s", id);
    if (!publish_event(gateway, s->event, published, publication, &err)) {
        log_error(
            "ticket not written as a record", LOG_STR("correlation_id", id), LOG_STR("error", err.text));
        free(publication);
        if (s->lease != NULL) {
            give_back(gateway, id, s->lease);
        }
        waits_fail(gateway->waits, id, &err); /* tells those who joined it */
    }
}

/* Who came a while ago is served no worse for that. */
void submit_publish_taken(struct submission *s)
{
    int64_t fair = clock_wall_ms() + conf_int(s->gateway->conf, CONF_GATEWAY_WAIT);
    if (s->event->has_deadline_at && s->event->deadline_at < fair) {
        s->event->deadline_at = fair;
    }
    submit_publish(s);
}

/* ---- claiming ---- */

/* The run joined has other ids than this request brought. */
static void adopt_run(struct submission *s, const char *correlation_id, const char *event_id)
{
    s->event->correlation_id = arena_strdup(s->arena, correlation_id);
    s->event->event_id = arena_strdup(s->arena, event_id);
    /* The time is that of the run's own id, so that publishing it again gives the same event. */
    uuid_v7_time(correlation_id, &s->event->received_at);
    http_request_set_correlation_id(s->request, correlation_id);
}

enum {
    CLAIM_OUTCOME,
    CLAIM_CORRELATION_ID,
    CLAIM_EVENT_ID,
    CLAIM_PUBLISHED,
    CLAIM_STATE,
    CLAIM_LEASE,
    CLAIM_RETRY_AFTER
};

static void join_run(struct submission *s, const struct db_result *result)
{
    enum msg_state state = MSG_STATE_ACCEPTED;
    const char *lease = db_value(result, 0, CLAIM_LEASE);
    msg_state_parse(db_value(result, 0, CLAIM_STATE), &state);
    bool published_before = db_bool(result, 0, CLAIM_PUBLISHED) || state != MSG_STATE_ACCEPTED;
    adopt_run(s, db_value(result, 0, CLAIM_CORRELATION_ID), db_value(result, 0, CLAIM_EVENT_ID));
    if (lease != NULL && !submit_leased(s, lease)) {
        return;
    }
    metric_add(s->gateway->metrics.joined, 1);
    submit_wait(s, published_before);
    submit_follow(s, wait_state_final(state) ? 0 : FOLLOW_MS);
    if (lease != NULL) {
        submit_publish_taken(s); /* last: it may end the submission */
    }
}

static void claim_done(void *arg, const struct db_result *result, const struct error *err)
{
    struct submission *s = submit_guard_take_run(arg, result, CLAIM_CORRELATION_ID, CLAIM_LEASE);
    if (s == NULL) {
        return;
    }
    if (err != NULL) {
        submit_end_error(s, err);
        return;
    }
    const char *outcome = db_value(result, 0, CLAIM_OUTCOME);
    if (strcmp(outcome, "limited") == 0) {
        struct http_request *request = s->request;
        int retry_after = (int)db_int(result, 0, CLAIM_RETRY_AFTER);
        submit_close(s);
        http_respond_retry(
            request, 429, "This ticket was sent with new content too often within an hour.", retry_after);
    } else if (strcmp(outcome, "joined") == 0) {
        join_run(s, result);
    } else if (submit_leased(s, db_value(result, 0, CLAIM_LEASE))) {
        submit_wait(s, false);
        submit_publish(s);
    }
}

static void claim_run(struct submission *s)
{
    char most[24];
    snprintf(most, sizeof most, "%lld", (long long)conf_int(s->gateway->conf, CONF_GATEWAY_RUNS_PER_HOUR));
    struct db_query query = {
        .sql =
            "SELECT outcome, correlation_id, event_id, published_at IS NOT NULL, state, lease, retry_after_s "
            "FROM claim_run($1, $2, $3, $4, $5, 'ticket', $6, $7::bigint * interval '1 ms')",
        .param_count = 7,
        .params = {s->gateway->tenant, s->event->ticket.ticket_id, s->in.content_hash,
            s->event->correlation_id, s->event->event_id, most, submit_lease_ms(s)},
    };
    submit_query(s, &query, claim_done);
}

/* A minted ticket id cannot have been seen before: nothing to claim, the log makes its row. */
static void claim_or_publish(struct submission *s, bool known_id)
{
    if (s->endpoint->kind == MSG_KIND_TICKET && known_id) {
        claim_run(s);
    } else {
        submit_wait(s, false);
        submit_publish(s);
    }
}

static void key_claimed(void *arg, const char *ticket_id, const struct error *err)
{
    struct submission *s = submit_guard_take(arg);
    if (s == NULL) {
        return;
    }
    if (err != NULL) {
        submit_end_error(s, err);
    } else if (ticket_id == NULL) {
        struct http_request *request = s->request;
        submit_close(s);
        request_fail_key(request);
    } else {
        s->event->ticket.ticket_id = arena_strdup(s->arena, ticket_id);
        claim_or_publish(s, true);
    }
}

/* ---- reading ---- */

static enum msg_step *plan_of(struct submission *s, size_t *count)
{
    bool has_classification = s->in.classification != NULL;
    enum msg_step *plan = arena_array(s->arena, MSG_STEP_COUNT, sizeof *plan);
    enum answer_shape shape = s->endpoint->shape;
    *count = 0;
    if (shape == ANSWER_CLASSIFICATION || (!has_classification && shape != ANSWER_GENERATION)) {
        plan[(*count)++] = MSG_STEP_CLASSIFY;
    }
    if (shape != ANSWER_CLASSIFICATION && shape != ANSWER_GENERATION) {
        plan[(*count)++] = MSG_STEP_RETRIEVE;
    }
    if (shape != ANSWER_CLASSIFICATION && shape != ANSWER_RETRIEVAL) {
        plan[(*count)++] = MSG_STEP_GENERATE;
    }
    return plan;
}

/* What the ticket says when its sender did not. */
static void fill_ticket(struct submission *s, struct msg_ticket *ticket)
{
    if (ticket->ticket_id == NULL) {
        char *id = arena_alloc(s->arena, UUID_TEXT_SIZE);
        uuid_v7(id);
        ticket->ticket_id = id;
    }
    if (!ticket->has_created_at) {
        ticket->has_created_at = true;
        ticket->created_at = s->event->received_at;
    }
    if (!ticket->has_priority && s->endpoint->shape == ANSWER_INTAKE) {
        ticket->has_priority = true;
        ticket->priority = MSG_PRIORITY_MEDIUM;
    }
}

static void build_event(struct submission *s)
{
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, s->arena);
    char *event_id = arena_alloc(s->arena, UUID_TEXT_SIZE);
    uuid_v7(event_id);
    s->event = event;
    event->ticket = s->in.ticket;
    event->event_id = event_id;
    event->correlation_id = http_request_correlation_id(s->request);
    event->tenant = s->gateway->tenant;
    event->kind = s->endpoint->kind;
    event->has_received_at = uuid_v7_time(event->correlation_id, &event->received_at);
    event->plan = plan_of(s, &event->plan_count);
    event->has_reply_to = true;
    event->reply_to = s->gateway->replies_partition;
    event->use_sonnet = s->in.use_sonnet;
    event->classification = s->in.classification;
    event->context = s->in.context;
    event->caller_context = s->in.context != NULL;
    if (s->endpoint->shape == ANSWER_INTAKE) {
        event->has_answer_after = true;
        event->answer_after = MSG_STEP_RETRIEVE;
    } else {
        /* Whoever asked for a short wait comes back for the answer: he is not served worse. */
        int64_t usual = conf_int(s->gateway->conf, CONF_GATEWAY_WAIT);
        event->has_deadline_at = true;
        event->deadline_at = event->received_at + (s->wait_ms > usual ? s->wait_ms : usual);
    }
    fill_ticket(s, &event->ticket);
}

/* Reads the body. False: answered. */
static bool read_ticket(struct submission *s)
{
    size_t len;
    const char *body = http_request_body(s->request, &len);
    struct field_errors *errors = ARENA_NEW(s->arena, struct field_errors);
    field_errors_init(errors, s->arena);
    bool ok = ticket_in_read(s->arena, body, len, &s->endpoint->rules, &s->in, errors);
    if (s->in.warning != NULL) {
        http_response_header(s->request, "X-Helpdesk-Warning", s->in.warning);
    }
    if (!ok) {
        http_respond_invalid(s->request, errors->list, errors->count);
    }
    return ok;
}

static void client_gone(void *arg)
{
    struct submission *s = arg;
    struct http_request *request = s->request;
    submit_close(s);
    http_respond_problem(request, 499, "The client closed the connection."); /* to nobody */
}

static void submit(
    struct http_request *request, struct gateway *gateway, const struct submit_endpoint *endpoint)
{
    const char *key;
    if (!request_check_body(request, false) || !request_read_key(request, &key)) {
        return;
    }
    struct arena *arena = http_request_arena(request);
    struct submission *s = ARENA_NEW(arena, struct submission);
    s->gateway = gateway;
    s->request = request;
    s->endpoint = endpoint;
    s->arena = arena;
    if (!read_ticket(s) || !request_check_ready(request)) {
        return;
    }
    size_t len;
    const char *body = http_request_body(request, &len);
    size_t charge = gateway_charge(gateway, len);
    if (!gateway_admit(gateway, charge)) {
        http_respond_retry(
            request, 503, "Too many tickets are under way. Nothing was taken; try again soon.", 1);
        return;
    }
    s->charge = charge;
    int64_t early_ms = conf_int(gateway->conf, CONF_GATEWAY_EARLY_WAIT);
    bool early = endpoint->shape == ANSWER_INTAKE;
    s->wait_ms =
        request_wait_ms(gateway, request, early ? early_ms : conf_int(gateway->conf, CONF_GATEWAY_WAIT));
    if (early && s->wait_ms > early_ms) {
        s->wait_ms = early_ms;
    }
    build_event(s);
    http_request_on_abort(request, client_gone, s);
    if (key != NULL) {
        guard(s);
        idempotency_claim(
            gateway, endpoint->route, key, body, len, s->event->ticket.ticket_id, key_claimed, s->guard);
    } else {
        claim_or_publish(s, s->in.ticket.ticket_id != NULL);
    }
}

void handle_ticket_intake(struct http_request *request, void *arg)
{
    submit(request, arg, &intake);
}

void handle_ticket_classify(struct http_request *request, void *arg)
{
    submit(request, arg, &classify);
}

void handle_ticket_context(struct http_request *request, void *arg)
{
    submit(request, arg, &context);
}

void handle_ticket_respond(struct http_request *request, void *arg)
{
    submit(request, arg, &respond);
}

void handle_ticket_orchestrate(struct http_request *request, void *arg)
{
    submit(request, arg, &orchestrate);
}
