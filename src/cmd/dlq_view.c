/* Dead letters on a terminal. */
#include "cmd/dlq_view.h"

#include <inttypes.h>
#include <string.h>
#include "base/clock.h"

#define LABEL_COLUMNS 14
#define KEY_MOST 64      /* bytes of a key in a list */
#define MESSAGE_MOST 160 /* bytes of a message in a list */
#define HEADER_MOST 4096 /* bytes of a header's value */
#define HEX_MOST 512     /* bytes of a value that nobody can decode */
#define HEX_LINE 16
#define ESCAPED_MAX ((size_t)64 << 10)

/* At most `most` bytes of it, escaped. */
static void put_bytes(struct term *term, enum term_style style, const void *data, size_t len, size_t most)
{
    struct buf text;
    buf_init(&text, ESCAPED_MAX);
    term_escape(&text, data, len < most ? len : most);
    term_put(term, style, buf_text(&text));
    buf_fini(&text);
    if (len > most) {
        term_printf(term, TERM_DIM, " ... (%zu bytes)", len);
    }
}

static void put_text(struct term *term, enum term_style style, const char *text, size_t most)
{
    put_bytes(term, style, text, strlen(text), most);
}

static void put_key(struct term *term, const struct bus_record *record, size_t most)
{
    if (record->key) {
        put_bytes(term, TERM_PLAIN, record->key, record->key_len, most);
    } else {
        term_put(term, TERM_DIM, "(none)");
    }
}

static void put_origin(struct term *term, const struct letter *why)
{
    if (!*why->topic) {
        term_put(term, TERM_YELLOW, "(the letter does not tell)");
        return;
    }
    put_text(term, TERM_PLAIN, why->topic, KEY_MOST);
    term_printf(term, TERM_PLAIN, " %" PRId64 ":%" PRId64, why->partition, why->offset);
}

static void put_place(struct term *term, const struct dlq_letter *letter)
{
    term_printf(term, TERM_BOLD, "%s %" PRId32 ":%" PRId64, letter->stage, letter->record->partition,
        letter->record->offset);
    if (letter->handled) {
        term_put(term, TERM_GREEN, "  handled");
    }
}

static void put_time(struct term *term, int64_t wall_ms)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_format(wall_ms, text);
    term_put(term, TERM_PLAIN, text);
}

void dlq_view_brief(struct term *term, const struct dlq_letter *letter)
{
    const struct letter *why = &letter->why;
    put_place(term, letter);
    term_put(term, TERM_PLAIN, "  ");
    put_time(term, why->died_at);
    term_put(term, TERM_PLAIN, "  ");
    put_text(term, TERM_RED, *why->error_class ? why->error_class : "(no class)", KEY_MOST);
    term_printf(
        term, TERM_DIM, "  %" PRId64 " %s", why->attempts, why->attempts == 1 ? "attempt" : "attempts");
    term_newline(term);
    term_put(term, TERM_DIM, "  from ");
    put_origin(term, why);
    term_put(term, TERM_DIM, "  key ");
    put_key(term, letter->record, KEY_MOST);
    term_newline(term);
    if (*why->message) {
        term_put(term, TERM_PLAIN, "  ");
        put_text(term, TERM_PLAIN, why->message, MESSAGE_MOST);
        term_newline(term);
    }
}

/* ---- everything of one ---- */

static void label(struct term *term, const char *name)
{
    term_pad(term, TERM_DIM, name, LABEL_COLUMNS);
}

static void view_why(struct term *term, const struct letter *why)
{
    label(term, "died");
    put_time(term, why->died_at);
    term_newline(term);
    label(term, "class");
    put_text(term, TERM_RED, why->error_class, HEADER_MOST);
    term_newline(term);
    label(term, "message");
    put_text(term, TERM_PLAIN, why->message, HEADER_MOST);
    term_newline(term);
    label(term, "attempts");
    term_printf(term, TERM_PLAIN, "%" PRId64, why->attempts);
    term_newline(term);
    label(term, "from");
    put_origin(term, why);
    term_newline(term);
}

static void view_id(struct term *term, const char *name, const char *id)
{
    if (*id) {
        label(term, name);
        put_text(term, TERM_PLAIN, id, HEADER_MOST);
        term_newline(term);
    }
}

static void view_headers(struct term *term, const struct bus_record *record)
{
    term_newline(term);
    term_printf(term, TERM_BOLD, "%zu headers", record->header_count);
    term_newline(term);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct bus_header *header = &record->headers[i];
        term_put(term, TERM_PLAIN, "  ");
        put_text(term, TERM_CYAN, header->name, HEADER_MOST);
        term_put(term, TERM_PLAIN, "  ");
        if (header->value) {
            put_bytes(term, TERM_PLAIN, header->value, header->len, HEADER_MOST);
        } else {
            term_put(term, TERM_DIM, "(null)");
        }
        term_newline(term);
    }
}

static void view_hex(struct term *term, const unsigned char *data, size_t len)
{
    size_t shown = len < HEX_MOST ? len : HEX_MOST;
    for (size_t line = 0; line < shown; line += HEX_LINE) {
        size_t count = shown - line < HEX_LINE ? shown - line : HEX_LINE;
        char text[HEX_LINE + 1] = "";
        term_printf(term, TERM_DIM, "  %06zx ", line);
        for (size_t i = 0; i < HEX_LINE; i++) {
            if (i < count) {
                unsigned char byte = data[line + i];
                term_printf(term, TERM_PLAIN, " %02x", byte);
                text[i] = (char)(byte >= 0x20 && byte < 0x7f ? byte : '.');
            } else {
                term_put(term, TERM_PLAIN, "   ");
            }
        }
        term_printf(term, TERM_DIM, "  %s", text);
        term_newline(term);
    }
    if (len > shown) {
        term_printf(term, TERM_DIM, "  ... and %zu bytes more; --json has them all", len - shown);
        term_newline(term);
    }
}

static void view_value(struct term *term, const struct dlq_letter *letter)
{
    const struct bus_record *record = letter->record;
    term_newline(term);
    if (!record->value) {
        term_put(term, TERM_BOLD, "No value");
        term_newline(term);
        return;
    }
    term_printf(term, TERM_BOLD, "%s, %zu bytes",
        letter->value ? letter->type : "Nobody can decode the value", record->value_len);
    term_newline(term);
    if (!letter->value) {
        view_hex(term, record->value, record->value_len);
        return;
    }
    char *json = cJSON_Print(letter->value);
    term_escape_json(term->out, json);
    cJSON_free(json);
    term_newline(term);
}

void dlq_view_whole(struct term *term, struct dlq_letter *letter, struct arena *arena)
{
    dlq_letter_identify(letter, arena);
    put_place(term, letter);
    if (!letter->handled) {
        term_put(term, TERM_YELLOW, "  waiting");
    }
    term_newline(term);
    view_why(term, &letter->why);
    label(term, "key");
    put_key(term, letter->record, HEADER_MOST);
    term_newline(term);
    view_id(term, "tenant", letter->tenant);
    view_id(term, "ticket", letter->ticket);
    view_id(term, "run", letter->correlation);
    label(term, "record's time");
    put_time(term, letter->record->timestamp);
    term_newline(term);
    view_headers(term, letter->record);
    view_value(term, letter);
}
