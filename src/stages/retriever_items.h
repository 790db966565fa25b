/* The items of a ticket's context other than what the search finds, and what all items must fit into. Private
 * to the retriever. Loop thread. */
#ifndef HELPDESK_STAGES_RETRIEVER_ITEMS_H
#define HELPDESK_STAGES_RETRIEVER_ITEMS_H

#include "base/arena.h"
#include "base/error.h"
#include "db/db.h"
#include "kb/search.h"
#include "msg/messages.h"

#define ORDER_NOT_ABOUT 0.2 /* the most that an order scores that the ticket is not about */

struct item_list {
    struct msg_context_item *items;
    size_t count;
};

/* `list` is in the arena given with the call; NULL with `err`. Never inside the call. */
typedef void items_loaded(void *arg, const struct item_list *list, const struct error *err);

/* What items are looked for; borrowed until the callbacks. */
struct item_query {
    const char *tenant;
    const char *customer;
    const char *subject;
    const char *body;
    const char *category; /* "" when not classified */
    enum msg_priority priority;
    double priority_confidence; /* 0..1 */
};

/* Orders of this customer only: those that the ticket names, and the latest. */
void items_load_orders(
    struct db *db, struct arena *arena, const struct item_query *query, items_loaded *done, void *arg);
/* The rule that says how fast the ticket is to be answered. */
void items_load_rule(
    struct db *db, struct arena *arena, const struct item_query *query, items_loaded *done, void *arg);
/* Passages and accepted answers, not too many of one document. */
struct item_list items_from_hits(struct arena *arena, const struct kb_search_result *found);

/* All items, best first, with excerpts of at most `max_bytes` together. */
struct item_list items_merge(
    struct arena *arena, const struct item_list *lists, size_t list_count, size_t max_bytes);

#endif
