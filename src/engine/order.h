/* Whose turn it is: per key, one job at a time in the order of arrival. A job without a key never waits. */
#ifndef HELPDESK_ENGINE_ORDER_H
#define HELPDESK_ENGINE_ORDER_H

#include <stdbool.h>
#include <stddef.h>

struct order;
struct order_lane;

/* A job's place in its key's lane; part of the job. */
struct order_entry {
    struct order_lane *lane; /* NULL: no key, or not in any lane */
    struct order_entry *prev, *next;
};

struct order *order_new(void);
void order_free(struct order *order); /* lanes still in use are freed; their entries are not touched */

/* Takes a place at the end of the key's lane (the key is copied; NULL: none). True: it is the first, its turn
 * is now. */
bool order_join(struct order *order, struct order_entry *entry, const void *key, size_t key_len);
/* Gives the place up, from wherever it is. Returns the entry whose turn this makes it, or NULL. */
struct order_entry *order_leave(struct order *order, struct order_entry *entry);

size_t order_keys(const struct order *order);    /* keys with a job */
size_t order_waiting(const struct order *order); /* jobs behind another of their key */

#endif
