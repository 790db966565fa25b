/* Reading one setting's value, and saying what would be right. */
#include "conf/table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/alloc.h"
#include "base/parse.h"
#include "base/utf8.h"

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit byte_units[] = {
    {"GiB", INT64_C(1) << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}, {NULL, 0}};

/* Digits and one of the units. */
static bool read_units(const struct unit *units, const char *text, int64_t *out)
{
    char digits[24] = {0};
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len >= sizeof(digits)) {
        return false;
    }
    memcpy(digits, text, len);
    int64_t number;
    if (!parse_int64(digits, &number)) {
        return false;
    }
    for (; units->name; units++) {
        if (strcmp(text + len, units->name) == 0) {
            return !__builtin_mul_overflow(number, units->factor, out);
        }
    }
    return false;
}

static void put_units(struct buf *out, const struct unit *units, int64_t number)
{
    while (units->factor > 1 && (number == 0 || number % units->factor != 0)) {
        units++;
    }
    buf_printf(out, "%lld%s", (long long)(number / units->factor), units->name);
}

static bool read_bool(const char *text, int64_t *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *out = (int64_t)(i % 2);
            return true;
        }
    }
    return false;
}

/* The choice as the table writes it, allocated; NULL when it is none of them. */
static char *read_choice(const char *choices, const char *text)
{
    size_t wanted = strlen(text);
    while (*choices) {
        size_t len = strcspn(choices, "|");
        if (len == wanted && strncasecmp(choices, text, len) == 0) {
            char *copy = xcalloc(1, len + 1);
            return memcpy(copy, choices, len);
        }
        choices += len + (choices[len] == '|');
    }
    return NULL;
}

static bool read_text(const char *text)
{
    if (!utf8_valid(text, strlen(text))) {
        return false;
    }
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7F) {
            return false;
        }
    }
    return true;
}

static bool in_bounds(const struct conf_row *row, double number)
{
    return (row->min == 0 && row->max == 0) || (number >= row->min && number <= row->max);
}

static bool read_integer(const struct conf_row *row, const char *text, int64_t *out)
{
    bool read = row->type == CONF_INT     ? parse_int64(text, out)
                : row->type == CONF_BYTES ? read_units(byte_units, text, out)
                                          : read_units(duration_units, text, out);
    return read && in_bounds(row, (double)*out);
}

bool conf_value_read(struct conf_value *value, const struct conf_row *row, const char *text)
{
    struct conf_value read = {0};
    bool ok = false;
    switch (row->type) {
    case CONF_TEXT:
    case CONF_SECRET:
        ok = read_text(text);
        break;
    case CONF_INT:
    case CONF_BYTES:
    case CONF_DURATION:
        ok = read_integer(row, text, &read.integer);
        break;
    case CONF_NUMBER:
        ok = parse_double(text, &read.number) && in_bounds(row, read.number);
        break;
    case CONF_BOOL:
        ok = read_bool(text, &read.integer);
        break;
    case CONF_CHOICE:
        read.text = read_choice(row->unit, text);
        ok = read.text != NULL;
        break;
    }
    if (!ok) {
        return false;
    }
    free(value->text);
    value->text = read.text ? read.text : xstrdup(text);
    value->integer = read.integer;
    value->number = read.number;
    return true;
}

static void put_bound(const struct conf_row *row, struct buf *out, double bound)
{
    if (row->type == CONF_BYTES) {
        put_units(out, byte_units, (int64_t)bound);
    } else if (row->type == CONF_DURATION) {
        put_units(out, duration_units, (int64_t)bound);
    } else {
        buf_printf(out, "%.15g", bound);
    }
}

void conf_value_expected(const struct conf_row *row, struct buf *out)
{
    static const char *const kinds[] = {
        [CONF_TEXT] = "text in UTF-8 without control characters",
        [CONF_SECRET] = "text in UTF-8 without control characters",
        [CONF_INT] = "a whole number",
        [CONF_NUMBER] = "a number",
        [CONF_BOOL] = "true or false",
        [CONF_DURATION] = "a duration such as 250ms, 10s, 5m, 2h or 3d",
        [CONF_BYTES] = "a size such as 512, 64KiB, 1MiB or 1GiB",
        [CONF_CHOICE] = "one of ",
    };
    buf_puts(out, kinds[row->type]);
    if (row->type == CONF_CHOICE) {
        for (const char *at = row->unit; *at; at++) {
            if (*at == '|') {
                buf_puts(out, ", ");
            } else {
                buf_putc(out, *at);
            }
        }
    }
    if (row->min == 0 && row->max == 0) {
        return;
    }
    buf_puts(out, " from ");
    put_bound(row, out, row->min);
    buf_puts(out, " to ");
    put_bound(row, out, row->max);
}
