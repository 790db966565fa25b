/* The table of service levels and its words. */
#include "gateway/sla.h"

#include <string.h>

#define EVERYONE MSG_TIER_COUNT

void sla_defaults(struct sla_table *table)
{
    memset(table, 0, sizeof *table);
    table->rules[MSG_PRIORITY_CRITICAL][EVERYONE] = (struct sla_rule){60, 240};
    table->rules[MSG_PRIORITY_HIGH][EVERYONE] = (struct sla_rule){240, 1440};
    table->rules[MSG_PRIORITY_MEDIUM][EVERYONE] = (struct sla_rule){1440, 2880};
    table->rules[MSG_PRIORITY_LOW][EVERYONE] = (struct sla_rule){2880, 7200};
}

void sla_set(struct sla_table *table, const char *priority, const char *tier, int32_t response_minutes,
    int32_t resolution_minutes)
{
    enum msg_priority level;
    enum msg_tier own = MSG_TIER_STANDARD;
    if (!msg_priority_parse(priority, &level) || (tier[0] != '\0' && !msg_tier_parse(tier, &own))) {
        return;
    }
    unsigned column = tier[0] == '\0' ? EVERYONE : (unsigned)own;
    table->rules[level][column] = (struct sla_rule){response_minutes, resolution_minutes};
}

struct sla_rule sla_find(
    const struct sla_table *table, enum msg_priority priority, const struct msg_customer_context *customer)
{
    const struct sla_rule *row = table->rules[priority];
    if (customer != NULL && row[customer->tier].response_minutes > 0) {
        return row[customer->tier];
    }
    return row[EVERYONE];
}

const char *sla_span(struct arena *arena, int32_t minutes)
{
    if (minutes % 1440 == 0) {
        return arena_printf(arena, "%d d", minutes / 1440);
    }
    if (minutes % 60 == 0) {
        return arena_printf(arena, "%d h", minutes / 60);
    }
    return arena_printf(arena, "%d min", minutes);
}
