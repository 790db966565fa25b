/* Reads CSV and lines from a stream, character by character. */
#include "base/records.h"

#include <stdbool.h>
#include <string.h>
#include "base/utf8.h"

static bool bad(struct error *err, const char *text)
{
    return error_set(err, ERROR_REJECT, "bad_record", "%s", text);
}

static int next_char(struct records *records)
{
    int c = getc(records->stream);
    records->line += c == '\n';
    return c;
}

/* The next character without taking it. */
static int peek_char(struct records *records)
{
    int c = getc(records->stream);
    if (c != EOF) {
        (void)ungetc(c, records->stream);
    }
    return c;
}

/* True when `c` ends a line; takes the LF of a CR LF. */
static bool ends_line(struct records *records, int c)
{
    if (c == '\r' && peek_char(records) == '\n') {
        c = next_char(records);
    }
    return c == '\n' || c == EOF;
}

static void skip_line(struct records *records)
{
    int c = next_char(records);
    while (c != '\n' && c != EOF) {
        c = next_char(records);
    }
}

/* Past empty lines; false: at the end. */
static bool skip_empty_lines(struct records *records)
{
    int c = peek_char(records);
    while (c == '\n' || c == '\r') {
        (void)next_char(records);
        c = peek_char(records);
    }
    return c != EOF;
}

void records_init(struct records *records, FILE *stream, char separator)
{
    *records = (struct records){.stream = stream, .separator = separator, .line = 1};
    buf_init(&records->text, RECORDS_MAX_BYTES);
}

void records_fini(struct records *records)
{
    buf_fini(&records->text);
}

/* ---- CSV ---- */

enum csv_end { CSV_FIELD, CSV_LINE, CSV_ERROR };

/* The opening quote is taken. */
static enum csv_end read_quoted(struct records *records, struct error *err)
{
    for (;;) {
        int c = next_char(records);
        if (c == EOF) {
            (void)bad(err, "a quoted field is not closed");
            return CSV_ERROR;
        }
        if (c != '"') {
            buf_putc(&records->text, (char)c);
            continue;
        }
        c = next_char(records);
        if (c == '"') {
            buf_putc(&records->text, '"');
        } else if (c == records->separator) {
            return CSV_FIELD;
        } else if (ends_line(records, c)) {
            return CSV_LINE;
        } else {
            (void)bad(err, "text follows a closing quote");
            return CSV_ERROR;
        }
    }
}

static enum csv_end read_plain(struct records *records, int c, struct error *err)
{
    for (;; c = next_char(records)) {
        if (c == records->separator) {
            return CSV_FIELD;
        }
        if (ends_line(records, c)) {
            return CSV_LINE;
        }
        if (c == '"') {
            (void)bad(err, "a quote stands inside a field that does not start with one");
            return CSV_ERROR;
        }
        buf_putc(&records->text, (char)c);
    }
}

/* One field into records->text. */
static enum csv_end read_field(struct records *records, struct error *err)
{
    buf_reset(&records->text);
    int c = next_char(records);
    enum csv_end end = c == '"' ? read_quoted(records, err) : read_plain(records, c, err);
    if (end == CSV_ERROR) {
        skip_line(records);
    }
    return end;
}

/* The field just read, in the arena; NULL when it is not text. */
static const char *take_field(struct records *records, struct arena *arena, struct error *err)
{
    const char *text = buf_text(&records->text);
    if (records->text.failed) {
        (void)bad(err, "a field is too long");
        return NULL;
    }
    if (!utf8_valid(text, records->text.len)) {
        (void)bad(err, "a field is not valid UTF-8 text");
        return NULL;
    }
    return arena_strndup(arena, text, records->text.len);
}

/* The fields of one record, `*count` of them, at most RECORDS_MAX_FIELDS. NULL: `err`. */
static const char **read_csv_fields(
    struct records *records, struct arena *arena, size_t *count, struct error *err)
{
    const char **fields = arena_array(arena, RECORDS_MAX_FIELDS, sizeof(*fields));
    size_t bytes = 0;
    enum csv_end end = CSV_FIELD;
    bool ok = true; /* after a first fault the rest of the record is still read */
    for (*count = 0; end == CSV_FIELD; (*count)++) {
        struct error why;
        end = read_field(records, &why);
        bytes += records->text.len;
        const char *field = end != CSV_ERROR ? take_field(records, arena, &why) : NULL;
        if (field == NULL && ok) {
            ok = bad(err, why.text);
        }
        if (ok && (bytes > RECORDS_MAX_BYTES || *count == RECORDS_MAX_FIELDS)) {
            ok = bad(err, "the record is too long");
        }
        if (ok) {
            fields[*count] = field;
        }
    }
    return ok ? fields : NULL;
}

enum records_read records_fields(
    struct records *records, struct arena *arena, struct record *record, struct error *err)
{
    bool more = skip_empty_lines(records);
    *record = (struct record){.line = records->line};
    if (!more) {
        return RECORDS_END;
    }
    record->fields = read_csv_fields(records, arena, &record->count, err);
    return record->fields ? RECORDS_ONE : RECORDS_BAD;
}

char records_separator(const char *data, size_t len)
{
    static const char separators[] = ",;\t";
    size_t counts[3] = {0}, best = 0;
    bool quoted = false;
    for (size_t i = 0; i < len && (quoted || (data[i] != '\n' && data[i] != '\r')); i++) {
        const char *found = quoted || !data[i] ? NULL : strchr(separators, data[i]);
        quoted = quoted != (data[i] == '"');
        if (found) {
            counts[found - separators]++;
        }
    }
    for (size_t i = 1; i < 3; i++) {
        best = counts[i] > counts[best] ? i : best;
    }
    return separators[best];
}

/* ---- lines ---- */

enum records_read records_line(struct records *records, size_t *line, struct error *err)
{
    bool more = skip_empty_lines(records);
    *line = records->line;
    if (!more) {
        return RECORDS_END;
    }
    buf_reset(&records->text);
    int c = next_char(records);
    while (!ends_line(records, c)) {
        buf_putc(&records->text, (char)c);
        c = next_char(records);
    }
    if (records->text.failed) {
        (void)bad(err, "the line is too long");
        return RECORDS_BAD;
    }
    return RECORDS_ONE;
}
