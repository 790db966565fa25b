/* The single shapes of personal data; inside guard/pii only. Each looks at `text` from `at` and tells where
 * it ends. */
#ifndef HELPDESK_GUARD_PII_SCAN_H
#define HELPDESK_GUARD_PII_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* `len` bytes of text; `at` begins a word; on true `*end` is one past it. */
bool pii_scan_iban(const char *text, size_t len, size_t at, size_t *end);
bool pii_scan_card(const char *text, size_t len, size_t at, size_t *end);
bool pii_scan_ssn(const char *text, size_t len, size_t at, size_t *end);
bool pii_scan_ipv4(const char *text, size_t len, size_t at, size_t *end);
bool pii_scan_ipv6(const char *text, size_t len, size_t at, size_t *end);
bool pii_scan_phone(const char *text, size_t len, size_t at, size_t *end);
/* `at` is the '@'; `*start` goes back to the first character of the address. */
bool pii_scan_email(const char *text, size_t len, size_t at, size_t *start, size_t *end);

/* Bytes of the separator of digit groups at `at` (blank, no-break blank, hyphens, full stop, '/'), 0 if none.
 */
size_t pii_separator(const char *text, size_t len, size_t at);

#endif
