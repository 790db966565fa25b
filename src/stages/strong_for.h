/* For which tickets the stronger model drafts although nobody asked for it. */
#ifndef HELPDESK_STAGES_STRONG_FOR_H
#define HELPDESK_STAGES_STRONG_FOR_H

#include <stdbool.h>
#include "base/error.h"
#include "msg/messages.h"

struct strong_for {
    bool any;
    bool priorities[MSG_PRIORITY_COUNT];
    bool tiers[MSG_TIER_COUNT];
};

/* Reads "critical,enterprise": priorities and tiers in any order, each once; "" for no ticket. False:
 * ERROR_FATAL "setting_invalid"; the text names the entry and what would be right. Any thread. */
bool strong_for_parse(const char *text, struct strong_for *out, struct error *err);

/* Whether the priority is one of them, or the customer's tier; a ticket not yet classified has the priority
 * that its sender gave. */
bool strong_for_fits(const struct strong_for *rule, const struct msg_ticket_event *event);

#endif
