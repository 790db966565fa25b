/* The record that carries a ticket event to the first stage of its plan: for whoever brings tickets in. */
#ifndef HELPDESK_STAGES_TICKET_RECORD_H
#define HELPDESK_STAGES_TICKET_RECORD_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/error.h"
#include "bus/record.h"
#include "msg/codec.h"

#define TICKET_RECORD_OVERHEAD 1024 /* key, headers and framing, which count against a topic's limit */

/* `event` has its ids. All of `out` is in the arena or the event's. False: what msg_encode says, or
 * ERROR_REJECT "record_too_large" for the topic. Any thread. */
bool ticket_record_make(
    struct arena *arena, const struct msg_ticket_event *event, struct bus_record *out, struct error *err);

#endif
