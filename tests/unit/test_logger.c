/* The log in PostgreSQL: rows in batches, twice, in any order, bad ones among them, and without a database.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/ids.h"
#include "base/metrics.h"
#include "logger_fixture.h"
#include "pg_testdb.h"
#include "stages/logger_batch.h"

static struct pg_testdb testdb;
static struct loop *loop;
static struct db *db;
static struct voices *voices;
static struct logger_batch *batch;

struct waiter {
    struct logger_item item;
    struct error err;
    int done;
};

static int pending;

static void on_finished(struct logger_item *item, const struct error *err)
{
    struct waiter *waiter = item->owner;
    waiter->done++;
    waiter->err = err != NULL ? *err : (struct error){0};
    if (--pending == 0) {
        loop_stop(loop, 0);
    }
}

static struct waiter *add(struct logger_row row)
{
    struct waiter *waiter = ARENA_NEW(arena, struct waiter);
    waiter->item = (struct logger_item){.row = row, .finished = on_finished, .owner = waiter};
    pending++;
    logger_batch_add(batch, &waiter->item);
    return waiter;
}

static void too_late(void *arg)
{
    (void)arg;
    fail_msg("the batches did not end");
}

static void finish(void)
{
    struct loop_timer *limit = loop_timer_new(loop, too_late, NULL);
    loop_timer_arm(limit, 60000);
    if (pending > 0) {
        (void)loop_run(loop);
    }
    loop_timer_free(limit);
}

static void write_row(struct logger_row row)
{
    struct waiter *waiter = add(row);
    finish();
    assert_int_equal(waiter->done, 1);
    assert_string_equal(waiter->err.text, "");
}

static void check_value(const char *sql, const char *expected)
{
    assert_string_equal(pg_testdb_value(&testdb, sql), expected);
}

static int setup(void **state)
{
    (void)state;
    records_open();
    loop = loop_new(1);
    db = db_new(loop, &(struct db_options){.url = testdb.url, .connections = 3, .query_timeout_ms = 10000});
    static const char ahoi[] =
        "{\"voices\": {\"*\": {\"greeting\": \"Ahoi {name}\", \"greeting_without_name\": \"Ahoi\", "
        "\"signature\": \"The crew, +49 30 901820\"}}}";
    voices = voices_parse(ahoi, strlen(ahoi), NULL);
    assert_non_null(voices);
    batch = logger_batch_new(loop, db, voices);
    pg_testdb_script(&testdb, "TRUNCATE interactions, tickets, runs, customers, feedback, resolutions");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    logger_batch_free(batch);
    db_free(db);
    voices_free(voices);
    loop_free(loop);
    arena_free(arena);
    return 0;
}

#define TICKET_STATE                                                                                         \
    "SELECT state || ' ' || coalesce(category, '-') || ' ' || coalesce(sentiment, '-') || ' ' || status || " \
    "' run-' || "                                                                                            \
    "right(correlation_id, 12)::int FROM tickets WHERE ticket_id = 'T-1'"

static void test_one_ticket_in_any_order(void **state)
{
    (void)state;
    struct msg_ticket_event *submitted = new_event("T-1", 1);
    struct msg_ticket_event *classified = new_event("T-1", 1);
    struct msg_ticket_event *answered = new_event("T-1", 1);
    add_classification(classified);
    add_answer(answered, "Press reset.");
    pg_testdb_script(&testdb,
        "INSERT INTO customers (tenant, external_id, customer_id, name, email) VALUES ('default', "
        "'C-1', '1', 'n', 'e'), ('other', 'C-1', '1', 'n', 'e')");
    for (int round = 0; round < 3; round++) { /* the same events again change nothing */
        add(event_row(TOPIC_ANSWERED, answered));
        add(event_row(TOPIC_SUBMITTED, submitted));
        if (round == 1) {
            finish();
        }
        add(event_row(TOPIC_CLASSIFIED, classified));
        finish();
        check_value(
            "SELECT string_agg(kind, ' ' ORDER BY kind) FROM interactions", "answered classified submitted");
        check_value(TICKET_STATE, "completed account negative open run-1");
        check_value(
            "SELECT state || ' ' || (finished_at IS NOT NULL) || ' ' || (published_at IS NOT NULL) || ' ' || "
            "(result #>> '{generation,primary_draft,text}') FROM runs",
            "completed true true Press reset.");
    }
    check_value("SELECT count(*) FROM customers WHERE last_contact IS NOT NULL AND tenant = 'default'", "1");
    check_value("SELECT count(*) FROM customers WHERE last_contact IS NOT NULL AND tenant = 'other'", "0");
}

static void test_runs_of_a_ticket(void **state)
{
    (void)state;
    struct msg_ticket_event *first = new_event("T-1", 1);
    add_answer(first, "one");
    write_row(event_row(TOPIC_ANSWERED, first));
    pg_testdb_script(&testdb, "UPDATE tickets SET status = 'closed'");
    struct msg_ticket_event *second = new_event("T-1", 2);
    second->received_at = now_ms + 5;
    write_row(event_row(TOPIC_SUBMITTED, second));
    check_value(TICKET_STATE, "accepted - - open run-2");
    write_row(event_row(TOPIC_ANSWERED, first)); /* an old event comes again */
    check_value(TICKET_STATE, "accepted - - open run-2");
    second->state = MSG_STATE_FAILED;
    write_row(event_row(TOPIC_ANSWERED, second));
    check_value(TICKET_STATE, "failed - - open run-2");
    add_answer(second, "two"); /* its dead letter was replayed */
    write_row(event_row(TOPIC_ANSWERED, second));
    check_value(TICKET_STATE, "completed account negative open run-2");
    check_value(
        "SELECT string_agg(state, ' ' ORDER BY state DESC) FROM interactions WHERE kind = 'answered' AND "
        "correlation_id = '" RUN_ID("000000000002") "'",
        "failed completed");
    second->state = MSG_STATE_FAILED;
    write_row(event_row(TOPIC_ANSWERED, second));
    check_value(TICKET_STATE, "completed account negative open run-2");
    check_value("SELECT result ->> 'state' FROM runs WHERE correlation_id = '" RUN_ID("000000000002") "'",
        "completed");
    /* Somebody else's ticket with this run's id does not get at the run. */
    struct msg_ticket_event *thief = new_event("T-2", 2);
    thief->state = MSG_STATE_COMPLETED;
    write_row(event_row(TOPIC_ANSWERED, thief));
    check_value("SELECT ticket_id || ' ' || (result #>> '{ticket,ticket_id}') FROM runs "
                "WHERE correlation_id = '" RUN_ID("000000000002") "'",
        "T-1 T-1");
}

static void test_claimed_runs_are_kept(void **state)
{
    (void)state;
    struct msg_ticket_event *event = new_event("T-1", 1);
    pg_testdb_script(&testdb,
        arena_printf(arena, "SELECT claim_run('default', 'T-1', 'hash', '%s', '%s', 'ticket', 5, '20 s')",
            event->correlation_id, event->event_id));
    write_row(event_row(TOPIC_SUBMITTED, event));
    check_value("SELECT content_hash || ' ' || state || ' ' || (published_at IS NOT NULL) FROM runs",
        "hash accepted true");
    add_answer(event, "x");
    write_row(event_row(TOPIC_ANSWERED, event));
    check_value("SELECT content_hash || ' ' || state FROM runs", "hash completed");
}

static void test_questions_open_no_ticket(void **state)
{
    (void)state;
    struct msg_ticket_event *event = new_event("T-1", 1);
    event->kind = MSG_KIND_QUESTION;
    add_answer(event, "x");
    write_row(event_row(TOPIC_REPLIES, event));
    check_value("SELECT count(*) FROM tickets", "0");
    check_value("SELECT kind || ' ' || state FROM runs", "question completed");
}

static void test_only_the_bad_row_is_refused(void **state)
{
    (void)state;
    enum { MANY = 60, BAD = 41 };
    struct waiter *waiters[MANY];
    for (int i = 0; i < MANY; i++) {
        struct msg_ticket_event *event = new_event(arena_printf(arena, "T-%d", i), i);
        if (i == BAD) { /* longer than an index takes, and not compressible */
            char uuid[UUID_TEXT_SIZE];
            struct buf text;
            buf_init(&text, 64 * 1024);
            for (int part = 0; part < 500; part++) {
                uuid_v5(arena_printf(arena, "%d", part), 2, uuid);
                uuid_child(uuid, "part", (unsigned)part, uuid);
                buf_puts(&text, uuid);
            }
            event->ticket.customer_external_id = arena_strdup(arena, buf_text(&text));
            buf_fini(&text);
        }
        waiters[i] = add(event_row(TOPIC_SUBMITTED, event));
    }
    finish();
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(waiters[i]->done, 1);
        assert_int_equal(waiters[i]->err.disposition, i == BAD ? ERROR_REJECT : ERROR_NONE);
    }
    check_value("SELECT count(*) FROM tickets", "59");
    check_value("SELECT count(*) FROM tickets WHERE length(customer_external_id) > 100", "0");
}

static void test_a_lost_database_is_waited_for(void **state)
{
    (void)state;
    write_row(event_row(TOPIC_SUBMITTED, new_event("T-0", 0)));
    struct waiter *waiters[20];
    for (int i = 0; i < 20; i++) {
        waiters[i] = add(event_row(TOPIC_SUBMITTED, new_event(arena_printf(arena, "T-%d", i), i)));
        if (i == 10) {
            pg_testdb_script(&testdb, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                      "WHERE datname = current_database() AND pid <> pg_backend_pid()");
        }
    }
    finish();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(waiters[i]->done, 1);
        assert_int_equal(waiters[i]->err.disposition, ERROR_NONE);
    }
    check_value("SELECT count(*) FROM runs", "20");
}

static struct msg_feedback *new_feedback(const char *id, int64_t received_at)
{
    struct msg_feedback *feedback = msg_new(&msg_feedback, arena);
    feedback->ticket_id = "T-1";
    feedback->feedback_id = id;
    feedback->has_received_at = true;
    feedback->received_at = received_at;
    return feedback;
}

static void test_feedback(void **state)
{
    (void)state;
    struct msg_ticket_event *event = new_event("T-1", 1);
    add_answer(event, "Dear anna.schmidt@example.com press reset.");
    write_row(event_row(TOPIC_ANSWERED, event));
    struct msg_feedback *feedback = new_feedback("f1", now_ms + 10);
    feedback->has_outcome = true;
    feedback->outcome = MSG_OUTCOME_ACCEPTED;
    feedback->has_ticket_status = true;
    feedback->ticket_status = MSG_TICKET_STATUS_RESOLVED;
    feedback->corrected_category = "billing";
    feedback->has_csat = true;
    feedback->csat = 4;
    struct logger_row first = feedback_row(feedback, 1);
    write_row(first);
    check_value("SELECT outcome || ' ' || csat || ' ' || coalesce(rating, 0) FROM feedback", "accepted 4 0");
    check_value(TICKET_STATE, "completed billing negative resolved run-1");
    check_value(
        "SELECT category || ' ' || config || ' ' || (tsv @@ to_tsquery('simple', 'reset')) FROM resolutions",
        "billing simple true");
    check_value("SELECT count(*) FROM resolutions WHERE subject || problem || answer LIKE '%schmidt%'", "0");
    check_value("SELECT count(*) FROM interactions WHERE kind = 'feedback'", "1");

    feedback = new_feedback("f2", now_ms + 20);
    feedback->has_ticket_status = true;
    feedback->ticket_status = MSG_TICKET_STATUS_CLOSED;
    write_row(feedback_row(feedback, 2));
    write_row(first); /* again, too late to matter */
    check_value(TICKET_STATE, "completed billing negative closed run-1");
    check_value("SELECT count(*) FROM feedback", "2");

    feedback = new_feedback("f3", now_ms + 30);
    feedback->has_outcome = true;
    feedback->outcome = MSG_OUTCOME_EDITED;
    feedback->final_text = "Hold the button for ten seconds.";
    struct logger_row third = feedback_row(feedback, 3);
    write_row(third);
    check_value("SELECT answer FROM resolutions", "Hold the button for ten seconds.");
    write_row(first);
    check_value("SELECT answer FROM resolutions", "Hold the button for ten seconds.");

    feedback = new_feedback("f4", now_ms + 40);
    feedback->has_outcome = true;
    feedback->outcome = MSG_OUTCOME_REJECTED;
    write_row(feedback_row(feedback, 4));
    check_value("SELECT count(*) FROM resolutions", "0");
    write_row(third); /* sent again by a client that had no answer */
    check_value("SELECT count(*) FROM resolutions", "0");
    check_value("SELECT count(*) FROM interactions WHERE kind = 'feedback'", "4");
}

static void test_resolutions_are_bare_answers(void **state)
{
    (void)state;
    struct msg_ticket_event *event = new_event("T-1", 1);
    add_answer(event,
        "Hello Maria Jensen,\n\nThank you for your message.\n\nHere is what our help pages say about "
        "your question:\n\nPress reset [1]. Wait [1].\n\nKind regards\nYour support team\n");
    write_row(event_row(TOPIC_ANSWERED, event));
    struct msg_feedback *feedback = new_feedback("f1", now_ms + 10);
    feedback->has_outcome = true;
    feedback->outcome = MSG_OUTCOME_ACCEPTED;
    write_row(feedback_row(feedback, 1));
    check_value("SELECT answer FROM resolutions", "Press reset. Wait.");
    feedback = new_feedback("f2", now_ms + 20);
    feedback->has_outcome = true;
    feedback->outcome = MSG_OUTCOME_EDITED;
    feedback->final_text = "Dear Maria,\n\nhold the button [1].\n\nBest regards,\nTom";
    write_row(feedback_row(feedback, 2));
    check_value("SELECT answer FROM resolutions", "hold the button.");
    feedback->final_text = "Ahoi Maria Jensen\n\nhold the buttons [1].\n\nThe crew, +49 30 901820\n";
    feedback->received_at += 5;
    write_row(feedback_row(feedback, 2));
    check_value("SELECT answer FROM resolutions", "hold the buttons.");
    pg_testdb_script(&testdb, "INSERT INTO customers (tenant, external_id, customer_id, name, email) VALUES "
                              "('default', 'C-1', 'C-1', 'Maria Jensen', 'm@example.com')");
    feedback->final_text = "Thank you for your patience, Maria Jensen. Hold the button, Ms Jensen.";
    feedback->received_at += 5;
    write_row(feedback_row(feedback, 2));
    check_value(
        "SELECT answer FROM resolutions", "Thank you for your patience, [name]. Hold the button, Ms [name].");
    pg_testdb_script(&testdb, "TRUNCATE resolutions");
    feedback = new_feedback("f3", now_ms + 30);
    feedback->has_outcome = true;
    feedback->outcome = MSG_OUTCOME_EDITED;
    feedback->final_text = "Dear Maria,\n\nBest regards,\nTom"; /* answers nothing */
    write_row(feedback_row(feedback, 3));
    check_value("SELECT count(*) FROM resolutions", "0");
}

static void test_feedback_before_its_ticket(void **state)
{
    (void)state;
    struct msg_feedback *feedback = new_feedback("f1", now_ms);
    feedback->has_outcome = true;
    feedback->outcome = MSG_OUTCOME_ACCEPTED;
    struct logger_row row = feedback_row(feedback, 1);
    struct waiter *waiter = add(row);
    waiter->item.patient = true;
    struct waiter *beside = add(event_row(TOPIC_SUBMITTED, new_event("T-2", 2)));
    finish();
    assert_int_equal(waiter->err.disposition, ERROR_RETRY);
    assert_string_equal(waiter->err.code, "ticket_unknown");
    assert_int_equal(beside->err.disposition, ERROR_NONE);
    check_value("SELECT count(*) FROM feedback", "0");
    double alone = metric_value(metrics_counter("helpdesk_logger_feedback_alone_total", "", NULL));
    write_row(row); /* patience is over: it is stored, without a resolution */
    assert_true(metric_value(metrics_counter("helpdesk_logger_feedback_alone_total", "", NULL)) == alone + 1);
    check_value("SELECT count(*) FROM feedback", "1");
    check_value("SELECT count(*) FROM resolutions", "0");
}

static void test_correction_before_its_answer(void **state)
{
    (void)state;
    struct msg_ticket_event *event = new_event("T-1", 1);
    write_row(event_row(TOPIC_SUBMITTED, event));
    struct msg_feedback *feedback = new_feedback("f1", now_ms);
    feedback->corrected_category = "billing";
    struct waiter *waiter = add(feedback_row(feedback, 1));
    waiter->item.patient = true;
    finish();
    assert_int_equal(waiter->err.disposition, ERROR_NONE);
    check_value(TICKET_STATE, "accepted billing - open run-1");
    add_answer(event, "Press reset.");
    write_row(event_row(TOPIC_ANSWERED, event));
    check_value(TICKET_STATE, "completed billing negative open run-1");
    feedback = new_feedback("f2", now_ms + 1);
    feedback->corrected_category = "shipping";
    feedback->corrected_sentiment = "positive";
    write_row(feedback_row(feedback, 2));
    check_value(TICKET_STATE, "completed shipping positive open run-1");
    check_value("SELECT array_to_string(ARRAY(SELECT unnest(corrected) ORDER BY 1), ' ') FROM tickets",
        "category sentiment");
    struct msg_ticket_event *second = new_event("T-1", 2); /* another question: nothing of it is corrected */
    second->received_at = now_ms + 5;
    add_answer(second, "Press it again.");
    write_row(event_row(TOPIC_ANSWERED, second));
    check_value(TICKET_STATE, "completed account negative open run-2");
    feedback = new_feedback("f3", now_ms + 9);
    feedback->corrected_priority = "low";
    write_row(feedback_row(feedback, 3));
    check_value(
        "SELECT array_to_string(corrected, ' ') || right(corrected_run, 1) FROM tickets", "priority2");
}

static void test_many_batches(void **state)
{
    (void)state;
    enum { MANY = 1700 };
    double before = metric_value(metrics_counter("helpdesk_logger_batches_total", "", NULL));
    for (int i = 0; i < MANY; i++) {
        struct msg_ticket_event *event = new_event(arena_printf(arena, "T-%d", i % 100), i);
        event->received_at = now_ms + i;
        add(event_row(TOPIC_SUBMITTED, event));
    }
    finish();
    double batches = metric_value(metrics_counter("helpdesk_logger_batches_total", "", NULL)) - before;
    assert_true(batches >= 4 && batches <= 10);
    check_value("SELECT count(*) FROM interactions", "1700");
    check_value("SELECT count(*) FROM tickets", "100");
    check_value("SELECT correlation_id FROM tickets WHERE ticket_id = 'T-7'", RUN_ID("000000001607"));
}

static void end_loop(void *arg)
{
    (void)arg;
    loop_stop(loop, 0);
}

static void test_closing_with_work_under_way(void **state)
{
    (void)state;
    setup(NULL);
    write_row(event_row(TOPIC_SUBMITTED, new_event("T-1", 1)));
    add(event_row(TOPIC_SUBMITTED, new_event("T-2", 2)));
    loop_post(loop, end_loop, NULL);
    (void)loop_run(loop);
    teardown(NULL);
    pending = 0;
}

int main(void)
{
    pg_testdb_create(&testdb, true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_ticket_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runs_of_a_ticket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claimed_runs_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_questions_open_no_ticket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_the_bad_row_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lost_database_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_feedback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resolutions_are_bare_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_feedback_before_its_ticket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_correction_before_its_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_batches, setup, teardown),
        cmocka_unit_test(test_closing_with_work_under_way),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_testdb_drop(&testdb);
    return failed;
}
