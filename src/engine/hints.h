/* What a record's headers tell the engine of it: how urgent it is and until when somebody waits. Headers are
 * copies for those who do not decode; whoever may publish writes them, so anything unreadable counts as
 * absent. Pure functions. */
#ifndef HELPDESK_ENGINE_HINTS_H
#define HELPDESK_ENGINE_HINTS_H

#include "bus/record.h"
#include "engine/ready.h"

/* Header `priority`: critical, high, medium or low; medium when it is missing or anything else. */
enum ready_priority hints_priority(const struct bus_record *record);

/* Header `deadline-at`, milliseconds since the epoch in decimal, as how far it is from `wall_ms`: negative
 * when it is past. INT64_MAX: there is none, or it lies further off than any deadline (24 days). */
int64_t hints_deadline_left_ms(const struct bus_record *record, int64_t wall_ms);

#endif
