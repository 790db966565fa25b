/* Records in memory, by the field tables. Private to src/msg. */
#ifndef HELPDESK_MSG_TREE_H
#define HELPDESK_MSG_TREE_H

#include "base/arena.h"
#include "msg/table.h"

/* Address of a field in a record, of the `has_` or the count beside it, and of item `i` of an array that lies
 * at `items`. */
static inline void *tree_at(void *record, size_t offset)
{
    return (char *)record + offset;
}

static inline const void *tree_at_const(const void *record, size_t offset)
{
    return (const char *)record + offset;
}

/* Where an array's items, or a nullable record, lie: the pointer that the field is. */
const void *tree_pointer(const struct msg_field *field, const void *record);
/* How many values the field holds: an array's count, 0 for null, else 1. */
size_t tree_count(const struct msg_field *field, const void *record);
/* The `index`th value of the field. */
const void *tree_value(const struct msg_field *field, const void *record, size_t index);

/* Room for the field's values, zeroed, with the count, the `has_` or the pointer set: where the first value
 * goes. For what is not an array `count` is 1. */
void *tree_room(const struct msg_field *field, struct arena *arena, void *record, size_t count);

/* Sets one field of a zeroed record, or all of them, to their defaults. */
void tree_default(const struct msg_field *field, void *record);
void tree_defaults(const struct msg_type *type, void *record);

#endif
