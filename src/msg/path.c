/* Renders the place of a fault in a record. */
#include "msg/path.h"

#include <stdio.h>
#include <string.h>

/* Appends at `used`, cutting what does not fit; returns the new length. */
static size_t append(char *text, size_t size, size_t used, const struct msg_path *path)
{
    if (path->up != NULL) {
        used = append(text, size, used, path->up);
    }
    size_t left = size - used;
    int n = 0;
    if (path->index != MSG_PATH_NO_INDEX) {
        n = snprintf(text + used, left, "[%zu]", path->index);
    } else if (path->name != NULL) {
        n = snprintf(text + used, left, "%s%s", used > 0 ? "." : "", path->name);
    }
    return n < 0 || (size_t)n >= left ? size - 1 : used + (size_t)n;
}

bool msg_path_reject(const struct msg_path *path, struct error *err, const char *code, const char *what)
{
    char text[200] = "";

    append(text, sizeof text, 0, path);
    return error_set(err, ERROR_REJECT, code, "%s: %s", *text != '\0' ? text : "the record", what);
}
