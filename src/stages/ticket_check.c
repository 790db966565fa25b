/* Checks the fields of a ticket that a publisher gave. */
#include "stages/ticket_check.h"

#include <string.h>
#include "base/ids.h"
#include "base/json.h"
#include "base/utf8.h"
#include "model/language.h"

#define TENANT_MAX 64
#define CHANNEL_MAX 32
#define EXTERNAL_ID_MAX 256

static bool invalid(struct error *err, const char *field, const char *rule)
{
    return error_set(err, ERROR_REJECT, "ticket_invalid", "%s %s", field, rule);
}

/* No control character, C1 included, and no '/' unless `slash`. */
static bool is_plain(const char *text, bool slash)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != 0; p++) {
        bool c1 = p[0] == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0;
        if (*p < 0x20 || *p == 0x7F || c1 || (*p == '/' && !slash)) {
            return false;
        }
    }
    return true;
}

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text != 0; text++) {
        count += ((unsigned char)*text & 0xC0) != 0x80;
    }
    return count;
}

bool ticket_id_valid(const char *id)
{
    /* Last segments of paths under /tickets/: an id of that name could not be asked for. */
    static const char *const routes[] = {
        "classify", "context", "respond", "auto-orchestrate", "feedback", ".", ".."};
    size_t len = strlen(id), chars = count_characters(id);
    if (chars < 1 || chars > TICKET_ID_MAX_CHARS || !utf8_valid(id, len) || utf8_blank(id) ||
        !is_plain(id, false)) {
        return false;
    }
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(id, routes[i]) == 0) {
            return false;
        }
    }
    return true;
}

bool ticket_tenant_valid(const char *tenant)
{
    return !utf8_blank(tenant) && strlen(tenant) <= TENANT_MAX && is_plain(tenant, false);
}

static bool check_text(const char *text, const char *field, struct error *err)
{
    return !utf8_blank(text) || invalid(err, field, "must not be blank");
}

static bool check_channel(const char *channel, struct error *err)
{
    size_t len = strlen(channel);
    bool ok = len >= 1 && len <= CHANNEL_MAX;
    for (const char *p = channel; *p != 0 && ok; p++) {
        ok = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
             strchr("_-.", *p) != NULL;
    }
    return ok || invalid(err, "channel", "must be a short token such as email, chat, phone or web");
}

static bool check_metadata(const char *metadata, struct error *err)
{
    if (strcmp(metadata, "{}") == 0) {
        return true;
    }
    cJSON *json = json_parse(metadata, strlen(metadata), NULL);
    bool ok = cJSON_IsObject(json);
    cJSON_Delete(json);
    return ok || invalid(err, "metadata", "must be a JSON object");
}

static bool check_ids(const struct msg_ticket_event *event, struct error *err)
{
    const struct msg_ticket *ticket = &event->ticket;
    if (ticket->ticket_id != NULL && !ticket_id_valid(ticket->ticket_id)) {
        return invalid(err, "ticket_id", "must be 1 to 128 characters without '/' and control characters");
    }
    if (ticket->external_ticket_id != NULL && (strlen(ticket->external_ticket_id) > EXTERNAL_ID_MAX ||
                                                  !is_plain(ticket->external_ticket_id, true))) {
        return invalid(err, "external_ticket_id", "must be at most 256 bytes without control characters");
    }
    if (strlen(ticket->customer_external_id) > EXTERNAL_ID_MAX ||
        !is_plain(ticket->customer_external_id, true)) {
        return invalid(err, "customer_external_id", "must be at most 256 bytes without control characters");
    }
    if (event->event_id != NULL && !uuid_valid(event->event_id)) {
        return invalid(err, "event_id", "must be a UUID");
    }
    if (event->correlation_id != NULL && !uuid_valid(event->correlation_id)) {
        return invalid(err, "correlation_id", "must be a UUID");
    }
    return true;
}

bool ticket_check(const struct msg_ticket_event *event, struct error *err)
{
    const struct msg_ticket *ticket = &event->ticket;
    if (!ticket_tenant_valid(event->tenant)) {
        return invalid(err, "tenant", "must be 1 to 64 bytes without '/' and control characters");
    }
    if (ticket->locale != NULL && !language_tag_valid(ticket->locale)) {
        return invalid(err, "locale", "must be a language tag such as en-US or de");
    }
    return check_ids(event, err) && check_text(ticket->subject, "subject", err) &&
           check_text(ticket->description, "description", err) &&
           check_text(ticket->customer_external_id, "customer_external_id", err) &&
           check_channel(ticket->channel, err) && check_metadata(ticket->metadata, err);
}
