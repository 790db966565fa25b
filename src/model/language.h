/* Which language a text is written in: by its commonest words and its letters. Small and fast, not clever. */
#ifndef HELPDESK_MODEL_LANGUAGE_H
#define HELPDESK_MODEL_LANGUAGE_H

#include <stdbool.h>
#include "base/arena.h"

/* An ISO 639-1 code: en de fr es it nl pt by words; el ru ar he th ko ja zh by script. "und" when the text is
 * too short or too mixed to tell. A literal, not to be freed. */
const char *language_detect(struct arena *arena, const char *text);

/* Whether two BCP 47 tags name the same language ("de-AT" and "de"). */
bool language_same(const char *a, const char *b);

/* Shape of a BCP 47 tag: subtags of 1-8 letters and digits, the first of 2-8 letters, 35 bytes at most. */
bool language_tag_valid(const char *tag);

/* The name in English for people ("German"), or the code itself. */
const char *language_name(const char *tag);

#endif
