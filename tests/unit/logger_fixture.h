/* Ticket events and feedback as records, for the tests of the log. */
#ifndef HELPDESK_TESTS_LOGGER_FIXTURE_H
#define HELPDESK_TESTS_LOGGER_FIXTURE_H

#include <string.h>

#include "base/clock.h"
#include "bus/topics.h"
#include "stages/logger_row.h"

static struct arena *arena; /* of one test */
static int64_t now_ms;

#define RUN_ID(digits)                                                                                       \
    "0192d3c4-0000-7000-8000-" digits /* correlation id of a run: its number in 12 digits */

static inline struct msg_ticket_event *new_event(const char *ticket_id, int run)
{
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, arena);
    event->ticket.ticket_id = ticket_id;
    event->ticket.subject = "Cannot log in";
    event->ticket.description = "Write to anna.schmidt@example.com please";
    event->ticket.customer_external_id = "C-1";
    event->event_id = arena_printf(arena, "0192d3c4-0000-7000-9000-%012d", run);
    event->correlation_id = arena_printf(arena, RUN_ID("%012d"), run);
    event->has_received_at = true;
    event->received_at = now_ms;
    return event;
}

static inline void add_classification(struct msg_ticket_event *event)
{
    struct msg_classification *classification = msg_new(&msg_classification, arena);
    classification->category = "account";
    classification->department = "support";
    classification->priority = MSG_PRIORITY_HIGH;
    classification->sentiment = MSG_SENTIMENT_NEGATIVE;
    classification->confidence = 0.9;
    event->classification = classification;
    event->state = MSG_STATE_CLASSIFIED;
}

static inline void add_answer(struct msg_ticket_event *event, const char *text)
{
    add_classification(event);
    struct msg_generation *generation = msg_new(&msg_generation, arena);
    generation->primary_draft.text = text;
    event->generation = generation;
    event->state = MSG_STATE_COMPLETED;
}

static inline struct bus_record as_record(
    const char *topic, int64_t offset, const struct msg_type *type, const void *value)
{
    struct buf bytes;
    struct error err;
    buf_init(&bytes, 1024 * 1024);
    if (!msg_encode(type, value, &bytes, &err)) {
        fail_msg("%s", err.text);
    }
    struct bus_record record = {.topic = topic, .partition = 3, .offset = offset, .timestamp = now_ms};
    char *copy = arena_alloc(arena, bytes.len);
    memcpy(copy, bytes.data, bytes.len);
    record.value = copy;
    record.value_len = bytes.len;
    buf_fini(&bytes);
    return record;
}

static inline struct logger_row make_row(const struct bus_record *record)
{
    struct logger_row row = {0};
    struct error err;
    bool skip = false;
    if (!logger_row_make(arena, record, &row, &skip, &err)) {
        fail_msg("%s", err.text);
    }
    assert_false(skip);
    return row;
}

static inline struct logger_row event_row(const char *topic, const struct msg_ticket_event *event)
{
    struct bus_record record = as_record(topic, 1, &msg_ticket_event, event);
    return make_row(&record);
}

static inline struct logger_row feedback_row(const struct msg_feedback *feedback, int64_t offset)
{
    struct bus_record record = as_record(TOPIC_FEEDBACK, offset, &msg_feedback, feedback);
    return make_row(&record);
}

static inline void records_open(void)
{
    arena = arena_new(0);
    now_ms = clock_wall_ms() / 1000 * 1000;
}

#endif
