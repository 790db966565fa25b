/* Accepted answers, redacted for good: what similar tickets may be answered from. */
#ifndef HELPDESK_STAGES_RESOLUTION_H
#define HELPDESK_STAGES_RESOLUTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "db/db.h"
#include "model/voice.h"

struct resolution {
    const char *tenant;
    const char *ticket_id;
    const char *subject;
    const char *problem;
    const char *answer;
    const char *category; /* NULL: unknown */
    const char *locale;   /* NULL: unknown */
    const char *customer; /* the name of who asked; NULL: unknown */
    int64_t accepted_at;
};

/* Removes personal data and the customer's name from subject, problem and answer, leaves of the answer what
 * it says of the matter (voices_unframe, phrases_body), and cuts them to a length that is worth showing.
 * False: such an answer says nothing, it must not be stored. */
bool resolution_clean(struct arena *arena, const struct voices *voices, struct resolution *resolution);

/* The statement that stores redacted resolutions; of a ticket, the one accepted last stays, unless it was
 * rejected since. */
void resolution_store(
    struct arena *arena, const struct resolution *items, size_t count, struct db_query *query);

#endif
