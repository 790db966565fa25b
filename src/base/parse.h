/* Numbers from text: the whole string or nothing. */
#ifndef HELPDESK_BASE_PARSE_H
#define HELPDESK_BASE_PARSE_H

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits, optionally after '-'. False, and `*out` untouched, for anything else: white space, '+', a
 * rest, a number that does not fit, NULL. */
bool parse_int64(const char *text, int64_t *out);

/* A finite decimal number with optional '-', fraction and exponent; hexadecimal, "inf" and "nan" are refused.
 */
bool parse_double(const char *text, double *out);

#endif
