/* Shows an answered event as the public struct. */
#include <stddef.h>
#include "base/buf.h"
#include "base/json.h"
#include "client/client.h"

#define JSON_MAX (8 * 1024 * 1024) /* a record of 512 KiB, all of it escaped */

/* The public struct first: helpdesk_answer_json finds the rest behind it. */
struct answer {
    struct helpdesk_answer shown;
    struct arena *arena;
    const struct msg_ticket_event *event;
};

static const struct helpdesk_classification *show_classification(
    struct arena *arena, const struct msg_classification *from)
{
    if (from == NULL) {
        return NULL;
    }
    struct helpdesk_classification *shown = ARENA_NEW(arena, struct helpdesk_classification);
    *shown = (struct helpdesk_classification){.category = from->category,
        .priority = msg_priority_name(from->priority),
        .department = from->department,
        .sentiment = msg_sentiment_name(from->sentiment),
        .confidence = from->confidence};
    return shown;
}

static const struct helpdesk_draft *show_draft(struct arena *arena, const struct msg_draft *from)
{
    if (from == NULL) {
        return NULL;
    }
    struct helpdesk_draft *shown = ARENA_NEW(arena, struct helpdesk_draft);
    const char **flags = arena_array(arena, from->safety_flags_count, sizeof *flags);
    for (size_t i = 0; i < from->safety_flags_count; i++) {
        flags[i] = msg_flag_name(from->safety_flags[i]);
    }
    *shown = (struct helpdesk_draft){.text = from->text,
        .confidence = from->confidence,
        .ready = from->ready,
        .citations = from->citations,
        .citation_count = from->citations_count,
        .flags = flags,
        .flag_count = from->safety_flags_count,
        .not_ready_because = from->not_ready_because,
        .not_ready_count = from->not_ready_because_count};
    return shown;
}

static void show_sources(
    struct arena *arena, const struct msg_context *context, struct helpdesk_answer *shown)
{
    struct helpdesk_source *sources = arena_array(arena, context->items_count, sizeof *sources);

    for (size_t i = 0; i < context->items_count; i++) {
        const struct msg_context_item *item = &context->items[i];
        sources[i] = (struct helpdesk_source){.source_id = item->source_id,
            .type = msg_item_type_name(item->type),
            .title = item->title,
            .excerpt = item->excerpt,
            .citation_uri = item->citation_uri,
            .score = item->score};
    }
    shown->sources = sources;
    shown->source_count = context->items_count;
}

const struct helpdesk_answer *answer_from_event(struct arena *arena, const struct msg_ticket_event *event)
{
    struct answer *answer = ARENA_NEW(arena, struct answer);
    struct helpdesk_answer *shown = &answer->shown;

    answer->arena = arena;
    answer->event = event;
    *shown = (struct helpdesk_answer){.tenant = event->tenant,
        .ticket_id = event->ticket.ticket_id != NULL ? event->ticket.ticket_id : "",
        .external_ticket_id = event->ticket.external_ticket_id,
        .customer_external_id = event->ticket.customer_external_id,
        .subject = event->ticket.subject,
        .locale = event->ticket.locale,
        .correlation_id = event->correlation_id != NULL ? event->correlation_id : "",
        .event_id = event->event_id != NULL ? event->event_id : "",
        .received_at = event->received_at,
        .state = msg_state_name(event->state),
        .classification = show_classification(arena, event->classification)};
    if (event->failure != NULL) {
        shown->failure_code = event->failure->code;
        shown->failure_message = event->failure->message;
    }
    if (event->context != NULL) {
        show_sources(arena, event->context, shown);
    }
    if (event->generation != NULL) {
        shown->primary_draft = show_draft(arena, &event->generation->primary_draft);
        shown->alternative_draft = show_draft(arena, event->generation->alternative_draft);
        shown->next_steps = event->generation->suggested_next_steps;
        shown->next_step_count = event->generation->suggested_next_steps_count;
    }
    return shown;
}

const char *helpdesk_answer_json(const struct helpdesk_answer *answer)
{
    const struct answer *whole = (const struct answer *)answer;
    struct buf text;

    buf_init(&text, JSON_MAX);
    json_put_and_delete(&text, msg_to_json(&msg_ticket_event, whole->event));
    const char *json = arena_strndup(whole->arena, buf_text(&text), text.len);
    buf_fini(&text);
    return json;
}
