/* Lists of places in a text. */
#include "guard/span.h"

#include <string.h>

void span_add(struct span_list *list, size_t start, size_t end, const char *rule, const char *why)
{
    if (list->count == SPANS_MAX) {
        return;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? list->capacity * 2 : 4;
        struct span *spans = arena_array(list->arena, capacity, sizeof *spans);
        if (list->count > 0) {
            memcpy(spans, list->spans, list->count * sizeof *spans);
        }
        list->spans = spans;
        list->capacity = capacity;
    }
    list->spans[list->count++] = (struct span){.start = start, .end = end, .rule = rule, .why = why};
}

void span_add_phrases(
    struct span_list *list, const struct phrase_table *table, const struct reading *reading, const char *why)
{
    size_t hits;
    const struct text_word *words = reading->words;
    struct phrase_hit *found = phrase_find(table, list->arena, words, reading->count, SPANS_MAX, &hits);
    for (size_t i = 0; i < hits; i++) {
        span_add(list, words[found[i].first].start, words[found[i].last].end, found[i].rule->name, why);
    }
}
