/* Finds words a company does not use towards customers, and content that harms: threats, insults, asking for
 * secrets. */
#ifndef HELPDESK_GUARD_TONE_H
#define HELPDESK_GUARD_TONE_H

#include "guard/span.h"

struct tone; /* read-only once made */

/* `off_brand`: further words or phrases, separated by commas ("" for none). */
struct tone *tone_new(const char *off_brand);
void tone_free(struct tone *tone);

void tone_find_off_brand(const struct tone *tone, const struct reading *reading, struct span_list *out);
void tone_find_unsafe(const struct tone *tone, const struct reading *reading, struct span_list *out);

#endif
