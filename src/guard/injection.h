/* Finds text that tries to give orders to a language model in place of its operator: "ignore all previous
 * instructions". Phrases in English and German, the commonest of other languages, and marks of chat formats.
 * A rule needs an order and its object, so "can I ignore this warning?" is none. */
#ifndef HELPDESK_GUARD_INJECTION_H
#define HELPDESK_GUARD_INJECTION_H

#include "guard/span.h"

/* The rule of a line that begins with "system:": it imitates a chat, or is an entry of a form. */
#define INJECTION_LABEL "injection.label"

/* The compiled rules; phrase_table_free. */
struct phrase_table *injection_rules_new(void);

/* Adds what it finds in the text to `out`; rules are "injection.override" and the like. Characters that
 * cannot be seen do not hide a phrase. */
void injection_find(const struct phrase_table *table, const struct reading *reading, struct span_list *out);

#endif
