/* Cuts headings and blocks into passages of about a paragraph's size, each with its heading path and anchor.
 */
#include "kb/cut.h"

#include <ctype.h>
#include <string.h>
#include <utf8proc.h>
#include "base/buf.h"
#include "base/utf8.h"
#include "kb/section.h"

#define CUT_HEADING_BYTES 200
#define CUT_LEVELS 6

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
    /* The section being filled: */
    struct section_block *blocks;
    size_t block_count, block_capacity;
    size_t tokens, section_bytes;
    int section_level;
    const char *section_path, *section_anchor;
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
    cut->anchor = cut->section_anchor = cut->section_path = "";
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
        if (c[0] == '\xc2' && c[1] == '\xa0') { /* no-break space */
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

static void start_section(struct kb_cut *cut)
{
    cut->section_level = cut->level;
    cut->section_path = path_now(cut);
    cut->section_anchor = cut->anchor;
}

static void end_section(struct kb_cut *cut)
{
    size_t count = 0, written = 0;
    const char **texts = section_cut(cut->arena, cut->blocks, cut->block_count, &count);
    for (size_t i = 0; i < count && !cut->too_many; i++) {
        if (cut->count == KB_MAX_PASSAGES) {
            cut->too_many = true;
            break;
        }
        cut->passages = grow(cut->arena, cut->passages, cut->count, &cut->capacity, sizeof(*cut->passages));
        cut->passages[cut->count++] = (struct kb_passage){cut->section_path, cut->section_anchor, texts[i]};
        written += strlen(texts[i]);
    }
    /* What passages carry over comes on top of what was read. */
    size_t more = written > cut->section_bytes ? written - cut->section_bytes : 0;
    cut->too_many = cut->too_many || more > cut->bytes_left;
    cut->bytes_left -= more < cut->bytes_left ? more : cut->bytes_left;
    cut->section_bytes = 0;
    cut->block_count = 0;
    cut->tokens = 0;
    start_section(cut);
}

void kb_cut_heading(struct kb_cut *cut, int level, const char *text, const char *anchor)
{
    const char *name = clipped(cut->arena, text, CUT_HEADING_BYTES);
    if (!*name) {
        return;
    }
    /* A few words above a deeper heading introduce it: they become part of its passage. */
    bool introduces = cut->tokens < SECTION_STANDS_ALONE && level > cut->section_level;
    if (!introduces) {
        end_section(cut);
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
        start_section(cut);
    }
}

void kb_cut_place(struct kb_cut *cut, const char *anchor)
{
    if (cut->tokens >= SECTION_STANDS_ALONE) {
        end_section(cut);
    }
    cut->anchor = arena_strdup(cut->arena, anchor);
}

bool kb_cut_has_room(const struct kb_cut *cut)
{
    return !cut->too_many;
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
    cut->section_bytes += len;
    if (!cut->block_count) {
        start_section(cut);
    }
    cut->blocks = grow(cut->arena, cut->blocks, cut->block_count, &cut->block_capacity, sizeof(*cut->blocks));
    struct section_block *block = &cut->blocks[cut->block_count++];
    *block = (struct section_block){kind, arena_strdup(cut->arena, text), section_tokens(text, len)};
    cut->tokens += block->tokens;
}

bool kb_cut_finish(struct kb_cut *cut, struct kb_document *out)
{
    end_section(cut);
    *out = (struct kb_document){.title = cut->title ? cut->title : "",
        .locale = cut->locale ? cut->locale : "",
        .passages = cut->passages,
        .passage_count = cut->withdrawn ? 0 : cut->count,
        .withdrawn = cut->withdrawn ? cut->withdrawn : "",
        .expires_ms = cut->expires_ms};
    return !cut->too_many;
}
