/* Reading and applying setting generator.strong-for. */
#include "stages/strong_for.h"

#include <string.h>

#define NAME_MAX_BYTES 32

static bool invalid(struct error *err, const char *entry, size_t len, const char *what)
{
    return error_set(err, ERROR_FATAL, "setting_invalid",
        "generator.strong-for: \"%.*s\" %s; priorities are critical, high, medium, low, tiers standard, "
        "premium, "
        "enterprise",
        (int)len, entry, what);
}

static bool read_entry(const char *entry, size_t len, struct strong_for *out, struct error *err)
{
    char name[NAME_MAX_BYTES] = "";
    enum msg_priority priority;
    enum msg_tier tier;
    if (len < sizeof(name)) {
        memcpy(name, entry, len);
        name[len] = '\0';
    }
    bool is_priority = msg_priority_parse(name, &priority);
    bool *wanted = is_priority                   ? &out->priorities[priority]
                   : msg_tier_parse(name, &tier) ? &out->tiers[tier]
                                                 : NULL;
    if (!wanted) {
        return invalid(err, entry, len, "is neither a priority nor a tier");
    }
    if (*wanted) {
        return invalid(err, entry, len, "stands twice");
    }
    *wanted = true;
    return true;
}

bool strong_for_parse(const char *text, struct strong_for *out, struct error *err)
{
    *out = (struct strong_for){.any = text[0] != '\0'};
    while (*text) {
        size_t len = strcspn(text, ",");
        if (!read_entry(text, len, out, err)) {
            return false;
        }
        text += len;
        if (text[0] == ',' && text[1] == '\0') {
            return invalid(err, text, 1, "ends the list");
        }
        text += text[0] == ',';
    }
    return true;
}

bool strong_for_fits(const struct strong_for *rule, const struct msg_ticket_event *event)
{
    const struct msg_customer_context *customer = event->context ? event->context->customer : NULL;
    bool urgent = event->classification
                      ? rule->priorities[event->classification->priority]
                      : event->ticket.has_priority && rule->priorities[event->ticket.priority];
    return urgent || (customer && rule->tiers[customer->tier]);
}
