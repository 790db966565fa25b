/* Text as UTF-8: validity, words, folding (libutf8proc). */
#ifndef HELPDESK_BASE_UTF8_H
#define HELPDESK_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"

/* Length of the well-formed character at `text` and its code point; 0 when there is none within `len` bytes.
 */
size_t utf8_char(const char *text, size_t len, int32_t *code);

bool utf8_valid(const char *text, size_t len);          /* well-formed (RFC 3629), no NUL */
bool utf8_blank(const char *text);                      /* nothing but white space and control characters */
bool utf8_starts_small(const char *text);               /* with a small letter */
char *utf8_trim(struct arena *arena, const char *text); /* white space of any script removed at both ends */
size_t utf8_clip(const char *text, size_t max); /* the most bytes <= max that end at a character boundary */
/* A copy as valid text: each malformed byte and each NUL becomes U+FFFD. */
char *utf8_repair(struct arena *arena, const char *text, size_t len);
char *utf8_fold(struct arena *arena,
    const char *text); /* NFKC, case folded: for comparing; malformed text is returned as it is */

struct utf8_word {
    const char *text; /* folded, NUL-terminated, in the arena */
    size_t start;     /* bytes into the original text */
    size_t end;
};
/* Splits into words (runs of letters, digits and marks), at most `max`; the array is in the arena. */
struct utf8_word *utf8_words(struct arena *arena, const char *text, size_t max, size_t *count);

#endif
