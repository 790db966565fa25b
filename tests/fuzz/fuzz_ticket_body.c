/* Fuzz target: a request body as every kind of ticket, and as a feedback. What is taken must be a valid
 * record, and reading it again must give the same hash. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "gateway/feedback_in.h"
#include "gateway/ticket_in.h"
#include "msg/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ticket(
    struct arena *arena, const char *body, size_t len, const struct ticket_in_rules *rules)
{
    struct ticket_in in, again;
    struct field_errors *errors = ARENA_NEW(arena, struct field_errors);
    field_errors_init(errors, arena);
    if (!ticket_in_read(arena, body, len, rules, &in, errors)) {
        if (errors->count == 0) {
            abort();
        }
        return;
    }
    if (!ticket_in_read(arena, body, len, rules, &again, errors) ||
        strcmp(in.content_hash, again.content_hash) != 0) {
        abort();
    }
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, arena);
    struct error err = {0};
    struct buf out;
    event->ticket = in.ticket;
    event->classification = in.classification;
    event->context = in.context;
    buf_init(&out, MSG_MAX_RECORD + 64);
    if (!msg_encode(&msg_ticket_event, event, &out, &err) && strcmp(err.code, "record_too_large") != 0) {
        abort();
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ticket_in_rules kinds[] = {
        {.intake = true},
        {.takes_sonnet = true},
        {.takes_sonnet = true,
            .takes_classification = true,
            .needs_classification = true,
            .needs_context = true},
    };
    struct arena *arena = arena_new(0);
    char *body = malloc(size + 1); /* its end is where a reader that goes too far is caught */
    if (body == NULL) {
        abort();
    }
    memcpy(body, data, size);
    body[size] = '\0';
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        check_ticket(arena, body, size, &kinds[i]);
    }
    struct msg_feedback feedback = {0};
    struct field_errors *errors = ARENA_NEW(arena, struct field_errors);
    const char *warning;
    field_errors_init(errors, arena);
    feedback_in_read(arena, body, size, &feedback, &warning, errors);
    free(body);
    arena_free(arena);
    return 0;
}
