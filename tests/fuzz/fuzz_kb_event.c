/* Fuzz target: notifications of object stores in every form. What is taken names a bucket and a key; what is
 * not says why. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "kb/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct kb_events *events)
{
    for (size_t i = 0; i < events->count; i++) {
        const struct kb_event *event = &events->items[i];
        size_t len = strlen(event->key);
        if (!*event->bucket || len == 0 || len > 1024 || !utf8_valid(event->key, len) ||
            kb_sequencer_compare(event->sequencer, event->sequencer) != 0) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    struct kb_events events;
    struct error err = {0};
    char *text = malloc(size + 1); /* its end is where a reader that goes too far is caught */
    if (text == NULL) {
        abort();
    }
    memcpy(text, data, size);
    if (kb_events_parse(arena, text, size, &events, &err)) {
        check(&events);
    } else if (err.disposition != ERROR_REJECT || !*err.text) {
        abort();
    }
    free(text);
    arena_free(arena);
    return 0;
}
