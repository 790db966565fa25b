/* Fuzz target: two questions that are compared, with a blank line between them. Which is first changes
 * nothing, a question that is compared at all is like itself, and what nobody said is not repeated. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "model/alike_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    char *a = utf8_repair(arena, (const char *)data, size < 4096 ? size : 4096), *b = strstr(a, "\n\n");
    if (b) {
        *b = '\0';
        b += 2;
        const struct msg_context found = {.items_count = 0};
        bool same = alike_texts("en", a, b);
        if (same != alike_texts("en", b, a) || (same && !alike_texts("en", a, a)) ||
            alike_repeats(b, a, a, &found)) {
            abort();
        }
        (void)alike_repeats(a, b, "", &found);
    }
    arena_free(arena);
    return 0;
}
