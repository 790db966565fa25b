/* Filling in what went wrong. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Removes the first bytes of a UTF-8 character whose last ones did not fit. */
static void cut_broken_end(char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80) {
        start--;
    }
    if (start == 0) {
        return;
    }
    unsigned char lead = (unsigned char)text[--start];
    size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (start + size > len) {
        text[start] = '\0';
    }
}

void error_fill(
    struct error *err, enum error_disposition disposition, const char *code, const char *format, ...)
{
    if (!err) {
        return;
    }
    err->disposition = disposition;
    err->retry_after_ms = 0;
    snprintf(err->code, sizeof(err->code), "%s", code);
    va_list args;
    va_start(args, format);
    int len = vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    if (len >= (int)sizeof(err->text)) {
        cut_broken_end(err->text, sizeof(err->text) - 1);
    }
}

const char *error_disposition_name(enum error_disposition disposition)
{
    switch (disposition) {
    case ERROR_NONE:
        return "none";
    case ERROR_RETRY:
        return "retry";
    case ERROR_REJECT:
        return "reject";
    case ERROR_FATAL:
        return "fatal";
    }
    return "none";
}
