/* Finds personal data in a text: what identifies or can harm a person and has a shape that can be checked. */
#ifndef HELPDESK_GUARD_PII_H
#define HELPDESK_GUARD_PII_H

#include <stddef.h>
#include "base/arena.h"

enum pii_kind {
    PII_EMAIL,
    PII_PHONE, /* international, or with a national shape, or after a word such as "call" */
    PII_CARD,  /* 13 to 19 digits of a known issuer with a right Luhn digit (ISO/IEC 7812) */
    PII_IBAN,  /* right length for its country, right check digits (ISO 13616, mod 97) */
    PII_SSN,   /* US social security number in its written form 123-45-6789, of an area that is issued */
    PII_IP,    /* IPv4 and IPv6 (RFC 4291) addresses */
};

const char *pii_name(enum pii_kind kind); /* "email" "phone" "card" "iban" "ssn" "ip" */

struct pii_span {
    size_t start; /* bytes into the text */
    size_t end;
    enum pii_kind kind;
};

/* All of them in order, none overlapping, in the arena. Time is linear in the text. Any bytes are safe. */
struct pii_span *pii_find(struct arena *arena, const char *text, size_t *count);

#endif
