/* Fuzzes the decoder: any bytes as any type in either framing; what decodes must encode, and decode to the
 * same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "msg/codec.h"

static const struct msg_type *const types[] = {&msg_ticket_event, &msg_feedback, &msg_kb_notification};
static const char *const names[] = {
    "TicketEvent", "Feedback", "KbNotification", "ticket_event.1", "ticket_event.2", "kb_notification.1"};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    for (int32_t i = 0; i < (int32_t)(sizeof names / sizeof *names); i++)
        if (!msg_pin_confluent_id(i, names[i], NULL))
            abort();
    return 0;
}

/* What was decoded must be a record that every other function takes. */
static void check_record(const struct msg_type *type, struct arena *arena, const void *record)
{
    struct error err = {.disposition = ERROR_NONE};
    struct buf bytes, again;

    buf_init(&bytes, MSG_MAX_RECORD);
    buf_init(&again, MSG_MAX_RECORD);
    if (msg_encode(type, msg_copy(type, arena, record), &bytes, &err)) {
        void *twin = msg_decode(type, arena, bytes.data, bytes.len, NULL);
        if (twin == NULL || !msg_encode(type, twin, &again, NULL) || again.len != bytes.len ||
            memcmp(again.data, bytes.data, bytes.len) != 0)
            abort();
    } else if (strcmp(err.code, "record_too_large") != 0) {
        abort();
    }
    cJSON_Delete(msg_to_json(type, record));
    buf_fini(&bytes);
    buf_fini(&again);
}

static void decode(const struct msg_type *type, const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    struct error err = {.disposition = ERROR_NONE};
    void *record = msg_decode(type, arena, data, size, &err);

    if (record != NULL)
        check_record(type, arena, record);
    else if (err.disposition != ERROR_REJECT)
        abort();
    arena_free(arena);
}

/* The first byte says which schema the rest is a datum of; other values take the rest as it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] >= sizeof names / sizeof *names) {
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            decode(types[i], data + 1, size - 1);
        return 0;
    }
    uint8_t *framed = malloc(size + 4);
    if (framed == NULL)
        abort();
    memcpy(framed, (uint8_t[]){0, 0, 0, 0, data[0]}, 5);
    memcpy(framed + 5, data + 1, size - 1);
    decode(types[data[0] % (sizeof types / sizeof *types)], framed, size + 4);
    free(framed);
    return 0;
}
