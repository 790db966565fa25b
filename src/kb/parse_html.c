/* HTML (libxml2's parser): headings, paragraphs, lists and tables of the page's main part; no network,
 * bounded in elements and depth. */
#include <libxml/HTMLparser.h>
#include <libxml/SAX2.h>
#include <pthread.h>
#include <string.h>
#include "base/buf.h"
#include "base/utf8.h"
#include "kb/cut.h"

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

enum element {
    ELEMENT_INLINE,
    ELEMENT_BLOCK,
    ELEMENT_BREAK,
    ELEMENT_HEADING,
    ELEMENT_LIST,
    ELEMENT_ITEM,
    ELEMENT_TABLE,
    ELEMENT_PRE,
    ELEMENT_SKIPPED,
};

static enum element element_of(const xmlNode *node)
{
    static const struct {
        const char *name;
        enum element element;
    } names[] = {
        {"p", ELEMENT_BLOCK},
        {"div", ELEMENT_BLOCK},
        {"section", ELEMENT_BLOCK},
        {"article", ELEMENT_BLOCK},
        {"main", ELEMENT_BLOCK},
        {"body", ELEMENT_BLOCK},
        {"html", ELEMENT_BLOCK},
        {"header", ELEMENT_BLOCK},
        {"blockquote", ELEMENT_BLOCK},
        {"dl", ELEMENT_BLOCK},
        {"dt", ELEMENT_BLOCK},
        {"dd", ELEMENT_BLOCK},
        {"figure", ELEMENT_BLOCK},
        {"figcaption", ELEMENT_BLOCK},
        {"details", ELEMENT_BLOCK},
        {"summary", ELEMENT_BLOCK},
        {"aside", ELEMENT_BLOCK},
        {"address", ELEMENT_BLOCK},
        {"center", ELEMENT_BLOCK},
        {"hr", ELEMENT_BLOCK},
        {"br", ELEMENT_BREAK},
        {"h1", ELEMENT_HEADING},
        {"h2", ELEMENT_HEADING},
        {"h3", ELEMENT_HEADING},
        {"h4", ELEMENT_HEADING},
        {"h5", ELEMENT_HEADING},
        {"h6", ELEMENT_HEADING},
        {"ul", ELEMENT_LIST},
        {"ol", ELEMENT_LIST},
        {"menu", ELEMENT_LIST},
        {"li", ELEMENT_ITEM},
        {"table", ELEMENT_TABLE},
        {"pre", ELEMENT_PRE},
        {"head", ELEMENT_SKIPPED},
        {"script", ELEMENT_SKIPPED},
        {"style", ELEMENT_SKIPPED},
        {"nav", ELEMENT_SKIPPED},
        {"footer", ELEMENT_SKIPPED},
        {"noscript", ELEMENT_SKIPPED},
        {"template", ELEMENT_SKIPPED},
        {"svg", ELEMENT_SKIPPED},
        {"button", ELEMENT_SKIPPED},
        {"select", ELEMENT_SKIPPED},
        {"textarea", ELEMENT_SKIPPED},
        {"iframe", ELEMENT_SKIPPED},
        {"object", ELEMENT_SKIPPED},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp((const char *)node->name, names[i].name)) {
            return names[i].element;
        }
    }
    return ELEMENT_INLINE;
}

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

/* ---- small helpers over the tree; none recurses ---- */

/* The next node in document order below `root`; `inside` false skips the children of `node`. */
static xmlNode *next_node(const xmlNode *root, xmlNode *node, bool inside)
{
    if (inside && node->children && node->type == XML_ELEMENT_NODE) {
        return node->children;
    }
    while (node != root) {
        if (node->next) {
            return node->next;
        }
        node = node->parent;
    }
    return NULL;
}

static const char *attribute(struct arena *arena, xmlNode *node, const char *name)
{
    xmlChar *value = xmlGetProp(node, (const xmlChar *)name);
    const char *copy = value ? arena_strdup(arena, (const char *)value) : NULL;
    xmlFree(value);
    return copy;
}

static bool is_hidden(struct arena *arena, xmlNode *node)
{
    const char *aria = attribute(arena, node, "aria-hidden");
    const char *style = attribute(arena, node, "style");
    if (style && (strcasestr(style, "display:none") || strcasestr(style, "display: none"))) {
        return true;
    }
    return (aria && !strcmp(aria, "true")) || xmlHasProp(node, (const xmlChar *)"hidden");
}

static xmlNode *find_element(xmlNode *root, const char *name)
{
    for (xmlNode *node = root; node; node = next_node(root, node, true)) {
        if (node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name)) {
            return node;
        }
    }
    return NULL;
}

static bool is_text(const xmlNode *node)
{
    return (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) && node->content;
}

/* All text below `node`, squeezed. */
static char *text_of(struct writer *writer, xmlNode *node)
{
    struct buf text;
    buf_init(&text, writer->max);
    for (xmlNode *at = node; at;) {
        bool skipped = at->type == XML_ELEMENT_NODE && element_of(at) == ELEMENT_SKIPPED && at != node;
        if (is_text(at)) {
            buf_puts(&text, (const char *)at->content);
        } else if (at->type == XML_ELEMENT_NODE && element_of(at) != ELEMENT_INLINE) {
            buf_putc(&text, ' ');
        }
        at = next_node(node, at, !skipped);
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
    const char *id = attribute(writer->arena, heading, "id");
    for (xmlNode *at = heading->children; at && !id; at = at->next) {
        if (at->type == XML_ELEMENT_NODE) {
            id = attribute(writer->arena, at, "id");
        }
        if (at->type == XML_ELEMENT_NODE && !id) {
            id = attribute(writer->arena, at, "name");
        }
    }
    xmlNode *parent = heading->parent;
    if (!id && parent && !strcmp((const char *)parent->name, "section")) {
        id = attribute(writer->arena, parent, "id");
    }
    return id && strlen(id) <= 200 ? id : "";
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
        char *label = text_of(writer, cell);
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
        const char *text = text_of(writer, cell);
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
        bool row = node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, "tr");
        size_t found = row && !label_count ? row_labels(writer, node, labels) : 0;
        if (found) {
            label_count = found;
        } else if (row) {
            write_row(writer, &text, node, labels, label_count);
        }
        node = next_node(table, node, !row);
    }
    writer->failed = writer->failed || text.failed;
    kb_cut_block(writer->cut, KB_BLOCK_LINES, utf8_trim(writer->arena, buf_text(&text)));
    buf_fini(&text);
}

/* ---- the walk ---- */

/* True when the children are to be visited. */
static bool enter_element(struct writer *writer, xmlNode *node)
{
    enum element element = element_of(node);
    if (element == ELEMENT_SKIPPED || is_hidden(writer->arena, node)) {
        return false;
    }
    switch (element) {
    case ELEMENT_HEADING:
        if (writer->list_depth > 0) {
            return true;
        }
        end_paragraph(writer);
        kb_cut_heading(writer->cut, node->name[1] - '0', text_of(writer, node), heading_anchor(writer, node));
        return false;
    case ELEMENT_TABLE:
        if (writer->list_depth > 0) {
            return true;
        }
        end_paragraph(writer);
        write_table(writer, node);
        return false;
    case ELEMENT_LIST:
        end_paragraph(writer);
        writer->list_depth++;
        writer->numbers[indent_of(writer)] = 0;
        return true;
    case ELEMENT_ITEM:
        start_item(writer, node);
        return true;
    case ELEMENT_PRE:
        end_paragraph(writer);
        writer->pre_depth++;
        return true;
    case ELEMENT_BLOCK:
        end_paragraph(writer);
        write_text(writer, " ");
        return true;
    case ELEMENT_BREAK:
        write_text(writer, "\n");
        return true;
    default:
        return true;
    }
}

static void leave_element(struct writer *writer, xmlNode *node)
{
    switch (element_of(node)) {
    case ELEMENT_LIST:
        if (--writer->list_depth == 0) {
            end_list(writer);
        }
        break;
    case ELEMENT_PRE:
        end_paragraph(writer);
        writer->pre_depth--;
        break;
    case ELEMENT_BLOCK:
    case ELEMENT_ITEM:
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
        if (is_text(node)) {
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

static void read_head(struct writer *writer, xmlNode *html)
{
    const char *lang = attribute(writer->arena, html, "lang");
    if (lang) {
        kb_cut_locale(writer->cut, lang);
    }
    xmlNode *title = find_element(html, "title");
    if (title) {
        kb_cut_title(writer->cut, text_of(writer, title));
    }
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
        xmlNode *main_part = find_element(html, "main");
        write_tree(&writer, main_part ? main_part : html);
    }
    buf_fini(&writer.text);
    xmlFreeDoc(doc);
    if (limits.exceeded || writer.failed) {
        return error_set(err, ERROR_REJECT, "kb_too_complex", "the document is too complex to be read");
    }
    return true;
}
