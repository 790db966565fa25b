/* The table of settings and its names. */
#include "conf/table.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const struct conf_row conf_rows[CONF_COUNT] = {
#define SETTING(id, name, type, initial, unit, min, max, aliases, text)                                      \
    [CONF_##id] = {(name), (type), (initial), (unit), (min), (max), (aliases), (text)},
#include "conf/settings.def"
#undef SETTING
};

void conf_env_name(const struct conf_row *row, char out[CONF_ENV_SIZE])
{
    int len = snprintf(out, CONF_ENV_SIZE, "HELPDESK_%s", row->name);
    for (int i = 0; i < len && out[i]; i++) {
        out[i] = isalnum((unsigned char)out[i]) ? (char)toupper((unsigned char)out[i]) : '_';
    }
}

bool conf_next_alias(const char **at, char out[CONF_ENV_SIZE])
{
    size_t len = strcspn(*at, ",");
    if (len == 0 || len >= CONF_ENV_SIZE) {
        return false;
    }
    memcpy(out, *at, len);
    out[len] = '\0';
    *at += len + ((*at)[len] == ',');
    return true;
}

const struct conf_row *conf_find_row(const char *name)
{
    for (size_t i = 0; i < CONF_COUNT; i++) {
        if (strcmp(conf_rows[i].name, name) == 0) {
            return &conf_rows[i];
        }
    }
    return NULL;
}

#define DISTANCE_MAX 64

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment, three rows of the table at a time. */
size_t conf_distance(const char *from, const char *to, size_t most)
{
    size_t from_len = strlen(from), to_len = strlen(to);
    size_t apart = from_len > to_len ? from_len - to_len : to_len - from_len;
    if (apart > most || from_len > DISTANCE_MAX || to_len > DISTANCE_MAX) {
        return most + 1;
    }
    size_t rows[3][DISTANCE_MAX + 1];
    for (size_t j = 0; j <= to_len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= from_len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3];
        const size_t *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= to_len; j++) {
            size_t change = above[j - 1] + (from[i - 1] != to[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, change);
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1]) {
                row[j] = least(row[j], above2[j - 2] + 1);
            }
        }
    }
    return least(rows[from_len % 3][to_len], most + 1);
}
