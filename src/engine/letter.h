/* A dead letter read: why, when and where it died, and the record that it was before. The other side of
 * outcome_dead_letter. All of it is hostile: whoever may write to the topic writes what he likes. */
#ifndef HELPDESK_ENGINE_LETTER_H
#define HELPDESK_ENGINE_LETTER_H

#include "base/arena.h"
#include "bus/record.h"

#define LETTER_PREFIX "helpdesk.error." /* of the headers that a dead letter has more than its record had */

struct letter {
    const char *error_class; /* texts: "" when absent, malformed UTF-8 replaced */
    const char *message;
    int64_t attempts; /* 0: not known */
    /* Where it was consumed, as the letter says: `topic` a logical name, or whatever was written there. */
    const char *topic;
    int64_t partition, offset; /* -1: not known */
    int64_t died_at;           /* ms since the epoch; the record's own time when the letter does not tell */
};

/* In the arena. Never fails: what is not there or makes no sense is as if absent. */
void letter_read(struct arena *arena, const struct bus_record *record, struct letter *letter);

/* The record that became this letter, to be published to `topic` by its key: the headers that the letter
 * added are gone. Header array in the arena; all else stays borrowed from `record`. */
struct bus_record letter_original(struct arena *arena, const struct bus_record *record, const char *topic);

#endif
