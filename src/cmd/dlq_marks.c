/* Which dead letters of a partition are handled. */
#include "cmd/dlq_marks.h"

#include <stdlib.h>
#include "base/alloc.h"

bool dlq_marks_init(
    struct dlq_marks *marks, int64_t low, int64_t end, int64_t committed, const char *metadata)
{
    /* Beyond the end: the topic was made anew, and the commit is about letters that are no more. */
    bool known = committed >= 0 && committed <= end;
    marks->from = known ? committed : low;
    return window_init(&marks->window, marks->from, known ? metadata : "");
}

void dlq_marks_fini(struct dlq_marks *marks)
{
    for (struct window_node *node = marks->window.first; node;) {
        struct window_node *next = node->next;
        free(node);
        node = next;
    }
    window_fini(&marks->window);
}

struct window_node *dlq_marks_take(struct dlq_marks *marks, int64_t offset)
{
    if (offset < marks->from || window_take(&marks->window, offset) != WINDOW_NEW) {
        return NULL;
    }
    struct window_node *node = xmalloc(sizeof(*node));
    window_add(&marks->window, node, offset);
    return node;
}

size_t dlq_marks_handle(struct dlq_marks *marks, struct window_node *const *nodes, size_t count,
    int64_t *offset, char map[WINDOW_MAP_SIZE])
{
    for (size_t i = 0; i < count; i++) {
        window_set_done(nodes[i], true);
    }
    while (count > 0 && !window_encode(&marks->window, map)) {
        window_set_done(nodes[--count], false);
    }
    *offset = window_position(&marks->window);
    return count;
}

void dlq_marks_undo(struct window_node *const *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        window_set_done(nodes[i], false);
    }
}

void dlq_marks_forget(struct dlq_marks *marks, struct window_node *const *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        window_remove(&marks->window, nodes[i]);
        free(nodes[i]);
    }
}
