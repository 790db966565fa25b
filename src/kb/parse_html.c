/* HTML (libxml2's parser): headings, paragraphs, lists and tables of the page's main part; no network,
 * bounded in elements and depth. */
#include <libxml/HTMLparser.h>
#include <libxml/SAX2.h>
#include <pthread.h>
#include <string.h>
#include "base/buf.h"
#include "base/utf8.h"
#include "kb/cut.h"
#include "kb/html_tree.h"

#define HTML_ELEMENTS 200000
#define HTML_DEPTH 200
#define HTML_LABEL_BYTES 60
#define HTML_COLUMNS 64
#define HTML_INDENT 6

struct writer {
    struct kb_cut *cut;
    struct arena *arena;
    struct buf text; /* of the paragraph or list being read */
    int list_depth;
    int numbers[HTML_INDENT + 1]; /* of the newest item, by depth */
    int pre_depth;
    size_t max;
    bool failed;
};

/* What the parser's callbacks find through the context. */
struct limits {
    long elements;
    bool exceeded;
};

/* ---- parsing within limits ---- */

static void count_element(void *context, const xmlChar *name, const xmlChar **attributes)
{
    xmlParserCtxt *ctxt = context;
    struct limits *limits = ctxt->_private;
    if (++limits->elements > HTML_ELEMENTS || ctxt->nodeNr > HTML_DEPTH) {
        limits->exceeded = true;
        xmlStopParser(ctxt);
        return;
    }
    xmlSAX2StartElement(context, name, attributes);
}

static xmlDoc *read_html(const char *data, size_t len, struct limits *limits)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, xmlInitParser);
    htmlParserCtxt *ctxt = htmlNewParserCtxt();
    if (!ctxt) {
        return NULL;
    }
    ctxt->_private = limits;
    ctxt->sax->startElement = count_element;
    /* It is in UTF-8 by now, whatever it says. */
    xmlDoc *doc = htmlCtxtReadMemory(ctxt, data, (int)len, NULL, "UTF-8",
        HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET |
            HTML_PARSE_IGNORE_ENC);
    htmlFreeParserCtxt(ctxt);
    return doc;
}

/* ---- text ---- */

/* All text below `node` that is seen, squeezed. */
static char *text_of(struct writer *writer, xmlNode *node)
{
    struct buf text;
    buf_init(&text, writer->max);
    for (xmlNode *at = node; at;) {
        bool skipped = at != node && html_is_unseen(writer->arena, at);
        if (html_is_text(at)) {
            buf_puts(&text, (const char *)at->content);
        } else if (at->type == XML_ELEMENT_NODE && html_element_of(at) != HTML_INLINE) {
            buf_putc(&text, ' ');
        }
        at = html_next_node(node, at, !skipped);
    }
    char *squeezed = kb_squeeze(writer->arena, buf_text(&text));
    buf_fini(&text);
    return squeezed;
}

/* ---- writing blocks ---- */

/* Ends the paragraph being read. */
static void end_paragraph(struct writer *writer)
{
    if (writer->list_depth > 0 || writer->text.len == 0) {
        return;
    }
    writer->failed = writer->failed || writer->text.failed;
    if (writer->pre_depth > 0) {
        kb_cut_block(writer->cut, KB_BLOCK_LINES, utf8_trim(writer->arena, buf_text(&writer->text)));
    } else {
        kb_cut_block(writer->cut, KB_BLOCK_TEXT, kb_squeeze(writer->arena, buf_text(&writer->text)));
    }
    buf_reset(&writer->text);
}

static void end_list(struct writer *writer)
{
    writer->failed = writer->failed || writer->text.failed;
    kb_cut_block(writer->cut, KB_BLOCK_LINES, utf8_trim(writer->arena, buf_text(&writer->text)));
    buf_reset(&writer->text);
}

static int indent_of(const struct writer *writer)
{
    return writer->list_depth - 1 < HTML_INDENT ? writer->list_depth - 1 : HTML_INDENT;
}

static void start_item(struct writer *writer, xmlNode *item)
{
    if (writer->list_depth == 0) {
        end_paragraph(writer);
        return;
    }
    int indent = indent_of(writer);
    while (writer->text.len && writer->text.data[writer->text.len - 1] == ' ') {
        writer->text.data[--writer->text.len] = '\0';
    }
    buf_printf(&writer->text, "%s%*s", writer->text.len ? "\n" : "", 2 * indent, "");
    int number = ++writer->numbers[indent];
    if (item->parent && !strcmp((const char *)item->parent->name, "ol")) {
        buf_printf(&writer->text, "%d. ", number);
    } else {
        buf_puts(&writer->text, "- ");
    }
}

/* In a list the text goes on in its line: white space is squeezed piece by piece. */
static void write_text(struct writer *writer, const char *text)
{
    if (writer->list_depth == 0) {
        buf_puts(&writer->text, text);
        return;
    }
    for (const char *c = text; *c; c++) {
        bool space = *c == ' ' || *c == '\n' || *c == '\t' || *c == '\r' || *c == '\f';
        char last = writer->text.len ? writer->text.data[writer->text.len - 1] : '\n';
        if (!space) {
            buf_putc(&writer->text, *c);
        } else if (last != ' ' && last != '\n') {
            buf_putc(&writer->text, ' ');
        }
    }
}

/* The id of the heading, of an anchor in it, or of the section that it opens. */
static const char *heading_anchor(struct writer *writer, xmlNode *heading)
{
    const char *id = html_attribute(writer->arena, heading, "id");
    for (xmlNode *at = heading->children; at && !id; at = at->next) {
        if (at->type == XML_ELEMENT_NODE) {
            id = html_attribute(writer->arena, at, "id");
        }
        if (at->type == XML_ELEMENT_NODE && !id) {
            id = html_attribute(writer->arena, at, "name");
        }
    }
    xmlNode *parent = heading->parent;
    if (!id && parent && !strcmp((const char *)parent->name, "section")) {
        id = html_attribute(writer->arena, parent, "id");
    }
    return id && strlen(id) <= 200 ? id : "";
}

/* A hidden cell is an empty one. */
static char *cell_text(struct writer *writer, xmlNode *cell)
{
    return html_is_unseen(writer->arena, cell) ? arena_strdup(writer->arena, "") : text_of(writer, cell);
}

static size_t row_labels(struct writer *writer, xmlNode *row, const char **labels)
{
    size_t count = 0;
    for (xmlNode *cell = row->children; cell && count < HTML_COLUMNS; cell = cell->next) {
        if (cell->type != XML_ELEMENT_NODE) {
            continue;
        }
        if (strcmp((const char *)cell->name, "th") != 0) {
            return 0;
        }
        char *label = cell_text(writer, cell);
        label[utf8_clip(label, HTML_LABEL_BYTES)] = '\0';
        labels[count++] = label;
    }
    return count;
}

static void write_row(
    struct writer *writer, struct buf *out, xmlNode *row, const char **labels, size_t label_count)
{
    size_t column = 0;
    for (xmlNode *cell = row->children; cell; cell = cell->next) {
        if (cell->type != XML_ELEMENT_NODE) {
            continue;
        }
        const char *text = cell_text(writer, cell);
        if (*text) {
            if (out->len && out->data[out->len - 1] != '\n') {
                buf_puts(out, "; ");
            }
            if (column < label_count && *labels[column]) {
                buf_printf(out, "%s: ", labels[column]);
            }
            buf_puts(out, text);
        }
        column++;
    }
    buf_putc(out, '\n');
}

/* A row reads "Column: cell; Column: cell"; a first row of header cells names the columns. */
static void write_table(struct writer *writer, xmlNode *table)
{
    const char *labels[HTML_COLUMNS];
    size_t label_count = 0;
    struct buf text;
    buf_init(&text, writer->max);
    for (xmlNode *node = table; node;) {
        bool unseen = node != table && html_is_unseen(writer->arena, node);
        bool row = !unseen && node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, "tr");
        size_t found = row && !label_count ? row_labels(writer, node, labels) : 0;
        if (found) {
            label_count = found;
        } else if (row) {
            write_row(writer, &text, node, labels, label_count);
        }
        node = html_next_node(table, node, !row && !unseen);
    }
    writer->failed = writer->failed || text.failed;
    kb_cut_block(writer->cut, KB_BLOCK_LINES, utf8_trim(writer->arena, buf_text(&text)));
    buf_fini(&text);
}

/* ---- the walk ---- */

/* True when the children are to be visited. */
static bool enter_element(struct writer *writer, xmlNode *node)
{
    enum html_element element = html_element_of(node);
    if (html_is_unseen(writer->arena, node)) {
        return false;
    }
    switch (element) {
    case HTML_HEADING:
        if (writer->list_depth > 0) {
            return true;
        }
        end_paragraph(writer);
        kb_cut_heading(writer->cut, node->name[1] - '0', text_of(writer, node), heading_anchor(writer, node));
        return false;
    case HTML_TABLE:
        if (writer->list_depth > 0) {
            return true;
        }
        end_paragraph(writer);
        write_table(writer, node);
        return false;
    case HTML_LIST:
        end_paragraph(writer);
        writer->list_depth++;
        writer->numbers[indent_of(writer)] = 0;
        return true;
    case HTML_ITEM:
        start_item(writer, node);
        return true;
    case HTML_PRE:
        end_paragraph(writer);
        writer->pre_depth++;
        return true;
    case HTML_BLOCK:
        end_paragraph(writer);
        write_text(writer, " ");
        return true;
    case HTML_BREAK:
        write_text(writer, "\n");
        return true;
    default:
        return true;
    }
}

static void leave_element(struct writer *writer, xmlNode *node)
{
    switch (html_element_of(node)) {
    case HTML_LIST:
        if (--writer->list_depth == 0) {
            end_list(writer);
        }
        break;
    case HTML_PRE:
        end_paragraph(writer);
        writer->pre_depth--;
        break;
    case HTML_BLOCK:
    case HTML_ITEM:
        end_paragraph(writer);
        break;
    default:
        break;
    }
}

static void write_tree(struct writer *writer, xmlNode *root)
{
    for (xmlNode *node = root; node;) {
        bool element = node->type == XML_ELEMENT_NODE;
        if (html_is_text(node)) {
            write_text(writer, (const char *)node->content);
        }
        bool entered = element && enter_element(writer, node);
        if (entered && node->children) {
            node = node->children;
            continue;
        }
        if (entered) {
            leave_element(writer, node);
        }
        while (node != root && !node->next) { /* the last of its siblings: its parents end here */
            node = node->parent;
            leave_element(writer, node);
        }
        node = node == root ? NULL : node->next;
    }
    end_paragraph(writer);
}

/* <meta name="robots" content="noindex, nofollow">, or "none", which says both. */
static bool robots_stay_out(struct arena *arena, xmlNode *meta)
{
    const char *name = html_attribute(arena, meta, "name"), *content = html_attribute(arena, meta, "content");
    if (!name || strcasecmp(name, "robots") != 0) {
        return false;
    }
    for (const char *at = content ? content : ""; *at; at += strspn(at, ", \t\r\n")) {
        size_t len = strcspn(at, ", \t\r\n");
        if ((len == 7 && !strncasecmp(at, "noindex", len)) || (len == 4 && !strncasecmp(at, "none", len))) {
            return true;
        }
        at += len;
    }
    return false;
}

static void read_robots(struct writer *writer, xmlNode *html)
{
    for (xmlNode *node = html; node; node = html_next_node(html, node, true)) {
        if (node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, "meta") &&
            robots_stay_out(writer->arena, node)) {
            kb_cut_withdraw(writer->cut, "its robots are told noindex");
        }
    }
}

static void read_head(struct writer *writer, xmlNode *html)
{
    const char *lang = html_attribute(writer->arena, html, "lang");
    if (lang) {
        kb_cut_locale(writer->cut, lang);
    }
    xmlNode *title = html_find_element(html, "title");
    if (title) {
        kb_cut_title(writer->cut, text_of(writer, title));
    }
    read_robots(writer, html);
}

bool kb_parse_html(struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err)
{
    struct limits limits = {0};
    xmlDoc *doc = read_html(data, len, &limits);
    xmlNode *html = doc && !limits.exceeded ? xmlDocGetRootElement(doc) : NULL;
    struct writer writer = {.cut = cut, .arena = arena, .max = 4 * len + 4096};
    buf_init(&writer.text, writer.max);
    if (html) {
        read_head(&writer, html);
        xmlNode *main_part = html_find_element(html, "main");
        write_tree(&writer, main_part ? main_part : html);
    }
    buf_fini(&writer.text);
    xmlFreeDoc(doc);
    if (limits.exceeded || writer.failed) {
        return error_set(err, ERROR_REJECT, "kb_too_complex", "the document is too complex to be read");
    }
    return true;
}
