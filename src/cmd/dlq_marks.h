/* Which dead letters of a partition are handled, and what to commit when more are: the engine's window and
 * map (engine/window.h), over letters that a person chooses. Pure data. */
#ifndef HELPDESK_CMD_DLQ_MARKS_H
#define HELPDESK_CMD_DLQ_MARKS_H

#include <sys/queue.h>
#include "engine/window.h"

/* A waiting letter; callers know its node. */
struct dlq_mark {
    struct window_node node; /* first */
    LIST_ENTRY(dlq_mark) link;
};

struct dlq_marks {
    struct window window;
    LIST_HEAD(, dlq_mark) waiting;
    int64_t from; /* letters below it are handled */
};

/* From what the group has committed (`committed` -1: nothing), for a topic that has the offsets from `low` up
 * to `end`. False: the metadata is unreadable, so which letters are handled is not known. */
bool dlq_marks_init(
    struct dlq_marks *marks, int64_t low, int64_t end, int64_t committed, const char *metadata);
void dlq_marks_fini(struct dlq_marks *marks);

/* The letter at `offset` came; they come in ascending order. A waiting letter's node, owned by `marks`; NULL
 * when the letter is handled. */
struct window_node *dlq_marks_take(struct dlq_marks *marks, int64_t offset);

/* How many of these waiting letters, from the first on, can be committed as handled before the map is full:
 * they count as handled now. `offset` and `map` are what to commit. */
size_t dlq_marks_handle(struct dlq_marks *marks, struct window_node *const *nodes, size_t count,
    int64_t *offset, char map[WINDOW_MAP_SIZE]);
/* The commit failed: they wait again. */
void dlq_marks_undo(struct window_node *const *nodes, size_t count);
/* The commit succeeded: their nodes are gone. */
void dlq_marks_forget(struct dlq_marks *marks, struct window_node *const *nodes, size_t count);

#endif
