/* A request body to a ticket: reads, checks, and says every mistake at once. */
#include "gateway/ticket_in.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"
#include "gateway/hash.h"
#include "gateway/question_in.h"
#include "model/language.h"
#include "stages/ticket_check.h"

#define EXTERNAL_ID_MAX 256 /* bytes */
#define CHANNEL_MAX 32
#define METADATA_MAX (128 * 1024)

static const char *const ticket_members[] = {"ticket_id", "external_ticket_id", "title", "subject",
    "description", "customer_external_id", "channel", "priority", "priority_hints", "locale", "metadata",
    "created_at", "messages", "auto_generated", NULL};
static const char *const message_members[] = {"role", "text", "at", NULL};

FIELD_NAME_OF(priority)
FIELD_NAME_OF(role)

struct reading {
    struct arena *arena;
    struct field_errors *errors;
    struct field_unknown unknown;
    const char *body;
    size_t len;
    const char *inside; /* "ticket" when the body wraps it, else NULL */
    const char *parent; /* "/ticket" or "" */
    const cJSON *object;
};

static bool channel_valid(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    return text[len] == '\0' && len >= 1 && len <= CHANNEL_MAX;
}

/* One thing under two names: either, or both with the same value. NULL with *absent when neither is there. */
static const char *read_alias(struct reading *r, const char *name, const char *alias, bool required)
{
    bool has_name = field_get(r->object, name) != NULL;
    bool has_alias = field_get(r->object, alias) != NULL;
    if (!has_name && !has_alias) {
        if (required) {
            field_error(r->errors, r->parent, name, "is required (or %s)", alias);
        }
        return NULL;
    }
    const char *value = has_name ? field_token(r->errors, r->object, r->parent, name, 0) : NULL;
    const char *other = has_alias ? field_token(r->errors, r->object, r->parent, alias, 0) : NULL;
    if (value != NULL && other != NULL && strcmp(value, other) != 0) {
        field_error(
            r->errors, r->parent, alias, "differs from %s, which means the same; send one of them", name);
    }
    return value != NULL ? value : other;
}

static const char *read_required(struct reading *r, const char *name, size_t max)
{
    if (!field_require(r->errors, r->object, r->parent, name)) {
        return "";
    }
    const char *text = field_token(r->errors, r->object, r->parent, name, max);
    return text != NULL ? text : "";
}

static void read_ids(struct reading *r, const struct ticket_in_rules *rules, struct msg_ticket *ticket)
{
    if (rules->intake) {
        field_require(r->errors, r->object, r->parent, "ticket_id");
        field_require(r->errors, r->object, r->parent, "external_ticket_id");
        field_require(r->errors, r->object, r->parent, "created_at");
    }
    ticket->ticket_id = field_string(r->errors, r->object, r->parent, "ticket_id");
    if (ticket->ticket_id != NULL && !ticket_id_valid(ticket->ticket_id)) {
        field_error(r->errors, r->parent, "ticket_id",
            "must be 1 to %d characters, not blank, without '/' and control characters, and not the name of "
            "a route",
            TICKET_ID_MAX_CHARS);
    }
    ticket->external_ticket_id =
        field_token(r->errors, r->object, r->parent, "external_ticket_id", EXTERNAL_ID_MAX);
    ticket->customer_external_id = read_required(r, "customer_external_id", EXTERNAL_ID_MAX);
    ticket->has_created_at = field_time(r->errors, r->object, r->parent, "created_at", &ticket->created_at);
}

static void read_priority(struct reading *r, struct msg_ticket *ticket)
{
    static const char *const names[] = {"priority", "priority_hints"};
    for (size_t i = 0; i < 2; i++) {
        unsigned value;
        if (!field_choice(
                r->errors, r->object, r->parent, names[i], priority_at, MSG_PRIORITY_COUNT, &value)) {
            continue;
        }
        if (ticket->has_priority && (unsigned)ticket->priority != value) {
            field_error(r->errors, r->parent, names[i],
                "differs from priority, which means the same; send one of them");
        }
        ticket->has_priority = true;
        ticket->priority = (enum msg_priority)value;
    }
}

static void read_options(struct reading *r, struct msg_ticket *ticket)
{
    const char *channel = field_string(r->errors, r->object, r->parent, "channel");
    if (channel != NULL && !channel_valid(channel)) {
        field_error(r->errors, r->parent, "channel",
            "must be email, chat, phone, web or another token of 1 to %d letters, digits, '_', '-', '.'",
            CHANNEL_MAX);
    }
    ticket->channel = channel != NULL ? channel : "email";
    ticket->locale = field_string(r->errors, r->object, r->parent, "locale");
    if (ticket->locale != NULL && !language_tag_valid(ticket->locale)) {
        field_error(r->errors, r->parent, "locale", "must be a BCP 47 language tag, such as en-US or de");
    }
    ticket->auto_generated = field_bool(r->errors, r->object, r->parent, "auto_generated");
}

/* Kept as the bytes that were sent: never parsed again, never formatted. */
static void read_metadata(struct reading *r, struct msg_ticket *ticket)
{
    const char *raw;
    size_t raw_len;
    ticket->metadata = "{}";
    if (field_object(r->errors, r->object, r->parent, "metadata") == NULL ||
        !json_raw_member(r->body, r->len, r->inside, "metadata", &raw, &raw_len)) {
        return;
    }
    if (raw_len > METADATA_MAX) {
        field_error(r->errors, r->parent, "metadata", "must be at most %d bytes", METADATA_MAX);
        return;
    }
    ticket->metadata = arena_strndup(r->arena, raw, raw_len);
}

static void read_message(
    struct reading *r, const cJSON *item, const char *pointer, struct msg_message *message)
{
    unsigned role = MSG_ROLE_CUSTOMER;
    field_require(r->errors, item, pointer, "role");
    field_choice(r->errors, item, pointer, "role", role_at, MSG_ROLE_COUNT, &role);
    message->role = (enum msg_role)role;
    field_require(r->errors, item, pointer, "text");
    const char *text = field_token(r->errors, item, pointer, "text", 0);
    message->text = text != NULL ? text : "";
    message->has_at = field_time(r->errors, item, pointer, "at", &message->at);
    field_find_unknown(&r->unknown, r->arena, item, pointer, message_members);
}

static void read_messages(struct reading *r, struct msg_ticket *ticket)
{
    const cJSON *array = field_get(r->object, "messages");
    if (array == NULL) {
        return;
    }
    if (!cJSON_IsArray(array)) {
        field_error(r->errors, r->parent, "messages", "must be an array of {role, text, at}");
        return;
    }
    const char *pointer = field_pointer(r->arena, r->parent, "messages");
    ticket->messages = arena_array(r->arena, (size_t)cJSON_GetArraySize(array), sizeof *ticket->messages);
    const cJSON *item;
    cJSON_ArrayForEach(item, array)
    {
        char index[24];
        snprintf(index, sizeof index, "%zu", ticket->messages_count);
        if (!cJSON_IsObject(item)) {
            field_error(r->errors, pointer, index, "must be an object with role and text");
        } else {
            read_message(
                r, item, field_pointer(r->arena, pointer, index), &ticket->messages[ticket->messages_count]);
        }
        ticket->messages_count++;
    }
}

static void read_ticket(struct reading *r, const struct ticket_in_rules *rules, struct msg_ticket *ticket)
{
    read_ids(r, rules, ticket);
    const char *subject = read_alias(r, "title", "subject", true);
    ticket->subject = subject != NULL ? subject : "";
    ticket->description = read_required(r, "description", 0);
    read_priority(r, ticket);
    read_options(r, ticket);
    read_metadata(r, ticket);
    read_messages(r, ticket);
}

/* Members of the body that are neither the ticket's (when it stands alone) nor the endpoint's own. */
static void find_unknown(struct reading *r, const struct ticket_in_rules *rules, const cJSON *body)
{
    const char *known[sizeof ticket_members / sizeof ticket_members[0] + 4];
    size_t count = 0;
    if (rules->takes_sonnet) {
        known[count++] = "use_sonnet";
    }
    if (rules->takes_classification) {
        known[count++] = "classification";
    }
    if (rules->needs_context) {
        known[count++] = "context";
    }
    if (r->inside != NULL) {
        known[count++] = "ticket";
    }
    for (size_t i = 0; r->inside == NULL && ticket_members[i] != NULL; i++) {
        known[count++] = ticket_members[i];
    }
    known[count] = NULL;
    field_find_unknown(&r->unknown, r->arena, body, "", known);
    if (r->inside != NULL) {
        field_find_unknown(&r->unknown, r->arena, r->object, r->parent, ticket_members);
    }
}

/* ---- the hash of the content ---- */

static void hash_text(struct buf *out, const char *text)
{
    if (text == NULL) {
        buf_puts(out, "-;");
        return;
    }
    buf_printf(out, "%zu:", strlen(text));
    buf_puts(out, text);
    buf_putc(out, ';');
}

static void hash_int(struct buf *out, bool has, int64_t value)
{
    if (has) {
        buf_printf(out, "%lld;", (long long)value);
    } else {
        buf_puts(out, "-;");
    }
}

static void hash_content(struct ticket_in *in, size_t body_len)
{
    const struct msg_ticket *t = &in->ticket;
    struct buf text;
    buf_init(&text, 4 * body_len + 4096); /* a message of {} grows by its separators only */
    const char *const texts[] = {t->external_ticket_id, t->subject, t->description, t->customer_external_id,
        t->channel, t->locale, t->metadata};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        hash_text(&text, texts[i]);
    }
    hash_int(&text, t->has_priority, (int64_t)t->priority);
    hash_int(&text, t->has_created_at, t->created_at);
    hash_int(&text, t->auto_generated, 1);
    hash_int(&text, in->use_sonnet, 1);
    for (size_t i = 0; i < t->messages_count; i++) {
        hash_int(&text, true, (int64_t)t->messages[i].role);
        hash_text(&text, t->messages[i].text);
        hash_int(&text, t->messages[i].has_at, t->messages[i].at);
    }
    hash_hex(text.data, text.len, in->content_hash);
    buf_fini(&text);
}

bool ticket_in_read(struct arena *arena, const char *body, size_t len, const struct ticket_in_rules *rules,
    struct ticket_in *in, struct field_errors *errors)
{
    memset(in, 0, sizeof *in);
    struct error err = {0};
    cJSON *json = json_parse(body, len, &err);
    if (json == NULL || !cJSON_IsObject(json)) {
        cJSON_Delete(json);
        field_error_root(errors, json == NULL ? err.text : "must be a JSON object");
        return false;
    }
    struct reading r = {
        .arena = arena, .errors = errors, .body = body, .len = len, .parent = "", .object = json};
    if (field_get(json, "ticket") != NULL) {
        r.inside = "ticket";
        r.parent = "/ticket";
        r.object = field_object(errors, json, "", "ticket");
    }
    if (r.object != NULL) {
        read_ticket(&r, rules, &in->ticket);
    }
    in->use_sonnet = rules->takes_sonnet && field_bool(errors, json, "", "use_sonnet");
    if (rules->takes_classification) {
        in->classification = classification_read(errors, json, rules->needs_classification);
    }
    if (rules->needs_context) {
        in->context = context_read(errors, json);
        if (in->ticket.auto_generated) {
            field_error(
                errors, r.parent, "auto_generated", "must not be true here: such a ticket is never drafted");
        }
    }
    find_unknown(&r, rules, json);
    in->warning = field_warning(&r.unknown, arena);
    cJSON_Delete(json);
    if (errors->count > 0) {
        return false;
    }
    hash_content(in, len);
    return true;
}
