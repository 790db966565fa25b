/* A text with its words, cut once for all the rules that look through it. */
#ifndef HELPDESK_GUARD_READING_H
#define HELPDESK_GUARD_READING_H

#include "base/arena.h"
#include "model/text.h"

#define READING_MAX_WORDS 60000 /* more than the largest draft has */

struct reading {
    const char *text; /* borrowed */
    const struct text_word *words;
    size_t count;
};

struct reading reading_of(struct arena *arena, const char *text);

#endif
