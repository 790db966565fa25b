/* Plain text: paragraphs between blank lines; a short line of its own above a text is a heading. */
#include <ctype.h>
#include <string.h>
#include "base/utf8.h"
#include "kb/cut.h"

#define HEADING_BYTES 70
#define TITLE_BYTES 120

struct lines {
    struct arena *arena;
    const char **items;
    size_t count;
};

static struct lines split_lines(struct arena *arena, const char *data, size_t len)
{
    size_t count = 1;
    for (size_t i = 0; i < len; i++) {
        count += data[i] == '\n';
    }
    struct lines lines = {.arena = arena, .items = arena_array(arena, count, sizeof(char *))};
    for (size_t start = 0; start < len;) {
        const char *newline = memchr(data + start, '\n', len - start);
        size_t end = newline ? (size_t)(newline - data) : len;
        size_t stop = end;
        while (stop > start && isspace((unsigned char)data[stop - 1])) {
            stop--;
        }
        lines.items[lines.count++] = arena_strndup(arena, data + start, stop - start);
        start = end + 1;
    }
    return lines;
}

static bool blank(const struct lines *lines, size_t i)
{
    return i >= lines->count || utf8_blank(lines->items[i]);
}

static bool is_underline(const struct lines *lines, size_t i)
{
    if (i >= lines->count) {
        return false;
    }
    const char *line = lines->items[i];
    size_t len = strlen(line);
    return len >= 3 && (strspn(line, "=") == len || strspn(line, "-") == len);
}

static bool is_item(const char *line)
{
    line += strspn(line, " \t");
    if ((*line == '-' || *line == '*') && line[1] == ' ') {
        return true;
    }
    size_t digits = strspn(line, "0123456789");
    return digits > 0 && digits < 4 && (line[digits] == '.' || line[digits] == ')') &&
           line[digits + 1] == ' ';
}

/* A short line after a blank one that ends like no sentence does, with text after it. */
static bool is_heading(const struct lines *lines, size_t i)
{
    const char *line = lines->items[i];
    size_t len = strlen(line);
    if (len == 0 || len > HEADING_BYTES || is_item(line) || (i > 0 && !blank(lines, i - 1))) {
        return false;
    }
    if (strchr(".,;:!?", line[len - 1]) || isspace((unsigned char)line[0])) {
        return false;
    }
    return !blank(lines, i + 1) && strlen(lines->items[i + 1]) > len && !is_item(lines->items[i + 1]);
}

/* Lines of a paragraph are joined; items keep their lines. */
static size_t take_block(struct kb_cut *cut, const struct lines *lines, size_t i)
{
    size_t room = 1, end = i;
    for (; !blank(lines, end); end++) {
        room += strlen(lines->items[end]) + 1;
    }
    char *text = arena_alloc(lines->arena, room);
    size_t used = 0;
    bool items = false;
    for (size_t at = i; at < end; at++) {
        const char *line = lines->items[at];
        bool item = is_item(line);
        items = items || item;
        if (used) {
            text[used++] = item ? '\n' : ' ';
        }
        line += strspn(line, " \t");
        size_t len = strlen(line);
        memcpy(text + used, line, len);
        used += len;
    }
    text[used] = '\0';
    kb_cut_block(cut, items ? KB_BLOCK_LINES : KB_BLOCK_TEXT, text);
    return end;
}

bool kb_parse_text(struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err)
{
    (void)err;
    struct lines lines = split_lines(arena, data, len);
    size_t i = 0;
    while (i < lines.count && blank(&lines, i)) {
        i++;
    }
    size_t last = lines.count;
    while (last > i && blank(&lines, last - 1)) {
        last--;
    }
    if (i + 1 < last && strlen(lines.items[i]) <= TITLE_BYTES && /* a single line is the text itself */
        (blank(&lines, i + 1) || is_underline(&lines, i + 1))) {
        kb_cut_heading(cut, 1, lines.items[i], "");
        i += is_underline(&lines, i + 1) ? 2 : 1;
    }
    while (i < lines.count) {
        if (blank(&lines, i)) {
            i++;
        } else if (is_underline(&lines, i + 1) && strlen(lines.items[i]) <= TITLE_BYTES) {
            kb_cut_heading(cut, 2, lines.items[i], "");
            i += 2;
        } else if (is_heading(&lines, i)) {
            kb_cut_heading(cut, 2, lines.items[i], "");
            i++;
        } else {
            i = take_block(cut, &lines, i);
        }
    }
    return true;
}
