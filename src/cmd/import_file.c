/* Reads records of a CSV or JSON lines file, a record at a time, counting lines so that a bad one can be
 * found. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/utf8.h"
#include "cmd/import_file.h"

struct import_file {
    FILE *stream;
    bool json;
    bool broken;          /* a read failed, which was told */
    size_t line;          /* being read */
    struct buf text;      /* of the field or line being read */
    struct arena *header; /* of `names` */
    const char **names;
    size_t name_count;
};

static bool bad(struct error *err, const char *text)
{
    return error_set(err, ERROR_REJECT, "bad_record", "%s", text);
}

static int next_char(struct import_file *file)
{
    int c = getc(file->stream);
    file->line += c == '\n';
    return c;
}

/* The next character without taking it. */
static int peek_char(struct import_file *file)
{
    int c = getc(file->stream);
    if (c != EOF) {
        (void)ungetc(c, file->stream);
    }
    return c;
}

/* True when `c` ends a line; takes the LF of a CR LF. */
static bool ends_line(struct import_file *file, int c)
{
    if (c == '\r' && peek_char(file) == '\n') {
        c = next_char(file);
    }
    return c == '\n' || c == EOF;
}

static void skip_line(struct import_file *file)
{
    int c = next_char(file);
    while (c != '\n' && c != EOF) {
        c = next_char(file);
    }
}

/* ---- CSV ---- */

enum csv_end { CSV_COMMA, CSV_LINE, CSV_ERROR };

/* The opening quote is taken. */
static enum csv_end read_quoted(struct import_file *file, struct error *err)
{
    for (;;) {
        int c = next_char(file);
        if (c == EOF) {
            (void)bad(err, "a quoted field is not closed");
            return CSV_ERROR;
        }
        if (c != '"') {
            buf_putc(&file->text, (char)c);
            continue;
        }
        c = next_char(file);
        if (c == '"') {
            buf_putc(&file->text, '"');
        } else if (c == ',') {
            return CSV_COMMA;
        } else if (ends_line(file, c)) {
            return CSV_LINE;
        } else {
            (void)bad(err, "text follows a closing quote");
            return CSV_ERROR;
        }
    }
}

static enum csv_end read_plain(struct import_file *file, int c, struct error *err)
{
    for (;; c = next_char(file)) {
        if (c == ',') {
            return CSV_COMMA;
        }
        if (ends_line(file, c)) {
            return CSV_LINE;
        }
        if (c == '"') {
            (void)bad(err, "a quote stands inside a field that does not start with one");
            return CSV_ERROR;
        }
        buf_putc(&file->text, (char)c);
    }
}

/* One field into file->text. */
static enum csv_end read_field(struct import_file *file, struct error *err)
{
    buf_reset(&file->text);
    int c = next_char(file);
    enum csv_end end = c == '"' ? read_quoted(file, err) : read_plain(file, c, err);
    if (end == CSV_ERROR) {
        skip_line(file);
    }
    return end;
}

/* The field just read, in the arena; NULL when it is not text. */
static const char *take_field(struct import_file *file, struct arena *arena, struct error *err)
{
    const char *text = buf_text(&file->text);
    if (file->text.failed) {
        (void)bad(err, "a field is too long");
        return NULL;
    }
    if (!utf8_valid(text, file->text.len)) {
        (void)bad(err, "a field is not valid UTF-8 text");
        return NULL;
    }
    return arena_strndup(arena, text, file->text.len);
}

/* The fields of one record, `*count` of them, at most IMPORT_MAX_FIELDS. NULL: `err`. */
static const char **read_csv_fields(
    struct import_file *file, struct arena *arena, size_t *count, struct error *err)
{
    const char **fields = arena_array(arena, IMPORT_MAX_FIELDS, sizeof(*fields));
    size_t bytes = 0;
    enum csv_end end = CSV_COMMA;
    bool ok = true; /* after a first fault the rest of the record is still read */
    for (*count = 0; end == CSV_COMMA; (*count)++) {
        struct error why;
        end = read_field(file, &why);
        bytes += file->text.len;
        const char *field = end != CSV_ERROR ? take_field(file, arena, &why) : NULL;
        if (field == NULL && ok) {
            ok = bad(err, why.text);
        }
        if (ok && (bytes > IMPORT_MAX_RECORD || *count == IMPORT_MAX_FIELDS)) {
            ok = bad(err, "the record is too long");
        }
        if (ok) {
            fields[*count] = field;
        }
    }
    return ok ? fields : NULL;
}

static enum import_read read_csv(
    struct import_file *file, struct arena *arena, struct import_record *record, struct error *err)
{
    int c = peek_char(file);
    while (c == '\n' || c == '\r') { /* empty lines */
        (void)next_char(file);
        c = peek_char(file);
    }
    record->line = file->line;
    if (c == EOF) {
        return IMPORT_END;
    }
    record->values = read_csv_fields(file, arena, &record->count, err);
    record->names = file->names;
    if (record->values == NULL) {
        return IMPORT_BAD;
    }
    if (record->count != file->name_count) {
        error_set(err, ERROR_REJECT, "bad_record", "has %zu fields, the header has %zu", record->count,
            file->name_count);
        return IMPORT_BAD;
    }
    return IMPORT_RECORD;
}

static bool read_csv_header(struct import_file *file, struct error *err)
{
    struct import_record record = {0};
    struct error why = {0};
    file->name_count = 0;
    enum import_read got = read_csv(file, file->header, &record, &why);
    if (got == IMPORT_END || record.values == NULL) {
        return error_set(err, ERROR_REJECT, "bad_header", "the header cannot be read: %s",
            got == IMPORT_END ? "the file is empty" : why.text);
    }
    file->names = record.values;
    file->name_count = record.count;
    for (size_t i = 0; i < file->name_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(file->names[i], file->names[j]) == 0) {
                return error_set(err, ERROR_REJECT, "bad_header", "the header names column %zu and %zu alike",
                    j + 1, i + 1);
            }
        }
    }
    return true;
}

/* ---- JSON lines ---- */

static bool read_json_line(struct import_file *file, struct error *err)
{
    buf_reset(&file->text);
    int c = next_char(file);
    while (!ends_line(file, c)) {
        buf_putc(&file->text, (char)c);
        c = next_char(file);
    }
    return !file->text.failed || bad(err, "the line is too long");
}

/* A member's value as text, NULL for null; numbers as they are written. */
static bool json_value(struct arena *arena, const struct buf *line, const cJSON *member, const char **value)
{
    const char *raw;
    size_t len;
    *value = NULL;
    if (cJSON_IsString(member)) {
        *value = arena_strdup(arena, member->valuestring);
    } else if (cJSON_IsNumber(member)) {
        if (!json_raw_member(buf_text(line), line->len, NULL, member->string, &raw, &len)) {
            return false;
        }
        *value = arena_strndup(arena, raw, len);
    } else if (cJSON_IsBool(member)) {
        *value = cJSON_IsTrue(member) ? "true" : "false";
    }
    return *value != NULL || cJSON_IsNull(member);
}

static enum import_read take_json(struct import_file *file, struct arena *arena, const cJSON *object,
    struct import_record *record, struct error *err)
{
    if (!cJSON_IsObject(object)) {
        (void)bad(err, "the line is no JSON object");
        return IMPORT_BAD;
    }
    record->names = arena_array(arena, IMPORT_MAX_FIELDS, sizeof(*record->names));
    record->values = arena_array(arena, IMPORT_MAX_FIELDS, sizeof(*record->values));
    const cJSON *member;
    cJSON_ArrayForEach(member, object)
    {
        if (record->count == IMPORT_MAX_FIELDS ||
            !json_value(arena, &file->text, member, &record->values[record->count])) {
            (void)bad(err, "an object's members must be text, numbers, booleans or null, and not too many");
            return IMPORT_BAD;
        }
        record->names[record->count++] = arena_strdup(arena, member->string);
    }
    return IMPORT_RECORD;
}

static enum import_read read_json(
    struct import_file *file, struct arena *arena, struct import_record *record, struct error *err)
{
    int c = peek_char(file);
    while (c == '\n' || c == '\r') {
        (void)next_char(file);
        c = peek_char(file);
    }
    record->line = file->line;
    if (c == EOF) {
        return IMPORT_END;
    }
    if (!read_json_line(file, err)) {
        return IMPORT_BAD;
    }
    cJSON *object = json_parse(buf_text(&file->text), file->text.len, err);
    if (object == NULL) {
        return IMPORT_BAD;
    }
    enum import_read read = take_json(file, arena, object, record, err);
    cJSON_Delete(object);
    return read;
}

/* ---- both ---- */

/* EF BB BF; no name of ours starts with EF. */
static void skip_byte_order_mark(FILE *stream)
{
    int c = getc(stream);
    if (c == 0xEF) {
        (void)getc(stream);
        (void)getc(stream);
    } else if (c != EOF) {
        (void)ungetc(c, stream);
    }
}

static bool has_extension(const char *path, const char *extension)
{
    size_t len = strlen(path), tail = strlen(extension);
    return len >= tail && strcmp(path + len - tail, extension) == 0;
}

struct import_file *import_file_open(const char *path, struct error *err)
{
    FILE *stream = fopen(path, "re");
    if (stream == NULL) {
        error_set(err, ERROR_REJECT, "cannot_open", "%s: %s", path, strerror(errno));
        return NULL;
    }
    struct import_file *file = xcalloc(1, sizeof(*file));
    file->stream = stream;
    file->json = has_extension(path, ".jsonl");
    file->line = 1;
    file->header = arena_new(0);
    buf_init(&file->text, IMPORT_MAX_RECORD);
    skip_byte_order_mark(stream);
    if (!file->json && !read_csv_header(file, err)) {
        import_file_close(file);
        return NULL;
    }
    return file;
}

enum import_read import_file_read(
    struct import_file *file, struct arena *arena, struct import_record *record, struct error *err)
{
    *record = (struct import_record){0};
    enum import_read read =
        file->json ? read_json(file, arena, record, err) : read_csv(file, arena, record, err);
    if (read == IMPORT_END && ferror(file->stream) != 0 && !file->broken) {
        file->broken = true;
        (void)bad(err, "the file cannot be read any further");
        return IMPORT_BAD;
    }
    return read;
}

void import_file_close(struct import_file *file)
{
    if (file != NULL) {
        (void)fclose(file->stream);
        buf_fini(&file->text);
        arena_free(file->header);
        free(file);
    }
}
