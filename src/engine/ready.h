/* What may start now, by priority: four queues in the order of arrival, drawn from by smooth weighted round
 * robin.
 *
 * While all four hold something, of every 15 that are taken 8 are critical, 4 high, 2 medium and 1 low, in an
 * even mix: what is urgent goes first, and nothing starves. A queue that is empty leaves its share to the
 * others and saves up none. The method is nginx's for its upstream servers ("smooth weighted balancing").
 * Pure data: one thread, no calls out. */
#ifndef HELPDESK_ENGINE_READY_H
#define HELPDESK_ENGINE_READY_H

#include <stddef.h>
#include <sys/queue.h>

enum ready_priority { READY_CRITICAL, READY_HIGH, READY_MEDIUM, READY_LOW, READY_PRIORITIES };

/* A place in a queue; part of what waits. */
struct ready_entry {
    enum ready_priority priority; /* set by the owner before ready_put */
    TAILQ_ENTRY(ready_entry) link;
};
TAILQ_HEAD(ready_list, ready_entry);

struct ready {
    struct ready_list lists[READY_PRIORITIES];
    int credit[READY_PRIORITIES];
    size_t count;
};

void ready_init(struct ready *ready);
void ready_put(struct ready *ready, struct ready_entry *entry); /* at the end of its priority's queue */
void ready_remove(struct ready *ready, struct ready_entry *entry);
struct ready_entry *ready_take(struct ready *ready); /* whose turn it is, removed; NULL: none waits */

#endif
