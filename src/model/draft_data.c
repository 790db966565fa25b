/* A ticket and its sources as JSON for a language model. */
#include "model/draft_data.h"

#include <string.h>
#include "base/json.h"
#include "base/utf8.h"
#include "model/language.h"

#define MAX_BYTES (4 * 1024 * 1024)
#define SHORT_MAX 1024 /* bytes of a subject, a title, a name */

struct writer {
    struct arena *arena;
    struct buf out;
    bool cut;
};

static void put_member(struct writer *w, const char *before, const char *name, const char *text, size_t max)
{
    size_t len = strlen(text);
    buf_printf(&w->out, "%s\"%s\":", before, name);
    if (len > max) {
        w->cut = true;
        text = arena_strndup(w->arena, text, utf8_clip(text, max));
    }
    json_put_string(&w->out, text);
}

/* The latest messages that fit, oldest first. */
static void put_messages(struct writer *w, const struct msg_ticket *ticket)
{
    size_t first = ticket->messages_count;
    size_t left = DRAFT_DATA_TEXT_MAX;
    while (first > 0 && strlen(ticket->messages[first - 1].text) <= left) {
        left -= strlen(ticket->messages[--first].text);
    }
    w->cut = w->cut || first > 0;
    buf_puts(&w->out, ",\"messages\":[");
    for (size_t i = first; i < ticket->messages_count; i++) {
        const struct msg_message *message = &ticket->messages[i];
        put_member(w, i > first ? ",{" : "{", "role", msg_role_name(message->role), SHORT_MAX);
        put_member(w, ",", "text", message->text, DRAFT_DATA_TEXT_MAX);
        buf_putc(&w->out, '}');
    }
    buf_putc(&w->out, ']');
}

static void put_ticket(struct writer *w, const struct msg_ticket *ticket)
{
    put_member(w, "{\"ticket\":{", "ticket_id", ticket->ticket_id ? ticket->ticket_id : "", SHORT_MAX);
    put_member(w, ",", "subject", ticket->subject, SHORT_MAX);
    put_member(w, ",", "description", ticket->description, DRAFT_DATA_TEXT_MAX);
    put_member(w, ",", "channel", ticket->channel, SHORT_MAX);
    if (ticket->messages_count > 0) {
        put_messages(w, ticket);
    }
    buf_putc(&w->out, '}');
}

static void put_sources(struct writer *w, const struct msg_context *context)
{
    buf_puts(&w->out, ",\"sources\":[");
    for (size_t i = 0; context && i < context->items_count; i++) {
        const struct msg_context_item *item = &context->items[i];
        put_member(w, i > 0 ? ",{" : "{", "source_id", item->source_id, MSG_MAX_RECORD);
        put_member(w, ",", "type", msg_item_type_name(item->type), SHORT_MAX);
        put_member(w, ",", "title", item->title, SHORT_MAX);
        put_member(w, ",", "text", item->excerpt, MSG_MAX_RECORD);
        buf_putc(&w->out, '}');
    }
    buf_putc(&w->out, ']');
}

static void put_rest(struct writer *w, const struct draft_request *request)
{
    const struct msg_classification *classification = request->classification;
    if (classification) {
        put_member(w, ",\"classification\":{", "category", classification->category, SHORT_MAX);
        put_member(w, ",", "priority", msg_priority_name(classification->priority), SHORT_MAX);
        put_member(w, ",", "sentiment", msg_sentiment_name(classification->sentiment), SHORT_MAX);
        buf_putc(&w->out, '}');
    }
    const char *locale = request->ticket->locale ? request->ticket->locale : "en";
    put_member(w, ",", "answer_language", arena_printf(w->arena, "%s (%s)", language_name(locale), locale),
        SHORT_MAX);
}

/* '<' stands in strings only, where JSON lets it be written so. */
static char *without_brackets(struct arena *arena, const struct buf *json)
{
    struct buf out;
    buf_init(&out, MAX_BYTES);
    const char *at = buf_text(json);
    for (const char *bracket; (bracket = strchr(at, '<')); at = bracket + 1) {
        buf_append(&out, at, (size_t)(bracket - at));
        buf_puts(&out, "\\u003c");
    }
    buf_puts(&out, at);
    char *made = arena_strndup(arena, buf_text(&out), out.len);
    buf_fini(&out);
    return made;
}

char *draft_data(struct arena *arena, const struct draft_request *request, bool *cut)
{
    struct writer w = {.arena = arena};
    buf_init(&w.out, MAX_BYTES);
    put_ticket(&w, request->ticket);
    put_rest(&w, request);
    put_sources(&w, request->context);
    buf_putc(&w.out, '}');
    char *made = without_brackets(arena, &w.out);
    buf_fini(&w.out);
    *cut = w.cut;
    return made;
}
