/* Validity, trimming, folding and words of UTF-8 text. */
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define WORD_BYTES 6 /* of a word and what divides it from the next, as a guess */

size_t utf8_char(const char *text, size_t len, int32_t *code)
{
    utf8proc_int32_t read;
    if (len == 0) {
        return 0;
    }
    utf8proc_ssize_t bytes =
        utf8proc_iterate((const utf8proc_uint8_t *)text, len > 4 ? 4 : (utf8proc_ssize_t)len, &read);
    if (bytes <= 0) {
        return 0;
    }
    *code = read;
    return (size_t)bytes;
}

bool utf8_valid(const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        if (text[at] > 0) { /* most of it is ASCII */
            at++;
            continue;
        }
        int32_t code;
        size_t bytes = utf8_char(text + at, len - at, &code);
        if (bytes == 0 || code == 0) {
            return false;
        }
        at += bytes;
    }
    return true;
}

static bool is_space(int32_t code)
{
    utf8proc_category_t category = utf8proc_category(code);
    return (code >= '\t' && code <= '\r') || code == 0x85 || category == UTF8PROC_CATEGORY_ZS ||
           category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

static bool is_control(int32_t code)
{
    utf8proc_category_t category = utf8proc_category(code);
    return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF;
}

static bool is_word(int32_t code)
{
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
        return true;
    default:
        return false;
    }
}

bool utf8_blank(const char *text)
{
    size_t len = strlen(text);
    for (size_t at = 0; at < len;) {
        int32_t code;
        size_t bytes = utf8_char(text + at, len - at, &code);
        if (bytes == 0 || !(is_space(code) || is_control(code))) {
            return false;
        }
        at += bytes;
    }
    return true;
}

char *utf8_repair(struct arena *arena, const char *text, size_t len)
{
    static const char replacement[] = "\xef\xbf\xbd";
    char *copy = arena_alloc(arena, len * strlen(replacement) + 1);
    char *out = copy;
    for (size_t at = 0; at < len;) {
        int32_t code = 0;
        size_t bytes = utf8_char(text + at, len - at, &code);
        bool good = bytes > 0 && code != 0;
        memcpy(out, good ? text + at : replacement, good ? bytes : strlen(replacement));
        out += good ? bytes : strlen(replacement);
        at += good ? bytes : 1;
    }
    return copy;
}

bool utf8_starts_small(const char *text)
{
    int32_t code = 0;
    return utf8_char(text, strlen(text), &code) > 0 && utf8proc_category(code) == UTF8PROC_CATEGORY_LL;
}

char *utf8_trim(struct arena *arena, const char *text)
{
    size_t len = strlen(text);
    size_t first = len, end = 0;
    for (size_t at = 0; at < len;) {
        int32_t code = 0;
        size_t bytes = utf8_char(text + at, len - at, &code);
        bool space = bytes > 0 && is_space(code);
        if (bytes == 0) {
            bytes = 1; /* malformed: kept as it is */
        }
        if (!space) {
            if (first == len) {
                first = at;
            }
            end = at + bytes;
        }
        at += bytes;
    }
    return first < end ? arena_strndup(arena, text + first, end - first) : arena_strdup(arena, "");
}

size_t utf8_clip(const char *text, size_t max)
{
    if (memchr(text, '\0', max)) {
        return strlen(text);
    }
    size_t len = max;
    while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80) {
        len--;
    }
    return len;
}

static char *fold(struct arena *arena, const char *text, size_t len)
{
    utf8proc_uint8_t *folded = NULL;
    utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &folded,
        UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD);
    char *out =
        size < 0 ? arena_strndup(arena, text, len) : arena_strndup(arena, (const char *)folded, (size_t)size);
    free(folded);
    return out;
}

char *utf8_fold(struct arena *arena, const char *text)
{
    return fold(arena, text, strlen(text));
}

/* Of an ASCII character that belongs to a word its folded form, of any other 0. */
static const char folded[128] = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                "0123456789\0\0\0\0\0\0"
                                "\0abcdefghijklmnopqrstuvwxyz\0\0\0\0\0"
                                "\0abcdefghijklmnopqrstuvwxyz\0\0\0\0";

/* Where the run of folded ASCII that starts at `at` ends; its folded form goes to the same place of `out`. */
static size_t fold_ascii(const char *text, size_t at, char *out)
{
    for (unsigned char c; (c = (unsigned char)text[at]) < sizeof folded && folded[c] != 0; at++) {
        out[at] = folded[c];
    }
    return at;
}

/* The next word at or after `*start`; false when there is none. Malformed bytes belong to no word. Of a word
 * in ASCII, as most are, the folded form stands in `out`; of another, `*wide` says so. */
static bool next_word(const char *text, size_t len, char *out, size_t *start, size_t *end, bool *wide)
{
    bool inside = false;
    size_t at = *start;
    *wide = false;
    while (at < len) {
        size_t from = at;
        at = fold_ascii(text, at, out);
        if (at > from) {
            *start = inside ? *start : from;
            inside = true;
            continue;
        }
        int32_t code = 0;
        bool ascii = text[at] > 0; /* no need to ask the library */
        size_t bytes = ascii ? 1 : utf8_char(text + at, len - at, &code);
        bool word = !ascii && bytes > 0 && is_word(code);
        if (!word && inside) {
            break;
        }
        *start = inside ? *start : at;
        *wide = *wide || word;
        inside = word;
        at += bytes > 0 ? bytes : 1;
    }
    *end = at;
    return inside;
}

struct utf8_word *utf8_words(struct arena *arena, const char *text, size_t max, size_t *count)
{
    size_t len = strlen(text), start = 0, end, found = 0;
    size_t capacity = len / WORD_BYTES + 1;
    bool wide;
    capacity = capacity < max ? capacity : max;
    struct utf8_word *words = arena_array(arena, capacity, sizeof(*words));
    char *ascii =
        arena_alloc(arena, len + 1); /* each word in its place: what divides it from the next ends it */
    while (found < max && next_word(text, len, ascii, &start, &end, &wide)) {
        if (found == capacity) {
            capacity = 2 * capacity < max ? 2 * capacity : max;
            struct utf8_word *more = arena_array(arena, capacity, sizeof(*more));
            words = memcpy(more, words, found * sizeof(*words));
        }
        words[found++] =
            (struct utf8_word){.text = wide ? fold(arena, text + start, end - start) : ascii + start,
                .start = start,
                .end = end};
        start = end;
    }
    *count = found;
    return words;
}
