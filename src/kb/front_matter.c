/* The front matter of a Markdown document: YAML between two lines of "---", or TOML between two of "+++", as
 * Jekyll, Hugo and others write it. Of both only what such files say at the top: "name: value" or
 * "name = value" on one line. */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "base/clock.h"
#include "kb/cut.h"

#define VALUE_SHOWN 60 /* bytes of a value in a message */

/* ---- values ---- */

/* A YAML scalar without its quotes and comment. */
static char *scalar(char *value)
{
    char quote = *value;
    if (quote == '"' || quote == '\'') {
        char *end = strchr(value + 1, quote);
        if (end && (!end[1] || end[1] == ' ')) {
            *end = '\0';
            return value + 1;
        }
        return value;
    }
    char *comment = *value == '#' ? value : strstr(value, " #");
    if (comment) {
        *comment = '\0';
    }
    return value;
}

static bool is_one_of(const char *value, const char *const *words)
{
    for (; *words; words++) {
        if (!strcasecmp(value, *words)) {
            return true;
        }
    }
    return false;
}

static bool is_true(const char *value)
{
    static const char *const words[] = {"true", "yes", "on", NULL};
    return is_one_of(value, words);
}

static bool is_false(const char *value)
{
    static const char *const words[] = {"false", "no", "off", NULL};
    return is_one_of(value, words);
}

static bool is_nothing(const char *value)
{
    static const char *const words[] = {"", "~", "null", "never", NULL};
    return is_one_of(value, words) || is_false(value);
}

/* "2026-11-30" (its start), "2026-11-30T12:00:00Z", "2026-11-30 12:00:00", "2026-11-30 12:00:00 +0100";
 * without an offset it is UTC. */
static bool read_time(struct arena *arena, const char *value, int64_t *wall_ms)
{
    char *text = arena_strdup(arena, value);
    size_t len = strlen(text);
    if (len == strlen("2026-11-30")) {
        return clock_parse(arena_printf(arena, "%sT00:00:00Z", text), wall_ms);
    }
    char *offset = len > strlen("2026-11-30 12:00:00") ? strpbrk(text + strlen("2026-11-30 "), "+-Zz") : NULL;
    if (!offset) {
        return clock_parse(arena_printf(arena, "%sZ", text), wall_ms);
    }
    int time = (int)(offset - text - (offset[-1] == ' '));
    bool compact = strlen(offset) == strlen("+0100") && isdigit((unsigned char)offset[3]);
    return clock_parse(arena_printf(arena, "%.*s%.*s%s%s", time, text, compact ? 3 : 0, offset,
                           compact ? ":" : "", compact ? offset + 3 : offset),
        wall_ms);
}

/* ---- members ---- */

static void read_status(struct kb_cut *cut, struct arena *arena, const char *value)
{
    static const char *const hidden[] = {"draft", "withdrawn", "archived", NULL};
    if (is_one_of(value, hidden)) {
        kb_cut_withdraw(cut, arena_printf(arena, "its status is %s", value));
    }
}

static bool read_expiry(
    struct kb_cut *cut, struct arena *arena, const char *name, const char *value, struct error *err)
{
    int64_t wall_ms;
    if (is_nothing(value)) {
        return true;
    }
    if (!read_time(arena, value, &wall_ms) || wall_ms <= 0) {
        return error_set(err, ERROR_REJECT, "kb_front_matter",
            "%s of the front matter is \"%.*s\", should be a time such as 2026-11-30 or 2026-11-30T12:00:00Z",
            name, VALUE_SHOWN, value);
    }
    kb_cut_expire(cut, wall_ms);
    return true;
}

static bool read_member(
    struct kb_cut *cut, struct arena *arena, const char *name, const char *value, struct error *err)
{
    if (!strcasecmp(name, "title")) {
        kb_cut_title(cut, value);
    } else if (!strcasecmp(name, "locale") || !strcasecmp(name, "lang") || !strcasecmp(name, "language")) {
        kb_cut_locale(cut, value);
    } else if (!strcasecmp(name, "status")) {
        read_status(cut, arena, value);
    } else if (!strcasecmp(name, "draft") && is_true(value)) {
        kb_cut_withdraw(cut, "it is a draft");
    } else if (!strcasecmp(name, "published") && is_false(value)) {
        kb_cut_withdraw(cut, "it is not published");
    } else if (!strcasecmp(name, "expires") || !strcasecmp(name, "expiryDate")) {
        return read_expiry(cut, arena, name, value, err);
    }
    return true;
}

/* A language of front matter. */
struct form {
    const char *fences[2]; /* the lines that end it; the first one begins it, too */
    char separator;        /* of name and value */
};

static const struct form forms[] = {{{"---", "..."}, ':'}, {{"+++", "+++"}, '='}};

/* The name of the line's member; NULL: it has none. What is indented belongs to the member above it. */
static const char *member_of(
    const struct form *form, struct arena *arena, const char *line, size_t len, size_t *value)
{
    const char *separator = memchr(line, form->separator, len);
    if (!separator || isspace((unsigned char)*line) || *line == '#') {
        return NULL;
    }
    *value = (size_t)(separator - line) + 1;
    return scalar(kb_squeeze(arena, arena_strndup(arena, line, *value - 1)));
}

static bool read_line(struct kb_cut *cut, const struct form *form, struct arena *arena, const char *line,
    size_t len, struct error *err)
{
    size_t at;
    const char *name = member_of(form, arena, line, len, &at);
    if (!name) {
        return true;
    }
    char *value = kb_squeeze(arena, arena_strndup(arena, line + at, len - at));
    return read_member(cut, arena, name, scalar(value), err);
}

/* ---- where it is ---- */

static size_t trimmed(const char *line, size_t len)
{
    while (len > 0 && isspace((unsigned char)line[len - 1])) {
        len--;
    }
    return len;
}

static bool is_fence(const char *line, size_t len, const char *mark)
{
    return trimmed(line, len) == 3 && !memcmp(line, mark, 3);
}

/* Of the line after the last one; 0: there is none. */
static size_t find_end(const struct form *form, const char *data, size_t len, size_t start)
{
    for (size_t at = start; at < len;) {
        size_t line = strcspn(data + at, "\n");
        if (is_fence(data + at, line, form->fences[0]) || is_fence(data + at, line, form->fences[1])) {
            return at + line;
        }
        at += line + 1;
    }
    return 0;
}

/* Without an end it is text like other text, unless that would show what was to be hidden. */
static bool check_unended(const struct form *form, struct arena *arena, const char *data, size_t len,
    size_t start, struct error *err)
{
    static const char *const hiding[] = {"status", "draft", "published", "expires", "expiryDate", NULL};
    for (size_t at = start; at < len;) {
        size_t line = strcspn(data + at, "\n"), value;
        const char *name = member_of(form, arena, data + at, line, &value);
        if (name && is_one_of(name, hiding)) {
            return error_set(err, ERROR_REJECT, "kb_front_matter",
                "the front matter has no end: a line with %s alone is missing below \"%s\"", form->fences[0],
                name);
        }
        if (trimmed(data + at, line) == 0) {
            break;
        }
        at += line + 1;
    }
    return true;
}

bool kb_front_matter(
    struct kb_cut *cut, struct arena *arena, const char *data, size_t len, size_t *body, struct error *err)
{
    size_t start = strspn(data, " \t\r\n"), first = strcspn(data + start, "\n"), at = start + first + 1,
           value;
    const struct form *form = is_fence(data + start, first, "+++") ? &forms[1] : &forms[0];
    *body = 0;
    if (!is_fence(data + start, first, form->fences[0]) ||
        /* Below empty lines it may be a rule between texts. */
        (start > 0 && (at >= len || !member_of(form, arena, data + at, strcspn(data + at, "\n"), &value)))) {
        return true;
    }
    *body = find_end(form, data, len, at);
    if (*body == 0) {
        return check_unended(form, arena, data, len, at, err);
    }
    while (at < *body) {
        size_t line = strcspn(data + at, "\n");
        if (!read_line(cut, form, arena, data + at, line, err)) {
            return false;
        }
        at += line + 1;
    }
    return true;
}
