/* Prompts: finding a section, filling its slots. */
#include "model/prompt.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"

#define MAX_BYTES (8 * 1024 * 1024)

void prompt_version(const char *name, const char *text, char out[PROMPT_VERSION_SIZE])
{
    char id[UUID_TEXT_SIZE];
    uuid_v5(text, strlen(text), id);
    snprintf(out, PROMPT_VERSION_SIZE, "%s/%s", name, id);
}

/* The lines of the section, without the last line break. */
static const char *find_section(const char *text, const char *section, size_t *len)
{
    char head[64];
    snprintf(head, sizeof(head), "=== %s ===\n", section);
    const char *start = strstr(text, head);
    assert(start && (start == text || start[-1] == '\n'));
    start += strlen(head);
    const char *end = strstr(start, "\n=== ");
    *len = end ? (size_t)(end - start) : strlen(start);
    while (*len > 0 && start[*len - 1] == '\n') {
        (*len)--;
    }
    return start;
}

static const char *slot_value(const struct prompt_slot *slots, size_t count, const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(slots[i].name) == len && memcmp(slots[i].name, name, len) == 0) {
            return slots[i].value;
        }
    }
    assert(!"a slot without a value");
    return "";
}

char *prompt_render(
    struct arena *arena, const char *text, const char *section, const struct prompt_slot *slots, size_t count)
{
    size_t left;
    const char *at = find_section(text, section, &left);
    struct buf out;
    buf_init(&out, MAX_BYTES);
    const char *open;
    while ((open = memmem(at, left, "{{", 2))) {
        const char *name = open + 2;
        const char *close = memmem(name, left - (size_t)(name - at), "}}", 2);
        assert(close);
        buf_append(&out, at, (size_t)(open - at));
        buf_puts(&out, slot_value(slots, count, name, (size_t)(close - name)));
        left -= (size_t)(close + 2 - at);
        at = close + 2;
    }
    buf_append(&out, at, left);
    assert(!out.failed);
    char *made = arena_strndup(arena, buf_text(&out), out.len);
    buf_fini(&out);
    return made;
}
