/* Words, stems and sentences: what the offline models and the guard compare texts by. English and German. */
#ifndef HELPDESK_MODEL_TEXT_H
#define HELPDESK_MODEL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"

struct text_word {
    const char *plain; /* folded, accents removed; in the arena */
    const char *stem;  /* `plain` without the endings of English and German; in the arena */
    size_t start;      /* bytes into the original text */
    size_t end;
    bool stop; /* says nothing by itself: "the", "und" */
};

/* The first `max` words of `text` (valid UTF-8), in the arena. */
struct text_word *text_words(struct arena *arena, const char *text, size_t max, size_t *count);

/* `folded` without the accents of Latin letters ("a" for "ä"), and its stem. In the arena. */
char *text_plain(struct arena *arena, const char *folded);
const char *text_stem(struct arena *arena, const char *plain);

struct text_sentence {
    size_t start; /* bytes into the text, without white space around it and without a list's bullet */
    size_t end;
};

/* The first `max` sentences: a line break ends one unless it plainly wraps it; abbreviations and numbers
 * ("e.g.", "3.5", "z. B.") do not. */
struct text_sentence *text_sentences(struct arena *arena, const char *text, size_t max, size_t *count);

/* A set of words. */
struct text_set;
struct text_set *text_set_new(struct arena *arena, size_t capacity); /* holds at least `capacity` words */
void text_set_add(struct text_set *set, const char *word);           /* borrows `word`; ignored when full */
bool text_set_has(const struct text_set *set, const char *word);
size_t text_set_count(const struct text_set *set);

#endif
