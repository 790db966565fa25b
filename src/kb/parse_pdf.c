/* PDF (poppler): the text page by page, each with an anchor that opens the page (RFC 8118), under the titles
 * of the document's own outline; without one, lines in larger letters are headings. */
#include <poppler.h>
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"
#include "kb/cut.h"

#define PDF_PAGES 5000
#define PDF_OUTLINE 2000 /* entries that are looked at */

/* The page that an entry of the outline leads to, 0: none. */
static int page_of(PopplerDocument *pdf, PopplerAction *action)
{
    if (action->type != POPPLER_ACTION_GOTO_DEST || !action->goto_dest.dest) {
        return 0;
    }
    PopplerDest *dest = action->goto_dest.dest;
    if (dest->type != POPPLER_DEST_NAMED) {
        return dest->page_num;
    }
    PopplerDest *found = dest->named_dest ? poppler_document_find_dest(pdf, dest->named_dest) : NULL;
    int page = found ? found->page_num : 0;
    if (found) {
        poppler_dest_free(found);
    }
    return page;
}

/* The outline's chapters by page, from 1; NULL where none starts. Of several on a page the first.
 * `*any`: there is one. */
static const char **chapters_of(PopplerDocument *pdf, struct arena *arena, int pages, bool *any)
{
    const char **chapters = arena_array(arena, (size_t)pages + 1, sizeof(*chapters));
    PopplerIndexIter *entry = poppler_index_iter_new(pdf);
    bool more = entry != NULL;
    for (int i = 0; more && i < PDF_OUTLINE; i++) {
        PopplerAction *action = poppler_index_iter_get_action(entry);
        int page = action ? page_of(pdf, action) : 0;
        if (page >= 1 && page <= pages && !chapters[page] && action->any.title) {
            chapters[page] = utf8_repair(arena, action->any.title, strlen(action->any.title));
            *any = true;
        }
        if (action) {
            poppler_action_free(action);
        }
        more = poppler_index_iter_next(entry);
    }
    if (entry) {
        poppler_index_iter_free(entry);
    }
    return chapters;
}

/* ---- headings by the size of their letters ---- */

#define SIZES 400        /* of letters, in quarters of a point */
#define SAMPLE_PAGES 12  /* that the size of running text is taken from */
#define LARGER 1.15      /* times running text: a heading */
#define LARGE 1.5        /* times running text: a chapter's */
#define HEADING_MOST 120 /* bytes of a line that can be one */

struct pdf {
    struct kb_cut *cut;
    struct arena *arena;
    PopplerDocument *document;
    double running; /* size of running text, 0: the outline says where chapters start */
};

static size_t size_slot(double size)
{
    double slot = size * 4 + 0.5;
    return slot > 0 && slot < SIZES ? (size_t)slot : 0;
}

/* The size that most letters of the first pages have. */
static double running_size(PopplerDocument *document, int pages)
{
    size_t letters[SIZES] = {0}, best = 0;
    for (int i = 0; i < pages && i < SAMPLE_PAGES; i++) {
        PopplerPage *page = poppler_document_get_page(document, i);
        GList *runs = page ? poppler_page_get_text_attributes(page) : NULL;
        for (GList *at = runs; at; at = at->next) {
            const PopplerTextAttributes *run = at->data;
            letters[size_slot(run->font_size)] += (size_t)(run->end_index - run->start_index + 1);
        }
        poppler_page_free_text_attributes(runs);
        if (page) {
            g_object_unref(page);
        }
    }
    for (size_t i = 1; i < SIZES; i++) {
        best = letters[i] > letters[best] ? i : best;
    }
    return (double)best / 4;
}

/* The size of the smallest letters between two characters of the page, 0: unknown. `*runs` moves on with the
 * lines. */
static double size_of(GList **runs, int from, int to)
{
    double least = 0;
    while (*runs && ((const PopplerTextAttributes *)(*runs)->data)->end_index < from) {
        *runs = (*runs)->next;
    }
    for (GList *at = *runs; at; at = at->next) {
        const PopplerTextAttributes *run = at->data;
        if (run->start_index >= to) {
            break;
        }
        least = least == 0 || run->font_size < least ? run->font_size : least;
    }
    return least;
}

/* 0: no heading. */
static int level_of(const struct pdf *pdf, const char *line, size_t len, double size)
{
    const char *text = arena_strndup(pdf->arena, line, len);
    if (pdf->running <= 0 || size < LARGER * pdf->running || len > HEADING_MOST || utf8_blank(text)) {
        return 0;
    }
    return size >= LARGE * pdf->running ? 2 : 3;
}

struct line {
    const char *text;
    size_t len;
    int level;
};

static size_t lines_of(const struct pdf *pdf, const char *text, GList *runs, struct line *lines)
{
    size_t count = 0;
    int at = 0; /* characters of the page before the line */
    for (const char *line = text; *line; count++) {
        size_t len = strcspn(line, "\n");
        int characters = (int)g_utf8_strlen(line, (gssize)len);
        lines[count] =
            (struct line){line, len, level_of(pdf, line, len, size_of(&runs, at, at + characters))};
        at += characters + 1;
        line += len + (line[len] == '\n');
    }
    return count;
}

/* Lines from `first` on with the same level, as one text. */
static const char *join(const struct pdf *pdf, const struct line *lines, size_t first, size_t end)
{
    size_t len = (size_t)(lines[end - 1].text + lines[end - 1].len - lines[first].text);
    return utf8_trim(pdf->arena, arena_strndup(pdf->arena, lines[first].text, len));
}

/* What stands on a page of headings alone is its text. */
static void write_text(const struct pdf *pdf, const char *text, GList *runs, const char *anchor)
{
    size_t room = 1;
    for (const char *c = text; *c; c++) {
        room += *c == '\n';
    }
    struct line *lines = arena_array(pdf->arena, room, sizeof(*lines));
    size_t count = lines_of(pdf, text, runs, lines);
    bool plain = false;
    for (size_t i = 0; i < count; i++) {
        plain = plain || (lines[i].level == 0 && lines[i].len > 0);
    }
    for (size_t first = 0, end; first < count; first = end) {
        int level = plain ? lines[first].level : 0;
        end = first + 1;
        while (end < count && (!plain || lines[end].level == lines[first].level)) {
            end++;
        }
        if (level) {
            kb_cut_heading(pdf->cut, level, join(pdf, lines, first, end), anchor);
        } else {
            kb_cut_block(pdf->cut, KB_BLOCK_TEXT, join(pdf, lines, first, end));
        }
    }
}

static void write_page(const struct pdf *pdf, int number, const char *chapter)
{
    PopplerPage *page = poppler_document_get_page(pdf->document, number - 1);
    char *text = page ? poppler_page_get_text(page) : NULL;
    const char *anchor = arena_printf(pdf->arena, "page=%d", number);
    if (chapter) {
        kb_cut_heading(pdf->cut, 2, chapter, anchor);
    }
    kb_cut_place(pdf->cut, anchor);
    if (text) {
        GList *runs = pdf->running > 0 ? poppler_page_get_text_attributes(page) : NULL;
        write_text(pdf, utf8_repair(pdf->arena, text, strlen(text)), runs, anchor);
        poppler_page_free_text_attributes(runs);
    }
    g_free(text);
    if (page) {
        g_object_unref(page);
    }
}

static bool cannot_open(const GError *why, struct error *err)
{
    if (why && why->domain == POPPLER_ERROR && why->code == POPPLER_ERROR_ENCRYPTED) {
        return error_set(
            err, ERROR_REJECT, "kb_protected", "the PDF is encrypted: it opens with a password only");
    }
    return error_set(err, ERROR_REJECT, "kb_damaged", "the PDF is damaged or incomplete");
}

bool kb_parse_pdf(struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err)
{
    GError *why = NULL;
    GBytes *bytes = g_bytes_new_static(data, len);
    PopplerDocument *document = poppler_document_new_from_bytes(bytes, NULL, &why);
    g_bytes_unref(bytes);
    if (!document) {
        bool ok = cannot_open(why, err);
        g_clear_error(&why);
        return ok;
    }
    int pages = poppler_document_get_n_pages(document);
    bool ok = pages <= PDF_PAGES ||
              error_set(err, ERROR_REJECT, "kb_too_complex", "the PDF has more than %d pages", PDF_PAGES);
    char *title = poppler_document_get_title(document);
    if (title && ok) {
        kb_cut_title(cut, utf8_repair(arena, title, strlen(title)));
    }
    g_free(title);
    bool outlined = false;
    const char **chapters = ok && pages > 0 ? chapters_of(document, arena, pages, &outlined) : NULL;
    struct pdf pdf = {cut, arena, document, ok && !outlined ? running_size(document, pages) : 0};
    for (int number = 1; ok && number <= pages && kb_cut_has_room(cut); number++) {
        write_page(&pdf, number, chapters[number]);
    }
    g_object_unref(document);
    return ok;
}
