/* Takes the replies: decodes those of the runs that are waited for, and holds one whose schema is still being
 * fetched from the registry. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ids.h"
#include "base/log.h"
#include "gateway/internal.h"
#include "msg/codec.h"

#define HELD_MAX 1000
#define HELD_AGAIN_MS 50

struct held_reply {
    struct bus_record *record;
    char correlation_id[UUID_TEXT_SIZE];
    struct held_reply *next;
};

/* False: it cannot be decoded yet. */
static bool take_reply(struct gateway *gateway, const struct bus_record *record, const char *id)
{
    struct error err = {0};
    struct arena *arena = arena_new(0);
    bool taken = true;
    const struct msg_ticket_event *event =
        msg_decode(&msg_ticket_event, arena, record->value, record->value_len, &err);
    if (event == NULL && err.disposition == ERROR_RETRY) {
        taken = false;
    } else if (event == NULL) {
        log_error("reply is not readable", LOG_STR("correlation_id", id), LOG_STR("error", err.text));
        waits_fail(gateway->waits, id, &err);
    } else if (strcmp(event->tenant, gateway->tenant) != 0 || event->correlation_id == NULL ||
               strcmp(event->correlation_id, id) != 0) {
        log_error("reply is not what its key says", LOG_STR("correlation_id", id));
    } else {
        metric_add(gateway->metrics.replies_matched, 1);
        waits_reply(gateway->waits, id, event);
    }
    arena_free(arena);
    return taken;
}

static void held_free(struct held_reply *held)
{
    free(held->record);
    free(held);
}

/* All of them again; one that nobody waits for any more is let go. */
static void try_held(void *arg)
{
    struct gateway *gateway = arg;
    struct held_reply *held = gateway->held;
    struct held_reply **last = &gateway->held;
    gateway->held = NULL;
    while (held != NULL) {
        struct held_reply *next = held->next;
        held->next = NULL;
        if (!waits_known(gateway->waits, held->correlation_id) ||
            take_reply(gateway, held->record, held->correlation_id)) {
            held_free(held);
            gateway->held_count--;
        } else {
            *last = held;
            last = &held->next;
        }
        held = next;
    }
    if (gateway->held != NULL) {
        loop_timer_arm(gateway->held_timer, HELD_AGAIN_MS);
    }
}

static void hold_reply(struct gateway *gateway, const struct bus_record *record, const char *id)
{
    if (gateway->held_count == HELD_MAX) {
        log_error("reply is not readable yet, and too many are held", LOG_STR("correlation_id", id));
        return;
    }
    struct held_reply *held = xcalloc(1, sizeof *held);
    held->record = bus_record_copy(record);
    memcpy(held->correlation_id, id, sizeof held->correlation_id);
    struct held_reply **last = &gateway->held;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = held;
    gateway->held_count++;
    if (gateway->held_timer == NULL) {
        gateway->held_timer = loop_timer_new(gateway->loop, try_held, gateway);
    }
    loop_timer_arm(gateway->held_timer, HELD_AGAIN_MS);
}

/* Only the runs of this gateway are of interest, the others are not even decoded. */
void gateway_reply(void *arg, const struct bus_record *record)
{
    struct gateway *gateway = arg;
    char id[UUID_TEXT_SIZE];
    if (record->key_len != sizeof id - 1) {
        metric_add(gateway->metrics.replies_unknown, 1);
        return;
    }
    memcpy(id, record->key, sizeof id - 1);
    id[sizeof id - 1] = '\0';
    if (!waits_known(gateway->waits, id)) {
        metric_add(gateway->metrics.replies_unknown, 1);
        return;
    }
    if (!take_reply(gateway, record, id)) {
        hold_reply(gateway, record, id);
    }
}

void gateway_forget_replies(struct gateway *gateway)
{
    loop_timer_free(gateway->held_timer);
    while (gateway->held != NULL) {
        struct held_reply *next = gateway->held->next;
        held_free(gateway->held);
        gateway->held = next;
    }
}
