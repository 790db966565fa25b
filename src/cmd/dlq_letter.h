/* A dead letter as the commands handle it: why it died, whom it is about, and all of it as JSON. */
#ifndef HELPDESK_CMD_DLQ_LETTER_H
#define HELPDESK_CMD_DLQ_LETTER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include "base/arena.h"
#include "engine/letter.h"

struct dlq_letter {
    const char *stage;
    const struct bus_record *record; /* borrowed */
    struct letter why;
    bool handled;
    /* After dlq_letter_identify; "" when unknown. */
    bool identified;
    const char *tenant, *ticket, *correlation;
    const char *type; /* "TicketEvent"; NULL: nobody can decode it */
    cJSON *value;     /* the decoded record, or NULL; dlq_letter_fini deletes it */
};

/* Texts in the arena. */
void dlq_letter_init(struct dlq_letter *letter, struct arena *arena, const char *stage,
    const struct bus_record *record, bool handled);
void dlq_letter_fini(struct dlq_letter *letter);
/* Decodes the record; whom it is about comes from it, else from its key "tenant/ticket" and its headers. */
void dlq_letter_identify(struct dlq_letter *letter, struct arena *arena);

/* What `list` tells, and with `whole` headers and value too. A text that is no valid UTF-8 comes in a member
 * "..._hex". The caller deletes it. */
cJSON *dlq_letter_json(struct dlq_letter *letter, struct arena *arena, bool whole);

#endif
