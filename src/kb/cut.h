/* Cuts a stream of headings and blocks into passages: a passage never crosses a section that can stand alone,
 * and a list, table or listing stays whole unless it alone is too long. Every format's parser writes into one
 * of these. */
#ifndef HELPDESK_KB_CUT_H
#define HELPDESK_KB_CUT_H

#include "kb/document.h"

enum kb_block {
    KB_BLOCK_TEXT,  /* running text: cut between sentences when too long */
    KB_BLOCK_LINES, /* a list, table or listing: cut between lines when far too long */
};

struct kb_cut;

/* `max` bounds the bytes of all passages together. */
struct kb_cut *kb_cut_new(struct arena *arena, size_t max);
/* A heading of level 1..6. `anchor` NULL: the slug of the text, unique in the document; "": none. The first
 * heading of level 1 is the title unless one was set. */
void kb_cut_heading(struct kb_cut *cut, int level, const char *text, const char *anchor);
/* What follows is at `anchor`, in the same section: a page starts. */
void kb_cut_place(struct kb_cut *cut, const char *anchor);
bool kb_cut_has_room(const struct kb_cut *cut); /* false: kb_cut_finish will be */
void kb_cut_block(struct kb_cut *cut, enum kb_block kind, const char *text);
void kb_cut_title(struct kb_cut *cut, const char *text);  /* the first one wins */
void kb_cut_locale(struct kb_cut *cut, const char *text); /* the first valid one wins */
/* The document says itself that nobody is to be shown it. The first reason wins; in the arena of the cut. */
void kb_cut_withdraw(struct kb_cut *cut, const char *why);
void kb_cut_expire(struct kb_cut *cut, int64_t wall_ms); /* from then on; the earliest wins */
/* Ends the document. False: more passages than KB_MAX_PASSAGES, or more text than `max`. */
bool kb_cut_finish(struct kb_cut *cut, struct kb_document *out);

/* White space runs become one space, none at the ends; in the arena. */
char *kb_squeeze(struct arena *arena, const char *text);
/* Whether `text` looks like a language tag: "de", "en-GB", "pt_BR". */
bool kb_is_locale(const char *text);

/* Takes what the front matter at the start of `data` (which ends with a NUL) says: title, locale, whether the
 * document is withdrawn and when it expires. `*body` is where the document itself starts, 0 without front
 * matter. False: "kb_front_matter", saying what cannot be understood, or that it has no end though it would
 * hide the document. */
bool kb_front_matter(
    struct kb_cut *cut, struct arena *arena, const char *data, size_t len, size_t *body, struct error *err);

/* The parsers. False with `err` set. */
bool kb_parse_markdown(
    struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err);
bool kb_parse_html(struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err);
bool kb_parse_pdf(struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err);
bool kb_parse_docx(struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err);
bool kb_parse_csv(struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err);
bool kb_parse_text(struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err);

#endif
