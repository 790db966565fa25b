/* Percent-decoding of paths and queries. */
#include "http/uri.h"

#include <string.h>
#include "base/utf8.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool uri_decode(const char *text, size_t len, bool form, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = len - i > 2 ? hex_digit(text[i + 1]) : -1;
            int low = len - i > 2 ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && form) {
            c = ' ';
        }
        out[used++] = c;
    }
    out[used] = '\0';
    return utf8_valid(out, used);
}

bool uri_parse_query(struct arena *arena, const char *query, struct uri_pair **pairs, size_t *count)
{
    size_t most = 1;
    for (const char *p = query; *p; p++) {
        most += *p == '&';
    }
    *pairs = arena_array(arena, most, sizeof(**pairs));
    *count = 0;
    while (*query) {
        size_t len = strcspn(query, "&");
        const char *equals = memchr(query, '=', len);
        size_t name_len = equals ? (size_t)(equals - query) : len;
        size_t value_len = equals ? len - name_len - 1 : 0;
        if (len > 0) {
            char *name = arena_alloc(arena, name_len + 1);
            char *value = arena_alloc(arena, value_len + 1);
            if (!uri_decode(query, name_len, true, name) ||
                !uri_decode(equals ? equals + 1 : "", value_len, true, value)) {
                return false;
            }
            (*pairs)[(*count)++] = (struct uri_pair){name, value};
        }
        query += len + (query[len] == '&');
    }
    return true;
}
