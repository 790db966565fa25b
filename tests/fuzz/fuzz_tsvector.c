/* Fuzz target: a tsvector as PostgreSQL writes it. Whatever is read as one is found by its own words and gone
 * when it is removed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "kb/tsvector.h"
#include "kb/word_index.h"

#define HASH "0000000000000000000000000000000000000000000000000000000000000000"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t find(struct word_index *words, struct arena *arena, const char *lexeme)
{
    struct kb_term item = {.lexeme = lexeme, .texts = 1, .weight = 1, .sought = true};
    const struct kb_terms group = {.corpus = "kb", .config = "simple", .items = &item, .count = 1};
    const struct word_query query = {.groups = &group, .group_count = 1, .corpus = "kb", .locale = ""};
    struct word_hit *hits;
    return word_index_find(words, arena, &query, 1, &hits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    struct word_index *words = word_index_new();
    const char *text = arena_strndup(arena, (const char *)data, size);
    word_index_put(words, &(struct word_document){.source = "s", .key = "k", .locale = ""});
    struct tsvector_lexeme lexeme;
    const char *at = text;
    if (word_index_add(words,
            &(struct word_passage){.ordinal = 1, .config = "simple", .tsvector = text, .text_hash = HASH}) &&
        tsvector_next(&at, &lexeme) == TSVECTOR_LEXEME) {
        if (find(words, arena, lexeme.text) != 1) {
            abort();
        }
        word_index_remove(words, "s", "k");
        if (find(words, arena, lexeme.text) != 0) {
            abort();
        }
    }
    word_index_free(words);
    arena_free(arena);
    return 0;
}
