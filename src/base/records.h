/* Reads a stream record by record, as CSV (RFC 4180) or line by line, and counts lines so that a bad record
 * can be found. */
#ifndef HELPDESK_BASE_RECORDS_H
#define HELPDESK_BASE_RECORDS_H

#include <stdio.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

#define RECORDS_MAX_BYTES (1024 * 1024) /* of one record's texts */
#define RECORDS_MAX_FIELDS 64

struct records {
    FILE *stream;   /* borrowed, without a byte order mark */
    char separator; /* between fields: ',', ';' or a tab */
    size_t line;    /* being read, from 1 */
    struct buf text;
};

struct record {
    size_t line; /* on which it starts */
    size_t count;
    const char **fields; /* valid UTF-8, in the arena */
};

enum records_read { RECORDS_ONE, RECORDS_BAD, RECORDS_END };

void records_init(struct records *records, FILE *stream, char separator);
void records_fini(struct records *records); /* the stream stays open */

/* The separator that the first record of `len` bytes has most of outside quotes; ',' without any. Pure. */
char records_separator(const char *data, size_t len);

/* The next record; empty lines are none. RECORDS_BAD: `err` (ERROR_REJECT "bad_record"); the one after it can
 * be read all the same. `record->line` is set by all three. */
enum records_read records_fields(
    struct records *records, struct arena *arena, struct record *record, struct error *err);
/* The next line that is not empty, in `records->text` until the next call. `*line` is its number. */
enum records_read records_line(struct records *records, size_t *line, struct error *err);

#endif
