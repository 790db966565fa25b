/* Memory with one lifetime: one arena per message in flight, freed whole. */
#ifndef HELPDESK_BASE_ARENA_H
#define HELPDESK_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

/* An empty arena. Allocation never returns NULL: out of memory, or past `limit` bytes (0: 64 MiB), aborts
 * with a log line. The sizes of what comes from outside are bounded before they reach an arena. One thread at
 * a time. */
struct arena *arena_new(size_t limit);
void arena_free(struct arena *arena); /* NULL is fine */

void *arena_alloc(struct arena *arena, size_t size);               /* zeroed, aligned for any type */
void *arena_array(struct arena *arena, size_t count, size_t size); /* the same; checks the product */
char *arena_strdup(struct arena *arena, const char *text);         /* NULL gives NULL */
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t arena_used(const struct arena *arena); /* bytes handed out */

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))

#endif
