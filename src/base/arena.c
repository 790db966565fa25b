/* Memory with one lifetime: chunks that only grow and are freed together. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/log.h"

#define ARENA_DEFAULT_LIMIT ((size_t)64 << 20)
#define ARENA_FIRST_CHUNK ((size_t)1024) /* thousands of jobs in flight have one each */
#define ARENA_LARGEST_CHUNK ((size_t)64 << 10)

struct arena_chunk {
    struct arena_chunk *next;
    size_t capacity;
    size_t used;
    alignas(max_align_t) unsigned char data[];
};

struct arena {
    struct arena_chunk *chunks; /* the one being filled comes first */
    size_t limit;
    size_t used;
    size_t next_capacity;
};

struct arena *arena_new(size_t limit)
{
    struct arena *arena = xcalloc(1, sizeof(*arena));
    arena->limit = limit ? limit : ARENA_DEFAULT_LIMIT;
    arena->next_capacity = ARENA_FIRST_CHUNK;
    return arena;
}

void arena_free(struct arena *arena)
{
    if (!arena) {
        return;
    }
    struct arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(arena);
}

/* A chunk that holds at least `size` bytes. A large one goes behind the first, whose rest stays usable. */
static struct arena_chunk *arena_grow(struct arena *arena, size_t size)
{
    bool large = size > arena->next_capacity / 2;
    size_t capacity = large ? size : arena->next_capacity;
    struct arena_chunk *chunk = xmalloc(sizeof(*chunk) + capacity);
    chunk->capacity = capacity;
    chunk->used = 0;
    if (large && arena->chunks) {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
        return chunk;
    }
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    if (arena->next_capacity < ARENA_LARGEST_CHUNK) {
        arena->next_capacity *= 2;
    }
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > arena->limit - arena->used) {
        log_error("arena limit passed", LOG_INT("limit", arena->limit), LOG_INT("wanted", size));
        abort();
    }
    size_t align = alignof(max_align_t);
    size_t rounded = size ? (size + align - 1) / align * align : align;
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || rounded > chunk->capacity - chunk->used) {
        chunk = arena_grow(arena, rounded);
    }
    void *memory = chunk->data + chunk->used;
    chunk->used += rounded;
    arena->used += size;
    return memset(memory, 0, rounded);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        total = SIZE_MAX; /* past any limit: arena_alloc says so and aborts */
    }
    return arena_alloc(arena, total);
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);
    if (len) {
        memcpy(copy, text, len);
    }
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    size_t size = len < 0 ? 1 : (size_t)len + 1;
    char *text = arena_alloc(arena, size);
    vsnprintf(text, size, format, again);
    va_end(again);
    return text;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}
