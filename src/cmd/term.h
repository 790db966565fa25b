/* Text for a terminal: what others wrote made harmless, colours, lines wrapped by what they take on the
 * screen. */
#ifndef HELPDESK_CMD_TERM_H
#define HELPDESK_CMD_TERM_H

#include <stdbool.h>
#include <stdio.h>
#include "base/buf.h"

enum term_style { TERM_PLAIN, TERM_BOLD, TERM_DIM, TERM_RED, TERM_GREEN, TERM_YELLOW, TERM_CYAN };

struct term {
    struct buf *out; /* borrowed */
    bool colour;
    int width; /* columns of a line */
};

/* For `file`: colours only on a terminal, and not when NO_COLOR is set (no-color.org); its width, at most 100
 * columns; 80 when it is no terminal. */
struct term term_for(FILE *file, struct buf *out);

/* Appends `text` to `out` without what could steer a terminal or show text in another order than it is
 * stored: control characters and escape sequences, marks of direction, invalid UTF-8 ('?'). A tab is a space;
 * line ends are kept. */
void term_clean(struct buf *out, const char *text);

/* Appends any bytes so that a person sees all of them on one line and a terminal obeys none: what term_clean
 * would leave out, line ends and a backslash as \xNN, byte by byte. */
void term_escape(struct buf *out, const void *data, size_t len);

/* Appends JSON text with the characters that could steer a terminal as \uXXXX: the same value for a program.
 * `json` is valid JSON, so they are inside strings; its white space is kept. */
void term_escape_json(struct buf *out, const char *json);

/* Cleaned, on one line. `text` may be NULL: nothing. */
void term_put(struct term *term, enum term_style style, const char *text);
void term_printf(struct term *term, enum term_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, filled up with spaces to `columns`, and cut to them. */
void term_pad(struct term *term, enum term_style style, const char *text, int columns);
void term_newline(struct term *term);

/* Cleaned and wrapped to the width, its own line ends kept. The first line starts with `first`, the others
 * with `rest` (same columns); markers such as [1] stand out. Ends with a line end. */
void term_wrap(
    struct term *term, enum term_style style, const char *first, const char *rest, const char *text);

/* Columns that clean UTF-8 text takes. */
int term_columns(const char *text, size_t len);

#endif
