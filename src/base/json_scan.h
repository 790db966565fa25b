/* A strict reader of RFC 8259 that keeps nothing: says whether text is JSON, and where things are in it. */
#ifndef HELPDESK_BASE_JSON_SCAN_H
#define HELPDESK_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"

struct json_name; /* a member's name in an object that is still open */

struct json_scan {
    const char *text; /* borrowed */
    size_t len;
    size_t at;
    unsigned depth;
    const char *wrong; /* NULL, or what is wrong at byte `wrong_at` */
    size_t wrong_at;
    struct json_name *names; /* of all open objects, the innermost last */
    size_t name_count;
    size_t name_capacity;
    struct buf name_bytes; /* their decoded bytes */
};

void json_scan_init(struct json_scan *scan, const char *text, size_t len);
void json_scan_fini(struct json_scan *scan);

/* Each stands at `at`, moves behind what it read and returns false when something is wrong. */
void json_scan_space(struct json_scan *scan);
bool json_scan_value(struct json_scan *scan);
/* A string; its decoded bytes are appended to `out` (NULL: not wanted). */
bool json_scan_string(struct json_scan *scan, struct buf *out);
/* Moves behind `c` when it is next. */
bool json_scan_take(struct json_scan *scan, char c);
/* Records the first thing wrong; returns false. */
bool json_scan_fail(struct json_scan *scan, size_t at, const char *wrong);

#endif
