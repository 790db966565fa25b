/* Replaces personal data by the name of its kind. */
#include "guard/redact.h"

#include <string.h>
#include "guard/pii.h"

char *redact_text(struct arena *arena, const char *text)
{
    size_t count, len = strlen(text), out = 0, from = 0;
    struct pii_span *spans = pii_find(arena, text, &count);
    char *copy = arena_alloc(arena, len + count * sizeof "[email]" + 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(copy + out, text + from, spans[i].start - from);
        out += spans[i].start - from;
        copy[out++] = '[';
        size_t name = strlen(pii_name(spans[i].kind));
        memcpy(copy + out, pii_name(spans[i].kind), name);
        out += name;
        copy[out++] = ']';
        from = spans[i].end;
    }
    memcpy(copy + out, text + from, len - from + 1);
    return copy;
}
