/* The window of a partition: what is taken, what of it is done, what a commit says about it. */
#include "engine/window.h"

#include <stdlib.h>
#include "base/alloc.h"

#define CHUNK_WORDS 16
#define CHUNK_BITS (64 * CHUNK_WORDS)

/* Which of 1024 neighbouring offsets are taken and not done. */
struct window_chunk {
    int64_t base;
    struct window_chunk *prev, *next;
    size_t nodes; /* done ones included */
    uint64_t words[CHUNK_WORDS];
};

bool window_init(struct window *window, int64_t offset, const char *metadata)
{
    *window = (struct window){.next = offset, .map_end = offset};
    bool readable = metadata[0] == '\0' ||
                    map_read(metadata, offset, &window->left, &window->left_count, &window->map_end);
    window->done_end = window->map_end;
    return readable;
}

void window_fini(struct window *window)
{
    free(window->left);
    window->left = NULL;
    while (window->first) {
        struct window_chunk *chunk = window->first;
        window->first = chunk->next;
        free(chunk);
    }
    window->last = NULL;
}

/* Whether the map says that `offset` was done. Offsets are asked for in ascending order. */
static bool done_before(struct window *window, int64_t offset)
{
    while (window->left_at < window->left_count && window->left[window->left_at] < offset) {
        window->left_at++; /* no longer in the topic */
    }
    if (window->left_at < window->left_count && window->left[window->left_at] == offset) {
        window->left_at++;
        return false;
    }
    return offset < window->map_end;
}

enum window_take window_take(struct window *window, int64_t offset)
{
    if (offset < window->next) {
        return WINDOW_BEHIND;
    }
    window->next = offset + 1;
    return done_before(window, offset) ? WINDOW_DONE : WINDOW_NEW;
}

/* ---- unfinished offsets ---- */

static struct window_chunk *chunk_for(struct window *window, int64_t offset)
{
    int64_t base = offset - offset % CHUNK_BITS;
    struct window_chunk *last = window->last;
    if (last && last->base == base) {
        return last;
    }
    struct window_chunk *chunk = xcalloc(1, sizeof(*chunk));
    chunk->base = base;
    chunk->prev = last;
    if (last) {
        last->next = chunk;
    } else {
        window->first = chunk;
    }
    window->last = chunk;
    return chunk;
}

static void chunk_free(struct window *window, struct window_chunk *chunk)
{
    if (chunk->prev) {
        chunk->prev->next = chunk->next;
    } else {
        window->first = chunk->next;
    }
    if (chunk->next) {
        chunk->next->prev = chunk->prev;
    } else {
        window->last = chunk->prev;
    }
    free(chunk);
}

static void set_unfinished(const struct window_node *node, bool unfinished)
{
    size_t bit = (size_t)(node->offset - node->chunk->base);
    uint64_t mask = UINT64_C(1) << (bit % 64);
    if (unfinished) {
        node->chunk->words[bit / 64] |= mask;
    } else {
        node->chunk->words[bit / 64] &= ~mask;
    }
}

void window_add(struct window *window, struct window_node *node, int64_t offset)
{
    *node = (struct window_node){.offset = offset, .window = window, .chunk = chunk_for(window, offset)};
    node->chunk->nodes++;
    set_unfinished(node, true);
    window->count++;
}

void window_set_done(struct window_node *node, bool done)
{
    node->done = done;
    set_unfinished(node, !done);
    if (done && node->offset >= node->window->done_end) {
        node->window->done_end = node->offset + 1;
    }
}

void window_remove(struct window *window, struct window_node *node)
{
    set_unfinished(node, false);
    if (--node->chunk->nodes == 0) {
        chunk_free(window, node->chunk);
    }
    window->count--;
}

/* Walks the unfinished offsets: those of nodes, then those that only the map knows. */
struct walk {
    const struct window *window;
    const struct window_chunk *chunk;
    size_t word;
    uint64_t bits; /* of that word, those passed cleared */
    size_t left_at;
};

static struct walk walk_from_start(const struct window *window)
{
    return (struct walk){.window = window,
        .chunk = window->first,
        .bits = window->first ? window->first->words[0] : 0,
        .left_at = window->left_at};
}

static bool walk_next(struct walk *walk, int64_t *offset)
{
    while (walk->chunk) {
        if (walk->bits) {
            *offset = walk->chunk->base + (int64_t)walk->word * 64 + __builtin_ctzll(walk->bits);
            walk->bits &= walk->bits - 1;
            return true;
        }
        if (++walk->word == CHUNK_WORDS) {
            walk->chunk = walk->chunk->next;
            walk->word = 0;
        }
        walk->bits = walk->chunk ? walk->chunk->words[walk->word] : 0;
    }
    if (walk->left_at == walk->window->left_count) {
        return false;
    }
    *offset = walk->window->left[walk->left_at++];
    return true;
}

/* About how many there are before the end of a map. */
static uint64_t count_before_end(const struct window *window)
{
    uint64_t count = window->left_count - window->left_at;
    for (const struct window_chunk *chunk = window->first; chunk && chunk->base < window->done_end;
         chunk = chunk->next) {
        for (size_t i = 0; i < CHUNK_WORDS; i++) {
            count += (uint64_t)__builtin_popcountll(chunk->words[i]);
        }
    }
    return count;
}

/* ---- what a commit says ---- */

/* Past all that this window knows of. */
static int64_t known_end(const struct window *window)
{
    return window->next > window->map_end ? window->next : window->map_end;
}

int64_t window_position(const struct window *window)
{
    struct walk walk = walk_from_start(window);
    int64_t offset;
    return walk_next(&walk, &offset) ? offset : known_end(window);
}

bool window_can_grow(const struct window *window)
{
    return window->next >= window->map_end;
}

bool window_encode(const struct window *window, char out[WINDOW_MAP_SIZE])
{
    struct walk walk = walk_from_start(window);
    struct map_writer writer;
    int64_t first;
    out[0] = '\0';
    if (!walk_next(&walk, &first) || first >= window->done_end) {
        return true; /* nothing is done beyond the position */
    }
    uint64_t span = (uint64_t)(window->done_end - first);
    uint64_t unfinished = count_before_end(window);
    map_begin(&writer, span > unfinished ? (span - unfinished) / unfinished : 0);
    int64_t last = first;
    int64_t offset;
    while (walk_next(&walk, &offset) && offset < window->done_end && !writer.full) {
        map_add_run(&writer, (uint64_t)(offset - last - 1));
        last = offset;
    }
    if (!writer.full) {
        map_add_run(&writer, (uint64_t)(window->done_end - last - 1));
    }
    return map_finish(&writer, first, out);
}
