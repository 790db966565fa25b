/* What becomes of a job: the one place that maps an outcome and an error's disposition to an action. */
#ifndef HELPDESK_ENGINE_OUTCOME_H
#define HELPDESK_ENGINE_OUTCOME_H

#include "base/arena.h"
#include "engine/engine.h"
#include "engine/retry.h"

enum outcome_action {
    ACTION_COMMIT,      /* its outputs and its offset */
    ACTION_SKIP,        /* its offset only */
    ACTION_RETRY,       /* later, in its key's turn */
    ACTION_DEAD_LETTER, /* the record goes to the dead letters, and its offset is committed */
    ACTION_STOP,        /* the process cannot go on; nothing is committed */
};

/* `attempt`: how many of them count, this one included. */
enum outcome_action outcome_action(
    enum engine_outcome outcome, const struct error *err, int attempt, const struct retry_policy *policy);
/* Whether the attempt failed because the other side is away altogether, a database or a model: that says
 * nothing about the record, so it does not count, however long it lasts. Known by a code "..._unavailable".
 */
bool outcome_outage(enum engine_outcome outcome, const struct error *err);
const char *outcome_action_name(
    enum outcome_action action); /* metric label: "done", "skip", "retry", "dead", "stop" */

/* The dead letter of `record` for topic "<stage>.dead": its key, bytes, timestamp and headers, and headers
 * helpdesk.error.{stage,class,message,attempts,topic,partition,offset,at} in place of older ones; letter_read
 * reads them. In the arena; key, value and headers of `record` stay borrowed. */
struct bus_record outcome_dead_letter(struct arena *arena, const char *stage, const struct bus_record *record,
    const struct error *err, int attempts);

#endif
