/* Heap memory for what has no arena: never NULL, out of memory aborts with a log line. */
#ifndef HELPDESK_BASE_ALLOC_H
#define HELPDESK_BASE_ALLOC_H

#include <stddef.h>

/* All are freed with free(). A size of 0 gives a pointer that may be freed. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size); /* zeroed; checks the product */
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text); /* NULL gives NULL */

/* For a program's start: glibc otherwise keeps a heap for nearly each thread, and librdkafka has many. */
void alloc_setup(void);

/* Ends the process for want of memory: says so on standard error without allocating, then aborts. */
_Noreturn void alloc_failed(void);

#endif
