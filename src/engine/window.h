/* The window of a partition: which of its records are taken and not yet done, and what a commit says about
 * them.
 *
 * Only unfinished records take space, however far apart they are: a bit each, in chunks of neighbouring
 * offsets, since every commit walks over all of them. Pure data: one thread, no calls out. */
#ifndef HELPDESK_ENGINE_WINDOW_H
#define HELPDESK_ENGINE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/window_map.h"

struct window_chunk;

/* A record in the window; part of its job. */
struct window_node {
    int64_t offset;
    bool done; /* in a sealed batch */
    struct window *window;
    struct window_chunk *chunk;
};

struct window {
    struct window_chunk *first, *last; /* bits of unfinished records, by offset */
    size_t count;                      /* of nodes */
    int64_t next;                      /* the offset after the last record seen */
    int64_t done_end;                  /* the offset after the last one that is done: a map ends here */
    /* From the map that came with the commit: the offsets still to do from `left_at` on; all others below
     * `map_end` are done. Never below `next`. */
    int64_t *left;
    size_t left_count;
    size_t left_at;
    int64_t map_end;
};

/* Goes on at `offset`; `metadata` as it was committed with it. False when that is unreadable: then every
 * record from `offset` on counts as not done. */
bool window_init(struct window *window, int64_t offset, const char *metadata);
void window_fini(struct window *window);

enum window_take {
    WINDOW_NEW,    /* to do: window_add it */
    WINDOW_DONE,   /* was done before */
    WINDOW_BEHIND, /* before what was seen already: the topic was made anew, this window means nothing any
                      more */
};
/* The record at `offset` came. */
enum window_take window_take(struct window *window, int64_t offset);
void window_add(struct window *window, struct window_node *node, int64_t offset);

/* Counts the record as done in what is committed next, or takes that back. */
void window_set_done(struct window_node *node, bool done);
/* Committed: the node leaves. */
void window_remove(struct window *window, struct window_node *node);

int64_t window_position(const struct window *window); /* the lowest offset not done: what is committed */
/* Whether records that are taken next can lengthen the map: not while they are only what an earlier owner's
 * map left to do. */
bool window_can_grow(const struct window *window);
/* What is done beyond it, as the commit's metadata. False when it does not fit: the map is cut, and a restart
 * repeats some of what was done. */
bool window_encode(const struct window *window, char out[WINDOW_MAP_SIZE]);

#endif
