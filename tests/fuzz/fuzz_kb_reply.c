/* Any bytes as the reply of a process that parses documents: refused, or a document within its bounds that is
 * encoded to the same bytes again. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kb/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(KB_PARSE_ARENA);
    struct kb_document document;
    struct error err = {0};
    if (kb_wire_decode(arena, (const char *)data, size, &document, &err)) {
        assert((document.passage_count > 0) == !*document.withdrawn);
        assert(document.passage_count <= KB_MAX_PASSAGES);
        struct buf again;
        buf_init(&again, KB_WIRE_REPLY_MAX);
        kb_wire_encode(&again, &document, NULL);
        assert(again.len == size && !memcmp(again.data, data, size));
        buf_fini(&again);
    } else {
        assert(err.disposition == ERROR_REJECT && *err.text);
    }
    arena_free(arena);
    return 0;
}
