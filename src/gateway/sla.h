/* How fast a ticket of which priority must be answered (table sla_rules), in an agent's words. */
#ifndef HELPDESK_GATEWAY_SLA_H
#define HELPDESK_GATEWAY_SLA_H

#include <stdint.h>
#include "base/arena.h"
#include "msg/messages.h"

struct sla_rule {
    int32_t response_minutes;
    int32_t resolution_minutes;
};

#define SLA_TIERS (MSG_TIER_COUNT + 1) /* each tier's own rule, and the last for everyone */

struct sla_table {
    struct sla_rule rules[MSG_PRIORITY_COUNT][SLA_TIERS]; /* response_minutes 0: no such rule */
};

/* The rules that a new database has. */
void sla_defaults(struct sla_table *table);
/* Sets the rule of a priority and a tier ("" for everyone); names that are none are ignored. */
void sla_set(struct sla_table *table, const char *priority, const char *tier, int32_t response_minutes,
    int32_t resolution_minutes);
/* The tier's own rule, else everyone's. `customer` may be NULL. */
struct sla_rule sla_find(
    const struct sla_table *table, enum msg_priority priority, const struct msg_customer_context *customer);
/* "4 h", "1 d", "90 min". */
const char *sla_span(struct arena *arena, int32_t minutes);

#endif
