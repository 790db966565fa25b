/* Collects rows and turns them into array parameters. */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "db/db_table.h"

#define TIME_MAX_MS 253402300799999 /* 9999-12-31T23:59:59.999Z */

void db_table_init(struct db_table *table, struct arena *arena, size_t columns)
{
    assert(columns <= DB_MAX_PARAMS);
    *table = (struct db_table){.arena = arena, .columns = columns};
}

const char **db_table_row(struct db_table *table)
{
    if (table->rows == table->capacity) {
        size_t capacity = table->capacity > 0 ? table->capacity * 2 : 16;
        const char **cells = arena_array(table->arena, capacity * table->columns, sizeof(*cells));
        if (table->rows > 0) {
            memcpy(cells, table->cells, table->rows * table->columns * sizeof(*cells));
        }
        table->cells = cells;
        table->capacity = capacity;
    }
    return &table->cells[table->rows++ * table->columns];
}

void db_table_params(const struct db_table *table, struct db_query *query)
{
    const char **column = arena_array(table->arena, table->rows, sizeof(*column));
    query->param_count = (int)table->columns;
    for (size_t c = 0; c < table->columns; c++) {
        for (size_t r = 0; r < table->rows; r++) {
            column[r] = table->cells[r * table->columns + c];
        }
        query->params[c] = db_text_array(table->arena, column, table->rows);
    }
}

const char *db_time_cell(struct arena *arena, int64_t wall_ms)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_format(wall_ms < 0 ? 0 : wall_ms > TIME_MAX_MS ? TIME_MAX_MS : wall_ms, text);
    return arena_strdup(arena, text);
}
