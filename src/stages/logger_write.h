/* The log's statements: rows in, a handful of queries out, one for each table. */
#ifndef HELPDESK_STAGES_LOGGER_WRITE_H
#define HELPDESK_STAGES_LOGGER_WRITE_H

#include <stddef.h>
#include "base/arena.h"
#include "db/db.h"
#include "stages/logger_row.h"
#include "stages/resolution.h"

#define LOGGER_MAX_QUERIES 7

/* The queries that write `rows` and `resolutions`; returns how many. Each may run again, and in any order. */
size_t logger_write_queries(struct arena *arena, const struct logger_row *const *rows, size_t count,
    const struct resolution *resolutions, size_t resolution_count,
    struct db_query queries[LOGGER_MAX_QUERIES]);

/* What is known of a ticket that feedback speaks of; texts in the arena. */
struct logger_known {
    bool ticket;   /* the ticket is in the log */
    bool answered; /* and so is the answer of its newest run */
    const char *subject;
    const char *problem;
    const char *category; /* NULL: none yet */
    const char *locale;
    const char *customer;  /* their name; NULL: unknown */
    const char *drafts[2]; /* by enum msg_draft_choice; NULL: none */
};

/* Asks for the tickets of `rows`, all of kind feedback; and reads the answer, in their order. */
void logger_known_query(
    struct arena *arena, const struct logger_row *const *rows, size_t count, struct db_query *query);
void logger_known_read(
    struct arena *arena, const struct db_result *result, struct logger_known *known, size_t count);

/* Feedback that changes a ticket or makes a resolution must wait until the log knows the ticket; and its
 * answer, if that is the resolution. */
bool logger_feedback_must_wait(const struct msg_feedback *feedback, const struct logger_known *known);
/* The redacted resolution that feedback makes; false: none. */
bool logger_feedback_resolution(struct arena *arena, const struct voices *voices,
    const struct msg_feedback *feedback, const struct logger_known *known, struct resolution *resolution);

#endif
