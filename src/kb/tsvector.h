/* Reading a tsvector as PostgreSQL writes it: 'lexem':1A,7 'other':2B (section 8.11.1 of its documentation).
 * Private to the search. */
#ifndef HELPDESK_KB_TSVECTOR_H
#define HELPDESK_KB_TSVECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TSVECTOR_LEXEME_SIZE 2048 /* PostgreSQL keeps at most 2046 bytes */

struct tsvector_lexeme {
    char text[TSVECTOR_LEXEME_SIZE];
    size_t len;
    uint32_t positions[4]; /* how often it stands with weight D, C, B and A */
};

enum tsvector_read { TSVECTOR_LEXEME, TSVECTOR_END, TSVECTOR_BAD };

/* Reads the lexeme at `*at`, a terminated text, and moves behind it. */
enum tsvector_read tsvector_next(const char **at, struct tsvector_lexeme *lexeme);

#endif
