/* Queues by priority and whose turn it is among them. */
#include "engine/ready.h"

static const int weights[READY_PRIORITIES] = {8, 4, 2, 1};

void ready_init(struct ready *ready)
{
    *ready = (struct ready){0};
    for (int i = 0; i < READY_PRIORITIES; i++) {
        TAILQ_INIT(&ready->lists[i]);
    }
}

void ready_put(struct ready *ready, struct ready_entry *entry)
{
    TAILQ_INSERT_TAIL(&ready->lists[entry->priority], entry, link);
    ready->count++;
}

void ready_remove(struct ready *ready, struct ready_entry *entry)
{
    TAILQ_REMOVE(&ready->lists[entry->priority], entry, link);
    ready->count--;
}

struct ready_entry *ready_take(struct ready *ready)
{
    int total = 0;
    int best = -1;
    for (int i = 0; i < READY_PRIORITIES; i++) {
        if (TAILQ_EMPTY(&ready->lists[i])) {
            ready->credit[i] = 0;
            continue;
        }
        ready->credit[i] += weights[i];
        total += weights[i];
        if (best < 0 || ready->credit[i] > ready->credit[best]) {
            best = i;
        }
    }
    if (best < 0) {
        return NULL;
    }
    ready->credit[best] -= total;
    struct ready_entry *entry = TAILQ_FIRST(&ready->lists[best]);
    ready_remove(ready, entry);
    return entry;
}
