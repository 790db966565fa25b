/* Fuzzes what `helpdesk dlq` makes of a dead letter: any bytes in headers, key and value give JSON that can
 * be read and text that steers no terminal. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cmd/dlq_view.h"

#define HEADERS 9
#define OUT_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* The next piece of the input: its length comes first. */
static const unsigned char *take(const unsigned char **data, size_t *size, size_t *len)
{
    *len = *size > 0 ? **data : 0;
    size_t head = *size > 0 ? 1 : 0;
    *len = *len < *size - head ? *len : *size - head;
    const unsigned char *piece = *data + head;
    *data += head + *len;
    *size -= head + *len;
    return piece;
}

static void check_text(const struct buf *out)
{
    must(!out->failed);
    for (size_t i = 0; i < out->len; i++) {
        unsigned char c = (unsigned char)out->data[i];
        must((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t');
    }
}

static void check_json(struct dlq_letter *letter, struct arena *arena, struct buf *out)
{
    cJSON *made = dlq_letter_json(letter, arena, true);
    char *text = cJSON_PrintUnformatted(made);
    buf_reset(out);
    term_escape_json(out, text);
    check_text(out);
    cJSON *read = json_parse(buf_text(out), out->len, NULL);
    must(read != NULL && cJSON_Compare(made, read, true));
    cJSON_Delete(read);
    cJSON_free(text);
    cJSON_Delete(made);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const char *const names[HEADERS] = {LETTER_PREFIX "class", LETTER_PREFIX "message",
        LETTER_PREFIX "attempts", LETTER_PREFIX "topic", LETTER_PREFIX "partition", LETTER_PREFIX "offset",
        LETTER_PREFIX "at", "correlation-id", "x\x1b]0;\xff"};
    struct bus_header headers[HEADERS];
    struct bus_record record = {.topic = "classifier.dead", .headers = headers, .header_count = HEADERS};
    for (size_t i = 0; i < HEADERS; i++) {
        headers[i].name = names[i];
        headers[i].value = take(&data, &size, &headers[i].len);
    }
    record.key = take(&data, &size, &record.key_len);
    record.value = data;
    record.value_len = size;

    struct arena *arena = arena_new(OUT_MAX);
    struct dlq_letter letter;
    struct buf out;
    buf_init(&out, OUT_MAX);
    struct term term = {.out = &out, .width = 80};
    dlq_letter_init(&letter, arena, "classifier", &record, false);
    dlq_view_brief(&term, &letter);
    dlq_view_whole(&term, &letter, arena);
    check_text(&out);
    check_json(&letter, arena, &out);
    dlq_letter_fini(&letter);
    buf_fini(&out);
    arena_free(arena);
    return 0;
}
