/* `helpdesk check`: can the sources of the knowledge base be read. */
#include <stdio.h>

#include "blob/blob.h"
#include "cmd/check.h"
#include "kb/document.h"
#include "kb/sources.h"
#include "loop/loop.h"

struct visit {
    struct loop *loop;
    struct blob_walk *walk;
    const char *name;
};

static void visited(struct visit *visit, bool ok, const char *what)
{
    char detail[256];
    snprintf(detail, sizeof detail, "%.100s: %.140s", visit->name, what);
    loop_stop(visit->loop, check_line("source", ok, detail) ? 0 : 1);
}

static bool has_document(const struct blob_page *page)
{
    bool found = false;
    for (size_t i = 0; i < page->count && !found; i++) {
        found = kb_format_of(page->objects[i].key) != KB_FORMAT_NONE;
    }
    return found;
}

static void on_page(void *arg, const struct blob_page *page, const struct error *err)
{
    struct visit *visit = arg;
    if (page == NULL) {
        visited(visit, false, err->text);
    } else if (page->gap != NULL) {
        visited(visit, false, page->why);
    } else if (has_document(page)) {
        visited(visit, true, "there are documents");
    } else if (page->last) {
        visited(visit, true, "there are no documents");
    } else {
        blob_walk_next(visit->walk, on_page, visit);
    }
}

static bool visit_source(const struct blob_place *place)
{
    struct visit visit = {.loop = loop_new(1), .name = place->name};
    struct error err = {0};
    struct blob_source *source = blob_open(visit.loop, place, &err);
    bool ok;
    if (source == NULL) {
        ok = check_line("source", false, err.text);
    } else {
        visit.walk = blob_walk_new(source);
        blob_walk_next(visit.walk, on_page, &visit);
        ok = loop_run(visit.loop) == 0;
        blob_walk_free(visit.walk);
        blob_close(source);
    }
    loop_free(visit.loop);
    return ok;
}

bool check_sources(const struct conf *conf)
{
    struct error err = {0};
    struct kb_sources *sources = kb_sources_load(conf, &err);
    if (sources == NULL) {
        return check_line("source", false, err.text);
    }
    bool ok = true;
    for (size_t i = 0; i < sources->count; i++) {
        ok = visit_source(&sources->items[i].place) && ok;
    }
    kb_sources_free(sources);
    return ok;
}
