/* The sources of the knowledge base's documents, as the settings name them: kb.sources, a JSON file, or the
 * one of kb.source and kb.name. deploy/sample/sources.json shows all that the file may hold. */
#ifndef HELPDESK_KB_SOURCES_H
#define HELPDESK_KB_SOURCES_H

#include "blob/blob.h"
#include "conf/conf.h"

#define KB_SOURCES_MAX 64
#define KB_SOURCES_MAX_FILE ((size_t)1024 * 1024)
#define KB_SOURCE_MAX_GLOBS 100
#define KB_SOURCE_MAX_METADATA 1024 /* bytes of it as JSON: each passage that is shown carries it */

struct kb_source {
    struct blob_place place;
    const char *tenant;
    const char *locale;     /* BCP 47, of documents that do not say; "": it is detected */
    const char *public_url; /* "": none */
    const char *metadata;   /* JSON object of texts, shown with its passages; "{}": nothing */
};

struct kb_sources { /* read-only once made; any thread */
    struct arena *arena;
    struct kb_source *items; /* no two have the same name */
    size_t count;            /* may be 0 */
};

/* NULL with ERROR_FATAL "kb_sources", which names the member that is wrong and what would be right. Reads the
 * file; opens no source. */
struct kb_sources *kb_sources_load(const struct conf *conf, struct error *err);
/* The same of the file's text; `conf` gives what a source does not say. For tests too. */
struct kb_sources *kb_sources_parse(const char *json, size_t len, const struct conf *conf, struct error *err);
void kb_sources_free(struct kb_sources *sources); /* NULL is fine */

/* The tenant's source of that name; with "" the tenant's only one. NULL: there is none. */
const struct kb_source *kb_sources_find(
    const struct kb_sources *sources, const char *tenant, const char *name);

#endif
