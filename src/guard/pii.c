/* Walks a text once and tries each shape of personal data where it may begin. */
#include "guard/pii.h"

#include <string.h>
#include <strings.h>
#include "guard/pii_scan.h"

const char *pii_name(enum pii_kind kind)
{
    static const char *const names[] = {"email", "phone", "card", "iban", "ssn", "ip"};
    return names[kind];
}

struct found {
    struct arena *arena;
    struct pii_span *spans;
    size_t count;
    size_t capacity;
};

static void add(struct found *found, size_t start, size_t end, enum pii_kind kind)
{
    if (found->count == found->capacity) {
        size_t capacity = found->capacity > 0 ? found->capacity * 2 : 8;
        struct pii_span *spans = arena_array(found->arena, capacity, sizeof *spans);
        if (found->count > 0) {
            memcpy(spans, found->spans, found->count * sizeof *spans);
        }
        found->spans = spans;
        found->capacity = capacity;
    }
    found->spans[found->count++] = (struct pii_span){start, end, kind};
}

/* "version 5.4.1.2" is no address. */
static bool names_version(const char *text, size_t at)
{
    static const char *const words[] = {
        "version ", "firmware ", "build ", "release ", "v", "ver. ", "software "};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t len = strlen(words[i]);
        if (at >= len && strncasecmp(text + at - len, words[i], len) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_word_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0xC3 || c == '_';
}

/* Whether what begins at `at` is the rest of something else: behind one of `marks`, but not in "//10.0.0.1".
 */
static bool is_rest(const char *text, size_t at, const char *marks)
{
    bool url = at > 1 && text[at - 1] == '/' && text[at - 2] == '/';
    return at > 0 && strchr(marks, text[at - 1]) != NULL && !url;
}

static bool follows_number(const char *text, size_t at)
{
    return at > 1 && text[at - 1] == ' ' && text[at - 2] >= '0' && text[at - 2] <= '9';
}

/* What begins at `at` with a digit, '+' or '('. A letter's hyphen, a '#' or a decimal point makes a number
 * the rest of another one; a card's check digit and the groups of an SSN say more than a '#' before them. */
static bool scan_number(const char *text, size_t len, size_t at, size_t *end, enum pii_kind *kind)
{
    bool rest = is_rest(text, at, text[at] == '+' ? "-#+" : "-#./+"); /* not of "Tel./+49 30 901820" */
    bool joined = is_rest(text, at, "-.+");
    if (!joined && pii_scan_card(text, len, at, end)) {
        *kind = PII_CARD;
    } else if (!joined && pii_scan_ssn(text, len, at, end)) {
        *kind = PII_SSN;
    } else if (!rest && pii_scan_ipv4(text, len, at, end) && !names_version(text, at)) {
        *kind = PII_IP;
    } else if (!rest && (text[at] == '+' || !follows_number(text, at)) &&
               pii_scan_phone(text, len, at, end)) {
        *kind = PII_PHONE;
    } else {
        return false;
    }
    return true;
}

static bool scan_at(const char *text, size_t len, size_t at, size_t *end, enum pii_kind *kind)
{
    char c = text[at];
    bool digit = c >= '0' && c <= '9';
    bool hex = digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':';
    if (hex && pii_scan_ipv6(text, len, at, end)) {
        *kind = PII_IP;
        return true;
    }
    if (digit || c == '+' || c == '(') {
        return scan_number(text, len, at, end, kind);
    }
    if (pii_scan_iban(text, len, at, end)) {
        *kind = PII_IBAN;
        return true;
    }
    return false;
}

struct pii_span *pii_find(struct arena *arena, const char *text, size_t *count)
{
    struct found found = {.arena = arena};
    size_t len = strlen(text), free_from = 0;
    for (size_t at = 0; at < len; at++) {
        size_t start, end;
        enum pii_kind kind;
        bool inside = at > 0 && is_word_byte(text[at - 1]);
        if (text[at] == '@' && pii_scan_email(text, len, at, &start, &end) && start >= free_from) {
            add(&found, start, end, PII_EMAIL);
        } else if (!inside && scan_at(text, len, at, &end, &kind)) {
            add(&found, at, end, kind);
        } else {
            continue;
        }
        free_from = end;
        at = end - 1;
    }
    *count = found.count;
    return found.spans;
}
