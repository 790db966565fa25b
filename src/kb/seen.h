/* Which objects were read lately, so that a notification that tells nothing new costs no second reading.
 * Holds a bounded number of them; one that is forgotten is read once more. Loop thread. */
#ifndef HELPDESK_KB_SEEN_H
#define HELPDESK_KB_SEEN_H

#include <stdbool.h>
#include <stdint.h>

struct kb_seen;

struct kb_seen *kb_seen_new(void);
void kb_seen_free(struct kb_seen *seen); /* NULL is fine */

/* Whether a reading of object `key` of `source` began after the notification was here (`taken_ms`,
 * monotonic), or because of one that is not older by its sequencer ("": it has none). */
bool kb_seen_covers(
    const struct kb_seen *seen, const char *source, const char *key, const char *sequencer, int64_t taken_ms);

/* The object was read, from `began_ms` on (monotonic), because of a notification with this sequencer. */
void kb_seen_read(
    struct kb_seen *seen, const char *source, const char *key, const char *sequencer, int64_t began_ms);

#endif
