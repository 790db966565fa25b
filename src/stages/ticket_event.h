/* A ticket event on its way through a stage: ids, plan, state. Plain functions on the record. */
#ifndef HELPDESK_STAGES_TICKET_EVENT_H
#define HELPDESK_STAGES_TICKET_EVENT_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/error.h"
#include "bus/record.h"
#include "msg/codec.h"

/* Fills what a raw publisher left out: ids (from headers, else derived from where the record lies, so that a
 * repeat gives the same), received_at (also when it lies over a day ahead: a later run could never be newer),
 * created_at. `record` NULL: new ids, now. Everything new is in the arena. */
void ticket_event_identify(
    struct arena *arena, struct msg_ticket_event *event, const struct bus_record *record);

/* Forgets malformed ids, so that ticket_event_identify derives others. The stage that refuses the ticket and
 * the log both do so: the failed answer and the log's rows then belong to one run. */
void ticket_event_drop_bad_ids(struct msg_ticket_event *event);

/* Forgets what only the stages may say, in a ticket as its publisher sent it: state, drafts, traces, failure.
 * A context that the plan does not replace is marked as the caller's: no draft on it is ready. */
void ticket_event_admit(struct msg_ticket_event *event);

/* Sets the ticket's locale when it has none: the text's language, else en-US. */
void ticket_event_locate(struct arena *arena, struct msg_ticket_event *event);

/* How urgent it is: as classified, before that as the caller hinted, else medium. */
enum msg_priority ticket_event_priority(const struct msg_ticket_event *event);

/* Whether the plan wants `step`; an automatic ticket is never drafted. */
bool ticket_event_wants(const struct msg_ticket_event *event, enum msg_step step);
/* The first wanted step after `step`. False: the plan ends with it. */
bool ticket_event_next(const struct msg_ticket_event *event, enum msg_step step, enum msg_step *next);

/* Adds the trace of a step (copied), in place of an earlier one with the same event_id. */
void ticket_event_add_step(
    struct arena *arena, struct msg_ticket_event *event, const struct msg_step_trace *trace);

/* The state of a finished event: what the generator judged, or degraded, or completed with or without flags.
 */
enum msg_state ticket_event_final_state(const struct msg_ticket_event *event);

/* Makes it a failed answer: state, and failure in a user's words. Ids that are missing or malformed are
 * minted, so that the answer can travel. False: the tenant is malformed, nobody may be told. */
bool ticket_event_fail(struct arena *arena, struct msg_ticket_event *event, const struct bus_record *record,
    enum msg_step step, const struct error *err);

#endif
