/* What the elements of a page are (libxml2's tree). */
#include "kb/html_tree.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum html_element html_element_of(const xmlNode *node)
{
    static const struct {
        const char *name;
        enum html_element element;
    } names[] = {
        {"p", HTML_BLOCK},
        {"div", HTML_BLOCK},
        {"section", HTML_BLOCK},
        {"article", HTML_BLOCK},
        {"main", HTML_BLOCK},
        {"body", HTML_BLOCK},
        {"html", HTML_BLOCK},
        {"header", HTML_BLOCK},
        {"blockquote", HTML_BLOCK},
        {"dl", HTML_BLOCK},
        {"dt", HTML_BLOCK},
        {"dd", HTML_BLOCK},
        {"figure", HTML_BLOCK},
        {"figcaption", HTML_BLOCK},
        {"details", HTML_BLOCK},
        {"summary", HTML_BLOCK},
        {"aside", HTML_BLOCK},
        {"address", HTML_BLOCK},
        {"dialog", HTML_BLOCK},
        {"center", HTML_BLOCK},
        {"hr", HTML_BLOCK},
        {"br", HTML_BREAK},
        {"h1", HTML_HEADING},
        {"h2", HTML_HEADING},
        {"h3", HTML_HEADING},
        {"h4", HTML_HEADING},
        {"h5", HTML_HEADING},
        {"h6", HTML_HEADING},
        {"ul", HTML_LIST},
        {"ol", HTML_LIST},
        {"menu", HTML_LIST},
        {"li", HTML_ITEM},
        {"table", HTML_TABLE},
        {"pre", HTML_PRE},
        {"head", HTML_SKIPPED},
        {"script", HTML_SKIPPED},
        {"style", HTML_SKIPPED},
        {"nav", HTML_SKIPPED},
        {"footer", HTML_SKIPPED},
        {"noscript", HTML_SKIPPED},
        {"template", HTML_SKIPPED},
        {"svg", HTML_SKIPPED},
        {"button", HTML_SKIPPED},
        {"select", HTML_SKIPPED},
        {"textarea", HTML_SKIPPED},
        {"iframe", HTML_SKIPPED},
        {"object", HTML_SKIPPED},
        {"canvas", HTML_SKIPPED},
        {"audio", HTML_SKIPPED},
        {"video", HTML_SKIPPED},
        {"datalist", HTML_SKIPPED},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp((const char *)node->name, names[i].name)) {
            return names[i].element;
        }
    }
    return HTML_INLINE;
}

xmlNode *html_next_node(const xmlNode *root, xmlNode *node, bool inside)
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

const char *html_attribute(struct arena *arena, xmlNode *node, const char *name)
{
    xmlChar *value = xmlGetProp(node, (const xmlChar *)name);
    const char *copy = value ? arena_strdup(arena, (const char *)value) : NULL;
    xmlFree(value);
    return copy;
}

/* Whether the style says `property`, such as "display:none", which is in lower case and without spaces. */
static bool has_style(const char *style, const char *property)
{
    size_t len = strlen(property);
    for (const char *at = style; (at = strstr(at, property)); at++) {
        bool starts = at == style || at[-1] == ';';
        if (starts && (!at[len] || at[len] == ';' || at[len] == '!')) {
            return true;
        }
    }
    return false;
}

static bool style_hides(struct arena *arena, const char *style)
{
    static const char *const hiding[] = {"display:none", "visibility:hidden", "visibility:collapse",
        "opacity:0", "font-size:0", "font-size:0px", "content-visibility:hidden"};
    char *plain = arena_alloc(arena, strlen(style) + 1);
    size_t len = 0;
    for (const char *c = style; *c; c++) {
        if (!isspace((unsigned char)*c)) {
            plain[len++] = (char)tolower((unsigned char)*c);
        }
    }
    plain[len] = '\0';
    for (size_t i = 0; i < sizeof(hiding) / sizeof(hiding[0]); i++) {
        if (has_style(plain, hiding[i])) {
            return true;
        }
    }
    return false;
}

bool html_is_hidden(struct arena *arena, xmlNode *node)
{
    if (!node->properties) {
        return !strcmp((const char *)node->name, "dialog");
    }
    const char *aria = html_attribute(arena, node, "aria-hidden");
    const char *style = html_attribute(arena, node, "style");
    bool closed = !strcmp((const char *)node->name, "dialog") && !xmlHasProp(node, (const xmlChar *)"open");
    return closed || (style && style_hides(arena, style)) || (aria && !strcasecmp(aria, "true")) ||
           xmlHasProp(node, (const xmlChar *)"hidden");
}

bool html_is_unseen(struct arena *arena, xmlNode *node)
{
    return node->type == XML_ELEMENT_NODE &&
           (html_element_of(node) == HTML_SKIPPED || html_is_hidden(arena, node));
}

xmlNode *html_find_element(xmlNode *root, const char *name)
{
    for (xmlNode *node = root; node; node = html_next_node(root, node, true)) {
        if (node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name)) {
            return node;
        }
    }
    return NULL;
}

bool html_is_text(const xmlNode *node)
{
    return (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) && node->content;
}
