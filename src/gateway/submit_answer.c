/* Waits for a run's answer and answers the request with it, in the shape its endpoint has. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "gateway/submit.h"
#include "msg/codec.h"

#define POLL_MAX_MS 500
#define RESULT_MAX (4 * 1024 * 1024)

void submit_close(struct submission *s)
{
    if (s->waiter != NULL) {
        struct waiter *waiter = s->waiter;
        s->waiter = NULL;
        waits_cancel(s->gateway->waits, waiter);
    }
    if (s->guard != NULL) {
        s->guard->submission = NULL;
        s->guard = NULL;
    }
    loop_timer_free(s->poll);
    s->poll = NULL;
    if (s->charge > 0) {
        gateway_release(s->gateway, s->charge);
        s->charge = 0;
    }
}

/* ---- answers ---- */

static double processing_ms(const struct submission *s)
{
    return (double)(clock_mono_ms() - http_request_arrived_ms(s->request));
}

static void respond_buf(struct submission *s, int status, struct buf *body)
{
    struct http_request *request = s->request;
    submit_close(s);
    http_respond(request, status, "application/json", buf_text(body), body->len);
    buf_fini(body);
}

void submit_end_error(struct submission *s, const struct error *err)
{
    struct http_request *request = s->request;
    struct error copy = *err; /* it may go with what is closed */
    submit_close(s);
    request_fail(request, &copy);
}

void submit_answer_event(struct submission *s, const struct msg_ticket_event *event, double total_ms)
{
    if (event->state == MSG_STATE_FAILED || !answer_complete(s->endpoint->shape, event)) {
        struct http_request *request = s->request;
        const char *why = event->failure != NULL ? arena_strdup(s->arena, event->failure->message)
                                                 : "The ticket could not be worked on.";
        submit_close(s);
        http_respond_problem(request, 500, why);
        return;
    }
    struct buf body;
    buf_init(&body, ANSWER_MAX_BYTES);
    struct answer_facts facts = {
        .arena = s->arena,
        .event = event,
        .sla = &s->gateway->sla,
        .total_ms = total_ms,
        .processing_ms = processing_ms(s),
    };
    answer_render(&body, s->endpoint->shape, &facts);
    respond_buf(s, 200, &body);
}

/* The time is over and the broker has the ticket: it goes on without the client. */
static void answer_expired(struct submission *s)
{
    struct buf body;
    const char *ticket_id = s->event->ticket.ticket_id;
    const char *correlation_id = s->event->correlation_id;
    buf_init(&body, ANSWER_MAX_BYTES);
    if (s->endpoint->shape == ANSWER_INTAKE) {
        answer_render_pending(&body, ticket_id, correlation_id, processing_ms(s));
        respond_buf(s, 200, &body);
        return;
    }
    const char *location = answer_location(s->arena, ticket_id, correlation_id);
    answer_render_processing(&body, ticket_id, correlation_id, location);
    http_response_header(s->request, "Location", location);
    http_response_header(s->request, "Retry-After", arena_printf(s->arena, "%d", RETRY_AFTER_S));
    metric_add(s->gateway->metrics.processing, 1);
    respond_buf(s, 202, &body);
}

static void answer_failed(struct submission *s, const struct error *err)
{
    struct http_request *request = s->request;
    bool weather = err->disposition == ERROR_RETRY;
    bool too_large = strcmp(err->code, "record_too_large") == 0;
    submit_close(s);
    if (too_large) {
        http_respond_problem(request, 413, "The ticket is too large, with all that was sent along.");
    } else if (weather) {
        http_respond_retry(
            request, 503, "The ticket could not be taken for sure; send it again soon.", SUBMIT_MARGIN_S);
    } else {
        http_respond_problem(
            request, 500, "The service failed to take the ticket; the correlation id helps to find out why.");
    }
}

/* ---- waiting ---- */

static bool wait_ended(void *arg, const struct wait_end *end)
{
    struct submission *s = arg;
    if (end->how == WAIT_REPLY && s->endpoint->shape == ANSWER_ORCHESTRATION &&
        !wait_state_final(end->event->state)) {
        /* The early answer of a run that another request opened: the final one goes to the log only. */
        submit_follow(s, 0);
        return false;
    }
    s->waiter = NULL; /* forgotten by the table once this returns true */
    switch (end->how) {
    case WAIT_REPLY:
        submit_answer_event(s, end->event, end->total_ms);
        break;
    case WAIT_EXPIRED:
        answer_expired(s);
        break;
    case WAIT_FAILED:
        answer_failed(s, end->err);
        break;
    }
    return true;
}

void submit_wait(struct submission *s, bool acknowledged)
{
    int64_t left = http_request_arrived_ms(s->request) + s->wait_ms - clock_mono_ms();
    s->waiter = waits_add(s->gateway->waits, s->event->correlation_id, left > 0 ? left : 0, wait_ended, s);
    if (acknowledged) {
        waits_acknowledged(s->gateway->waits, s->event->correlation_id);
    }
}

/* ---- following a run in the log ---- */

enum { LOOK_STATE, LOOK_RESULT, LOOK_PUBLISHED, LOOK_LEASE, LOOK_TOTAL_MS, LOOK_CORRELATION_ID };

/* The result as the log has it. False: not there, or not readable (logged). */
static bool answer_from_log(struct submission *s, const struct db_result *result)
{
    const char *text = db_value(result, 0, LOOK_RESULT);
    enum msg_state state;
    if (text == NULL || !msg_state_parse(db_value(result, 0, LOOK_STATE), &state) ||
        !wait_state_final(state)) {
        return false;
    }
    struct error err = {0};
    cJSON *json = json_parse(text, strlen(text), &err);
    struct msg_ticket_event *event =
        json != NULL ? msg_from_json(&msg_ticket_event, s->arena, json, &err) : NULL;
    cJSON_Delete(json);
    if (event == NULL) {
        log_error("result in the log is not readable", LOG_STR("correlation_id", s->event->correlation_id),
            LOG_STR("error", err.text));
        return false;
    }
    submit_answer_event(s, event, db_number(result, 0, LOOK_TOTAL_MS));
    return true;
}

static bool is_overdue(const struct submission *s, int64_t by_ms)
{
    return clock_mono_ms() >= http_request_arrived_ms(s->request) + s->wait_ms + by_ms;
}

static void look_again(struct submission *s)
{
    s->poll_ms = s->poll_ms * 2 < POLL_MAX_MS ? s->poll_ms * 2 : POLL_MAX_MS;
    loop_timer_arm(s->poll, s->poll_ms);
}

/* Nobody knows whether the broker has the run, or it was lost. `err` NULL: the log does not tell. */
static void answer_unknown(struct submission *s, const struct error *err)
{
    struct error unknown = {0};
    error_set(&unknown, ERROR_RETRY, "run_unknown", "the log does not tell of the run");
    answer_failed(s, err != NULL ? err : &unknown);
}

/* Whoever claimed the run has not published it yet, and may be gone. The client is not held for much longer
 * than it wanted; what this gateway publishes itself has its own end. */
static void wait_for_publisher(struct submission *s)
{
    if (s->lease == NULL && is_overdue(s, SUBMIT_MARGIN_S * 1000)) {
        answer_unknown(s, NULL);
    } else {
        look_again(s);
    }
}

static void looked(void *arg, const struct db_result *result, const struct error *err)
{
    struct submission *s = submit_guard_take_run(arg, result, LOOK_CORRELATION_ID, LOOK_LEASE);
    if (s == NULL) {
        return;
    }
    if (err != NULL || db_rows(result) == 0) {
        if (is_overdue(s, 0)) {
            answer_unknown(s, err);
        } else { /* the database may come back within the wait */
            look_again(s);
        }
        return;
    }
    if (answer_from_log(s, result)) {
        return;
    }
    const char *lease = db_value(result, 0, LOOK_LEASE);
    if (strcmp(db_value(result, 0, LOOK_STATE), "failed") == 0) { /* without a result: the broker lost it */
        answer_unknown(s, NULL);
    } else if (lease != NULL) {
        if (submit_leased(s, lease)) {
            look_again(s);
            submit_publish_taken(s); /* may end this submission */
        }
    } else if (db_bool(result, 0, LOOK_PUBLISHED)) {
        look_again(s);
        waits_acknowledged(s->gateway->waits, s->event->correlation_id); /* may end this submission */
    } else {
        wait_for_publisher(s);
    }
}

static void look(void *arg)
{
    struct submission *s = arg;
    struct db_query query = {
        .sql = "SELECT state, result, published_at IS NOT NULL OR state <> 'accepted', "
               "CASE WHEN published_at IS NULL AND state = 'accepted' "
               "THEN run_take_over(tenant, correlation_id, $3::bigint * interval '1 ms') END, "
               "extract(epoch FROM finished_at - received_at) * 1000, correlation_id "
               "FROM runs WHERE tenant = $1 AND correlation_id = $2",
        .param_count = 3,
        .params = {s->gateway->tenant, s->event->correlation_id, submit_lease_ms(s)},
    };
    submit_query(s, &query, looked);
}

void submit_follow(struct submission *s, int64_t first_look_ms)
{
    if (s->waiter == NULL || s->poll != NULL) {
        return; /* answered meanwhile, or followed already */
    }
    s->poll = loop_timer_new(s->gateway->loop, look, s);
    s->poll_ms = 50;
    loop_timer_arm(s->poll, first_look_ms);
}
