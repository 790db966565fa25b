/* The taxonomy: the categories a ticket may have, their departments, and the words that speak for them. */
#ifndef HELPDESK_MODEL_TAXONOMY_H
#define HELPDESK_MODEL_TAXONOMY_H

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

#define TAXONOMY_MAX_BYTES (1024 * 1024)
#define TAXONOMY_MAX_CATEGORIES 100
#define TAXONOMY_MAX_KEYWORDS 5000 /* of all categories together */
#define TAXONOMY_KEYWORD_WORDS 6

struct taxonomy_word {
    const char *text; /* plain text (model/text.h); the stem when both ends are closed */
    bool open_start;  /* "*ware": any word that ends so */
    bool open_end;    /* "rechnung*": any word that starts so */
};

struct taxonomy_keyword {
    const char *text;                                   /* as written */
    struct taxonomy_word words[TAXONOMY_KEYWORD_WORDS]; /* must follow each other */
    size_t word_count;
    double weight; /* above 0, at most 10 */
};

struct taxonomy_category {
    const char *name;
    const char *department;
    const char *description;
    struct taxonomy_keyword *keywords; /* the weightiest first */
    size_t keyword_count;
};

/* Read-only once made; any thread. */
struct taxonomy {
    struct taxonomy_category *categories;
    size_t category_count;
    const struct taxonomy_category *fallback; /* of a ticket that nothing speaks for */
    const char *version;                      /* UUIDv5 of the text it was read from */
    struct arena *arena;
};

extern const char taxonomy_shipped[]; /* deploy/taxonomy.json, compiled in */

/* Reads the JSON text, or the file at `path` (NULL or "": the shipped one). NULL: ERROR_FATAL
 * "taxonomy_invalid" or "taxonomy_unreadable"; the text names the entry. */
struct taxonomy *taxonomy_parse(const char *json, size_t len, struct error *err);
struct taxonomy *taxonomy_load(const char *path, struct error *err);
void taxonomy_free(struct taxonomy *taxonomy);

/* Whether `keyword` word `word` stands for a text's word with this plain text and stem. */
bool taxonomy_word_matches(const struct taxonomy_word *word, const char *plain, const char *stem);

#endif
