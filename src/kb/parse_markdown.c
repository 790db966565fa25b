/* Markdown as GitHub reads it (libcmark-gfm), with front matter. */
#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm.h>
#include <pthread.h>
#include <string.h>
#include "base/buf.h"
#include "base/utf8.h"
#include "kb/cut.h"

#define MARKDOWN_LABEL_BYTES 60 /* of a table's column, which is repeated in every row */
#define MARKDOWN_COLUMNS 64
#define MARKDOWN_INDENT 6
#define MARKDOWN_DEPTH 100        /* of quotes and lists in each other: the parser's work grows with it */
#define MARKDOWN_HTML_BLOCKS 1000 /* each needs a parser of its own */

struct writer {
    struct kb_cut *cut;
    struct arena *arena;
    struct buf list; /* the list being read, items on lines of their own */
    int list_depth;
    int numbers[MARKDOWN_INDENT + 1]; /* of the next item, by depth */
    bool item_started;                /* the line of the newest item has its bullet but no text */
    size_t max;                       /* bytes of one block's text */
    int html_blocks;
    bool failed;
};

/* ---- inline text ---- */

static void put_inline(struct buf *out, cmark_node *node)
{
    switch (cmark_node_get_type(node)) {
    case CMARK_NODE_TEXT:
    case CMARK_NODE_CODE:
        buf_puts(out, cmark_node_get_literal(node));
        break;
    case CMARK_NODE_SOFTBREAK:
        buf_putc(out, ' ');
        break;
    case CMARK_NODE_LINEBREAK:
        buf_putc(out, '\n');
        break;
    default: /* emphasis, links and images: their text comes as nodes of its own; raw HTML tags say nothing */
        break;
    }
}

static void put_text_of(struct buf *out, cmark_node *node)
{
    cmark_iter *iter = cmark_iter_new(node);
    for (cmark_event_type event; (event = cmark_iter_next(iter)) != CMARK_EVENT_DONE;) {
        if (event == CMARK_EVENT_ENTER) {
            put_inline(out, cmark_iter_get_node(iter));
        }
    }
    cmark_iter_free(iter);
}

static char *text_of(struct writer *writer, cmark_node *node)
{
    struct buf text;
    buf_init(&text, writer->max);
    put_text_of(&text, node);
    char *copy = arena_strdup(writer->arena, buf_text(&text));
    buf_fini(&text);
    return copy;
}

/* ---- tables: a row reads "Column: cell; Column: cell" ---- */

static void put_row(
    struct writer *writer, struct buf *out, cmark_node *row, const char **labels, size_t label_count)
{
    size_t column = 0;
    for (cmark_node *cell = cmark_node_first_child(row); cell; cell = cmark_node_next(cell), column++) {
        const char *text = kb_squeeze(writer->arena, text_of(writer, cell));
        if (!*text) {
            continue;
        }
        if (out->len && out->data[out->len - 1] != '\n') {
            buf_puts(out, "; ");
        }
        if (column < label_count && *labels[column]) {
            buf_printf(out, "%s: ", labels[column]);
        }
        buf_puts(out, text);
    }
    buf_putc(out, '\n');
}

static void write_table(struct writer *writer, cmark_node *table)
{
    const char *labels[MARKDOWN_COLUMNS];
    size_t label_count = 0;
    struct buf text;
    buf_init(&text, writer->max);
    for (cmark_node *row = cmark_node_first_child(table); row; row = cmark_node_next(row)) {
        if (!cmark_gfm_extensions_get_table_row_is_header(row)) {
            put_row(writer, &text, row, labels, label_count);
            continue;
        }
        cmark_node *cell = cmark_node_first_child(row);
        for (; cell && label_count < MARKDOWN_COLUMNS; cell = cmark_node_next(cell)) {
            char *label = kb_squeeze(writer->arena, text_of(writer, cell));
            label[utf8_clip(label, MARKDOWN_LABEL_BYTES)] = '\0';
            labels[label_count++] = label;
        }
    }
    writer->failed = writer->failed || text.failed;
    kb_cut_block(writer->cut, KB_BLOCK_LINES, utf8_trim(writer->arena, buf_text(&text)));
    buf_fini(&text);
}

/* ---- lists ---- */

static int indent_of(const struct writer *writer)
{
    return writer->list_depth - 1 < MARKDOWN_INDENT ? writer->list_depth - 1 : MARKDOWN_INDENT;
}

static void enter_list(struct writer *writer, cmark_node *list)
{
    writer->list_depth++;
    writer->numbers[indent_of(writer)] = cmark_node_get_list_start(list);
}

static void start_item(struct writer *writer, cmark_node *item)
{
    if (writer->list.len) {
        buf_putc(&writer->list, '\n');
    }
    int indent = indent_of(writer);
    buf_printf(&writer->list, "%*s", 2 * indent, "");
    int number = writer->numbers[indent]++;
    if (cmark_node_get_list_type(cmark_node_parent(item)) == CMARK_ORDERED_LIST) {
        buf_printf(&writer->list, "%d. ", number);
    } else {
        buf_puts(&writer->list, "- ");
    }
    writer->item_started = true;
}

static void write_list_text(struct writer *writer, const char *text)
{
    if (!writer->item_started) {
        buf_putc(&writer->list, ' ');
    }
    buf_puts(&writer->list, text);
    writer->item_started = false;
}

static void leave_list(struct writer *writer)
{
    if (--writer->list_depth > 0) {
        return;
    }
    writer->failed = writer->failed || writer->list.failed;
    kb_cut_block(writer->cut, KB_BLOCK_LINES, buf_text(&writer->list));
    buf_reset(&writer->list);
}

/* ---- the walk ---- */

static void write_text_block(struct writer *writer, enum kb_block kind, const char *text)
{
    if (writer->list_depth > 0) {
        write_list_text(writer, text);
    } else {
        kb_cut_block(writer->cut, kind, text);
    }
}

static void write_html(struct writer *writer, cmark_node *node)
{
    const char *literal = cmark_node_get_literal(node);
    if (++writer->html_blocks > MARKDOWN_HTML_BLOCKS ||
        !kb_parse_html(writer->cut, writer->arena, literal, strlen(literal), NULL)) {
        writer->failed = true;
    }
}

/* True when the node was written whole and its children need no visit. */
static bool enter_node(struct writer *writer, cmark_node *node)
{
    if (!strcmp(cmark_node_get_type_string(node), "table")) {
        write_table(writer, node);
        return true;
    }
    switch (cmark_node_get_type(node)) {
    case CMARK_NODE_HEADING:
        if (cmark_node_get_type(cmark_node_parent(node)) == CMARK_NODE_DOCUMENT) {
            kb_cut_heading(writer->cut, cmark_node_get_heading_level(node), text_of(writer, node), NULL);
        } else {
            write_text_block(writer, KB_BLOCK_TEXT, text_of(writer, node));
        }
        return true;
    case CMARK_NODE_PARAGRAPH:
        write_text_block(writer, KB_BLOCK_TEXT, text_of(writer, node));
        return true;
    case CMARK_NODE_CODE_BLOCK:
        write_text_block(writer, KB_BLOCK_LINES, utf8_trim(writer->arena, cmark_node_get_literal(node)));
        return true;
    case CMARK_NODE_HTML_BLOCK:
        write_html(writer, node);
        return true;
    case CMARK_NODE_LIST:
        enter_list(writer, node);
        return false;
    case CMARK_NODE_ITEM:
        start_item(writer, node);
        return false;
    default:
        return false;
    }
}

static void write_document(struct writer *writer, cmark_node *document)
{
    cmark_iter *iter = cmark_iter_new(document);
    for (cmark_event_type event; (event = cmark_iter_next(iter)) != CMARK_EVENT_DONE;) {
        cmark_node *node = cmark_iter_get_node(iter);
        if (event == CMARK_EVENT_ENTER && enter_node(writer, node)) {
            cmark_iter_reset(iter, node, CMARK_EVENT_EXIT);
        } else if (event == CMARK_EVENT_EXIT && cmark_node_get_type(node) == CMARK_NODE_LIST) {
            leave_list(writer);
        }
    }
    cmark_iter_free(iter);
}

/* Bytes of the mark that opens a quote or an item at `at`, 0 when there is none. */
static size_t container_mark(const char *at)
{
    if (*at == '>') {
        return 1;
    }
    if ((*at == '-' || *at == '+' || *at == '*') && (at[1] == ' ' || at[1] == '\t')) {
        return 2;
    }
    size_t digits = 0;
    while (at[digits] >= '0' && at[digits] <= '9') {
        digits++;
    }
    return digits && (at[digits] == '.' || at[digits] == ')') ? digits + 1 : 0;
}

static bool nested_too_deeply(const char *text)
{
    for (const char *line = text; *line; line += *line == '\n') {
        int depth = 0;
        size_t mark = 1;
        for (const char *at = line; mark; at += mark) {
            while (*at == ' ' || *at == '\t') {
                at++;
            }
            mark = container_mark(at);
            if (mark && ++depth > MARKDOWN_DEPTH) {
                return true;
            }
        }
        while (*line && *line != '\n') {
            line++;
        }
    }
    return false;
}

static cmark_node *read_markdown(const char *data, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, cmark_gfm_core_extensions_ensure_registered);
    cmark_parser *parser = cmark_parser_new(CMARK_OPT_DEFAULT);
    cmark_syntax_extension *tables = cmark_find_syntax_extension("table");
    if (tables) {
        cmark_parser_attach_syntax_extension(parser, tables);
    }
    cmark_parser_feed(parser, data, len);
    cmark_node *document = cmark_parser_finish(parser);
    cmark_parser_free(parser);
    return document;
}

bool kb_parse_markdown(
    struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err)
{
    char *text = arena_strndup(arena, data, len);
    size_t skip;
    if (!kb_front_matter(cut, arena, text, len, &skip, err)) {
        return false;
    }
    cmark_node *document = nested_too_deeply(text + skip) ? NULL : read_markdown(text + skip, len - skip);
    if (!document) {
        return error_set(err, ERROR_REJECT, "kb_too_complex", "the document is too complex to be read");
    }
    struct writer writer = {.cut = cut, .arena = arena, .max = 4 * len + 4096};
    buf_init(&writer.list, writer.max);
    write_document(&writer, document);
    bool failed = writer.failed || writer.list.failed;
    buf_fini(&writer.list);
    cmark_node_free(document);
    return !failed ||
           error_set(err, ERROR_REJECT, "kb_too_complex", "the document is too complex to be read");
}
