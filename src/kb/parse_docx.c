/* DOCX (libzip, libxml2's reader; ECMA-376): paragraphs, headings by style, lists and table rows of the main
 * part. No part is read further than its bound, whatever the archive says of itself. */
#include <libxml/xmlreader.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zip.h>
#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "kb/cut.h"

#define DOCX_PART_MAX ((size_t)48 << 20) /* bytes of one part, unpacked */
#define DOCX_STYLES 1000
#define DOCX_NODES 4000000

struct style {
    const char *id;
    int level; /* of a heading */
};

struct docx {
    struct kb_cut *cut;
    struct arena *arena;
    struct style styles[DOCX_STYLES];
    size_t style_count;
    const char *style_id; /* of the style being read */
    struct buf text;      /* of the paragraph */
    struct buf lines;     /* of the list or table that it belongs to */
    bool in_text, in_property, item;
    int tables, level;
};

typedef void node_fn(struct docx *docx, xmlTextReader *reader, int type);

/* ---- the archive ---- */

static bool damaged(struct error *err)
{
    return error_set(err, ERROR_REJECT, "kb_damaged", "the Word document is damaged or incomplete");
}

/* A part's bytes, NULL with `err` when there are none to be had. Freed by the caller. */
static char *read_part(zip_t *archive, const char *name, size_t *len, struct error *err)
{
    zip_stat_t stat;
    if (zip_stat(archive, name, 0, &stat) != 0 || !(stat.valid & ZIP_STAT_SIZE)) {
        (void)damaged(err);
        return NULL;
    }
    if (stat.encryption_method != ZIP_EM_NONE) {
        (void)error_set(err, ERROR_REJECT, "kb_protected",
            "the Word document is encrypted: it opens with a password only");
        return NULL;
    }
    if (stat.size > DOCX_PART_MAX) {
        (void)error_set(err, ERROR_REJECT, "kb_too_large", "the Word document unpacks to more than %zu MiB",
            DOCX_PART_MAX >> 20);
        return NULL;
    }
    zip_file_t *file = zip_fopen(archive, name, 0);
    char *data = xmalloc(stat.size + 1);
    zip_int64_t got = file ? zip_fread(file, data, stat.size) : -1;
    if (file) {
        (void)zip_fclose(file);
    }
    if (got < 0 || (zip_uint64_t)got != stat.size) {
        free(data);
        (void)damaged(err);
        return NULL;
    }
    *len = (size_t)got;
    return data;
}

/* Calls `fn` for each node of a part. A document type is refused: the format has none, entities come in it.
 */
static bool walk_part(struct docx *docx, zip_t *archive, const char *name, node_fn *fn, struct error *err)
{
    size_t len = 0;
    char *data = read_part(archive, name, &len, err);
    if (!data) {
        return false;
    }
    xmlTextReader *reader = xmlReaderForMemory(
        data, (int)len, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    int more = reader ? xmlTextReaderRead(reader) : -1;
    for (long nodes = 0; more == 1; more = xmlTextReaderRead(reader)) {
        int type = xmlTextReaderNodeType(reader);
        if (++nodes > DOCX_NODES || type == XML_READER_TYPE_DOCUMENT_TYPE) {
            more = -1;
            break;
        }
        fn(docx, reader, type);
    }
    xmlFreeTextReader(reader);
    free(data);
    return more == 0 || damaged(err);
}

/* ---- its parts ---- */

static bool is_named(xmlTextReader *reader, const char *name)
{
    return !strcmp((const char *)xmlTextReaderConstLocalName(reader), name);
}

static const char *value_of(struct docx *docx, xmlTextReader *reader, const char *name)
{
    xmlChar *value = xmlTextReaderGetAttribute(reader, (const xmlChar *)name);
    const char *copy = value ? arena_strdup(docx->arena, (const char *)value) : "";
    xmlFree(value);
    return copy;
}

/* "heading 2" is a name that every language's Word writes; what people see is translated. */
static void style_node(struct docx *docx, xmlTextReader *reader, int type)
{
    if (type != XML_READER_TYPE_ELEMENT) {
        return;
    }
    if (is_named(reader, "style")) {
        docx->style_id = value_of(docx, reader, "w:styleId");
    } else if (is_named(reader, "name") && docx->style_id && docx->style_count < DOCX_STYLES) {
        const char *name = value_of(docx, reader, "w:val");
        bool heading = !strncasecmp(name, "heading ", 8) && name[8] >= '1' && name[8] <= '9';
        int level = heading ? name[8] - '0' : (!strcasecmp(name, "title") ? 1 : 0);
        if (level) {
            docx->styles[docx->style_count++] = (struct style){docx->style_id, level > 6 ? 6 : level};
        }
        docx->style_id = NULL;
    }
}

static void property_node(struct docx *docx, xmlTextReader *reader, int type)
{
    if (type == XML_READER_TYPE_TEXT && docx->in_property) {
        kb_cut_title(docx->cut, (const char *)xmlTextReaderConstValue(reader));
    }
    docx->in_property = type == XML_READER_TYPE_ELEMENT && is_named(reader, "title");
}

static void end_lines(struct docx *docx)
{
    if (docx->lines.len) {
        kb_cut_block(docx->cut, KB_BLOCK_LINES, utf8_trim(docx->arena, buf_text(&docx->lines)));
        buf_reset(&docx->lines);
    }
}

static void end_paragraph(struct docx *docx)
{
    const char *text = utf8_trim(docx->arena, buf_text(&docx->text));
    if (docx->tables) {
        buf_printf(&docx->lines, "%s ", text);
    } else if (docx->level) {
        end_lines(docx);
        kb_cut_heading(docx->cut, docx->level, text, "");
    } else if (docx->item && *text) {
        buf_printf(&docx->lines, "- %s\n", text);
    } else if (*text) {
        end_lines(docx);
        kb_cut_block(docx->cut, KB_BLOCK_TEXT, text);
    }
    buf_reset(&docx->text);
}

static void start_element(struct docx *docx, xmlTextReader *reader)
{
    if (is_named(reader, "p")) {
        docx->level = 0;
        docx->item = false;
        buf_reset(&docx->text);
    } else if (is_named(reader, "pStyle")) {
        const char *id = value_of(docx, reader, "w:val");
        for (size_t i = 0; i < docx->style_count; i++) {
            docx->level = strcmp(docx->styles[i].id, id) != 0 ? docx->level : docx->styles[i].level;
        }
    } else if (is_named(reader, "numPr")) {
        docx->item = true;
    } else if (is_named(reader, "tab") || is_named(reader, "br")) {
        buf_putc(&docx->text, ' ');
    } else if (is_named(reader, "tbl") && !xmlTextReaderIsEmptyElement(reader) && docx->tables++ == 0) {
        end_lines(docx);
    }
    docx->in_text = is_named(reader, "t");
}

static void end_element(struct docx *docx, xmlTextReader *reader)
{
    docx->in_text = false;
    if (is_named(reader, "p")) {
        end_paragraph(docx);
    } else if (is_named(reader, "tc")) {
        buf_puts(&docx->lines, "; ");
    } else if (is_named(reader, "tr")) {
        while (docx->lines.len && strchr("; ", docx->lines.data[docx->lines.len - 1])) {
            docx->lines.data[--docx->lines.len] = '\0';
        }
        buf_putc(&docx->lines, '\n');
    } else if (is_named(reader, "tbl") && --docx->tables == 0) {
        end_lines(docx);
    }
}

static void body_node(struct docx *docx, xmlTextReader *reader, int type)
{
    if (type == XML_READER_TYPE_ELEMENT) {
        start_element(docx, reader);
    } else if (type == XML_READER_TYPE_END_ELEMENT) {
        end_element(docx, reader);
    } else if (docx->in_text && xmlTextReaderHasValue(reader) == 1) {
        buf_puts(&docx->text, (const char *)xmlTextReaderConstValue(reader));
    }
}

/* Title and styles may be missing; the text may not. */
static bool read_parts(struct docx *docx, zip_t *archive, struct error *err)
{
    (void)walk_part(docx, archive, "docProps/core.xml", property_node, NULL);
    (void)walk_part(docx, archive, "word/styles.xml", style_node, NULL);
    if (!walk_part(docx, archive, "word/document.xml", body_node, err)) {
        return false;
    }
    end_lines(docx);
    if (docx->text.failed || docx->lines.failed) {
        return error_set(err, ERROR_REJECT, "kb_too_complex", "the document is too complex to be read");
    }
    return true;
}

bool kb_parse_docx(struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err)
{
    zip_source_t *source = zip_source_buffer_create(data, len, 0, NULL);
    zip_t *archive = source ? zip_open_from_source(source, ZIP_RDONLY, NULL) : NULL;
    if (!archive) {
        zip_source_free(source);
        return damaged(err);
    }
    struct docx *docx = ARENA_NEW(arena, struct docx);
    docx->cut = cut;
    docx->arena = arena;
    buf_init(&docx->text, KB_MAX_TEXT);
    buf_init(&docx->lines, KB_MAX_TEXT);
    bool ok = read_parts(docx, archive, err);
    buf_fini(&docx->text);
    buf_fini(&docx->lines);
    zip_discard(archive);
    return ok;
}
