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

/* Collects `length` letters and digits in upper case, single separators between them; one past the last, or
 * 0. */
static size_t iban_collect(const char *text, size_t len, size_t at, int length, char *iban)
{
    size_t i = at;
    for (int have = 0; have < length;) {
        if (i < len && (is_digit(text[i]) || is_letter(text[i]))) {
            iban[have++] = upper(text[i++]);
            continue;
        }
        size_t separator = pii_separator(text, len, i);
        if (separator == 0 || pii_separator(text, len, i + separator) > 0) {
            return 0;
        }
        i += separator;
    }
    return i;
}

bool pii_scan_iban(const char *text, size_t len, size_t at, size_t *end)
{
    if (len - at < 15 || !is_letter(text[at]) || !is_letter(text[at + 1]) || !is_digit(text[at + 2])) {
        return false;
    }
    const char country[2] = {upper(text[at]), upper(text[at + 1])};
    char iban[40];
    int length = iban_length(country);
    size_t stop = length > 0 ? iban_collect(text, len, at, length, iban) : 0;
    if (stop == 0 || (stop < len && is_word_byte(text[stop])) || !iban_checks(iban, length)) {
        return false;
    }
    *end = stop;
    return true;
}

/* ---- card ---- */

/* Which lengths the issuer of a number with these first four digits uses. */
static bool card_issuer_takes(const char *digits, int count)
{
    static const struct {
        int first, last; /* of the first four digits */
        int lengths[3];
    } issuers[] = {
        {1800, 1800, {15}},         /* JCB */
        {2131, 2131, {15}},         /* JCB */
        {2221, 2720, {16}},         /* Mastercard */
        {3000, 3059, {14, 16}},     /* Diners Club */
        {3400, 3499, {15}},         /* American Express */
        {3528, 3589, {16, 19}},     /* JCB */
        {3600, 3699, {14, 16}},     /* Diners Club */
        {3700, 3799, {15}},         /* American Express */
        {3800, 3999, {14, 16}},     /* Diners Club */
        {4000, 4999, {13, 16, 19}}, /* Visa */
        {5000, 5099, {12, 16, 19}}, /* Maestro */
        {5100, 5599, {16}},         /* Mastercard */
        {5600, 5899, {12, 16, 19}}, /* Maestro */
        {6000, 6999, {16, 17, 19}}, /* Discover, Maestro, UnionPay */
    };
    int four = 0;
    for (int i = 0; i < 4; i++) {
        four = four * 10 + (digits[i] - '0');
    }
    for (size_t i = 0; i < sizeof issuers / sizeof issuers[0]; i++) {
        const int *lengths = issuers[i].lengths;
        if (four >= issuers[i].first && four <= issuers[i].last) {
            return count == lengths[0] || count == lengths[1] || count == lengths[2];
        }
    }
    return false;
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

/* Reads a number of 0 to 255 at `*i` and moves past it. */
static bool read_octet(const char *text, size_t len, size_t *i)
{
    int digits = 0, value = 0;
    while (*i < len && digits < 4 && is_digit(text[*i])) {
        value = value * 10 + (text[(*i)++] - '0');
        digits++;
    }
    return digits >= 1 && digits <= 3 && value <= 255;
}

bool pii_scan_ipv4(const char *text, size_t len, size_t at, size_t *end)
{
    size_t i = at;
    for (int part = 0; part < 4; part++) {
        if (part > 0 && (i >= len || text[i++] != '.')) {
            return false;
        }
        if (!read_octet(text, len, &i)) {
            return false;
        }
    }
    if (i < len && (is_word_byte(text[i]) || (text[i] == '.' && i + 1 < len && is_digit(text[i + 1])))) {
        return false; /* a version or section number goes on */
    }
    *end = i;
    return true;
}

static bool is_hex(char c)
{
    return is_digit(c) || (upper(c) >= 'A' && upper(c) <= 'F');
}

/* Reads a group of one to four hexadecimal digits at `*i`; tells whether it has a decimal one. */
static bool read_group(const char *text, size_t len, size_t *i, bool *number)
{
    size_t from = *i;
    while (*i < len && *i - from < 5 && is_hex(text[*i])) {
        *number = *number || is_digit(text[*i]);
        (*i)++;
    }
    return *i > from && *i - from <= 4;
}

/* Moves past the colon or the "::" before a group; false when no group can follow. The first group needs
 * none. */
static bool read_colons(const char *text, size_t len, size_t *i, bool first, bool *gap)
{
    bool twice = *i + 1 < len && text[*i] == ':' && text[*i + 1] == ':';
    if (twice && !*gap) {
        *gap = true;
        *i += 2;
    } else if (!first && *i < len && text[*i] == ':') {
        (*i)++;
    } else if (!first) {
        return false;
    }
    return *i < len && is_hex(text[*i]);
}

/* Eight groups, or fewer around one "::". Letters alone ("ab::cd") are rather a name in a program. */
bool pii_scan_ipv6(const char *text, size_t len, size_t at, size_t *end)
{
    int groups = 0;
    bool gap = false, number = false;
    size_t i = at, next = at;
    while (groups < 9 && read_colons(text, len, &next, groups == 0, &gap)) {
        if (!read_group(text, len, &next, &number)) {
            return false;
        }
        i = next;
        groups++;
    }
    bool whole = gap ? groups >= 2 && groups < 8 : groups == 8;
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

/* Where the part before the '@' begins, without quotes and punctuation before it. */
static size_t local_start(const char *text, size_t at)
{
    size_t from = at;
    while (from > 0 && at - from < 64 && is_local_byte(text[from - 1])) {
        from--;
    }
    while (from < at && strchr(".'&=!#$*/?^`{|}~-", text[from]) != NULL) {
        from++;
    }
    return from;
}

/* The end of the host name at `at`, and where its last label begins; a full stop that ends the sentence is
 * left out. */
static size_t host_end(const char *text, size_t len, size_t at, size_t *label)
{
    size_t i = at;
    *label = at;
    while (i < len && i - at < 255) {
        bool dot =
            text[i] == '.' && i > *label && i + 1 < len && is_domain_byte(text[i + 1]) && text[i + 1] != '-';
        if (!dot && !is_domain_byte(text[i])) {
            break;
        }
        *label = dot ? i + 1 : *label;
        i++;
    }
    while (i > *label && text[i - 1] == '-') {
        i--;
    }
    return i;
}

bool pii_scan_email(const char *text, size_t len, size_t at, size_t *start, size_t *end)
{
    size_t label, from = local_start(text, at);
    size_t stop = host_end(text, len, at + 1, &label);
    if (from == at || label == at + 1 || stop < label + 2 || is_digit(text[label])) {
        return false;
    }
    *start = from;
    *end = stop;
    return true;
}
