/* Telephone numbers. Digits alone prove nothing, so a number needs a plus sign, a national shape or a word
 * that says so. */
#include <string.h>
#include <strings.h>

#include "guard/pii_scan.h"

#define CONTEXT_BYTES 40
#define GROUPS 10

struct number {
    int digits;
    int groups[GROUPS]; /* digits of each */
    int group_count;
    bool plus;
    bool bracket;   /* the first group stands in brackets */
    char first;     /* first digit */
    char separator; /* between the groups, '?' when they differ */
    size_t end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word_byte(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0xC3 ||
           c == '_';
}

/* Past what stands between two groups, or `at` when no group follows: one separator, " / ", ") " and the
 * like. */
static size_t next_group(const char *text, size_t len, size_t at)
{
    size_t i = at;
    for (int marks = 0; marks < 3 && i < len; marks++) {
        size_t separator = text[i] == '(' || text[i] == ')' ? 1 : pii_separator(text, len, i);
        if (separator == 0) {
            break;
        }
        i += separator;
        if (i < len && is_digit(text[i])) {
            return i;
        }
    }
    return at;
}

static void read_number(const char *text, size_t len, size_t at, struct number *out)
{
    size_t i = at;
    out->plus = text[i] == '+';
    i += out->plus;
    out->bracket = i < len && text[i] == '(';
    i += out->bracket;
    while (i < len && is_digit(text[i]) && out->group_count < GROUPS) {
        int *group = &out->groups[out->group_count++];
        out->first = out->first == 0 ? text[i] : out->first;
        while (i < len && is_digit(text[i])) {
            (*group)++;
            out->digits++;
            i++;
        }
        out->end = i;
        size_t next = next_group(text, len, i);
        if (next == i) {
            break;
        }
        char separator = text[next - 1] == '(' ? ' ' : text[i];
        out->separator = out->separator == 0 || out->separator == separator ? separator : '?';
        i = next;
    }
}

/* "x123", " ext. 12", "-0" after the number. */
static size_t skip_extension(const char *text, size_t len, size_t at)
{
    size_t i = at;
    while (i < len && text[i] == ' ') {
        i++;
    }
    if (i < len && (text[i] == 'x' || text[i] == 'X')) {
        i++;
    } else if (len - i > 3 && strncasecmp(text + i, "ext", 3) == 0) {
        i += 3 + (text[i + 3] == '.');
        i += i < len && text[i] == ' ';
    } else {
        return at;
    }
    size_t digits = i;
    while (i < len && is_digit(text[i]) && i - digits < 6) {
        i++;
    }
    return i > digits ? i : at;
}

static bool is_date(const struct number *n)
{
    const int *g = n->groups;
    if (n->group_count != 3 || (n->separator != '.' && n->separator != '-' && n->separator != '/')) {
        return false;
    }
    return (g[0] <= 2 && g[1] <= 2 && (g[2] == 4 || g[2] == 2)) || (g[0] == 4 && g[1] <= 2 && g[2] <= 2);
}

static bool is_north_american(const struct number *n)
{
    const int *g = n->groups;
    int skip = n->group_count >= 4 && (g[0] == 1 || g[0] == 3) ? 1 : 0; /* 1-, 001- */
    return n->group_count == 3 + skip && g[skip] == 3 && g[skip + 1] == 3 && g[skip + 2] == 4 &&
           n->separator != '/' &&
           (n->bracket || n->separator == '-' || n->separator == '.' || n->separator == '?' ||
               n->separator == ')');
}

/* "50-98-28-96", "06.12.34.56.78": pairs, as France and Scandinavia write them. */
static bool is_paired(const struct number *n)
{
    for (int i = 0; i < n->group_count; i++) {
        if (n->groups[i] != 2) {
            return false;
        }
    }
    return n->group_count >= 4 && n->group_count <= 5 && n->separator != '/' && n->separator != '?';
}

/* A trunk zero, an area code, and at least five more digits in groups; not a decimal, not a product number.
 */
static bool is_national(const struct number *n)
{
    return n->first == '0' && n->group_count >= 2 && n->group_count <= 6 && n->groups[0] >= 2 &&
           n->groups[0] <= 6 && n->digits >= 8 && n->digits <= 15 && n->separator != '.';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0xC3;
}

/* Whether one of the words begins in `text`; a short one must also end there. */
static bool has_word(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(words[i]);
        for (const char *at = text; (at = strcasestr(at, words[i])) != NULL; at++) {
            if ((at == text || !is_letter(at[-1])) && (len > 4 || !is_letter(at[len]))) {
                return true;
            }
        }
    }
    return false;
}

/* Whether the words before the number say that it is one to call, and none says that it is another number. */
static bool has_context(const char *text, size_t at)
{
    static const char *const words[] = {"phone", "telephone", "tel", "call", "call me", "calls", "mobile",
        "cell", "cellphone", "ring", "reach me", "answering", "whatsapp", "sms", "text me", "contact me",
        "telefon", "handy", "handynummer", "mobil", "anruf", "rufnummer", "ruf", "fax", "durchwahl"};
    static const char *const others[] = {"order", "invoice", "ticket", "code", "bestell", "rechnung",
        "tracking", "serial", "article", "artikel", "sendung", "kunden", "customer", "account", "konto",
        "case", "reference"};
    char before[CONTEXT_BYTES + 1];
    size_t from = at > CONTEXT_BYTES ? at - CONTEXT_BYTES : 0;
    size_t have = at - from;
    memcpy(before, text + from, have);
    before[have] = 0;
    for (size_t i = have; i > 0; i--) {
        if (strchr("!?\n", before[i - 1]) != NULL) {
            memmove(before, before + i, have - i + 1); /* another sentence */
            break;
        }
    }
    return has_word(before, words, sizeof words / sizeof words[0]) &&
           !has_word(before, others, sizeof others / sizeof others[0]);
}

static bool has_shape(const struct number *n)
{
    return (n->plus && n->digits >= 8) || (n->bracket && n->digits >= 8 && n->group_count > 1) ||
           is_north_american(n) || is_national(n) || is_paired(n);
}

bool pii_scan_phone(const char *text, size_t len, size_t at, size_t *end)
{
    struct number n = {0};
    read_number(text, len, at, &n);
    if (n.digits < 6 || n.digits > 15 || is_date(&n) || !(has_shape(&n) || has_context(text, at))) {
        return false;
    }
    *end = skip_extension(text, len, n.end);
    return *end >= len || !is_word_byte(text[*end]);
}
