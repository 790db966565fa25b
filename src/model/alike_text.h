/* Whether two questions that a model of vectors finds nearly the same may have one answer. Vectors hardly
 * tell a "not", a number or a name, so words decide what vectors cannot: when in doubt, no. */
#ifndef HELPDESK_MODEL_ALIKE_TEXT_H
#define HELPDESK_MODEL_ALIKE_TEXT_H

#include <stdbool.h>
#include "base/arena.h"
#include "msg/codec.h"

#define ALIKE_TEXT_MAX 600 /* bytes; in longer texts one word that matters moves the vector too little */

/* Subject and description as one text, in the arena; NULL: it is longer than ALIKE_TEXT_MAX. */
char *alike_text(struct arena *arena, const struct msg_ticket *ticket);

/* Whether nothing tells `a` and `b` apart: both are of one language whose words are known (`locale`, a BCP 47
 * tag or NULL, where the text does not tell), with the same numbers and signs in the same order, as many
 * negations, the words they share in the same order; and of the words that only one has none is a name, a
 * number, or one of those that turn a question into another ("off", "before", "cancel"). Any thread. */
bool alike_texts(const char *locale, const char *a, const char *b);

/* Whether `answer`, which was made for `theirs`, repeats a word that they said and `ours` does not, nor what
 * we found: it may be of their own matters. */
bool alike_repeats(const char *answer, const char *theirs, const char *ours, const struct msg_context *found);

#endif
