/* A page as a tree of nodes: what its elements are to a reader, and ways through it that do not recurse. */
#ifndef HELPDESK_KB_HTML_TREE_H
#define HELPDESK_KB_HTML_TREE_H

#include <libxml/tree.h>
#include <stdbool.h>
#include "base/arena.h"

enum html_element {
    HTML_INLINE,
    HTML_BLOCK,
    HTML_BREAK,
    HTML_HEADING,
    HTML_LIST,
    HTML_ITEM,
    HTML_TABLE,
    HTML_PRE,
    HTML_SKIPPED, /* says nothing to a reader, or is not shown to one */
};

enum html_element html_element_of(const xmlNode *node);
/* Whether an element with all in it is kept from readers: `hidden`, aria-hidden, a style that shows nothing,
 * a dialog that is not open. What style sheets and scripts hide is not known. */
bool html_is_hidden(struct arena *arena, xmlNode *node);
/* Whether nothing below `node` is for readers: hidden or HTML_SKIPPED. */
bool html_is_unseen(struct arena *arena, xmlNode *node);
bool html_is_text(const xmlNode *node); /* with content */

/* The next node in document order below `root`; `inside` false skips the children of `node`. */
xmlNode *html_next_node(const xmlNode *root, xmlNode *node, bool inside);
xmlNode *html_find_element(xmlNode *root, const char *name); /* the first; NULL: none */
/* In the arena, NULL: it has none. */
const char *html_attribute(struct arena *arena, xmlNode *node, const char *name);

#endif
