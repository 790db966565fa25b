/* All documents of a source: compares what it holds with what the base knows, and synchronises those that
 * differ. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "kb/fingerprint.h"
#include "kb/store.h"
#include "kb/sync.h"

#define RUN_AT_ONCE 4 /* documents; each may hold its whole text in memory */
#define RUN_ARENA ((size_t)1 << 30)

struct run {
    const struct kb_sync_env *env;
    struct kb_sync_request request;
    char *tenant;
    struct arena *arena;
    const struct blob_object **objects; /* those that are documents */
    size_t object_count;
    char digest[65];
    char why[200];
    const char **todo; /* keys */
    size_t todo_count;
    size_t next;
    int under_way;
    bool starting; /* inside start_some */
    struct kb_sync_counts counts;
    struct error err; /* ERROR_NONE until the run must end early */
};

/* A document of a run under way. */
struct step {
    struct run *run;
};

static void start_some(struct run *run);

static void run_finish(struct run *run)
{
    bool failed = run->err.disposition != ERROR_NONE;
    struct kb_sync_memory *memory = run->request.memory;
    if (memory) {
        bool clean = !failed && run->counts.failed == 0 && !*run->why;
        memcpy(memory->digest, clean ? run->digest : "", clean ? sizeof(memory->digest) : 1);
    }
    run->request.done(run->request.arg, &run->counts, run->why, failed ? &run->err : NULL);
    arena_free(run->arena);
    free(run->tenant);
    free(run);
}

/* What a single document's weather means for the run: the source's is that document's failure, the database's
 * ends it. */
static void count_error(struct run *run, const struct error *err)
{
    if (!strncmp(err->code, "blob_", 5) || !strcmp(err->code, "kb_conflict")) {
        run->counts.failed++;
    } else if (run->err.disposition == ERROR_NONE) {
        run->err = *err;
    }
}

static void on_document(void *arg, enum kb_synced what, const struct error *err)
{
    struct step *step = arg;
    struct run *run = step->run;
    free(step);
    run->under_way--;
    if (err) {
        count_error(run, err);
    }
    run->counts.read += !err && what != KB_SYNCED_REMOVED;
    run->counts.changed += !err && what == KB_SYNCED_CHANGED;
    run->counts.failed += !err && what == KB_SYNCED_FAILED;
    run->counts.removed += !err && what == KB_SYNCED_REMOVED;
    if (run->request.progress) {
        run->request.progress(run->request.arg, &run->counts);
    }
    if (!run->starting) {
        start_some(run);
    }
}

static void start_some(struct run *run)
{
    if (run->request.stopped && run->request.stopped(run->request.arg) &&
        run->err.disposition == ERROR_NONE) {
        error_set(&run->err, ERROR_RETRY, "kb_stopped", "the synchronisation was stopped");
    }
    run->starting = true;
    while (
        run->err.disposition == ERROR_NONE && run->next < run->todo_count && run->under_way < RUN_AT_ONCE) {
        struct step *step = xcalloc(1, sizeof(*step));
        step->run = run;
        run->under_way++;
        kb_sync_document(run->env, run->tenant, run->todo[run->next++], on_document, step);
    }
    run->starting = false;
    if (run->under_way == 0) {
        run_finish(run);
    }
}

static void add_todo(struct run *run, const char *key)
{
    run->todo[run->todo_count++] = key;
}

/* Both lists are sorted by key: one walk finds what is new, different and gone. */
static void compare(struct run *run, const struct kb_known_list *known)
{
    run->todo = arena_array(run->arena, run->object_count + known->count + 1, sizeof(*run->todo));
    bool whole = !*run->why; /* else what was not listed may be there all the same */
    size_t k = 0;
    for (size_t i = 0; i < run->object_count; i++) {
        const struct blob_object *object = run->objects[i];
        for (; k < known->count && strcmp(known->items[k].key, object->key) < 0; k++) {
            if (whole) {
                add_todo(run, known->items[k].key);
            }
        }
        const struct kb_known *row =
            k < known->count && !strcmp(known->items[k].key, object->key) ? &known->items[k++] : NULL;
        const char *etag = kb_etag(run->arena, run->env->public_url, object->etag);
        if (run->request.full || !row || strcmp(etag, row->etag) != 0) {
            add_todo(run, object->key);
        }
    }
    for (; whole && k < known->count; k++) {
        add_todo(run, known->items[k].key);
    }
}

static void on_known(void *arg, const struct kb_known_list *known, const struct error *err)
{
    struct run *run = arg;
    if (err) {
        run->err = *err;
    } else {
        compare(run, known);
    }
    start_some(run);
}

static void keep_documents(struct run *run, const struct blob_list *list)
{
    run->objects = arena_array(run->arena, list->count + 1, sizeof(*run->objects));
    for (size_t i = 0; i < list->count; i++) {
        if (kb_format_of(list->objects[i].key) != KB_FORMAT_NONE) {
            run->objects[run->object_count++] = &list->objects[i];
        }
    }
    run->counts.found = (int)run->object_count;
    kb_list_digest(run->objects, run->object_count, run->digest);
}

static void on_list(void *arg, const struct blob_list *list, const struct error *err)
{
    struct run *run = arg;
    if (err) {
        run->err = *err;
        run_finish(run);
        return;
    }
    keep_documents(run, list);
    if (list->incomplete) {
        memcpy(run->why, list->why, sizeof(run->why));
    }
    bool same = run->request.memory && !list->incomplete && !strcmp(run->request.memory->digest, run->digest);
    if (same && !run->request.full) {
        run_finish(run);
        return;
    }
    struct kb_place place = {.tenant = run->tenant, .source = blob_name(run->env->source)};
    kb_store_list(run->env->db, run->arena, &place, on_known, run);
}

void kb_sync_run(const struct kb_sync_env *env, const struct kb_sync_request *request)
{
    struct run *run = xcalloc(1, sizeof(*run));
    run->env = env;
    run->request = *request;
    run->tenant = xstrdup(request->tenant);
    run->arena = arena_new(RUN_ARENA);
    blob_list(env->source, run->arena, on_list, run);
}
