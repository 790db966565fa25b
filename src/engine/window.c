/* The window of a partition: what is taken, what of it is done, what a commit says about it. */
#include "engine/window.h"

#include <stdlib.h>

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

void window_add(struct window *window, struct window_node *node, int64_t offset)
{
    *node = (struct window_node){.offset = offset, .window = window, .prev = window->last};
    if (window->last) {
        window->last->next = node;
    } else {
        window->first = node;
    }
    window->last = node;
    window->count++;
    if (offset >= window->done_end) {
        window->tail = window->tail ? window->tail : node;
        window->tail_count++;
    }
}

static void shorten_tail(struct window *window)
{
    while (window->tail && window->tail->offset < window->done_end) {
        window->tail = window->tail->next;
        window->tail_count--;
    }
}

void window_set_done(struct window_node *node, bool done)
{
    struct window *window = node->window;
    node->done = done;
    if (done && node->offset >= window->done_end) {
        window->done_end = node->offset + 1;
        shorten_tail(window);
    }
}

void window_remove(struct window *window, struct window_node *node)
{
    if (window->tail == node) {
        window->tail = node->next;
    }
    if (node->offset >= window->done_end) {
        window->tail_count--;
    }
    if (node->prev) {
        node->prev->next = node->next;
    } else {
        window->first = node->next;
    }
    if (node->next) {
        node->next->prev = node->prev;
    } else {
        window->last = node->prev;
    }
    window->count--;
}

/* Walks the unfinished offsets: those of nodes, then those that only the map knows. */
struct walk {
    const struct window *window;
    const struct window_node *node;
    size_t left_at;
};

static bool walk_next(struct walk *walk, int64_t *offset)
{
    while (walk->node && walk->node->done) {
        walk->node = walk->node->next;
    }
    if (walk->node) {
        *offset = walk->node->offset;
        walk->node = walk->node->next;
        return true;
    }
    if (walk->left_at == walk->window->left_count) {
        return false;
    }
    *offset = walk->window->left[walk->left_at++];
    return true;
}

static struct walk walk_from_start(const struct window *window)
{
    return (struct walk){.window = window, .node = window->first, .left_at = window->left_at};
}

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
    uint64_t unfinished = window->count - window->tail_count + window->left_count - window->left_at;
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
