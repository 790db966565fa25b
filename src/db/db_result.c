/* Reading the rows of a result, and writing array parameters. */
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "db/db_pool.h"

int db_rows(const struct db_result *result)
{
    return PQntuples(result->rows);
}

int64_t db_affected(const struct db_result *result)
{
    int64_t rows = 0;
    (void)parse_int64(PQcmdTuples(result->rows), &rows);
    return rows;
}

const char *db_value(const struct db_result *result, int row, int column)
{
    return PQgetisnull(result->rows, row, column) ? NULL : PQgetvalue(result->rows, row, column);
}

int64_t db_int(const struct db_result *result, int row, int column)
{
    int64_t value = 0;
    (void)parse_int64(db_value(result, row, column), &value);
    return value;
}

double db_number(const struct db_result *result, int row, int column)
{
    double value = 0;
    (void)parse_double(db_value(result, row, column), &value);
    return value;
}

bool db_bool(const struct db_result *result, int row, int column)
{
    const char *value = db_value(result, row, column);
    return value != NULL && *value == 't';
}

void db_result_free(struct db_result *result)
{
    if (result != NULL) {
        PQclear(result->rows);
        free(result);
    }
}

static size_t item_size(const char *item)
{
    size_t size = 3; /* two quotes and a comma */
    for (const char *at = item; *at != '\0'; at++) {
        size += *at == '"' || *at == '\\' ? 2 : 1;
    }
    return size;
}

static char *put_item(char *out, const char *item)
{
    *out++ = '"';
    for (const char *at = item; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            *out++ = '\\';
        }
        *out++ = *at;
    }
    *out++ = '"';
    return out;
}

char *db_text_array(struct arena *arena, const char *const *items, size_t count)
{
    size_t size = sizeof("{}");
    for (size_t i = 0; i < count; i++) {
        size += items[i] != NULL ? item_size(items[i]) : sizeof("NULL,");
    }
    char *array = arena_alloc(arena, size);
    char *at = array;
    *at++ = '{';
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            *at++ = ',';
        }
        at = items[i] != NULL ? put_item(at, items[i]) : (char *)memcpy(at, "NULL", 4) + 4;
    }
    *at++ = '}';
    *at = '\0';
    return array;
}
