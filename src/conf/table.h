/* The rows of conf/settings.def, and reading one value by its row. Used inside conf only. */
#ifndef HELPDESK_CONF_TABLE_H
#define HELPDESK_CONF_TABLE_H

#include <stddef.h>
#include "conf/conf.h"

#define CONF_ENV_SIZE 96

struct conf_row {
    const char *name;
    enum conf_type type;
    const char *initial; /* the default; "" for none */
    const char *unit;    /* of a CHOICE: its values, separated by '|' */
    double min, max;     /* both 0: no bounds */
    const char *aliases; /* further environment variables, separated by ',' */
    const char *text;
};
extern const struct conf_row conf_rows[CONF_COUNT];

struct conf_value {
    char *text;      /* as given; of a CHOICE as the table writes it */
    int64_t integer; /* INT, BYTES, DURATION in ms; BOOL as 0 or 1 */
    double number;
    bool set;
};

/* Reads `text` by the rules of `row`. False, and `value` untouched, when it breaks them. Leaves `set` alone.
 */
bool conf_value_read(struct conf_value *value, const struct conf_row *row, const char *text);
/* What would be right: "a whole number from 0 to 65535". */
void conf_value_expected(const struct conf_row *row, struct buf *out);

/* HELPDESK_GATEWAY_PORT for "gateway.port". */
void conf_env_name(const struct conf_row *row, char out[CONF_ENV_SIZE]);
/* Copies the next of `row`'s aliases to `out`; `*at` starts as row->aliases. False when there are no more. */
bool conf_next_alias(const char **at, char out[CONF_ENV_SIZE]);
/* The row called `name`; NULL when there is none. */
const struct conf_row *conf_find_row(const char *name);

/* How many letters must be inserted, dropped, changed or swapped with their neighbour to get from one to the
 * other; more than `most` counts as `most` + 1. */
size_t conf_distance(const char *from, const char *to, size_t most);

#endif
