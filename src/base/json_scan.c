/* A strict reader of RFC 8259 that keeps nothing. */
#include "base/json_scan.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/json.h"
#include "base/utf8.h"

#define JSON_MAX_NUMBER 63 /* characters: cJSON reads no more of a number */

struct json_name {
    size_t bytes; /* where its decoded bytes start in name_bytes */
    size_t len;
    size_t at; /* where it stands in the text */
    const char *text;
};

void json_scan_init(struct json_scan *scan, const char *text, size_t len)
{
    *scan = (struct json_scan){.text = text, .len = len};
    buf_init(&scan->name_bytes, len);
}

void json_scan_fini(struct json_scan *scan)
{
    free(scan->names);
    buf_fini(&scan->name_bytes);
}

bool json_scan_fail(struct json_scan *scan, size_t at, const char *wrong)
{
    if (!scan->wrong) {
        scan->wrong = wrong;
        scan->wrong_at = at;
    }
    return false;
}

/* The byte at `at`, or -1 at the end. */
static int peek(const struct json_scan *scan)
{
    return scan->at < scan->len ? (unsigned char)scan->text[scan->at] : -1;
}

bool json_scan_take(struct json_scan *scan, char c)
{
    if (peek(scan) != (unsigned char)c) {
        return false;
    }
    scan->at++;
    return true;
}

void json_scan_space(struct json_scan *scan)
{
    int c = peek(scan);
    while (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        scan->at++;
        c = peek(scan);
    }
}

static bool scan_word(struct json_scan *scan, const char *word)
{
    size_t len = strlen(word);
    if (scan->len - scan->at < len || memcmp(scan->text + scan->at, word, len) != 0) {
        return json_scan_fail(scan, scan->at, "a value is expected");
    }
    scan->at += len;
    return true;
}

static bool scan_digits(struct json_scan *scan)
{
    size_t start = scan->at;
    while (peek(scan) >= '0' && peek(scan) <= '9') {
        scan->at++;
    }
    return scan->at > start ? true : json_scan_fail(scan, scan->at, "a digit is expected");
}

static bool scan_number(struct json_scan *scan)
{
    size_t start = scan->at;
    json_scan_take(scan, '-');
    if (!json_scan_take(scan, '0') && !scan_digits(scan)) {
        return false;
    }
    if (json_scan_take(scan, '.') && !scan_digits(scan)) {
        return false;
    }
    if (json_scan_take(scan, 'e') || json_scan_take(scan, 'E')) {
        if (!json_scan_take(scan, '+')) {
            json_scan_take(scan, '-');
        }
        if (!scan_digits(scan)) {
            return false;
        }
    }
    char copy[JSON_MAX_NUMBER + 1] = {0};
    size_t len = scan->at - start;
    if (len > JSON_MAX_NUMBER) {
        return json_scan_fail(scan, start, "a number over 63 characters");
    }
    memcpy(copy, scan->text + start, len);
    return isfinite(strtod(copy, NULL)) ? true : json_scan_fail(scan, start, "a number out of range");
}

/* Four hexadecimal digits, or -1. */
static int32_t scan_hex(struct json_scan *scan)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int c = peek(scan);
        int digit;
        if (c >= '0' && c <= '9') {
            digit = c - '0';
        } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
            digit = (c | 0x20) - 'a' + 10;
        } else {
            return -1;
        }
        value = value << 4 | digit;
        scan->at++;
    }
    return value;
}

static void put_code(struct buf *out, int32_t code)
{
    unsigned c = (unsigned)code;
    if (c < 0x80) {
        buf_putc(out, (char)c);
    } else if (c < 0x800) {
        buf_putc(out, (char)(0xC0 | c >> 6));
        buf_putc(out, (char)(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        buf_putc(out, (char)(0xE0 | c >> 12));
        buf_putc(out, (char)(0x80 | (c >> 6 & 0x3F)));
        buf_putc(out, (char)(0x80 | (c & 0x3F)));
    } else {
        buf_putc(out, (char)(0xF0 | c >> 18));
        buf_putc(out, (char)(0x80 | (c >> 12 & 0x3F)));
        buf_putc(out, (char)(0x80 | (c >> 6 & 0x3F)));
        buf_putc(out, (char)(0x80 | (c & 0x3F)));
    }
}

/* Behind "\u". */
static bool scan_unicode(struct json_scan *scan, struct buf *out)
{
    size_t start = scan->at - 2;
    int32_t code = scan_hex(scan);
    if (code < 0) {
        return json_scan_fail(scan, start, "\\u needs four hexadecimal digits");
    }
    if (code == 0) {
        return json_scan_fail(scan, start, "the character U+0000 is not allowed");
    }
    if (code >= 0xDC00 && code <= 0xDFFF) {
        return json_scan_fail(scan, start, "half of a surrogate pair");
    }
    if (code >= 0xD800 && code <= 0xDBFF) {
        int32_t low = json_scan_take(scan, '\\') && json_scan_take(scan, 'u') ? scan_hex(scan) : -1;
        if (low < 0xDC00 || low > 0xDFFF) {
            return json_scan_fail(scan, start, "half of a surrogate pair");
        }
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (out) {
        put_code(out, code);
    }
    return true;
}

/* Behind a backslash. */
static bool scan_escape(struct json_scan *scan, struct buf *out)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (json_scan_take(scan, 'u')) {
        return scan_unicode(scan, out);
    }
    int c = peek(scan);
    const char *letter = c > 0 ? strchr(letters, c) : NULL;
    if (!letter) {
        return json_scan_fail(scan, scan->at, "an unknown escape in a string");
    }
    scan->at++;
    if (out) {
        buf_putc(out, meanings[letter - letters]);
    }
    return true;
}

bool json_scan_string(struct json_scan *scan, struct buf *out)
{
    size_t start = scan->at;
    if (!json_scan_take(scan, '"')) {
        return json_scan_fail(scan, start, "a string is expected");
    }
    for (;;) {
        int32_t code;
        size_t bytes = utf8_char(scan->text + scan->at, scan->len - scan->at, &code);
        if (bytes == 0 && scan->at == scan->len) {
            return json_scan_fail(scan, start, "a string that does not end");
        }
        if (bytes == 0) {
            return json_scan_fail(scan, scan->at, "not UTF-8");
        }
        if (code < 0x20) {
            return json_scan_fail(scan, scan->at, "a control character in a string must be escaped");
        }
        scan->at += bytes;
        if (code == '"') {
            return true;
        }
        if (code == '\\') {
            if (!scan_escape(scan, out)) {
                return false;
            }
        } else if (out) {
            buf_append(out, scan->text + scan->at - bytes, bytes);
        }
    }
}

static bool scan_array(struct json_scan *scan)
{
    json_scan_space(scan);
    if (json_scan_take(scan, ']')) {
        return true;
    }
    do {
        if (!json_scan_value(scan)) {
            return false;
        }
        json_scan_space(scan);
    } while (json_scan_take(scan, ','));
    return json_scan_take(scan, ']') ? true : json_scan_fail(scan, scan->at, "',' or ']' is expected");
}

static bool scan_name(struct json_scan *scan)
{
    if (scan->name_count == scan->name_capacity) {
        scan->name_capacity = scan->name_capacity ? scan->name_capacity * 2 : 32;
        scan->names = xrealloc(scan->names, scan->name_capacity * sizeof(*scan->names));
    }
    struct json_name *name = &scan->names[scan->name_count++];
    *name = (struct json_name){.bytes = scan->name_bytes.len, .at = scan->at};
    if (!json_scan_string(scan, &scan->name_bytes)) {
        return false;
    }
    name->len = scan->name_bytes.len - name->bytes;
    return true;
}

static int compare_names(const void *left, const void *right)
{
    const struct json_name *a = left, *b = right;
    if (a->len != b->len) {
        return a->len < b->len ? -1 : 1;
    }
    int order = a->len ? memcmp(a->text, b->text, a->len) : 0;
    return order ? order : (a->at > b->at) - (a->at < b->at);
}

/* At the end of an object: forgets its names, the ones from `first` on. */
static bool close_names(struct json_scan *scan, size_t first)
{
    struct json_name *names = scan->names + first;
    size_t count = scan->name_count - first;
    if (count == 0) {
        return true;
    }
    size_t bytes = names[0].bytes;
    for (size_t i = 0; i < count; i++) {
        names[i].text = buf_text(&scan->name_bytes) + names[i].bytes;
    }
    if (count > 1) {
        qsort(names, count, sizeof(*names), compare_names);
    }
    for (size_t i = 1; i < count; i++) {
        if (names[i].len == names[i - 1].len && memcmp(names[i].text, names[i - 1].text, names[i].len) == 0) {
            return json_scan_fail(scan, names[i].at, "the same member twice in an object");
        }
    }
    scan->name_count = first;
    scan->name_bytes.len = bytes;
    return true;
}

static bool scan_object(struct json_scan *scan)
{
    size_t first = scan->name_count;
    json_scan_space(scan);
    if (json_scan_take(scan, '}')) {
        return true;
    }
    do {
        json_scan_space(scan);
        if (!scan_name(scan)) {
            return false;
        }
        json_scan_space(scan);
        if (!json_scan_take(scan, ':')) {
            return json_scan_fail(scan, scan->at, "':' is expected");
        }
        if (!json_scan_value(scan)) {
            return false;
        }
        json_scan_space(scan);
    } while (json_scan_take(scan, ','));
    if (!json_scan_take(scan, '}')) {
        return json_scan_fail(scan, scan->at, "',' or '}' is expected");
    }
    return close_names(scan, first);
}

/* Behind the opening bracket. */
static bool scan_nested(struct json_scan *scan, bool (*read)(struct json_scan *))
{
    if (scan->depth == JSON_MAX_DEPTH) {
        return json_scan_fail(scan, scan->at - 1, "nested too deep");
    }
    scan->depth++;
    if (!read(scan)) {
        return false;
    }
    scan->depth--;
    return true;
}

bool json_scan_value(struct json_scan *scan)
{
    json_scan_space(scan);
    if (json_scan_take(scan, '{')) {
        return scan_nested(scan, scan_object);
    }
    if (json_scan_take(scan, '[')) {
        return scan_nested(scan, scan_array);
    }
    int c = peek(scan);
    switch (c) {
    case '"':
        return json_scan_string(scan, NULL);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    default:
        break;
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        return scan_number(scan);
    }
    return json_scan_fail(scan, scan->at, c < 0 ? "the text ends too early" : "a value is expected");
}
