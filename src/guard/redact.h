/* Takes personal data out of a text for good: what is stored or cited afterwards cannot be turned back. */
#ifndef HELPDESK_GUARD_REDACT_H
#define HELPDESK_GUARD_REDACT_H

#include "base/arena.h"

/* `text` with what guard/pii.h finds replaced by "[email]", "[card]"...; in the arena. */
char *redact_text(struct arena *arena, const char *text);

/* `text` with a person's `name`, and each part of it that may stand alone ("Dear Ms Gonzalez", not the "von"
 * of "von der Leyen"), replaced by "[name]"; in the arena. NULL or "": nothing is known, `text` is returned.
 */
const char *redact_name(struct arena *arena, const char *text, const char *name);

#endif
