/* From records to rows of the log: plain functions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/ids.h"
#include "base/json.h"
#include "logger_fixture.h"
#include "stages/ticket_event.h"

static int setup(void **state)
{
    (void)state;
    records_open();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void test_rows_of_events(void **state)
{
    (void)state;
    struct msg_ticket_event *event = new_event("T-1", 1);
    event->ticket.metadata = "{\"raw\": \"\\u0000 kept\"}";
    add_answer(event, "Press reset.");
    struct logger_row row = event_row(TOPIC_ANSWERED, event);
    assert_string_equal(row.kind, "answered");
    assert_string_equal(row.state, "completed");
    assert_string_equal(row.ticket_id, "T-1");
    char expected[UUID_TEXT_SIZE];
    uuid_child(event->event_id, "answered", 0, expected);
    assert_string_equal(row.event_id, expected);
    cJSON *payload = json_parse(row.payload, strlen(row.payload), NULL);
    assert_non_null(payload);
    assert_string_equal(
        json_str(cJSON_GetObjectItem(cJSON_GetObjectItem(payload, "generation"), "primary_draft"), "text"),
        "Press reset.");
    assert_null(cJSON_GetObjectItem(payload, "ticket"));
    cJSON_Delete(payload);
    cJSON *result = json_parse(row.result, strlen(row.result), NULL);
    assert_string_equal(
        json_str(cJSON_GetObjectItem(result, "ticket"), "metadata"), "{\"raw\": \"\\u0000 kept\"}");
    cJSON_Delete(result);

    struct logger_row submitted = event_row(TOPIC_SUBMITTED, event);
    assert_string_equal(submitted.kind, "submitted");
    assert_string_equal(submitted.state, "accepted"); /* whatever its publisher says */
    assert_null(submitted.result);
    assert_string_not_equal(submitted.event_id, row.event_id);
    assert_string_equal(event_row(TOPIC_CLASSIFIED, event).kind, "classified");
    assert_string_equal(event_row(TOPIC_ENRICHED, event).kind, "enriched");
}

static void test_rows_of_raw_tickets(void **state)
{
    (void)state;
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, arena);
    event->ticket.subject = "s";
    event->ticket.description = "d";
    event->ticket.customer_external_id = "c";
    struct bus_record record = as_record(TOPIC_SUBMITTED, 77, &msg_ticket_event, event);
    struct logger_row first = make_row(&record), again = make_row(&record);
    assert_string_equal(first.event_id, again.event_id);
    assert_string_equal(first.correlation_id, again.correlation_id);
    assert_true(uuid_valid(first.ticket_id));
    assert_int_equal(first.received_at, now_ms);
    record.offset = 78;
    assert_string_not_equal(make_row(&record).event_id, first.event_id);
    event->ticket.ticket_id = "no/ticket";
    record = as_record(TOPIC_SUBMITTED, 77, &msg_ticket_event, event);
    assert_true(uuid_valid(make_row(&record).ticket_id));
}

/* The classifier refuses such a ticket: what the log keeps of it belongs to the run of the failed answer. */
static void test_malformed_ids_give_one_run(void **state)
{
    (void)state;
    const struct {
        const char *event_id, *correlation_id, *ticket_id;
    } cases[] = {{NULL, "order-4711", "T-1"}, {"evt-1", NULL, "T-1"}, {"evt-1", "order-4711", "no/ticket"},
        {"0192d3c4-0000-7000-8000-000000000001", "", "T-1"},
        {"evt-1", "0192d3c4-0000-7000-8000-000000000002", "T-1"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct msg_ticket_event *event = new_event(cases[i].ticket_id, 1);
        event->event_id = cases[i].event_id;
        event->correlation_id = cases[i].correlation_id;
        struct bus_record record = as_record(TOPIC_SUBMITTED, 77, &msg_ticket_event, event);
        struct logger_row submitted = make_row(&record);
        struct error err = {0};
        (void)error_set(&err, ERROR_REJECT, "ticket_invalid", "an id must be a UUID");
        assert_true(ticket_event_fail(arena, event, &record, MSG_STEP_CLASSIFY, &err));
        struct logger_row failed = event_row(TOPIC_ANSWERED, event);
        assert_true(uuid_valid(submitted.correlation_id));
        assert_string_equal(submitted.correlation_id, failed.correlation_id);
        assert_string_equal(submitted.ticket_id, failed.ticket_id);
        assert_string_equal(submitted.event->event_id, failed.event->event_id);
    }
}

static void test_hostile_times(void **state)
{
    (void)state;
    struct msg_ticket_event *event = new_event("T-1", 1);
    struct msg_step_trace *step = msg_new(&msg_step_trace, arena);
    step->started_at = INT64_MAX;
    step->latency_ms = 5;
    event->steps = step;
    event->steps_count = 1;
    assert_int_equal(event_row(TOPIC_CLASSIFIED, event).at, now_ms);
}

static void test_replies(void **state)
{
    (void)state;
    struct msg_ticket_event *event = new_event("T-1", 1);
    struct bus_record record = as_record(TOPIC_REPLIES, 1, &msg_ticket_event, event);
    struct logger_row row;
    bool skip = false;
    assert_true(logger_row_make(arena, &record, &row, &skip, NULL));
    assert_true(skip);
    event->kind = MSG_KIND_QUESTION;
    add_answer(event, "x");
    row = event_row(TOPIC_REPLIES, event);
    assert_string_equal(row.kind, "answered");
    assert_non_null(row.result);
}

static void check_refused(const struct bus_record *record)
{
    struct logger_row row;
    struct error err = {0};
    bool skip = false;
    assert_false(logger_row_make(arena, record, &row, &skip, &err));
    assert_int_equal(err.disposition, ERROR_REJECT);
}

static void test_hostile_records(void **state)
{
    (void)state;
    const char *const topics[] = {TOPIC_SUBMITTED, TOPIC_ANSWERED, TOPIC_REPLIES, TOPIC_FEEDBACK};
    for (size_t i = 0; i < 4; i++) {
        check_refused(&(struct bus_record){.topic = topics[i]});
        check_refused(&(struct bus_record){.topic = topics[i], .value = "\xc3\x01garbage", .value_len = 9});
        check_refused(&(struct bus_record){.topic = topics[i], .value = "{}", .value_len = 2});
    }
    struct msg_feedback *feedback = msg_new(&msg_feedback, arena);
    feedback->ticket_id = "T-1";
    feedback->has_rating = true;
    feedback->rating = 6;
    struct bus_record record = as_record(TOPIC_FEEDBACK, 1, &msg_feedback, feedback);
    check_refused(&record);
    feedback->rating = 5;
    feedback->ticket_id = "a/b";
    record = as_record(TOPIC_FEEDBACK, 1, &msg_feedback, feedback);
    check_refused(&record);
}

static void test_rows_of_dead_letters(void **state)
{
    (void)state;
    const struct bus_header headers[] = {{"event-id", "0192d3c4-0000-7000-8000-000000000001", 36},
        {"tenant", "acme", 4}, {"correlation-id", "\xff\xfe", 2}};
    struct bus_record record = {.topic = "classifier.dead",
        .key = "acme/T-9",
        .key_len = 8,
        .value = "\x00\xff not ours",
        .value_len = 11,
        .timestamp = now_ms,
        .headers = headers,
        .header_count = 3};
    struct logger_row row = make_row(&record);
    assert_string_equal(row.kind, "dead_letter");
    assert_string_equal(row.tenant, "acme");
    assert_string_equal(row.ticket_id, "T-9");
    assert_string_equal(row.correlation_id, "");
    cJSON *payload = json_parse(row.payload, strlen(row.payload), NULL);
    assert_non_null(payload);
    cJSON_Delete(payload);
    const struct bus_header raw_run = {"correlation-id", "order-4711", 10};
    struct bus_record other = record;
    other.headers = &raw_run;
    other.header_count = 1;
    assert_string_equal(make_row(&other).correlation_id, "");
    other = record;
    other.topic = "generator.dead";
    assert_string_not_equal(make_row(&other).event_id, row.event_id);
    other.key = "source\xff/x";
    other.key_len = 9;
    assert_string_equal(make_row(&other).ticket_id, "");
    other.key = NULL;
    other.header_count = 0;
    assert_string_equal(make_row(&other).tenant, "default");
}

static void test_dead_letters_belong_to_their_run(void **state)
{
    (void)state;
    struct msg_ticket_event *event =
        msg_new(&msg_ticket_event, arena); /* a raw ticket: its ids come from its place */
    event->ticket.subject = "s";
    event->ticket.description = "d";
    event->ticket.customer_external_id = "c";
    struct bus_record record = as_record(TOPIC_SUBMITTED, 77, &msg_ticket_event, event);
    struct logger_row submitted = make_row(&record);
    const struct bus_header headers[] = {{"helpdesk.error.topic", TOPIC_SUBMITTED, strlen(TOPIC_SUBMITTED)},
        {"helpdesk.error.partition", "3", 1}, {"helpdesk.error.offset", "77", 2},
        {"helpdesk.error.class", "ticket_invalid", 14}};
    record.topic = "classifier.dead";
    record.partition = 0;
    record.offset = 5;
    record.headers = headers;
    record.header_count = 4;
    struct logger_row dead = make_row(&record);
    assert_string_equal(dead.correlation_id, submitted.correlation_id);
    assert_string_equal(dead.ticket_id, submitted.ticket_id);
    assert_string_not_equal(dead.event_id, submitted.event_id);
    assert_non_null(strstr(dead.payload, "\"class\":\"ticket_invalid\""));
    assert_non_null(strstr(dead.payload, "\"offset\":\"77\""));
}

static void test_a_malformed_tenant_has_no_rows(void **state)
{
    (void)state;
    struct logger_row row;
    struct error err = {0};
    bool skip;
    struct msg_ticket_event *event = new_event("T-1", 1);
    event->tenant = "a/b";
    struct bus_record record = as_record(TOPIC_SUBMITTED, 77, &msg_ticket_event, event);
    assert_false(logger_row_make(arena, &record, &row, &skip, &err));
    assert_int_equal(err.disposition, ERROR_REJECT);
    record.topic = "classifier.dead";
    assert_string_equal(make_row(&record).tenant, "default"); /* the failure is told all the same */
    struct msg_feedback *feedback = msg_new(&msg_feedback, arena);
    feedback->ticket_id = "T-1";
    feedback->tenant = "";
    record = as_record(TOPIC_FEEDBACK, 78, &msg_feedback, feedback);
    assert_false(logger_row_make(arena, &record, &row, &skip, &err));
    assert_string_equal(err.code, "feedback_invalid");
}

static void test_rows_of_feedback(void **state)
{
    (void)state;
    struct msg_feedback *feedback = msg_new(&msg_feedback, arena);
    feedback->ticket_id = "T-1";
    struct logger_row row = feedback_row(feedback, 5), again = feedback_row(feedback, 5),
                      other = feedback_row(feedback, 6);
    assert_string_equal(row.kind, "feedback");
    assert_true(uuid_valid(row.feedback->feedback_id));
    assert_string_equal(row.event_id, again.event_id);
    assert_string_not_equal(row.event_id, other.event_id);
    assert_int_equal(row.received_at, now_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows_of_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_of_raw_tickets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed_ids_give_one_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_times, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_of_dead_letters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dead_letters_belong_to_their_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_malformed_tenant_has_no_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_of_feedback, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
