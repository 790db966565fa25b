/* One lexeme after the other; quotes and backslashes within are doubled. */
#include "kb/tsvector.h"

#define POSITION_DIGITS 5 /* at most 16383 */

static bool read_text(const char **at, struct tsvector_lexeme *lexeme)
{
    const char *c = *at;
    if (*c++ != '\'') {
        return false;
    }
    for (lexeme->len = 0; lexeme->len < sizeof(lexeme->text) - 1; c++) {
        if (*c == '\'' && c[1] != '\'') {
            lexeme->text[lexeme->len] = '\0';
            *at = c + 1;
            return lexeme->len > 0;
        }
        if (*c == '\'' || *c == '\\') {
            c++;
            if (*c != c[-1]) {
                return false;
            }
        } else if (*c == '\0') {
            return false;
        }
        lexeme->text[lexeme->len++] = *c;
    }
    return false;
}

static bool read_position(const char **at, struct tsvector_lexeme *lexeme)
{
    const char *c = *at;
    while (*c >= '0' && *c <= '9' && c - *at < POSITION_DIGITS) {
        c++;
    }
    if (c == *at) {
        return false;
    }
    unsigned weight = 0;
    if (*c >= 'A' && *c <= 'D') {
        weight = (unsigned)('D' - *c++);
    }
    lexeme->positions[weight]++;
    *at = c;
    return true;
}

static bool read_positions(const char **at, struct tsvector_lexeme *lexeme)
{
    for (size_t i = 0; i < sizeof(lexeme->positions) / sizeof(lexeme->positions[0]); i++) {
        lexeme->positions[i] = 0;
    }
    if (**at != ':') {
        return true; /* a stripped one */
    }
    do {
        ++*at;
        if (!read_position(at, lexeme)) {
            return false;
        }
    } while (**at == ',');
    return true;
}

enum tsvector_read tsvector_next(const char **at, struct tsvector_lexeme *lexeme)
{
    if (**at == '\0') {
        return TSVECTOR_END;
    }
    if (!read_text(at, lexeme) || !read_positions(at, lexeme)) {
        return TSVECTOR_BAD;
    }
    if (**at == ' ') {
        ++*at;
        return **at == '\'' ? TSVECTOR_LEXEME : TSVECTOR_BAD;
    }
    return **at == '\0' ? TSVECTOR_LEXEME : TSVECTOR_BAD;
}
