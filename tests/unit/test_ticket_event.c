/* Ids, times and what a publisher may not say, on the record itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/clock.h"
#include "bus/topics.h"
#include "stages/ticket_event.h"

#define RECORD_TIME 1700000000000

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct msg_ticket_event *new_event(void)
{
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, arena);
    event->ticket.subject = "s";
    event->ticket.description = "d";
    event->ticket.customer_external_id = "c";
    return event;
}

static int64_t received(int64_t given, int64_t record_time)
{
    const struct bus_record record = {
        .topic = TOPIC_SUBMITTED, .partition = 3, .offset = 42, .timestamp = record_time};
    struct msg_ticket_event *event = new_event();
    event->has_received_at = true;
    event->received_at = given;
    ticket_event_identify(arena, event, &record);
    return event->received_at;
}

static void test_time_far_ahead_is_not_taken(void **state)
{
    (void)state;
    int64_t now = clock_wall_ms();
    assert_int_equal(received(INT64_MAX, RECORD_TIME), RECORD_TIME);
    assert_int_equal(received(now + 3600 * 1000, RECORD_TIME), now + 3600 * 1000); /* a clock that is ahead */
    assert_int_equal(received(5, RECORD_TIME), 5);                                 /* a ticket of long ago */
    assert_in_range(received(INT64_MAX, INT64_MAX), now, now + 60 * 1000);
}

static void test_publisher_says_nothing_for_the_stages(void **state)
{
    (void)state;
    struct msg_ticket_event *event = new_event();
    struct msg_step_trace trace = {.event_id = "e"};
    event->state = MSG_STATE_FALLBACK_GUARDRAIL_FAILURE;
    event->generation = msg_new(&msg_generation, arena);
    event->failure = msg_new(&msg_failure, arena);
    event->steps = &trace;
    event->steps_count = 1;
    event->classification = msg_new(&msg_classification, arena);
    ticket_event_admit(event);
    assert_int_equal(event->state, MSG_STATE_ACCEPTED);
    assert_null(event->generation);
    assert_null(event->failure);
    assert_int_equal(event->steps_count, 0);
    assert_non_null(event->classification); /* the caller may bring one */
}

static void test_context_of_a_publisher_is_the_callers(void **state)
{
    (void)state;
    struct msg_ticket_event *event = new_event();
    enum msg_step plan[] = {MSG_STEP_RETRIEVE, MSG_STEP_GENERATE};
    event->context = msg_new(&msg_context, arena);
    event->plan = plan + 1;
    event->plan_count = 1;
    ticket_event_admit(event);
    assert_non_null(event->context);
    assert_true(event->caller_context);
    event->caller_context = false;
    event->plan = plan;
    event->plan_count = 2;
    ticket_event_admit(event); /* to be found by us: nothing of the caller is left */
    assert_null(event->context);
    assert_false(event->caller_context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_time_far_ahead_is_not_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_publisher_says_nothing_for_the_stages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_context_of_a_publisher_is_the_callers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
