/* What can be imported: the columns of each kind of record, their rules, and the statement that stores a
 * batch. */
#ifndef HELPDESK_CMD_IMPORT_KIND_H
#define HELPDESK_CMD_IMPORT_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "cmd/import_file.h"
#include "db/db.h"

enum import_type {
    IMPORT_ID,     /* text, not blank, at most 256 bytes, no control characters */
    IMPORT_TEXT,   /* any text */
    IMPORT_NUMBER, /* between min and max */
    IMPORT_TIME,   /* RFC 3339 */
    IMPORT_CHOICE, /* one of `choices`, separated by '|' */
};

#define IMPORT_MAX_COLUMNS 20

struct import_column {
    const char *name;
    enum import_type type;
    bool required;
    const char
        *fallback; /* when absent or empty; NULL: SQL NULL; "=other": the value of that earlier column */
    const char *choices;
    double min, max;
    const char *text; /* for --help */
};

struct import_kind {
    const char *name;
    const struct import_column *columns; /* ends with a NULL name */
    const char *sql;                     /* $1: the tenant; then an array for each column */
    bool solved;                         /* tickets: those with an answer become resolutions too */
};
extern const struct import_kind import_kinds[]; /* ends with a NULL name */

size_t import_kind_columns(const struct import_kind *kind);

/* Fills `cells` in the order of the kind's columns (borrowed from record and arena). False: `err` names the
 * field and what would be right, without the value. */
bool import_kind_read(const struct import_kind *kind, struct arena *arena, const struct import_record *record,
    const char **cells, struct error *err);

/* The cell of column `name`. */
const char *import_kind_cell(const struct import_kind *kind, const char *const *cells, const char *name);

void import_kind_help(struct buf *out); /* all kinds and their columns */

#endif
