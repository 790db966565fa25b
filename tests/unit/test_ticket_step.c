/* The common half of the ticket stages: what comes in, what the plan wants, and what goes where. The engine
 * is a fake that keeps what was emitted. */
#include "ticket_step_fixture.h"

/* ---- ids ---- */

static void test_mints_ids(void **state)
{
    struct fixture *f = *state;
    struct engine_job *job = run(f, MSG_STEP_CLASSIFY);
    assert_int_equal(job->count, 1);
    const struct msg_ticket_event *event = job->out[0].event;
    char expected[UUID_TEXT_SIZE], first[UUID_TEXT_SIZE];
    uuid_v5("tickets.submitted/3/42", strlen("tickets.submitted/3/42"), expected);
    assert_string_equal(event->event_id, expected);
    assert_true(uuid_valid(event->correlation_id));
    assert_true(uuid_valid(event->ticket.ticket_id));
    assert_int_equal(event->received_at, 1700000000000);
    assert_int_equal(event->ticket.created_at, 1700000000000);
    assert_string_equal(event->ticket.locale, "en");
    snprintf(first, sizeof first, "%s", event->ticket.ticket_id);
    job = run(f, MSG_STEP_CLASSIFY); /* the same record again gives the same ids */
    assert_string_equal(job->out[0].event->ticket.ticket_id, first);
}

static void test_takes_ids_from_headers(void **state)
{
    struct fixture *f = *state;
    const struct bus_header headers[] = {
        {"event-id", "11111111-2222-4333-8444-555555555555", 36}, {"correlation-id", CORRELATION, 36}};
    const struct msg_ticket_event *event = run_with(f, MSG_STEP_CLASSIFY, headers, 2)->out[0].event;
    assert_string_equal(event->event_id, "11111111-2222-4333-8444-555555555555");
    assert_string_equal(event->correlation_id, CORRELATION);
    const struct bus_header bad[] = {{"event-id", "no uuid", 7}, {"correlation-id", NULL, 0}};
    event = run_with(f, MSG_STEP_CLASSIFY, bad, 2)->out[0].event;
    assert_true(uuid_valid(event->event_id));
    assert_true(uuid_valid(event->correlation_id));
}

/* ---- the plan ---- */

static void test_whole_plan(void **state)
{
    struct fixture *f = *state;
    static const char *const next[] = {TOPIC_CLASSIFIED, TOPIC_ENRICHED, TOPIC_ANSWERED};
    static const enum msg_state states[] = {MSG_STATE_CLASSIFIED, MSG_STATE_ENRICHED, MSG_STATE_COMPLETED};
    f->event->ticket.ticket_id = "T-1";
    for (int step = 0; step < MSG_STEP_COUNT; step++) {
        struct engine_job *job = run(f, (enum msg_step)step);
        assert_int_equal(job->outcome, ENGINE_DONE);
        assert_int_equal(job->count, 1);
        assert_string_equal(job->out[0].topic, next[step]);
        assert_string_equal(job->out[0].key, "default/T-1");
        assert_int_equal(job->out[0].partition, -1);
        assert_int_equal(job->out[0].event->state, states[step]);
        assert_int_equal(job->out[0].event->steps_count, step + 1);
        f->event = msg_copy(&msg_ticket_event, f->arena, job->out[0].event);
    }
    char child[UUID_TEXT_SIZE];
    uuid_child(f->event->event_id, "generate", 0, child);
    assert_string_equal(f->event->steps[2].event_id, child);
    assert_string_equal(f->event->steps[2].model, "fake/1");
    assert_true(f->event->steps[2].latency_ms >= 0);
    assert_true(f->event->steps[2].started_at > 0);
    assert_int_equal(behaviour.calls, 3);
}

static void test_question(void **state)
{
    struct fixture *f = *state;
    f->event->kind = MSG_KIND_QUESTION;
    f->event->correlation_id = CORRELATION;
    f->event->has_reply_to = true;
    f->event->reply_to = 5;
    set_plan(f, 1, (const enum msg_step[]){MSG_STEP_CLASSIFY});
    struct engine_job *job = run(f, MSG_STEP_CLASSIFY);
    assert_int_equal(job->count, 1);
    assert_string_equal(job->out[0].topic, TOPIC_REPLIES);
    assert_string_equal(job->out[0].key, CORRELATION);
    assert_int_equal(job->out[0].partition, 5);
    assert_int_equal(job->out[0].event->state, MSG_STATE_COMPLETED);
    assert_non_null(strstr(job->out[0].headers, "reply-to=5;"));
    assert_non_null(strstr(job->out[0].headers, "kind=question;"));
    assert_non_null(strstr(job->out[0].headers, "state=completed;"));
    assert_non_null(strstr(job->out[0].headers, "correlation-id=" CORRELATION ";"));
}

static void test_skips_steps(void **state)
{
    struct fixture *f = *state;
    set_plan(f, 2, (const enum msg_step[]){MSG_STEP_CLASSIFY, MSG_STEP_GENERATE});
    assert_string_equal(run(f, MSG_STEP_CLASSIFY)->out[0].topic, TOPIC_ENRICHED);
    assert_int_equal(behaviour.calls, 1);
    struct engine_job *job = run(f, MSG_STEP_RETRIEVE); /* not wanted here: passed on untouched */
    assert_int_equal(behaviour.calls, 1);
    assert_true(job->without);
    assert_string_equal(job->out[0].topic, TOPIC_ENRICHED);
    assert_int_equal(job->out[0].event->steps_count, 0);
}

static void test_automatic_ticket(void **state)
{
    struct fixture *f = *state;
    f->event->ticket.auto_generated = true;
    struct engine_job *job = run(f, MSG_STEP_RETRIEVE);
    assert_string_equal(job->out[0].topic, TOPIC_ANSWERED);
    assert_int_equal(job->out[0].event->state, MSG_STATE_COMPLETED);
    assert_int_equal(behaviour.calls, 1);
    run(f, MSG_STEP_GENERATE);
    assert_int_equal(behaviour.calls, 1);
}

static void test_early_answer(void **state)
{
    struct fixture *f = *state;
    f->event->has_reply_to = true;
    f->event->reply_to = 2;
    f->event->has_answer_after = true;
    f->event->answer_after = MSG_STEP_RETRIEVE;
    assert_int_equal(run(f, MSG_STEP_CLASSIFY)->count, 1);
    struct engine_job *job = run(f, MSG_STEP_RETRIEVE);
    assert_int_equal(job->count, 2);
    assert_string_equal(job->out[0].topic, TOPIC_REPLIES);
    assert_int_equal(job->out[0].partition, 2);
    assert_int_equal(job->out[0].event->state, MSG_STATE_ENRICHED);
    assert_string_equal(job->out[1].topic, TOPIC_ENRICHED);
    assert_false(job->out[1].event->has_reply_to);
    f->event = msg_copy(&msg_ticket_event, f->arena, job->out[1].event);
    job = run(f, MSG_STEP_GENERATE);
    assert_int_equal(job->count, 1);
    assert_string_equal(job->out[0].topic, TOPIC_ANSWERED);
}

static void test_ticket_answered_to_both(void **state)
{
    struct fixture *f = *state;
    f->event->has_reply_to = true;
    f->event->reply_to = 0;
    struct engine_job *job = run(f, MSG_STEP_GENERATE);
    assert_int_equal(job->count, 2);
    assert_string_equal(job->out[0].topic, TOPIC_ANSWERED);
    assert_string_equal(job->out[1].topic, TOPIC_REPLIES);
}

static void test_bad_reply_to(void **state)
{
    struct fixture *f = *state;
    static const int32_t bad[] = {-1, 8, INT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        f->event->has_reply_to = true;
        f->event->reply_to = bad[i];
        struct engine_job *job = run(f, MSG_STEP_GENERATE);
        assert_int_equal(job->outcome, ENGINE_DONE);
        assert_int_equal(job->count, 1);
        assert_string_equal(job->out[0].topic, TOPIC_ANSWERED);
    }
}

/* ---- states ---- */

static enum msg_state final_state(struct fixture *f)
{
    return run(f, MSG_STEP_GENERATE)->out[0].event->state;
}

static void test_final_states(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(final_state(f), MSG_STATE_COMPLETED);
    behaviour.flag = true;
    assert_int_equal(final_state(f), MSG_STATE_COMPLETED_WITH_FLAGS);
    behaviour.judge = MSG_STATE_ESCALATED_LOW_CONFIDENCE;
    assert_int_equal(final_state(f), MSG_STATE_ESCALATED_LOW_CONFIDENCE);
    behaviour.degrade = "database unavailable";
    assert_int_equal(final_state(f), MSG_STATE_DEGRADED);
    assert_string_equal(f->job.out[0].event->steps[0].degraded[0], "database unavailable");
    behaviour.judge = MSG_STATE_FALLBACK_GUARDRAIL_FAILURE;
    assert_int_equal(final_state(f), MSG_STATE_FALLBACK_GUARDRAIL_FAILURE);
}

/* ---- attempts ---- */

static void test_attempts(void **state)
{
    struct fixture *f = *state;
    const struct msg_step_trace *trace = run(f, MSG_STEP_RETRIEVE)->out[0].event->steps;
    assert_int_equal(trace->attempts, 1);
    assert_int_equal(trace->errors_count, 0);
    behaviour.earlier[0] = "db_unavailable: shut down";
    behaviour.earlier[1] = "crashed: the process died";
    trace = run(f, MSG_STEP_RETRIEVE)->out[0].event->steps;
    assert_int_equal(trace->attempts, 3);
    assert_int_equal(trace->errors_count, 2);
    assert_string_equal(trace->errors[0], "db_unavailable: shut down");
    assert_string_equal(trace->errors[1], "crashed: the process died");
}

/* ---- headers ---- */

static void test_priority_and_deadline_headers(void **state)
{
    struct fixture *f = *state;
    struct engine_job *job = run(f, MSG_STEP_RETRIEVE);
    assert_non_null(strstr(job->out[0].headers, "priority=medium;"));
    assert_null(strstr(job->out[0].headers, "deadline-at="));
    f->event->ticket.has_priority = true;
    f->event->ticket.priority = MSG_PRIORITY_LOW;
    f->event->has_deadline_at = true;
    f->event->deadline_at = 4102444800000;
    job = run(f, MSG_STEP_RETRIEVE);
    assert_non_null(strstr(job->out[0].headers, "priority=low;"));
    assert_non_null(strstr(job->out[0].headers, "deadline-at=4102444800000;"));
    f->event->classification = msg_new(&msg_classification, f->arena); /* what is found out outdoes a hint */
    f->event->classification->priority = MSG_PRIORITY_CRITICAL;
    assert_non_null(strstr(run(f, MSG_STEP_RETRIEVE)->out[0].headers, "priority=critical;"));
}

/* ---- deadlines ---- */

static void test_deadlines(void **state)
{
    struct fixture *f = *state;
    run(f, MSG_STEP_RETRIEVE);
    assert_true(behaviour.deadline == INT64_MAX);
    f->event->has_deadline_at = true;
    f->event->deadline_at = clock_wall_ms() + 60000;
    run(f, MSG_STEP_RETRIEVE);
    int64_t left = behaviour.deadline - clock_mono_ms();
    assert_true(left > 30000 && left < 90000);
    f->event->deadline_at = clock_wall_ms() - 3600000; /* a late ticket is still answered in full */
    assert_int_equal(run(f, MSG_STEP_RETRIEVE)->out[0].event->steps[0].degraded_count, 0);
    assert_true(behaviour.deadline == INT64_MAX);
    assert_int_equal(behaviour.calls, 3);
    f->event->kind = MSG_KIND_QUESTION; /* nobody reads a late answer to a question */
    struct engine_job *job = run(f, MSG_STEP_RETRIEVE);
    assert_int_equal(behaviour.calls, 3);
    assert_int_equal(job->out[0].event->steps[0].degraded_count, 1);
    f->event->deadline_at = INT64_MIN;
    assert_int_equal(run(f, MSG_STEP_RETRIEVE)->outcome, ENGINE_DONE);
}

/* ---- what is refused ---- */

static void assert_rejected(struct fixture *f, const char *field)
{
    struct engine_job *job = run(f, MSG_STEP_CLASSIFY);
    assert_int_equal(job->outcome, ENGINE_FAILED);
    assert_int_equal(job->err.disposition, ERROR_REJECT);
    if (strstr(job->err.text, field) == NULL) {
        fail_msg("\"%s\" does not name %s", job->err.text, field);
    }
    assert_int_equal(job->count, 1);
    const struct msg_ticket_event *event = job->out[0].event;
    assert_string_equal(job->out[0].topic, TOPIC_ANSWERED);
    assert_int_equal(event->state, MSG_STATE_FAILED);
    assert_non_null(event->failure);
    assert_string_equal(event->failure->code, "ticket_invalid");
    assert_non_null(strstr(event->failure->message, field));
    assert_true(uuid_valid(event->event_id));
    assert_true(event->ticket.ticket_id[0] != 0 && strchr(event->ticket.ticket_id, '/') == NULL);
    assert_int_equal(behaviour.calls, 0);
}

static void test_refuses_invalid_tickets(void **state)
{
    struct fixture *f = *state;
    const struct msg_ticket good = f->event->ticket;
    struct msg_ticket *ticket = &f->event->ticket;
    ticket->subject = " \n\t ";
    assert_rejected(f, "subject");
    *ticket = good;
    ticket->description = "";
    assert_rejected(f, "description");
    *ticket = good;
    ticket->customer_external_id = " ";
    assert_rejected(f, "customer_external_id");
    *ticket = good;
    ticket->ticket_id = "a/b";
    assert_rejected(f, "ticket_id");
    ticket->ticket_id = "classify";
    assert_rejected(f, "ticket_id");
    ticket->ticket_id = "line\nbreak";
    assert_rejected(f, "ticket_id");
    *ticket = good;
    ticket->channel = "no channel!";
    assert_rejected(f, "channel");
    *ticket = good;
    ticket->locale = "en_US";
    assert_rejected(f, "locale");
    *ticket = good;
    ticket->metadata = "[1]";
    assert_rejected(f, "metadata");
    ticket->metadata = "{\"a\":";
    assert_rejected(f, "metadata");
    *ticket = good;
    f->event->event_id = "not-a-uuid";
    assert_rejected(f, "event_id");
    f->event->event_id = NULL;
    f->event->correlation_id = "zz";
    assert_rejected(f, "correlation_id");
}

static void test_refuses_foreign_tenant(void **state)
{
    struct fixture *f = *state;
    f->event->tenant = "a/b";
    struct engine_job *job = run(f, MSG_STEP_CLASSIFY);
    assert_int_equal(job->err.disposition, ERROR_REJECT);
    assert_int_equal(job->count, 0); /* nobody may be told */
}

static void test_tells_the_gateway_of_garbage(void **state)
{
    struct fixture *f = *state;
    const struct bus_header headers[] = {{"correlation-id", CORRELATION, 36}, {"reply-to", "4", 1}};
    start_job(f, "garbage", 7, headers, 2);
    ticket_stage_process(&f->job, f->stages[MSG_STEP_CLASSIFY]);
    assert_int_equal(f->job.outcome, ENGINE_FAILED);
    assert_int_equal(f->job.err.disposition, ERROR_REJECT);
    ticket_stage_rejected(&f->job, &f->job.err, f->stages[MSG_STEP_CLASSIFY]);
    assert_int_equal(f->job.count, 1);
    assert_string_equal(f->job.out[0].topic, TOPIC_REPLIES);
    assert_string_equal(f->job.out[0].key, CORRELATION);
    assert_int_equal(f->job.out[0].partition, 4);
    assert_string_equal(f->job.out[0].event->failure->code, "ticket_unreadable");
    start_job(f, "garbage", 7, NULL, 0);
    ticket_stage_process(&f->job, f->stages[MSG_STEP_CLASSIFY]);
    ticket_stage_rejected(&f->job, &f->job.err, f->stages[MSG_STEP_CLASSIFY]);
    assert_int_equal(f->job.count, 0);
}

static void test_step_fails(void **state)
{
    struct fixture *f = *state;
    f->event->has_reply_to = true;
    f->event->reply_to = 1;
    error_set(&behaviour.fail, ERROR_RETRY, "db_unavailable", "connection to 10.0.0.1 refused");
    struct engine_job *job = run(f, MSG_STEP_RETRIEVE);
    assert_int_equal(job->outcome, ENGINE_FAILED);
    assert_int_equal(job->err.disposition, ERROR_RETRY);
    assert_int_equal(job->count, 0);
    ticket_stage_rejected(job, &job->err, f->stages[MSG_STEP_RETRIEVE]); /* the engine gave up */
    assert_int_equal(job->count, 2);
    const struct msg_failure *failure = job->out[0].event->failure;
    assert_string_equal(failure->code, "unavailable");
    assert_null(strstr(failure->message, "10.0.0.1"));
    assert_null(strstr(failure->message, "db"));
    assert_int_equal(failure->step, MSG_STEP_RETRIEVE);
    assert_string_equal(job->out[1].topic, TOPIC_REPLIES);
}

static void test_result_too_large(void **state)
{
    struct fixture *f = *state;
    behaviour.grow = 600 * 1024;
    struct engine_job *job = run(f, MSG_STEP_RETRIEVE);
    assert_int_equal(job->outcome, ENGINE_FAILED);
    assert_string_equal(job->err.code, "record_too_large");
    assert_int_equal(job->count, 1);
    assert_int_equal(job->out[0].event->state, MSG_STATE_FAILED);
    assert_string_equal(job->out[0].event->failure->code, "ticket_too_large");
}

/* ---- a trial ---- */

static void keep(void *arg, struct msg_ticket_event *event, const struct error *err)
{
    *(struct error *)arg = err != NULL ? *err : (struct error){0};
    assert_non_null(event);
}

static void test_try(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    ticket_step_try(&fakes[MSG_STEP_GENERATE], &behaviour, f->arena, f->event, keep, &err);
    assert_int_equal(err.disposition, ERROR_NONE);
    assert_int_equal(f->event->state, MSG_STATE_COMPLETED);
    assert_true(uuid_valid(f->event->event_id));
    assert_int_equal(f->event->steps_count, 1);
    ticket_step_try(&fakes[MSG_STEP_GENERATE], &behaviour, f->arena, f->event, keep, &err);
    assert_int_equal(f->event->steps_count, 1); /* the same step again replaces its trace */
    f->event->ticket.subject = "";
    ticket_step_try(&fakes[MSG_STEP_GENERATE], &behaviour, f->arena, f->event, keep, &err);
    assert_string_equal(err.code, "ticket_invalid");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mints_ids),
        TEST(test_takes_ids_from_headers),
        TEST(test_whole_plan),
        TEST(test_question),
        TEST(test_skips_steps),
        TEST(test_automatic_ticket),
        TEST(test_early_answer),
        TEST(test_ticket_answered_to_both),
        TEST(test_bad_reply_to),
        TEST(test_final_states),
        TEST(test_attempts),
        TEST(test_priority_and_deadline_headers),
        TEST(test_deadlines),
        TEST(test_refuses_invalid_tickets),
        TEST(test_refuses_foreign_tenant),
        TEST(test_tells_the_gateway_of_garbage),
        TEST(test_step_fails),
        TEST(test_result_too_large),
        TEST(test_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
