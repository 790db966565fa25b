/* Cards, accounts, numbers and addresses by their shape and their check digits. */
#include "guard/pii_scan.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word_byte(char c)
{
    return is_digit(c) || is_letter(c) || (unsigned char)c >= 0xC3 || c == '_';
}

size_t pii_separator(const char *text, size_t len, size_t at)
{
    static const char *const wide[] = {"\u00A0", "\u2009", "\u202F", "\u2010", "\u2011", "\u2012", "\u2013"};
    if (at >= len) {
        return 0;
    }
    if (strchr(" -./", text[at]) != NULL && text[at] != 0) {
        return 1;
    }
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        size_t size = strlen(wide[i]);
        if (len - at >= size && memcmp(text + at, wide[i], size) == 0) {
            return size;
        }
    }
    return 0;
}

/* ---- IBAN ---- */

static int iban_length(const char country[2])
{
    static const char *const lengths =
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18FO18FR27"
        "GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21MC27MD24"
        "ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31SE24SI19SK24SM27TN24TR26UA29VA22VG24"
        "XK20";
    for (const char *p = lengths; *p != 0; p += 4) {
        if (p[0] == country[0] && p[1] == country[1]) {
            return (p[2] - '0') * 10 + (p[3] - '0');
        }
    }
    return 0;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static bool iban_checks(const char *iban, int length)
{
    unsigned rest = 0;
    for (int i = 0; i < length; i++) {
        char c = iban[(i + 4) % length];
        rest = is_digit(c) ? (rest * 10 + (unsigned)(c - '0')) % 97
                           : (rest * 100 + (unsigned)(c - 'A') + 10) % 97;
    }
    return rest == 1;
}

bool pii_scan_iban(const char *text, size_t len, size_t at, size_t *end)
{
    if (len - at < 15 || !is_letter(text[at]) || !is_letter(text[at + 1]) || !is_digit(text[at + 2])) {
        return false;
    }
    const char country[2] = {upper(text[at]), upper(text[at + 1])};
    int length = iban_length(country), have = 0;
    char iban[40];
    size_t i = at;
    while (have < length && i < len) {
        if (is_digit(text[i]) || is_letter(text[i])) {
            iban[have++] = upper(text[i++]);
            continue;
        }
        size_t separator = pii_separator(text, len, i);
        if (separator == 0 || have == 0 || pii_separator(text, len, i + separator) > 0) {
            return false;
        }
        i += separator;
    }
    if (length == 0 || have < length || (i < len && is_word_byte(text[i])) || !iban_checks(iban, length)) {
        return false;
    }
    *end = i;
    return true;
}

/* ---- card ---- */

/* Length by issuer: Visa, Mastercard, Amex, Discover, Diners, JCB, UnionPay, Maestro. */
static bool card_issuer_takes(const char *digits, int count)
{
    int two = (digits[0] - '0') * 10 + (digits[1] - '0');
    int four = two * 100 + (digits[2] - '0') * 10 + (digits[3] - '0');
    if (digits[0] == '4') {
        return count == 13 || count == 16 || count == 19;
    }
    if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720)) {
        return count == 16;
    }
    if (two == 34 || two == 37) {
        return count == 15;
    }
    if (two == 36 || two == 38 || two == 39 || (four >= 3000 && four <= 3059)) {
        return count == 14 || count == 16;
    }
    if (four == 1800 || four == 2131) {
        return count == 15;
    }
    bool maestro = two == 50 || (two >= 56 && two <= 58);
    return ((four >= 3528 && four <= 3589) || two == 60 || (two >= 62 && two <= 69) || maestro) &&
           count >= (maestro ? 12 : 16);
}

static bool luhn_checks(const char *digits, int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++) {
        int digit = digits[count - 1 - i] - '0';
        digit *= i % 2 == 1 ? 2 : 1;
        sum += digit > 9 ? digit - 9 : digit;
    }
    return sum % 10 == 0;
}

bool pii_scan_card(const char *text, size_t len, size_t at, size_t *end)
{
    char digits[20];
    int count = 0;
    size_t i = at, stop = at;
    while (i < len && count < 20) {
        if (is_digit(text[i])) {
            digits[count++] = text[i++];
            stop = i;
            continue;
        }
        size_t separator = text[i] == '.' || text[i] == '/' ? 0 : pii_separator(text, len, i);
        if (separator == 0 || i + separator >= len || !is_digit(text[i + separator])) {
            break;
        }
        i += separator;
    }
    if (count < 12 || count > 19 || (stop < len && is_word_byte(text[stop])) ||
        !card_issuer_takes(digits, count) || !luhn_checks(digits, count)) {
        return false;
    }
    *end = stop;
    return true;
}

/* ---- social security number ---- */

static int number_at(const char *text, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (!is_digit(text[i])) {
            return -1;
        }
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

bool pii_scan_ssn(const char *text, size_t len, size_t at, size_t *end)
{
    const char *p = text + at;
    if (len - at < 11 || p[3] != '-' || p[6] != '-' || (len - at > 11 && is_word_byte(p[11])) ||
        (len - at > 12 && p[11] == '-' && is_digit(p[12]))) {
        return false;
    }
    int area = number_at(p, 3), group = number_at(p + 4, 2), serial = number_at(p + 7, 4);
    if (area <= 0 || area == 666 || area >= 900 || group <= 0 || serial <= 0) {
        return false;
    }
    *end = at + 11;
    return true;
}

/* ---- IP ---- */

bool pii_scan_ipv4(const char *text, size_t len, size_t at, size_t *end)
{
    size_t i = at;
    for (int part = 0; part < 4; part++) {
        int digits = 0, value = 0;
        while (i < len && digits < 4 && is_digit(text[i])) {
            value = value * 10 + (text[i++] - '0');
            digits++;
        }
        if (digits == 0 || digits > 3 || value > 255 || (part < 3 && (i >= len || text[i++] != '.'))) {
            return false;
        }
    }
    if (i < len && (is_word_byte(text[i]) || (text[i] == '.' && i + 1 < len && is_digit(text[i + 1])))) {
        return false; /* a version or section number goes on */
    }
    *end = i;
    return true;
}

bool pii_scan_ipv6(const char *text, size_t len, size_t at, size_t *end)
{
    int groups = 0, colons = 0, digits = 0;
    bool gap = false, number = false;
    size_t i = at;
    for (; i < len && i - at < 46; i++) {
        char c = upper(text[i]);
        if (is_digit(c) || (c >= 'A' && c <= 'F')) {
            number = number || is_digit(c);
            groups += digits == 0;
            if (++digits > 4) {
                return false;
            }
        } else if (c == ':' && i + 1 < len && text[i + 1] == ':' && !gap) {
            gap = true;
            colons += 2;
            digits = 0;
            i++;
        } else if (c == ':' && digits > 0 && i + 1 < len &&
                   (is_digit(text[i + 1]) || is_letter(text[i + 1]))) {
            colons++;
            digits = 0;
        } else {
            break;
        }
    }
    bool whole = groups == 8 ? colons == 7 : gap && groups >= 2 && groups < 8;
    if (!whole || !number || (i < len && is_word_byte(text[i]))) {
        return false;
    }
    *end = i;
    return true;
}

/* ---- email ---- */

static bool is_local_byte(char c)
{
    return is_letter(c) || is_digit(c) || (unsigned char)c >= 0x80 ||
           (c != 0 && strchr("._%+-'&=!#$*/?^`{|}~", c) != NULL);
}

static bool is_domain_byte(char c)
{
    return is_letter(c) || is_digit(c) || (unsigned char)c >= 0x80 || c == '-';
}

bool pii_scan_email(const char *text, size_t len, size_t at, size_t *start, size_t *end)
{
    size_t from = at;
    while (from > 0 && at - from < 64 && is_local_byte(text[from - 1])) {
        from--;
    }
    while (from < at && strchr(".'&=!#$*/?^`{|}~-", text[from]) != NULL) {
        from++; /* quotes and punctuation before the address */
    }
    size_t i = at + 1, label = i, dots = 0, last = 0;
    while (i < len && i - at < 255 && (is_domain_byte(text[i]) || (text[i] == '.' && i > label))) {
        if (text[i] == '.') {
            if (i + 1 >= len || !is_domain_byte(text[i + 1]) || text[i + 1] == '-') {
                break; /* the full stop of the sentence */
            }
            dots++;
            label = i + 1;
        }
        i++;
    }
    last = i;
    while (last > label && (text[last - 1] == '-' || (unsigned char)text[last - 1] == 0x80)) {
        last--;
    }
    bool letters = last - label >= 2 && !is_digit(text[label]);
    if (from == at || dots == 0 || !letters) {
        return false;
    }
    *start = from;
    *end = last;
    return true;
}
