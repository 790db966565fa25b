/* Brings the bytes of a text to UTF-8, whatever encoding they are in. */
#ifndef HELPDESK_KB_ENCODING_H
#define HELPDESK_KB_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/error.h"

/* Which encoding: that of a byte order mark; else UTF-8 when the bytes are valid as such; else what the
 * document itself says, with `markup` (<meta charset>, <?xml encoding>); else what it looks like (uchardet).
 * `*data` becomes valid UTF-8 without NUL and without a byte order mark: the same bytes, or a copy in the
 * arena. Any thread. False: ERROR_REJECT "kb_encoding", naming the encoding. */
bool encoding_to_utf8(struct arena *arena, bool markup, const char **data, size_t *len, struct error *err);

#endif
