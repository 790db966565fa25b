/* Rows that go into one statement as arrays, a parameter for each column: unnest($1::text[],
 * $2::timestamptz[], ...). */
#ifndef HELPDESK_DB_DB_TABLE_H
#define HELPDESK_DB_DB_TABLE_H

#include <stddef.h>
#include "base/arena.h"
#include "db/db.h"

struct db_table {
    struct arena *arena;
    size_t columns;
    size_t rows;
    size_t capacity;
    const char **cells; /* row by row */
};

/* `columns` is at most DB_MAX_PARAMS. Everything lives in the arena. */
void db_table_init(struct db_table *table, struct arena *arena, size_t columns);
/* Adds a row: its cells, all NULL (SQL NULL), valid until the next call. Texts put there are borrowed. */
const char **db_table_row(struct db_table *table);
/* Sets the query's parameters to the columns. */
void db_table_params(const struct db_table *table, struct db_query *query);

/* A cell: milliseconds since the epoch as PostgreSQL reads a time; times outside the years 1970-9999 become
 * the nearest. */
const char *db_time_cell(struct arena *arena, int64_t wall_ms);

#endif
