/* A document on its way between kb-sync and the process that parses it: the request with its bytes, the reply
 * with its passages. The reply comes from a process that read hostile bytes: nothing in it is believed. */
#ifndef HELPDESK_KB_WIRE_H
#define HELPDESK_KB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "kb/document.h"

#define KB_WIRE_KEY_MAX 4096                /* bytes of a key */
#define KB_WIRE_DATA_MAX ((size_t)64 << 20) /* bytes of a document */
#define KB_WIRE_REPLY_MAX                                                                                    \
    ((size_t)16 << 20)           /* bytes of an encoded reply; holds KB_MAX_TEXT and its headings */
#define KB_WIRE_HEADING_MAX 2048 /* bytes of a heading path, anchor, title, locale or reason */

/* Before the request's key, locale and data, and before the reply (`key_len` and `locale_len` 0), in the
 * machine's own byte order: both ends are the same program. */
struct kb_wire_head {
    uint32_t key_len;
    uint32_t locale_len;
    uint32_t data_len;
};

/* Appends the encoding of a parsed document, or of why there is none (`document` NULL). */
void kb_wire_encode(struct buf *out, const struct kb_document *document, const struct error *err);

/* The document of a reply. Strings of `out` are borrowed from `data`, the rest is in the arena; everything is
 * within the bounds above and valid UTF-8. False: `err` is the parser's own ERROR_REJECT, or
 * "kb_parser_reply" when the reply is malformed. Any thread. */
bool kb_wire_decode(
    struct arena *arena, const char *data, size_t len, struct kb_document *out, struct error *err);

#endif
