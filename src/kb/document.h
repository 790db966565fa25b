/* A document of the knowledge base, cut into passages that can be found and cited one by one. */
#ifndef HELPDESK_KB_DOCUMENT_H
#define HELPDESK_KB_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/error.h"

#define KB_MAX_PASSAGES 4000          /* of one document */
#define KB_MAX_TEXT ((size_t)4 << 20) /* bytes of all passages of one document */
#define KB_CUTTER_VERSION "2"         /* part of every fingerprint: documents are cut again when it changes */
#define KB_PARSE_ARENA                                                                                       \
    ((size_t)512 << 20) /* what the arena of kb_parse must hold for the largest document                     \
                         */

struct kb_passage {
    const char *heading_path; /* "Refunds > How long it takes", without the title; "" at the top */
    const char *anchor;       /* URI fragment of the heading, "" when the format has none */
    const char *text;         /* plain text: paragraphs, list items and table rows on lines of their own */
};

struct kb_document {
    const char *title;
    const char *locale; /* BCP 47 as the document or its folder says, else detected; "" when nobody knows */
    struct kb_passage *passages;
    size_t passage_count;
    const char *withdrawn; /* why nobody is to be shown it: the document says so; then it has no passages. "":
                              shown */
    int64_t expires_ms;    /* wall time from which on it is withdrawn; 0: never */
};

enum kb_format {
    KB_FORMAT_NONE,
    KB_FORMAT_MARKDOWN,
    KB_FORMAT_HTML,
    KB_FORMAT_TEXT,
    KB_FORMAT_PDF,
    KB_FORMAT_DOCX,
    KB_FORMAT_CSV
};

/* By the ending of the object's key; KB_FORMAT_NONE: not a document of ours. */
enum kb_format kb_format_of(const char *key);

/* Parses one document. `locale` is that of documents that do not say, neither themselves nor by their folder;
 * "": it is detected. All of `out` is in the arena. Any thread; CPU work of up to a second for the largest
 * document. False: ERROR_REJECT "kb_format", "kb_wrong_type" (the bytes are of
 * another format than the key says), "kb_encoding", "kb_damaged", "kb_protected", "kb_too_large",
 * "kb_too_complex", "kb_front_matter", "kb_csv" (a row), "kb_csv_columns" or "kb_empty". */
bool kb_parse(struct arena *arena, const char *key, const char *locale, const char *data, size_t len,
    struct kb_document *out, struct error *err);

/* The full text configuration of a locale: "english", "german" or "simple". */
const char *kb_text_config(const char *locale);

/* Where a citation of the passage leads: public_url + key (percent-encoded) + "#" + anchor; without a
 * public_url "kb://source/key#anchor". In the arena. */
const char *kb_uri(struct arena *arena, const char *public_url, const char *source, const char *key);
const char *kb_fragment(struct arena *arena, const char *anchor);

#endif
