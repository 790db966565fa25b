/* Finds in the context what answers a ticket: for each item the run of sentences that fits the question best.
 */
#ifndef HELPDESK_MODEL_QUOTE_H
#define HELPDESK_MODEL_QUOTE_H

#include <stddef.h>
#include "base/arena.h"
#include "model/text.h"
#include "msg/codec.h"

#define QUOTE_SENTENCES 6
#define QUOTE_BYTES 600 /* of one quote, about */

struct quote {
    const struct msg_context_item *item;
    struct text_sentence sentences[QUOTE_SENTENCES]; /* of item->excerpt, in order */
    size_t count;
    size_t best;      /* index of the sentence that fits best */
    double relevance; /* 0..1: the item's score and how much of the question the quote speaks of */
};

/* Quotes of the passages and past answers that speak of the ticket's question, best first (a passage before a
 * past answer that is hardly more relevant), at most `max`, in the arena. `ticket` and `context` are
 * borrowed. */
struct quote *quote_find(struct arena *arena, const struct msg_ticket *ticket,
    const struct msg_context *context, size_t max, size_t *count);

#endif
