/* Whether a ticket that came over Kafka is one: the rules of the HTTP API for those who publish without it.
 */
#ifndef HELPDESK_STAGES_TICKET_CHECK_H
#define HELPDESK_STAGES_TICKET_CHECK_H

#include <stdbool.h>
#include "base/error.h"
#include "msg/codec.h"

#define TICKET_ID_MAX_CHARS 128

/* 1-128 characters of valid UTF-8, no '/', no control character, not the name of a route. */
bool ticket_id_valid(const char *id);
bool ticket_tenant_valid(const char *tenant); /* 1-64 bytes, not blank, no '/', no control character */

/* The budget of a ticket in bytes is the codec's business. False: ERROR_REJECT "ticket_invalid"; the text
 * names the field in a user's words. */
bool ticket_check(const struct msg_ticket_event *event, struct error *err);

#endif
