/* Filling in what went wrong. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Bool error_set(
    struct error *err, enum error_disposition disposition, const char *code, const char *format, ...)
{
    if (!err)
        return 0;
    err->disposition = disposition;
    err->retry_after_ms = 0;
    snprintf(err->code, sizeof(err->code), "%s", code);
    va_list args;
    va_start(args, format);
    int len = vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    if (len >= (int)sizeof(err->text)) { /* do not end in half a character */
        size_t end = sizeof(err->text) - 1;
        while (end > 0 && ((unsigned char)err->text[end - 1] & 0xC0) == 0x80)
            end--;
        if (end > 0 && (unsigned char)err->text[end - 1] >= 0xC0)
            err->text[end - 1] = '\0';
    }
    return 0;
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
