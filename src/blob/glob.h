/* Patterns of object keys. */
#ifndef HELPDESK_BLOB_GLOB_H
#define HELPDESK_BLOB_GLOB_H

#include <stdbool.h>

#define GLOB_MAX 256 /* bytes of a pattern */

/* Whether all of `key` matches: '*' stands for any characters but '/', '**' for any, '**' and a '/' at the
 * start of a part for any folders or none, '?' for one character but '/', all others for themselves. A
 * pattern above GLOB_MAX matches nothing. Takes time in proportion to both lengths, whatever they hold. */
bool glob_match(const char *pattern, const char *key);

#endif
