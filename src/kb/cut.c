/* Cuts headings and blocks into passages of about a paragraph's size, each with its heading path and anchor.
 */
#include "kb/cut.h"

#include <ctype.h>
#include <string.h>
#include <utf8proc.h>
#include "base/buf.h"
#include "base/utf8.h"
#include "model/text.h"

#define CUT_STANDS_ALONE 30 /* words from which a section is a passage of its own */
#define CUT_LONG 300        /* words of a passage */
#define CUT_LONG_WHOLE 600  /* words of a list, table or listing that stays whole */
#define CUT_HEADING_BYTES 200
#define CUT_LEVELS 6
#define CUT_BYTES_PER_WORD 8 /* text without spaces counts as words of this length */

struct cut_anchor {
    const char *slug;
    unsigned uses;
    struct cut_anchor *next;
};

struct kb_cut {
    struct arena *arena;
    const char *title;
    const char *locale;
    const char *withdrawn;            /* NULL: it is not */
    int64_t expires_ms;               /* 0: never */
    const char *headings[CUT_LEVELS]; /* by level - 1; the title is not among them */
    int level;                        /* of the newest heading, 0 at the top */
    const char *anchor;               /* of the newest heading */
    struct cut_anchor *anchors[64];   /* slugs in use, by hash */
    /* The passage being filled: */
    const char **pieces;
    size_t piece_count, piece_capacity;
    size_t words;
    int passage_level;
    const char *passage_path, *passage_anchor;
    /* Those done: */
    struct kb_passage *passages;
    size_t count, capacity;
    size_t bytes_left;
    bool too_many;
};

struct kb_cut *kb_cut_new(struct arena *arena, size_t max)
{
    struct kb_cut *cut = ARENA_NEW(arena, struct kb_cut);
    cut->arena = arena;
    cut->bytes_left = max;
    cut->anchor = cut->passage_anchor = cut->passage_path = "";
    return cut;
}

/* An array of the arena that has room for one more item. */
static void *grow(struct arena *arena, void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return items;
    }
    *capacity = *capacity ? *capacity * 2 : 16;
    void *grown = arena_array(arena, *capacity, size);
    if (count) {
        memcpy(grown, items, count * size);
    }
    return grown;
}

char *kb_squeeze(struct arena *arena, const char *text)
{
    char *out = arena_alloc(arena, strlen(text) + 1);
    size_t len = 0;
    for (const char *c = text; *c; c++) {
        bool space = isspace((unsigned char)*c) || ((unsigned char)*c < 0x20);
        if (!strncmp(c, "\xc2\xa0", 2)) { /* no-break space */
            space = true;
            c++;
        }
        if (!space) {
            out[len++] = *c;
        } else if (len && out[len - 1] != ' ') {
            out[len++] = ' ';
        }
    }
    while (len && out[len - 1] == ' ') {
        len--;
    }
    out[len] = '\0';
    return out;
}

static const char *clipped(struct arena *arena, const char *text, size_t max)
{
    char *squeezed = kb_squeeze(arena, text);
    squeezed[utf8_clip(squeezed, max)] = '\0';
    return squeezed;
}

/* ---- titles, locales, anchors ---- */

void kb_cut_title(struct kb_cut *cut, const char *text)
{
    if (!cut->title && !utf8_blank(text)) {
        cut->title = clipped(cut->arena, text, CUT_HEADING_BYTES);
    }
}

void kb_cut_withdraw(struct kb_cut *cut, const char *why)
{
    if (!cut->withdrawn) {
        cut->withdrawn = clipped(cut->arena, why, CUT_HEADING_BYTES);
    }
}

void kb_cut_expire(struct kb_cut *cut, int64_t wall_ms)
{
    if (!cut->expires_ms || wall_ms < cut->expires_ms) {
        cut->expires_ms = wall_ms;
    }
}

bool kb_is_locale(const char *text)
{
    size_t letters = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (letters < 2 || letters > 3 || strlen(text) > 12) {
        return false;
    }
    const char *rest = text + letters;
    if (!*rest) {
        return true;
    }
    if ((*rest != '-' && *rest != '_') || !rest[1]) {
        return false;
    }
    for (const char *c = rest + 1; *c; c++) {
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_') {
            return false;
        }
    }
    return true;
}

void kb_cut_locale(struct kb_cut *cut, const char *text)
{
    if (cut->locale || !kb_is_locale(text)) {
        return;
    }
    char *locale = arena_strdup(cut->arena, text);
    for (char *c = locale; *c; c++) {
        *c = *c == '_' ? '-' : *c;
    }
    cut->locale = locale;
}

/* GitHub's rule: lower case, only letters, digits, '-' and '_' stay, a space becomes '-'. */
static char *slug_of(struct arena *arena, const char *text)
{
    size_t len = strlen(text), used = 0;
    char *out =
        arena_alloc(arena, len * 2 + 5); /* lower case takes at most 4 bytes, and at most twice as many */
    for (size_t at = 0; at < len;) {
        utf8proc_int32_t point;
        utf8proc_ssize_t step =
            utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(len - at), &point);
        if (step <= 0) {
            break;
        }
        at += (size_t)step;
        utf8proc_category_t category = utf8proc_category(point);
        bool letter = (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO);
        if (point == ' ') {
            point = '-';
        } else if (!letter && point != '-' && point != '_') {
            continue;
        }
        used += (size_t)utf8proc_encode_char(utf8proc_tolower(point), (utf8proc_uint8_t *)out + used);
    }
    out[used] = '\0';
    return out;
}

/* The same slug again gets -1, -2 and so on. */
static const char *unique_slug(struct kb_cut *cut, const char *text)
{
    char *slug = slug_of(cut->arena, text);
    unsigned hash = 5381;
    for (const char *c = slug; *c; c++) {
        hash = hash * 33 + (unsigned char)*c;
    }
    struct cut_anchor **slot = &cut->anchors[hash % 64];
    for (struct cut_anchor *anchor = *slot; anchor; anchor = anchor->next) {
        if (!strcmp(anchor->slug, slug)) {
            return arena_printf(cut->arena, "%s-%u", slug, anchor->uses++);
        }
    }
    struct cut_anchor *anchor = ARENA_NEW(cut->arena, struct cut_anchor);
    *anchor = (struct cut_anchor){.slug = slug, .uses = 1, .next = *slot};
    *slot = anchor;
    return slug;
}

/* ---- passages ---- */

static size_t words_of(const char *text, size_t len)
{
    size_t words = 0;
    bool inside = false;
    for (size_t i = 0; i < len; i++) {
        bool space = isspace((unsigned char)text[i]);
        words += !space && !inside;
        inside = !space;
    }
    return words > len / CUT_BYTES_PER_WORD ? words : len / CUT_BYTES_PER_WORD;
}

static const char *path_now(struct kb_cut *cut)
{
    const char *path = "";
    for (int i = 0; i < cut->level; i++) {
        if (cut->headings[i]) {
            path = *path ? arena_printf(cut->arena, "%s > %s", path, cut->headings[i]) : cut->headings[i];
        }
    }
    return path;
}

static void start_passage(struct kb_cut *cut)
{
    cut->passage_level = cut->level;
    cut->passage_path = path_now(cut);
    cut->passage_anchor = cut->anchor;
}

static void flush(struct kb_cut *cut)
{
    if (cut->piece_count && cut->count < KB_MAX_PASSAGES) {
        size_t len = 0;
        for (size_t i = 0; i < cut->piece_count; i++) {
            len += strlen(cut->pieces[i]) + 2;
        }
        char *text = arena_alloc(cut->arena, len + 1);
        size_t used = 0;
        for (size_t i = 0; i < cut->piece_count; i++) {
            size_t piece = strlen(cut->pieces[i]);
            memcpy(text + used, cut->pieces[i], piece);
            used += piece;
            if (i + 1 < cut->piece_count) {
                memcpy(text + used, "\n\n", 2);
                used += 2;
            }
        }
        cut->passages = grow(cut->arena, cut->passages, cut->count, &cut->capacity, sizeof(*cut->passages));
        cut->passages[cut->count++] = (struct kb_passage){cut->passage_path, cut->passage_anchor, text};
    } else if (cut->piece_count) {
        cut->too_many = true;
    }
    cut->piece_count = 0;
    cut->words = 0;
    start_passage(cut);
}

static void append(struct kb_cut *cut, const char *text, size_t words)
{
    if (cut->words && cut->words + words > CUT_LONG) {
        flush(cut);
    }
    if (!cut->piece_count) {
        start_passage(cut);
    }
    cut->pieces = grow(cut->arena, cut->pieces, cut->piece_count, &cut->piece_capacity, sizeof(*cut->pieces));
    cut->pieces[cut->piece_count++] = text;
    cut->words += words;
}

void kb_cut_heading(struct kb_cut *cut, int level, const char *text, const char *anchor)
{
    const char *name = clipped(cut->arena, text, CUT_HEADING_BYTES);
    if (!*name) {
        return;
    }
    /* A few words above a deeper heading introduce it: they become part of its passage. */
    bool introduces = cut->words < CUT_STANDS_ALONE && level > cut->passage_level;
    if (!introduces) {
        flush(cut);
    }
    bool is_title = level == 1 && (!cut->title || !strcmp(cut->title, name));
    if (is_title) {
        kb_cut_title(cut, name);
    }
    for (int i = level - 1; i < CUT_LEVELS; i++) {
        cut->headings[i] = NULL;
    }
    if (!is_title) {
        cut->headings[level - 1] = name;
    }
    cut->level = level;
    cut->anchor = anchor ? arena_strdup(cut->arena, anchor) : unique_slug(cut, name);
    if (introduces) {
        start_passage(cut);
    }
}

void kb_cut_place(struct kb_cut *cut, const char *anchor)
{
    if (cut->words >= CUT_STANDS_ALONE) {
        flush(cut);
    }
    cut->anchor = arena_strdup(cut->arena, anchor);
}

bool kb_cut_has_room(const struct kb_cut *cut)
{
    return !cut->too_many;
}

struct cut_part {
    size_t start, end;
};

/* The sentences or lines of `text`, with nothing between them. */
static struct cut_part *parts_of(struct kb_cut *cut, enum kb_block kind, const char *text, size_t *count)
{
    struct arena *arena = cut->arena;
    size_t len = strlen(text);
    struct cut_part *parts = NULL;
    if (kind == KB_BLOCK_TEXT) {
        struct text_sentence *sentences = text_sentences(arena, text, len / 2 + 1, count);
        parts = arena_array(arena, *count + 1, sizeof(*parts));
        for (size_t i = 0; i < *count; i++) { /* up to the next one, so that nothing between them is lost */
            parts[i] =
                (struct cut_part){i ? sentences[i].start : 0, i + 1 < *count ? sentences[i + 1].start : len};
        }
        return parts;
    }
    size_t capacity = 0;
    *count = 0;
    for (size_t start = 0; start < len;) {
        const char *newline = memchr(text + start, '\n', len - start);
        size_t end = newline ? (size_t)(newline - text) + 1 : len;
        parts = grow(arena, parts, *count, &capacity, sizeof(*parts));
        parts[(*count)++] = (struct cut_part){start, end};
        start = end;
    }
    return parts;
}

static void append_range(struct kb_cut *cut, const char *text, size_t start, size_t end)
{
    const size_t most = CUT_LONG * CUT_BYTES_PER_WORD;
    while (start < end) { /* a part that is too long by itself is cut between characters */
        size_t take = end - start;
        char *piece = arena_strndup(cut->arena, text + start, take);
        if (words_of(piece, take) > CUT_LONG && take > most) {
            take = utf8_clip(piece, most);
        }
        while (take && isspace((unsigned char)piece[take - 1])) {
            piece[--take] = '\0';
        }
        piece[take] = '\0';
        if (take) {
            append(cut, piece, words_of(piece, take));
        }
        start += take ? take : 1;
        while (start < end && isspace((unsigned char)text[start])) {
            start++;
        }
    }
}

static void append_in_parts(struct kb_cut *cut, enum kb_block kind, const char *text)
{
    size_t count = 0, start = 0, words = 0;
    struct cut_part *parts = parts_of(cut, kind, text, &count);
    for (size_t i = 0; i < count; i++) {
        size_t more = words_of(text + parts[i].start, parts[i].end - parts[i].start);
        if (words && words + more > CUT_LONG) {
            append_range(cut, text, start, parts[i].start);
            start = parts[i].start;
            words = 0;
        }
        words += more;
    }
    append_range(cut, text, start, strlen(text));
}

void kb_cut_block(struct kb_cut *cut, enum kb_block kind, const char *text)
{
    size_t len = strlen(text);
    if (utf8_blank(text) || cut->too_many) {
        return;
    }
    if (len > cut->bytes_left) {
        cut->too_many = true;
        return;
    }
    cut->bytes_left -= len;
    size_t words = words_of(text, len);
    if (words > (kind == KB_BLOCK_LINES ? CUT_LONG_WHOLE : CUT_LONG)) {
        append_in_parts(cut, kind, text);
    } else {
        append(cut, arena_strdup(cut->arena, text), words);
    }
}

bool kb_cut_finish(struct kb_cut *cut, struct kb_document *out)
{
    flush(cut);
    *out = (struct kb_document){.title = cut->title ? cut->title : "",
        .locale = cut->locale ? cut->locale : "",
        .passages = cut->passages,
        .passage_count = cut->withdrawn ? 0 : cut->count,
        .withdrawn = cut->withdrawn ? cut->withdrawn : "",
        .expires_ms = cut->expires_ms};
    return !cut->too_many;
}
