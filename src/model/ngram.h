/* What a text is made of, for the local classifier: hashed words, pairs of words and runs of letters. */
#ifndef HELPDESK_MODEL_NGRAM_H
#define HELPDESK_MODEL_NGRAM_H

#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"

#define NGRAM_MAX_WORDS 400 /* of a text that are read: what matters is said early */

/* Kinds of features; each kind has a length of its own, so that none drowns the others. */
enum ngram_block {
    NGRAM_WORD,    /* words, and two that follow each other */
    NGRAM_PAIR,    /* stems of two words that are near each other, in either order */
    NGRAM_LETTERS, /* two to five letters of a word, its ends included: forms, compounds, slips of the pen */
    NGRAM_BLOCKS
};

struct ngram {
    uint32_t hash;  /* of block and text */
    uint32_t block; /* enum ngram_block */
    uint32_t count; /* in the text, from 1 */
    float weight;   /* 1 + ln(count): sublinear term frequency */
};

/* The distinct features of `text` (valid UTF-8; case, accents and compatibility forms are folded), in the
 * order in which they occur first, in the arena. Any thread. */
struct ngram *ngram_read(struct arena *arena, const char *text, size_t *count);

#endif
