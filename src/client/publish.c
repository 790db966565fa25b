/* Turns a caller's ticket into the first record of a run and sends it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/ids.h"
#include "bus/topics.h"
#include "client/client.h"
#include "stages/ticket_check.h"
#include "stages/ticket_record.h"

/* A ticket on its way. */
struct publication {
    struct helpdesk_client *client;
    helpdesk_published *published; /* NULL: nobody wants to know */
    void *arg;
    struct helpdesk_receipt receipt;
};

static const char *or_default(const char *text, const char *fallback)
{
    return text != NULL ? text : fallback;
}

static const char *mint_id(struct arena *arena)
{
    char *id = arena_alloc(arena, UUID_TEXT_SIZE);

    uuid_v7(id);
    return id;
}

static bool fill_messages(
    const struct helpdesk_ticket *given, struct arena *arena, struct msg_ticket *ticket, struct error *err)
{
    ticket->messages = arena_array(arena, given->message_count, sizeof *ticket->messages);
    ticket->messages_count = given->message_count;
    for (size_t i = 0; i < given->message_count; i++) {
        const struct helpdesk_message *from = &given->messages[i];
        if (from->text == NULL) {
            return error_set(err, ERROR_REJECT, "ticket_invalid", "messages[%zu].text is missing", i);
        }
        ticket->messages[i] =
            (struct msg_message){.role = from->from_agent ? MSG_ROLE_AGENT : MSG_ROLE_CUSTOMER,
                .text = from->text,
                .has_at = from->at != 0,
                .at = from->at};
    }
    return true;
}

static bool fill_ticket(const struct helpdesk_ticket *given, struct arena *arena, struct msg_ticket *ticket,
    int64_t now, struct error *err)
{
    ticket->ticket_id = given->ticket_id != NULL ? given->ticket_id : mint_id(arena);
    ticket->external_ticket_id = given->external_ticket_id;
    ticket->subject = or_default(given->subject, "");
    ticket->description = or_default(given->description, "");
    ticket->customer_external_id = or_default(given->customer_external_id, "");
    ticket->channel = or_default(given->channel, ticket->channel);
    ticket->locale = given->locale;
    ticket->metadata = or_default(given->metadata, ticket->metadata);
    ticket->has_created_at = true;
    ticket->created_at = given->created_at != 0 ? given->created_at : now;
    ticket->auto_generated = given->auto_generated;
    ticket->has_priority = given->priority != NULL;
    if (given->priority != NULL && !msg_priority_parse(given->priority, &ticket->priority)) {
        return error_set(
            err, ERROR_REJECT, "ticket_invalid", "priority must be critical, high, medium or low");
    }
    return fill_messages(given, arena, ticket, err);
}

static struct msg_ticket_event *make_event(struct helpdesk_client *client,
    const struct helpdesk_ticket *given, struct arena *arena, struct error *err)
{
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, arena);

    event->tenant = conf_text(client->conf, CONF_TENANT);
    event->event_id = given->event_id != NULL ? given->event_id : mint_id(arena);
    event->correlation_id = given->correlation_id != NULL ? given->correlation_id : mint_id(arena);
    event->has_received_at = true;
    event->received_at = clock_wall_ms();
    /* Sent again: the time of the first try, so that the log keeps one row of it. */
    uuid_v7_time(event->correlation_id, &event->received_at);
    event->use_sonnet = given->use_stronger_model;
    if (!fill_ticket(given, arena, &event->ticket, event->received_at, err) || !ticket_check(event, err)) {
        return NULL;
    }
    return event;
}

static void delivered(void *arg, const struct error *err)
{
    struct publication *publication = arg;
    struct helpdesk_client *client = publication->client;
    struct helpdesk_error public_err;

    client->pending--;
    client_error(&public_err, err);
    if (publication->published != NULL) {
        publication->published(publication->arg, &publication->receipt, err != NULL ? &public_err : NULL);
    }
    client_called_back(client);
    free(publication);
}

static void fill_receipt(struct helpdesk_receipt *receipt, const struct msg_ticket_event *event)
{
    snprintf(receipt->ticket_id, sizeof receipt->ticket_id, "%s", event->ticket.ticket_id);
    snprintf(receipt->correlation_id, sizeof receipt->correlation_id, "%s", event->correlation_id);
    snprintf(receipt->event_id, sizeof receipt->event_id, "%s", event->event_id);
}

bool helpdesk_publish(struct helpdesk_client *client, const struct helpdesk_ticket *ticket,
    helpdesk_published *published, void *arg, struct helpdesk_receipt *receipt, struct helpdesk_error *err)
{
    struct arena *arena = arena_new(0);
    struct error why = {.disposition = ERROR_NONE};
    struct bus_record record;

    const struct msg_ticket_event *event = make_event(client, ticket, arena, &why);
    bool ok = event != NULL && ticket_record_make(arena, event, &record, &why);
    if (ok) {
        struct publication *publication = xcalloc(1, sizeof *publication);
        *publication = (struct publication){.client = client, .published = published, .arg = arg};
        fill_receipt(&publication->receipt, event);
        if (receipt != NULL) {
            *receipt = publication->receipt;
        }
        client->pending++;
        bus_produce(client->producer, &record, delivered, publication);
    }
    arena_free(arena);
    return ok || client_error(err, &why);
}
