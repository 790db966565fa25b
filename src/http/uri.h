/* Percent-encoding of paths and queries (RFC 3986 section 2.1), read strictly. */
#ifndef HELPDESK_HTTP_URI_H
#define HELPDESK_HTTP_URI_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"

struct uri_pair {
    const char *name;
    const char *value;
};

/* Decodes `len` bytes of `text` into `out`, which holds len + 1. With `form`, '+' is a space. False when a
 * '%' is not followed by two hex digits, or the result is not UTF-8 or holds a NUL. */
bool uri_decode(const char *text, size_t len, bool form, char *out);

/* Decodes "a=1&b=2" into pairs in the arena; a name without '=' has the value "". False as uri_decode. */
bool uri_parse_query(struct arena *arena, const char *query, struct uri_pair **pairs, size_t *count);

#endif
