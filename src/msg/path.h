/* Where in a record we are, for error texts: "context.items[3].score". Lives on the stack of the walk.
 * Private to src/msg. */
#ifndef HELPDESK_MSG_PATH_H
#define HELPDESK_MSG_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

#define MSG_PATH_NO_INDEX ((size_t)-1)

struct msg_path {
    const struct msg_path *up; /* NULL: the record itself */
    const char *name;          /* NULL for the record itself and for an item */
    size_t index;              /* of an item, else MSG_PATH_NO_INDEX */
};

#define MSG_PATH_ROOT ((struct msg_path){.index = MSG_PATH_NO_INDEX})
#define MSG_PATH_FIELD(parent, field)                                                                        \
    ((struct msg_path){.up = (parent), .name = (field), .index = MSG_PATH_NO_INDEX})
#define MSG_PATH_ITEM(parent, number) ((struct msg_path){.up = (parent), .index = (number)})

/* Sets ERROR_REJECT `code` with "<path>: <what>". Always false. */
bool msg_path_reject(const struct msg_path *path, struct error *err, const char *code, const char *what);

#endif
