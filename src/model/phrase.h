/* Tables of phrases, and finding them in a text's words: rules for priority, sentiment and guards.
 *
 * A pattern is words with blanks between, in plain form (model/text.h): lower case, no accents.
 * "refund|money" is either word, "instruct*" every word that starts so, "the?" a word that may be missing,
 * "~3" up to three words of any kind. The first must be neither "?" nor "~". */
#ifndef HELPDESK_MODEL_PHRASE_H
#define HELPDESK_MODEL_PHRASE_H

#include <stddef.h>
#include "base/arena.h"
#include "model/text.h"

struct phrase_rule {
    const char *name; /* what a hit means, for the table's owner */
    const char *pattern;
    double value;
};

struct phrase_hit {
    const struct phrase_rule *rule;
    size_t first; /* index of its first and its last word */
    size_t last;
};

/* Read-only once made; any thread. `rules` is borrowed; a malformed pattern is a bug. */
struct phrase_table;
struct phrase_table *phrase_table_new(const struct phrase_rule *rules, size_t count);
void phrase_table_free(struct phrase_table *table);

/* The hits in order of their first word, `max` at most, in the arena. A pattern is tried at every word; of
 * two hits of one rule that share a word the first wins. */
struct phrase_hit *phrase_find(const struct phrase_table *table, struct arena *arena,
    const struct text_word *words, size_t word_count, size_t max, size_t *count);

#endif
