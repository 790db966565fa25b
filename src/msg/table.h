/* The field tables that tools/gen_messages.py writes: how a record lies in memory and what its defaults are.
 * Private to src/msg. */
#ifndef HELPDESK_MSG_TABLE_H
#define HELPDESK_MSG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct msg_type;

enum msg_shape {
    MSG_SHAPE_STRING,
    MSG_SHAPE_BOOL,
    MSG_SHAPE_INT,
    MSG_SHAPE_LONG,
    MSG_SHAPE_DOUBLE,
    MSG_SHAPE_ENUM,
    MSG_SHAPE_RECORD,
};

struct msg_enum {
    const char *name;
    const char *const *symbols;
    int count;
    int fallback; /* what an unknown symbol of a newer writer becomes; -1: it makes the record malformed */
};

struct msg_field {
    const char *name;
    size_t offset;        /* of the value, or of the pointer to an array's items or to a nullable record */
    size_t beside;        /* of `bool has_x` or `size_t x_count`; 0: there is none */
    size_t size;          /* of one value in C */
    enum msg_shape shape; /* of the value, or of an array's item */
    bool nullable;
    bool array;
    bool required;                      /* no default: a writer without it is not understood */
    const struct msg_enum *enumeration; /* MSG_SHAPE_ENUM */
    const struct msg_type *record;      /* MSG_SHAPE_RECORD */
    /* The default: NULL, 0 or empty when the schema has none. */
    const char *text;
    int64_t integer; /* of the four integral shapes */
    double real;
};

struct msg_type {
    const char *name; /* "TicketEvent" */
    size_t size;
    const struct msg_field *fields;
    size_t field_count;
    size_t max_bytes;   /* encoded; 0: only MSG_MAX_RECORD bounds it */
    const char *schema; /* JSON; NULL for a record that only lives inside others */
};

struct msg_schema_text {
    const char *name; /* "ticket_event.1" */
    const char *json;
};

extern const struct msg_type *const msg_top_types[]; /* those with a schema of their own; ends with NULL */
extern const struct msg_schema_text msg_history[];   /* earlier versions; ends with a NULL name */

/* The symbol of `value`, or NULL when it has none. */
const char *msg_enum_symbol(const struct msg_enum *enumeration, int value);
/* The value of `symbol`, or -1. */
int msg_enum_find(const struct msg_enum *enumeration, const char *symbol);

#endif
