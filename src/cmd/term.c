/* Text for a terminal. */
#include "cmd/term.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#define WIDTH_DEFAULT 80
#define WIDTH_LEAST 40
#define WIDTH_MOST 100
#define TEXT_MAX ((size_t)8 << 20) /* more than any answer holds */

struct term term_for(FILE *file, struct buf *out)
{
    struct term term = {.out = out, .width = WIDTH_DEFAULT};
    int fd = fileno(file);
    if (!isatty(fd)) {
        return term;
    }
    const char *no_color = getenv("NO_COLOR");
    term.colour = !no_color || !*no_color;
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        term.width = size.ws_col < WIDTH_LEAST  ? WIDTH_LEAST
                     : size.ws_col > WIDTH_MOST ? WIDTH_MOST
                                                : size.ws_col;
    }
    return term;
}

static bool is_steering(utf8proc_int32_t c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0xfeff ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
           (c >= 0xe0000 && c <= 0xe007f);
}

/* Bytes of the escape sequence at `text`: ESC [ parameters, final byte (ECMA-48 section 5.4). */
static size_t escape_len(const char *text)
{
    if (text[0] != '\x1b' || text[1] != '[') {
        return 0;
    }
    size_t len = 2;
    while (text[len] >= 0x20 && text[len] <= 0x3f) {
        len++;
    }
    return text[len] >= 0x40 && text[len] <= 0x7e ? len + 1 : len;
}

void term_clean(struct buf *out, const char *text)
{
    while (*text) {
        size_t escape = escape_len(text);
        if (escape > 0) {
            text += escape;
            continue;
        }
        utf8proc_int32_t c;
        utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &c);
        if (len <= 0) {
            buf_putc(out, '?');
            len = 1;
        } else if (c == '\t') {
            buf_putc(out, ' ');
        } else if (!is_steering(c)) {
            buf_append(out, text, (size_t)len);
        }
        text += len;
    }
}

void term_escape(struct buf *out, const void *data, size_t len)
{
    const unsigned char *bytes = data;
    for (size_t at = 0; at < len;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t step = utf8proc_iterate(bytes + at, (utf8proc_ssize_t)(len - at), &c);
        bool plain = step > 0 && c >= 0x20 && c != '\\' && !is_steering(c);
        size_t count = step > 0 ? (size_t)step : 1;
        for (size_t i = 0; i < count && !plain; i++) {
            buf_printf(out, "\\x%02x", bytes[at + i]);
        }
        buf_append(out, bytes + at, plain ? count : 0);
        at += count;
    }
}

void term_escape_json(struct buf *out, const char *json)
{
    while (*json) {
        utf8proc_int32_t c;
        utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)json, -1, &c);
        if (step <= 0 || !is_steering(c)) {
            buf_append(out, json, step > 0 ? (size_t)step : 1);
        } else if (c < 0x10000) {
            buf_printf(out, "\\u%04x", (unsigned)c);
        } else { /* a surrogate pair (RFC 8259, section 7) */
            buf_printf(out, "\\u%04x\\u%04x", 0xd7c0 + ((unsigned)c >> 10), 0xdc00 + ((unsigned)c & 0x3ff));
        }
        json += step > 0 ? step : 1;
    }
}

int term_columns(const char *text, size_t len)
{
    int columns = 0;
    for (size_t at = 0; at < len;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t step =
            utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(len - at), &c);
        columns += step > 0 ? utf8proc_charwidth(c) : 1;
        at += step > 0 ? (size_t)step : 1;
    }
    return columns;
}

/* The most bytes of `text` that take no more than `columns`. */
static size_t fit(const char *text, size_t len, int columns)
{
    size_t at = 0;
    while (at < len) {
        utf8proc_int32_t c;
        utf8proc_ssize_t step =
            utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(len - at), &c);
        columns -= step > 0 ? utf8proc_charwidth(c) : 1;
        if (columns < 0) {
            break;
        }
        at += step > 0 ? (size_t)step : 1;
    }
    return at;
}

static void put_styled(struct term *term, enum term_style style, const char *text, size_t len)
{
    static const char *const codes[] = {
        [TERM_PLAIN] = "",
        [TERM_BOLD] = "1",
        [TERM_DIM] = "2",
        [TERM_RED] = "31",
        [TERM_GREEN] = "32",
        [TERM_YELLOW] = "33",
        [TERM_CYAN] = "36",
    };
    bool dressed = term->colour && style != TERM_PLAIN && len > 0;
    if (dressed) {
        buf_printf(term->out, "\x1b[%sm", codes[style]);
    }
    buf_append(term->out, text, len);
    if (dressed) {
        buf_puts(term->out, "\x1b[0m");
    }
}

/* Cleaned, line ends as spaces; the caller ends with buf_fini. */
static void clean_line(struct buf *line, const char *text)
{
    buf_init(line, TEXT_MAX);
    term_clean(line, text ? text : "");
    for (size_t i = 0; i < line->len; i++) {
        if (line->data[i] == '\n') {
            line->data[i] = ' ';
        }
    }
}

void term_put(struct term *term, enum term_style style, const char *text)
{
    struct buf line;
    clean_line(&line, text);
    put_styled(term, style, buf_text(&line), line.len);
    buf_fini(&line);
}

void term_printf(struct term *term, enum term_style style, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        abort(); /* out of memory */
    }
    term_put(term, style, text);
    free(text);
}

void term_pad(struct term *term, enum term_style style, const char *text, int columns)
{
    struct buf line;
    clean_line(&line, text);
    size_t len = fit(buf_text(&line), line.len, columns);
    put_styled(term, style, buf_text(&line), len);
    for (int used = term_columns(buf_text(&line), len); used < columns; used++) {
        buf_putc(term->out, ' ');
    }
    buf_fini(&line);
}

void term_newline(struct term *term)
{
    buf_putc(term->out, '\n');
}

/* Bytes of a marker such as [12] at `text`; 0: none. */
static size_t marker_len(const char *text, size_t len)
{
    if (len < 3 || text[0] != '[') {
        return 0;
    }
    size_t at = 1;
    while (at < len && text[at] >= '0' && text[at] <= '9') {
        at++;
    }
    return at > 1 && at < len && text[at] == ']' ? at + 1 : 0;
}

static void put_word(struct term *term, enum term_style style, const char *word, size_t len)
{
    size_t start = 0;
    for (size_t at = 0; at < len;) {
        size_t marker = marker_len(word + at, len - at);
        if (marker > 0) {
            put_styled(term, style, word + start, at - start);
            put_styled(term, TERM_CYAN, word + at, marker);
            start = at + marker;
        }
        at += marker > 0 ? marker : 1;
    }
    put_styled(term, style, word + start, len - start);
}

/* One line of the text, wrapped. A word wider than a line is broken. */
static void wrap_line(struct term *term, enum term_style style, const char **prefix, const char *rest,
    const char *text, size_t len)
{
    int room = term->width - term_columns(rest, strlen(rest));
    int used = 0;
    put_styled(term, TERM_DIM, *prefix, strlen(*prefix));
    *prefix = rest;
    while (len > 0) {
        size_t spaces = strspn(text, " ");
        spaces = spaces < len ? spaces : len;
        const char *word = text + spaces;
        const char *end = memchr(word, ' ', len - spaces);
        size_t word_len = end ? (size_t)(end - word) : len - spaces;
        int columns = term_columns(word, word_len);
        int gap = used > 0 ? 1 : (int)spaces < room / 2 ? (int)spaces : 0; /* indentation is kept */
        if (used > 0 && used + gap + columns > room) {
            term_newline(term);
            put_styled(term, TERM_DIM, rest, strlen(rest));
            used = 0;
            gap = 0;
        }
        if (gap + columns > room) {
            word_len = fit(word, word_len, room - gap);
            word_len = word_len > 0 ? word_len : 1;
            columns = room - gap;
        }
        for (int i = 0; i < gap; i++) {
            buf_putc(term->out, ' ');
        }
        put_word(term, style, word, word_len);
        used += gap + columns;
        len -= spaces + word_len;
        text = word + word_len;
    }
    term_newline(term);
}

void term_wrap(
    struct term *term, enum term_style style, const char *first, const char *rest, const char *text)
{
    struct buf clean;
    buf_init(&clean, TEXT_MAX);
    term_clean(&clean, text ? text : "");
    const char *at = buf_text(&clean);
    size_t left = clean.len;
    while (left > 0 && at[left - 1] == '\n') {
        left--;
    }
    const char *prefix = first;
    do {
        const char *end = memchr(at, '\n', left);
        size_t len = end ? (size_t)(end - at) : left;
        wrap_line(term, style, &prefix, rest, at, len);
        size_t step = end ? len + 1 : len;
        at += step;
        left -= step;
    } while (left > 0);
    buf_fini(&clean);
}
