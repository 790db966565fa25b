/* What a record becomes in the log: plain functions from a record to a row. */
#ifndef HELPDESK_STAGES_LOGGER_ROW_H
#define HELPDESK_STAGES_LOGGER_ROW_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/error.h"
#include "bus/record.h"
#include "msg/codec.h"

/* One row of interactions, and what else follows from its record. Everything in the arena given to
 * logger_row_make. */
struct logger_row {
    const char *tenant;
    const char *event_id; /* derived: the same record gives the same id */
    const char *correlation_id;
    const char *ticket_id;
    const char *kind; /* submitted, classified, enriched, answered, feedback, dead_letter */
    const char *state;
    int64_t received_at;
    int64_t at;
    const char *payload;                  /* a JSON object: what this step added */
    const struct msg_ticket_event *event; /* of the first four kinds; else NULL */
    const char *result;                   /* the whole event as JSON when it is finished; else NULL */
    const struct msg_feedback *feedback;  /* of kind feedback, with id and time; else NULL */
};

/* Makes the row of a record. False: `err` is an ERROR_REJECT. `*skip`: this record is none of the log's
 * business (a reply to a ticket, whose answer is logged from tickets.answered). */
bool logger_row_make(struct arena *arena, const struct bus_record *record, struct logger_row *row, bool *skip,
    struct error *err);

/* Bytes that the row brings into a statement. */
size_t logger_row_size(const struct logger_row *row);

#endif
