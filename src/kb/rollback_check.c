/* Whether a source is the one that the base was filled from: a rollback with settings of its own would bring
 * the base to another place, or have every document cited in another way. */
#include "kb/rollback.h"

#include <string.h>
#include "base/arena.h"
#include "kb/store.h"

#define COMPARED 1000 /* documents of the base, at most; a page of the source is about as large */

struct check {
    const struct kb_sync_env *env;
    struct arena *arena;
    struct kb_place place;
    struct kb_known_list known;
    struct blob_walk *walk;
    kb_rollback_checked *done;
    void *arg;
};

/* Both are sorted by key. */
static bool have_one_in_common(const struct check *check, const struct blob_page *page)
{
    for (size_t i = 0, n = 0; i < page->count; i++) {
        const struct blob_object *object = &page->objects[i];
        while (n < check->known.count && strcmp(check->known.items[n].key, object->key) < 0) {
            n++;
        }
        if (n < check->known.count && strcmp(check->known.items[n].key, object->key) == 0 &&
            strcmp(check->known.items[n].etag, kb_etag(check->arena, &check->env->rules, object->etag)) ==
                0) {
            return true;
        }
    }
    return false;
}

static void on_page(void *arg, const struct blob_page *page, const struct error *err)
{
    struct check *check = arg;
    struct error why;
    if (!err && !have_one_in_common(check, page)) {
        error_set(&why, ERROR_REJECT, "kb_settings",
            "by these settings source \"%.60s\" holds nothing that is in the base as it is there: it is "
            "another "
            "place, or documents get other addresses or another language; take the settings of kb-sync "
            "(kb.source, kb.public-url, kb.locale), or when all documents have changed just now `helpdesk kb "
            "sync --wait` first",
            check->place.source);
        err = &why;
    }
    blob_walk_free(check->walk);
    check->done(check->arg, err);
}

static void on_known(void *arg, const struct kb_known_list *list, const struct error *err)
{
    struct check *check = arg;
    bool any = false;
    for (size_t i = 0; list && i < list->count; i++) {
        any = any || *list->items[i].etag;
    }
    if (!any) { /* nothing can be taken away */
        check->done(check->arg, err);
        return;
    }
    check->known = *list;
    check->walk = blob_walk_new(check->env->source);
    blob_walk_next(check->walk, on_page, check);
}

void kb_rollback_check(
    const struct kb_sync_env *env, struct arena *arena, kb_rollback_checked *done, void *arg)
{
    struct check *check = ARENA_NEW(arena, struct check);
    *check = (struct check){.env = env,
        .arena = arena,
        .place = {.tenant = env->tenant, .source = blob_name(env->source), .key = ""},
        .done = done,
        .arg = arg};
    kb_store_list(env->db, arena, &check->place, COMPARED, false, on_known, check);
}
