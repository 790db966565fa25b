/* Reading dead letters. */
#include "engine/letter.h"

#include <string.h>
#include "base/clock.h"
#include "base/parse.h"
#include "base/utf8.h"

static const char *header_text(struct arena *arena, const struct bus_record *record, const char *name)
{
    const struct bus_header *header = bus_record_header(record, name);
    return header && header->value ? utf8_repair(arena, header->value, header->len) : "";
}

static int64_t header_number(
    struct arena *arena, const struct bus_record *record, const char *name, int64_t fallback)
{
    int64_t number;
    return parse_int64(header_text(arena, record, name), &number) && number >= 0 ? number : fallback;
}

void letter_read(struct arena *arena, const struct bus_record *record, struct letter *letter)
{
    *letter = (struct letter){
        .error_class = header_text(arena, record, LETTER_PREFIX "class"),
        .message = header_text(arena, record, LETTER_PREFIX "message"),
        .attempts = header_number(arena, record, LETTER_PREFIX "attempts", 0),
        .topic = header_text(arena, record, LETTER_PREFIX "topic"),
        .partition = header_number(arena, record, LETTER_PREFIX "partition", -1),
        .offset = header_number(arena, record, LETTER_PREFIX "offset", -1),
        .died_at = record->timestamp,
    };
    int64_t died_at;
    if (clock_parse(header_text(arena, record, LETTER_PREFIX "at"), &died_at)) {
        letter->died_at = died_at;
    }
}

struct bus_record letter_original(struct arena *arena, const struct bus_record *record, const char *topic)
{
    struct bus_record original = *record;
    struct bus_header *headers = arena_array(arena, record->header_count, sizeof(*headers));
    size_t count = 0;
    for (size_t i = 0; i < record->header_count; i++) {
        if (strncmp(record->headers[i].name, LETTER_PREFIX, strlen(LETTER_PREFIX)) != 0) {
            headers[count++] = record->headers[i];
        }
    }
    original.topic = topic;
    original.partition = -1;
    original.timestamp = record->timestamp < 0 ? 0 : record->timestamp;
    original.headers = headers;
    original.header_count = count;
    return original;
}
