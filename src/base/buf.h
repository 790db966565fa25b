/* A growable byte buffer with a ceiling and a sticky error: append freely, check once at the end. */
#ifndef HELPDESK_BASE_BUF_H
#define HELPDESK_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NUL-terminated after the first append, NULL before it */
    size_t len;
    size_t capacity;
    size_t max;
    bool failed; /* an append would have passed `max`; nothing is appended any more */
};

void buf_init(struct buf *buf, size_t max); /* no allocation yet; out of memory later aborts */
void buf_fini(struct buf *buf);
void buf_reset(struct buf *buf); /* empty again, memory kept, error cleared */
void buf_append(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_putc(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *buf_text(const struct buf *buf); /* "" when empty; borrowed until the next append */

#endif
