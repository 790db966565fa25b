/* Names the fields of a CSV file by its header; takes the members of JSON lines for fields. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/records.h"
#include "cmd/import_file.h"

struct import_file {
    FILE *stream;
    struct records records;
    bool json;
    bool broken;          /* a read failed, which was told */
    struct arena *header; /* of `names` */
    const char **names;
    size_t name_count;
};

/* ---- CSV ---- */

static enum import_read read_csv(
    struct import_file *file, struct arena *arena, struct import_record *out, struct error *err)
{
    struct record record;
    enum records_read read = records_fields(&file->records, arena, &record, err);
    *out = (struct import_record){record.line, record.count, file->names, record.fields};
    if (read != RECORDS_ONE) {
        return read == RECORDS_END ? IMPORT_END : IMPORT_BAD;
    }
    if (record.count != file->name_count) {
        error_set(err, ERROR_REJECT, "bad_record", "has %zu fields, the header has %zu", record.count,
            file->name_count);
        return IMPORT_BAD;
    }
    return IMPORT_RECORD;
}

static bool read_csv_header(struct import_file *file, struct error *err)
{
    struct record record;
    struct error why = {0};
    enum records_read got = records_fields(&file->records, file->header, &record, &why);
    if (got != RECORDS_ONE) {
        return error_set(err, ERROR_REJECT, "bad_header", "the header cannot be read: %s",
            got == RECORDS_END ? "the file is empty" : why.text);
    }
    file->names = record.fields;
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
        error_set(err, ERROR_REJECT, "bad_record", "the line is no JSON object");
        return IMPORT_BAD;
    }
    record->names = arena_array(arena, RECORDS_MAX_FIELDS, sizeof(*record->names));
    record->values = arena_array(arena, RECORDS_MAX_FIELDS, sizeof(*record->values));
    const cJSON *member;
    cJSON_ArrayForEach(member, object)
    {
        if (record->count == RECORDS_MAX_FIELDS ||
            !json_value(arena, &file->records.text, member, &record->values[record->count])) {
            error_set(err, ERROR_REJECT, "bad_record",
                "an object's members must be text, numbers, booleans or null, and not too many");
            return IMPORT_BAD;
        }
        record->names[record->count++] = arena_strdup(arena, member->string);
    }
    return IMPORT_RECORD;
}

static enum import_read read_json(
    struct import_file *file, struct arena *arena, struct import_record *record, struct error *err)
{
    enum records_read got = records_line(&file->records, &record->line, err);
    if (got != RECORDS_ONE) {
        return got == RECORDS_END ? IMPORT_END : IMPORT_BAD;
    }
    const struct buf *line = &file->records.text;
    cJSON *object = json_parse(buf_text(line), line->len, err);
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
    file->header = arena_new(0);
    skip_byte_order_mark(stream);
    records_init(&file->records, stream, ',');
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
        error_set(err, ERROR_REJECT, "bad_record", "the file cannot be read any further");
        return IMPORT_BAD;
    }
    return read;
}

void import_file_close(struct import_file *file)
{
    if (file != NULL) {
        (void)fclose(file->stream);
        records_fini(&file->records);
        arena_free(file->header);
        free(file);
    }
}
