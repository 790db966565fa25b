/* Any bytes as a document of each format: no crash, and what comes out is UTF-8 within bounds. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "kb/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"a.md", "de/a.html", "a.txt", "a.pdf", "a.docx", "a.csv"};
    if (size < 1)
        return 0;
    struct arena *arena = arena_new(KB_PARSE_ARENA);
    struct kb_document document;
    struct error err;
    if (kb_parse(arena, keys[data[0] % 6], "", (const char *)data + 1, size - 1, &document, &err)) {
        assert((document.passage_count > 0) == !*document.withdrawn);
        assert(document.passage_count <= KB_MAX_PASSAGES &&
               utf8_valid(document.withdrawn, strlen(document.withdrawn)));
        assert(utf8_valid(document.title, strlen(document.title)));
        for (size_t i = 0; i < document.passage_count; i++)
            assert(utf8_valid(document.passages[i].text, strlen(document.passages[i].text)));
    }
    arena_free(arena);
    return 0;
}
