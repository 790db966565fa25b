/* PDF (poppler): the text page by page, each with an anchor that opens the page (RFC 8118), under the titles
 * of the document's own outline. */
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

/* The outline's chapters by page, from 1; NULL where none starts. Of several on a page the first. */
static const char **chapters_of(PopplerDocument *pdf, struct arena *arena, int pages)
{
    const char **chapters = arena_array(arena, (size_t)pages + 1, sizeof(*chapters));
    PopplerIndexIter *entry = poppler_index_iter_new(pdf);
    bool more = entry != NULL;
    for (int i = 0; more && i < PDF_OUTLINE; i++) {
        PopplerAction *action = poppler_index_iter_get_action(entry);
        int page = action ? page_of(pdf, action) : 0;
        if (page >= 1 && page <= pages && !chapters[page] && action->any.title) {
            chapters[page] = utf8_repair(arena, action->any.title, strlen(action->any.title));
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

static void write_page(
    struct kb_cut *cut, struct arena *arena, PopplerDocument *pdf, int number, const char *chapter)
{
    PopplerPage *page = poppler_document_get_page(pdf, number - 1);
    char *text = page ? poppler_page_get_text(page) : NULL;
    const char *anchor = arena_printf(arena, "page=%d", number);
    if (chapter) {
        kb_cut_heading(cut, 2, chapter, anchor);
    }
    kb_cut_place(cut, anchor);
    if (text) {
        kb_cut_block(cut, KB_BLOCK_TEXT, utf8_trim(arena, utf8_repair(arena, text, strlen(text))));
    }
    g_free(text);
    if (page) {
        g_object_unref(page);
    }
}

static bool cannot_open(const GError *why, struct error *err)
{
    if (why && why->domain == POPPLER_ERROR && why->code == POPPLER_ERROR_ENCRYPTED) {
        return error_set(err, ERROR_REJECT, "kb_protected", "the PDF is protected by a password");
    }
    return error_set(err, ERROR_REJECT, "kb_damaged", "the PDF is damaged or incomplete");
}

bool kb_parse_pdf(struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err)
{
    GError *why = NULL;
    GBytes *bytes = g_bytes_new_static(data, len);
    PopplerDocument *pdf = poppler_document_new_from_bytes(bytes, NULL, &why);
    g_bytes_unref(bytes);
    if (!pdf) {
        bool ok = cannot_open(why, err);
        g_clear_error(&why);
        return ok;
    }
    int pages = poppler_document_get_n_pages(pdf);
    bool ok = pages <= PDF_PAGES ||
              error_set(err, ERROR_REJECT, "kb_too_complex", "the PDF has more than %d pages", PDF_PAGES);
    char *title = poppler_document_get_title(pdf);
    if (title && ok) {
        kb_cut_title(cut, utf8_repair(arena, title, strlen(title)));
    }
    g_free(title);
    const char **chapters = ok && pages > 0 ? chapters_of(pdf, arena, pages) : NULL;
    for (int number = 1; ok && number <= pages && kb_cut_has_room(cut); number++) {
        write_page(cut, arena, pdf, number, chapters[number]);
    }
    g_object_unref(pdf);
    return ok;
}
