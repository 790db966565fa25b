/* Records of a file: CSV with a header (RFC 4180), or one JSON object a line (by the extension .jsonl). */
#ifndef HELPDESK_CMD_IMPORT_FILE_H
#define HELPDESK_CMD_IMPORT_FILE_H

#include <stddef.h>
#include "base/arena.h"
#include "base/error.h"

/* A record: names and values in the same order; valid UTF-8. Borrowed: names of CSV from the file, the rest
 * from the arena. */
struct import_record {
    size_t line; /* on which it starts, from 1 */
    size_t count;
    const char **names;
    const char **values; /* NULL: null or absent */
};

enum import_read { IMPORT_RECORD, IMPORT_BAD, IMPORT_END };

struct import_file;

/* NULL: `err` says why; a CSV file's header has been read. */
struct import_file *import_file_open(const char *path, struct error *err);
/* The next record, or what is wrong with it (`err`; `record->line` is set): the one after it can be read all
 * the same. */
enum import_read import_file_read(
    struct import_file *file, struct arena *arena, struct import_record *record, struct error *err);
void import_file_close(struct import_file *file); /* NULL is fine */

#endif
