/* Numbers from text: the whole string or nothing. */
#include "base/parse.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool parse_int64(const char *text, int64_t *out)
{
    if (!text || !is_digit(text[*text == '-'])) {
        return false;
    }
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end) {
        return false;
    }
    *out = value;
    return true;
}

bool parse_double(const char *text, double *out)
{
    if (!text || !is_digit(text[*text == '-']) || text[strspn(text, "0123456789+-.eE")]) {
        return false;
    }
    char *end;
    double value = strtod(text, &end);
    if (*end || !isfinite(value)) {
        return false;
    }
    *out = value;
    return true;
}
