/* Heap memory that is never NULL. */
#include "base/alloc.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAPS_MAX 2

void alloc_setup(void)
{
    mallopt(M_ARENA_MAX, HEAPS_MAX);
}

_Noreturn void alloc_failed(void)
{
    static const char line[] = "{\"level\":\"error\",\"msg\":\"out of memory\"}\n";
    ssize_t written = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)written; /* the process ends anyway */
    abort();
}

void *xmalloc(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (!memory) {
        alloc_failed();
    }
    return memory;
}

void *xcalloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory) {
        alloc_failed();
    }
    return memory;
}

void *xrealloc(void *old, size_t size)
{
    void *memory = realloc(old, size ? size : 1);
    if (!memory) {
        alloc_failed();
    }
    return memory;
}

char *xstrdup(const char *text)
{
    if (!text) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    return memcpy(xmalloc(size), text, size);
}
