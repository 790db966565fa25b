/* A place in a text that a guard's rule found, and lists of them. */
#ifndef HELPDESK_GUARD_SPAN_H
#define HELPDESK_GUARD_SPAN_H

#include <stddef.h>
#include "base/arena.h"
#include "guard/reading.h"
#include "model/phrase.h"

#define SPANS_MAX 200 /* of one list: a text with more is bad enough */

struct span {
    size_t start; /* bytes into the text */
    size_t end;
    const char *rule; /* "pii.email" */
    const char *why;  /* for a person */
};

struct span_list {
    struct arena *arena;
    struct span *spans;
    size_t count;
    size_t capacity;
};

/* `rule` and `why` are borrowed. Past SPANS_MAX nothing is added. */
void span_add(struct span_list *list, size_t start, size_t end, const char *rule, const char *why);

/* Adds what `table` finds in the text; the name of a phrase's rule is the span's, `why` is for all. */
void span_add_phrases(
    struct span_list *list, const struct phrase_table *table, const struct reading *reading, const char *why);

#endif
