/* Ids, plan and state of a ticket event. */
#include "stages/ticket_event.h"

#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/ids.h"
#include "base/utf8.h"
#include "model/language.h"
#include "stages/ticket_check.h"

#define AHEAD_MAX_MS ((int64_t)24 * 3600 * 1000) /* how far a publisher's clock may be ahead of ours */

/* A header's value when it is a UUID, in the arena; else NULL. */
static const char *uuid_header(struct arena *arena, const struct bus_record *record, const char *name)
{
    const struct bus_header *header = bus_record_header(record, name);
    if (header == NULL || header->value == NULL || header->len != UUID_TEXT_SIZE - 1) {
        return NULL;
    }
    const char *text = arena_strndup(arena, header->value, header->len);
    return uuid_valid(text) ? text : NULL;
}

static const char *derive_event_id(struct arena *arena, const struct bus_record *record)
{
    char id[UUID_TEXT_SIZE];
    if (record == NULL) {
        uuid_v7(id);
        return arena_strdup(arena, id);
    }
    const char *given = uuid_header(arena, record, "event-id");
    if (given != NULL) {
        return given;
    }
    char place[400];
    int len = snprintf(place, sizeof place, "%.300s/%d/%lld", record->topic, (int)record->partition,
        (long long)record->offset);
    uuid_v5(place, (size_t)len, id);
    return arena_strdup(arena, id);
}

static const char *derive_child(struct arena *arena, const struct msg_ticket_event *event, const char *what)
{
    char id[UUID_TEXT_SIZE];
    uuid_child(event->event_id, what, 0, id);
    return arena_strdup(arena, id);
}

static const char *derive_correlation_id(
    struct arena *arena, const struct msg_ticket_event *event, const struct bus_record *record)
{
    if (record == NULL) {
        char id[UUID_TEXT_SIZE];
        uuid_v7(id);
        return arena_strdup(arena, id);
    }
    const char *given = uuid_header(arena, record, "correlation-id");
    return given != NULL ? given : derive_child(arena, event, "run");
}

static bool is_ahead(int64_t wall_ms)
{
    return wall_ms > clock_wall_ms() + AHEAD_MAX_MS;
}

static int64_t arrival(const struct bus_record *record)
{
    bool usable = record != NULL && record->timestamp > 0 && !is_ahead(record->timestamp);
    return usable ? record->timestamp : clock_wall_ms();
}

void ticket_event_drop_bad_ids(struct msg_ticket_event *event)
{
    struct msg_ticket *ticket = &event->ticket;
    if (event->event_id != NULL && !uuid_valid(event->event_id)) {
        event->event_id = NULL;
    }
    if (event->correlation_id != NULL && !uuid_valid(event->correlation_id)) {
        event->correlation_id = NULL;
    }
    if (ticket->ticket_id != NULL && !ticket_id_valid(ticket->ticket_id)) {
        ticket->ticket_id = NULL;
    }
}

void ticket_event_identify(
    struct arena *arena, struct msg_ticket_event *event, const struct bus_record *record)
{
    if (event->event_id == NULL) {
        event->event_id = derive_event_id(arena, record);
    }
    if (event->correlation_id == NULL) {
        event->correlation_id = derive_correlation_id(arena, event, record);
    }
    if (event->ticket.ticket_id == NULL) {
        event->ticket.ticket_id = derive_child(arena, event, "ticket");
    }
    if (!event->has_received_at || is_ahead(event->received_at)) {
        event->received_at = arrival(record);
        event->has_received_at = true;
    }
    if (!event->ticket.has_created_at) {
        event->ticket.created_at = event->received_at;
        event->ticket.has_created_at = true;
    }
}

void ticket_event_locate(struct arena *arena, struct msg_ticket_event *event)
{
    struct msg_ticket *ticket = &event->ticket;
    if (ticket->locale != NULL && ticket->locale[0] != 0) {
        return;
    }
    const char *text = arena_printf(arena, "%.*s\n%.*s", (int)utf8_clip(ticket->subject, 1000),
        ticket->subject, (int)utf8_clip(ticket->description, 4000), ticket->description);
    const char *language = language_detect(arena, text);
    ticket->locale = strcmp(language, "und") == 0 ? "en-US" : language;
}

enum msg_priority ticket_event_priority(const struct msg_ticket_event *event)
{
    if (event->classification != NULL) {
        return event->classification->priority;
    }
    return event->ticket.has_priority ? event->ticket.priority : MSG_PRIORITY_MEDIUM;
}

bool ticket_event_wants(const struct msg_ticket_event *event, enum msg_step step)
{
    if (step == MSG_STEP_GENERATE && event->ticket.auto_generated) {
        return false;
    }
    for (size_t i = 0; i < event->plan_count; i++) {
        if (event->plan[i] == step) {
            return true;
        }
    }
    return event->plan_count == 0;
}

void ticket_event_admit(struct msg_ticket_event *event)
{
    event->state = MSG_STATE_ACCEPTED;
    event->generation = NULL;
    event->steps_count = 0;
    event->failure = NULL;
    if (ticket_event_wants(event, MSG_STEP_RETRIEVE)) {
        event->context = NULL;
    }
    event->caller_context = event->caller_context || event->context != NULL;
}

bool ticket_event_next(const struct msg_ticket_event *event, enum msg_step step, enum msg_step *next)
{
    for (int candidate = (int)step + 1; candidate < MSG_STEP_COUNT; candidate++) {
        if (ticket_event_wants(event, (enum msg_step)candidate)) {
            *next = (enum msg_step)candidate;
            return true;
        }
    }
    return false;
}

void ticket_event_add_step(
    struct arena *arena, struct msg_ticket_event *event, const struct msg_step_trace *trace)
{
    for (size_t i = 0; i < event->steps_count; i++) {
        if (strcmp(event->steps[i].event_id, trace->event_id) == 0) {
            event->steps[i] = *trace;
            return;
        }
    }
    struct msg_step_trace *steps = arena_array(arena, event->steps_count + 1, sizeof *steps);
    if (event->steps_count > 0) {
        memcpy(steps, event->steps, event->steps_count * sizeof *steps);
    }
    steps[event->steps_count] = *trace;
    event->steps = steps;
    event->steps_count++;
}

static bool is_flagged(const struct msg_generation *generation)
{
    return generation->guardrail_triggered || generation->primary_draft.safety_flags_count > 0 ||
           (generation->alternative_draft != NULL && generation->alternative_draft->safety_flags_count > 0);
}

enum msg_state ticket_event_final_state(const struct msg_ticket_event *event)
{
    if (event->state == MSG_STATE_FALLBACK_GUARDRAIL_FAILURE || event->state == MSG_STATE_FAILED) {
        return event->state;
    }
    for (size_t i = 0; i < event->steps_count; i++) {
        if (event->steps[i].degraded_count > 0) {
            return MSG_STATE_DEGRADED;
        }
    }
    if (event->state == MSG_STATE_ESCALATED_LOW_CONFIDENCE) {
        return event->state;
    }
    bool flagged = event->generation != NULL && is_flagged(event->generation);
    return flagged ? MSG_STATE_COMPLETED_WITH_FLAGS : MSG_STATE_COMPLETED;
}

/* What a user may read of an error: our own words for bad input, none of our inner names for the rest. */
static void describe_failure(struct arena *arena, const struct error *err, struct msg_failure *failure)
{
    if (strcmp(err->code, "ticket_invalid") == 0) {
        failure->code = "ticket_invalid";
        failure->message = arena_printf(arena, "The ticket could not be accepted: %s.", err->text);
    } else if (strcmp(err->code, "record_too_large") == 0) {
        failure->code = "ticket_too_large";
        failure->message =
            "The ticket, with what was found for it, is too large to be processed. Please shorten it.";
    } else if (strncmp(err->code, "record_", 7) == 0 || strncmp(err->code, "schema_", 7) == 0) {
        failure->code = "ticket_unreadable";
        failure->message = "The ticket could not be read.";
    } else if (err->disposition == ERROR_RETRY) {
        failure->code = "unavailable";
        failure->message =
            "A part of the service was unavailable for too long. Please send the ticket again later.";
    } else {
        failure->code = "internal";
        failure->message =
            "The ticket could not be processed because of a fault of ours. A person will look at it.";
    }
}

bool ticket_event_fail(struct arena *arena, struct msg_ticket_event *event, const struct bus_record *record,
    enum msg_step step, const struct error *err)
{
    struct msg_ticket *ticket = &event->ticket;
    if (!ticket_tenant_valid(event->tenant)) {
        return false;
    }
    ticket_event_drop_bad_ids(event);
    ticket->locale = ticket->locale != NULL && language_tag_valid(ticket->locale) ? ticket->locale : NULL;
    ticket_event_identify(arena, event, record);
    struct msg_failure *failure = ARENA_NEW(arena, struct msg_failure);
    describe_failure(arena, err, failure);
    failure->has_step = true;
    failure->step = step;
    event->failure = failure;
    event->state = MSG_STATE_FAILED;
    return true;
}
