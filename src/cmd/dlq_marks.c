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
    LIST_INIT(&marks->waiting);
    return window_init(&marks->window, marks->from, known ? metadata : "");
}

void dlq_marks_fini(struct dlq_marks *marks)
{
    struct dlq_mark *mark;
    while ((mark = LIST_FIRST(&marks->waiting)) != NULL) {
        LIST_REMOVE(mark, link);
        free(mark);
    }
    window_fini(&marks->window);
}

struct window_node *dlq_marks_take(struct dlq_marks *marks, int64_t offset)
{
    if (offset < marks->from || window_take(&marks->window, offset) != WINDOW_NEW) {
        return NULL;
    }
    struct dlq_mark *mark = xcalloc(1, sizeof(*mark));
    LIST_INSERT_HEAD(&marks->waiting, mark, link);
    window_add(&marks->window, &mark->node, offset);
    return &mark->node;
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
        struct dlq_mark *mark = (struct dlq_mark *)nodes[i];
        window_remove(&marks->window, nodes[i]);
        LIST_REMOVE(mark, link);
        free(mark);
    }
}
