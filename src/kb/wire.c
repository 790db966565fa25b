/* Encodes and decodes what the parsing process answers: a status byte, then strings with their lengths. */
#include "kb/wire.h"

#include <stdio.h>
#include <string.h>
#include "base/utf8.h"

enum status { STATUS_FAILED, STATUS_DOCUMENT };

/* ---- encoding ---- */

static void put_count(struct buf *out, size_t count)
{
    uint32_t number = (uint32_t)count;
    buf_append(out, &number, sizeof(number));
}

/* With its NUL, so that the reader can use it where it lies. */
static void put_text(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    put_count(out, len);
    buf_append(out, text, len + 1);
}

void kb_wire_encode(struct buf *out, const struct kb_document *document, const struct error *err)
{
    if (!document) {
        buf_putc(out, STATUS_FAILED);
        put_text(out, err->code);
        put_text(out, err->text);
        return;
    }
    buf_putc(out, STATUS_DOCUMENT);
    put_text(out, document->title);
    put_text(out, document->locale);
    put_text(out, document->withdrawn);
    buf_append(out, &document->expires_ms, sizeof(document->expires_ms));
    put_count(out, document->passage_count);
    for (size_t i = 0; i < document->passage_count; i++) {
        const struct kb_passage *passage = &document->passages[i];
        put_text(out, passage->heading_path);
        put_text(out, passage->anchor);
        put_text(out, passage->text);
    }
}

/* ---- decoding ---- */

struct reader {
    const char *at, *end;
    bool failed;
};

static uint32_t take_count(struct reader *reader, size_t max)
{
    uint32_t count = 0;
    if (reader->failed || (size_t)(reader->end - reader->at) < sizeof(count)) {
        reader->failed = true;
        return 0;
    }
    memcpy(&count, reader->at, sizeof(count));
    reader->at += sizeof(count);
    reader->failed = count > max;
    return reader->failed ? 0 : count;
}

static const char *take_text(struct reader *reader, size_t max)
{
    size_t len = take_count(reader, max);
    if (reader->failed || (size_t)(reader->end - reader->at) <= len || reader->at[len] != '\0' ||
        !utf8_valid(reader->at, len)) {
        reader->failed = true;
        return "";
    }
    const char *text = reader->at;
    reader->at += len + 1;
    return text;
}

static int64_t take_time(struct reader *reader)
{
    int64_t wall_ms = 0;
    if (reader->failed || (size_t)(reader->end - reader->at) < sizeof(wall_ms)) {
        reader->failed = true;
        return 0;
    }
    memcpy(&wall_ms, reader->at, sizeof(wall_ms));
    reader->at += sizeof(wall_ms);
    return wall_ms;
}

static bool malformed(struct error *err)
{
    return error_set(err, ERROR_REJECT, "kb_parser_reply", "the document broke the program that reads it");
}

static bool take_failure(struct reader *reader, struct error *err)
{
    const char *code = take_text(reader, sizeof(err->code) - 1);
    const char *text = take_text(reader, sizeof(err->text) - 1);
    if (reader->failed || reader->at != reader->end || utf8_blank(text)) {
        return malformed(err);
    }
    return error_set(err, ERROR_REJECT, code, "%s", text);
}

bool kb_wire_decode(
    struct arena *arena, const char *data, size_t len, struct kb_document *out, struct error *err)
{
    struct reader reader = {.at = data + 1, .end = data + len, .failed = len == 0};
    if (reader.failed || data[0] == STATUS_FAILED) {
        return reader.failed ? malformed(err) : take_failure(&reader, err);
    }
    out->title = take_text(&reader, KB_WIRE_HEADING_MAX);
    out->locale = take_text(&reader, KB_WIRE_HEADING_MAX);
    out->withdrawn = take_text(&reader, KB_WIRE_HEADING_MAX);
    out->expires_ms = take_time(&reader);
    out->passage_count = take_count(&reader, KB_MAX_PASSAGES);
    out->passages = arena_array(arena, out->passage_count, sizeof(*out->passages));
    size_t bytes = 0;
    for (size_t i = 0; i < out->passage_count && !reader.failed; i++) {
        struct kb_passage *passage = &out->passages[i];
        passage->heading_path = take_text(&reader, KB_WIRE_HEADING_MAX);
        passage->anchor = take_text(&reader, KB_WIRE_HEADING_MAX);
        passage->text = take_text(&reader, KB_MAX_TEXT);
        bytes += strlen(passage->text);
    }
    if (data[0] != STATUS_DOCUMENT || reader.failed || reader.at != reader.end ||
        (out->passage_count == 0) != (*out->withdrawn != '\0') || bytes > KB_MAX_TEXT ||
        utf8_blank(out->title)) {
        return malformed(err);
    }
    return true;
}
