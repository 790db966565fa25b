/* All documents of a source: a merge of two walks in order of the keys, through what the source holds and
 * through what the base knows, page by page; what differs is synchronised on the way. So a run holds a page
 * of each and the few documents under way, whatever the size of the source. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "base/utf8.h"
#include "kb/fingerprint.h"
#include "kb/store.h"
#include "kb/sync.h"

#define RUN_AT_ONCE 4 /* documents; each may hold its whole text in memory */
#define BASE_PAGE ((size_t)1000)

struct run {
    const struct kb_sync_env *env;
    struct kb_sync_request request;
    char why[200];
    /* The source's side: */
    struct blob_walk *walk;
    const struct blob_page *page; /* NULL: the next one is to be fetched */
    size_t at;                    /* the next object in it */
    size_t page_number;
    char *page_after; /* the last key of the pages before */
    char digest[KB_DIGEST_SIZE];
    bool page_differs;
    /* The base's side: */
    struct arena *base_arena;
    struct kb_known_list base; /* a page */
    int64_t mark;              /* of the base: the newest that is known */
    bool base_ended;           /* it is the last one */
    size_t base_at;
    char *base_after; /* the last key of it that was looked at */

    bool fetching; /* a page of either */
    bool walked;   /* both sides are at their end */
    int under_way; /* documents */
    int looked_at; /* of counts.found */
    bool working;  /* inside go_on */
    int64_t oldest_failed_ms;
    struct kb_sync_counts counts;
    struct error err; /* ERROR_NONE until the run must end early */
};

/* A document of a run under way. */
struct step {
    struct run *run;
    int64_t modified_ms; /* of the object; 0: the source does not have it */
    bool found;          /* it is one of counts.found */
    char *key;
    struct kb_since since;
};

static void go_on(struct run *run);

static bool run_failed(const struct run *run)
{
    return run->err.disposition != ERROR_NONE;
}

static void set_text(char **text, const char *value)
{
    char *copied = xstrdup(value);
    free(*text);
    *text = copied;
}

static int64_t older(int64_t a_ms, int64_t b_ms)
{
    return !a_ms || (b_ms && b_ms < a_ms) ? b_ms : a_ms;
}

static void take_mark(struct run *run, int64_t mark)
{
    run->mark = mark > run->mark ? mark : run->mark;
}

static void run_finish(struct run *run)
{
    if (!run_failed(run)) {
        run->counts.oldest_ms = run->oldest_failed_ms;
    }
    run->request.done(run->request.arg, &run->counts, run->why, run_failed(run) ? &run->err : NULL);
    blob_walk_free(run->walk);
    arena_free(run->base_arena);
    free(run->page_after);
    free(run->base_after);
    free(run);
}

/* ---- documents ---- */

/* The first one counts. */
static void say_why(struct run *run, const char *why)
{
    if (!*run->why) {
        size_t len = utf8_clip(why, sizeof(run->why) - 1);
        memcpy(run->why, why, len);
        run->why[len] = '\0';
    }
}

static void look_at(struct run *run, int documents)
{
    run->looked_at += documents;
    run->counts.left = run->counts.found - run->looked_at;
}

static bool is_document(const struct blob_object *object)
{
    return kb_format_of(object->key) != KB_FORMAT_NONE;
}

/* Another writer's work is no trouble: the next run sees its end. */
static void say_unread(struct run *run, const struct step *step, const struct error *err)
{
    if (strcmp(err->code, "blob_changed") != 0 && strcmp(err->code, "kb_conflict") != 0) {
        struct arena *arena = arena_new(0);
        say_why(run, arena_printf(arena, "%s: %s", step->key, err->text));
        arena_free(arena);
    }
}

/* What a single document's weather means for the run: the source's is that document's failure, the database's
 * ends it. */
static void count_error(struct run *run, const struct step *step, const struct error *err)
{
    if (!strncmp(err->code, "blob_", 5) || !strcmp(err->code, "kb_conflict")) {
        run->counts.failed++;
        say_unread(run, step, err);
        run->oldest_failed_ms = older(run->oldest_failed_ms, step->modified_ms);
    } else if (!run_failed(run)) {
        run->err = *err;
    }
}

static void on_document(void *arg, enum kb_synced what, const struct error *err)
{
    struct step *step = arg;
    struct run *run = step->run;
    run->under_way--;
    if (err) {
        count_error(run, step, err);
    }
    if (step->found) {
        look_at(run, 1);
    }
    free(step->key);
    take_mark(run, step->since.mark);
    free(step);
    run->counts.read += !err && what != KB_SYNCED_REMOVED;
    run->counts.changed += !err && what == KB_SYNCED_CHANGED;
    run->counts.failed += !err && what == KB_SYNCED_FAILED;
    run->counts.removed += !err && what == KB_SYNCED_REMOVED;
    if (run->request.progress) {
        run->request.progress(run->request.arg, &run->counts);
    }
    go_on(run);
}

/* `known` NULL: the base does not have it; `object` NULL: the source does not. */
static void start_document(struct run *run, const struct blob_object *object, const struct kb_known *known)
{
    struct step *step = xcalloc(1, sizeof(*step));
    step->run = run;
    step->modified_ms = object ? object->modified_ms : 0;
    step->found = object && is_document(object);
    step->key = xstrdup(object ? object->key : known->key);
    run->page_differs = true;
    run->under_way++;
    run->counts.oldest_ms = older(run->counts.oldest_ms, step->modified_ms);
    step->since = (struct kb_since){.revision = known ? known->revision : 0, .mark = run->mark};
    kb_sync_known_document(run->env, step->key, &step->since, object, on_document, step);
}

/* ---- pages of the source ---- */

static bool page_remembered(const struct run *run)
{
    const struct kb_sync_memory *memory = run->request.memory;
    return memory && !run->request.full && run->page_number < memory->count &&
           !strcmp(memory->digests[run->page_number], run->digest);
}

static void remember_page(struct run *run)
{
    struct kb_sync_memory *memory = run->request.memory;
    if (!memory) {
        return;
    }
    if (run->page_number == memory->capacity) {
        memory->capacity = memory->capacity ? memory->capacity * 2 : 16;
        memory->digests = xrealloc(memory->digests, memory->capacity * sizeof(*memory->digests));
    }
    char *digest = memory->digests[run->page_number];
    memcpy(digest, run->digest, sizeof(run->digest));
    if (run->page_differs) {
        digest[0] = '\0';
    }
    if (memory->count <= run->page_number) {
        memory->count = run->page_number + 1;
    }
}

static void count_found(struct run *run, const struct blob_page *page)
{
    run->counts.refused += (int)page->refused;
    for (size_t i = 0; i < page->count; i++) {
        run->counts.found += is_document(&page->objects[i]);
    }
    look_at(run, 0);
    if (page->gap) {
        say_why(run, page->why);
    }
}

static const char *page_end(const struct run *run)
{
    return run->page->count > 0 ? run->page->objects[run->page->count - 1].key : run->page_after;
}

static void page_done(struct run *run)
{
    bool last = run->page->last;
    remember_page(run);
    set_text(&run->page_after, page_end(run));
    run->page_number++;
    run->page = NULL;
    run->walked = last;
    if (last && run->request.memory) {
        run->request.memory->count = run->page_number;
    }
}

/* What was the same in the base the last time is so now: nothing of it need be looked at. A page that ends
 * with a gap is compared, since what lies in the gap must be passed over one by one. */
static void skip_page(struct run *run)
{
    const char *end = page_end(run);
    for (size_t i = 0; i < run->page->count; i++) {
        look_at(run, is_document(&run->page->objects[i]));
    }
    run->at = run->page->count;
    while (run->base_at < run->base.count && strcmp(run->base.items[run->base_at].key, end) <= 0) {
        run->base_at++;
    }
    if (strcmp(run->base_after, end) < 0) {
        set_text(&run->base_after, end);
    }
    page_done(run);
}

static void on_page(void *arg, const struct blob_page *page, const struct error *err)
{
    struct run *run = arg;
    run->fetching = false;
    if (err) {
        run->err = *err;
    } else {
        run->page = page;
        run->at = 0;
        run->page_differs = false;
        count_found(run, page);
        kb_page_digest(run->page_after, page, run->digest);
        if (!page->gap && page_remembered(run)) {
            skip_page(run);
        }
    }
    go_on(run);
}

/* ---- pages of the base ---- */

static void on_known(void *arg, const struct kb_known_list *known, const struct error *err)
{
    struct run *run = arg;
    run->fetching = false;
    if (err) {
        run->err = *err;
    } else {
        run->base = *known;
        run->base_at = 0;
        run->base_ended = known->count < BASE_PAGE;
        take_mark(run, known->mark);
    }
    go_on(run);
}

static void fetch_base(struct run *run)
{
    struct kb_place place = {
        .tenant = run->env->tenant, .source = blob_name(run->env->source), .key = run->base_after};
    arena_free(run->base_arena);
    run->base_arena = arena_new(0);
    run->fetching = true;
    kb_store_list(run->env->db, run->base_arena, &place, BASE_PAGE, run->env->keep, on_known, run);
}

/* ---- the merge ---- */

/* The next known document, NULL at the end of the base; `wait` when its page must be fetched first. */
static const struct kb_known *next_known(struct run *run, bool *wait)
{
    if (run->base_at < run->base.count) {
        return &run->base.items[run->base_at];
    }
    if (!run->base_ended) {
        *wait = true;
        fetch_base(run);
    }
    return NULL;
}

static void known_done(struct run *run, const struct kb_known *known)
{
    set_text(&run->base_after, known->key);
    run->base_at++;
}

/* Behind the last object of a page: what the base has there is gone, if this is the last page, or may be on
 * the next one; in a gap it may be there or not. */
static void behind_page(struct run *run, const struct kb_known *known)
{
    const char *gap = run->page->gap;
    bool in_gap = known && gap && !strncmp(known->key, gap, strlen(gap));
    bool gone = known && !in_gap && (run->page->last || (gap && strcmp(known->key, gap) < 0));
    if (gone) {
        start_document(run, NULL, known);
    }
    if (in_gap || gone) {
        known_done(run, known);
    } else {
        page_done(run);
    }
}

static bool differs(struct run *run, const struct blob_object *object, const struct kb_known *known)
{
    if (run->request.full || !known) {
        return true;
    }
    struct arena *arena = arena_new(0);
    bool other = strcmp(kb_etag(arena, &run->env->rules, object->etag), known->etag) != 0;
    arena_free(arena);
    return other;
}

static void compare_one(struct run *run, const struct kb_known *known)
{
    if (run->at == run->page->count) {
        behind_page(run, known);
        return;
    }
    const struct blob_object *object = &run->page->objects[run->at];
    int order = known ? strcmp(known->key, object->key) : 1;
    if (order < 0) { /* the source has no such object any more */
        start_document(run, NULL, known);
        known_done(run, known);
        return;
    }
    const struct kb_known *row = order == 0 ? known : NULL;
    if ((row || is_document(object)) && differs(run, object, row)) {
        start_document(run, object, row);
    } else {
        look_at(run, is_document(object));
    }
    run->at++;
    if (row) {
        known_done(run, row);
    }
}

/* One thing at a time, until something must be waited for. */
static void advance(struct run *run)
{
    if (!run->page) {
        run->fetching = true;
        blob_walk_next(run->walk, on_page, run);
        return;
    }
    bool wait = false;
    const struct kb_known *known = next_known(run, &wait);
    if (!wait) {
        compare_one(run, known);
    }
}

static void go_on(struct run *run)
{
    if (run->working) {
        return;
    }
    run->working = true;
    while (!run_failed(run) && !run->walked && !run->fetching && run->under_way < RUN_AT_ONCE) {
        if (run->request.stopped && run->request.stopped(run->request.arg)) {
            error_set(&run->err, ERROR_RETRY, "kb_stopped", "the synchronisation was stopped");
        } else {
            advance(run);
        }
    }
    run->working = false;
    if (run->under_way == 0 && !run->fetching && (run->walked || run_failed(run))) {
        run_finish(run);
    }
}

void kb_sync_run(const struct kb_sync_env *env, const struct kb_sync_request *request)
{
    struct run *run = xcalloc(1, sizeof(*run));
    run->env = env;
    run->request = *request;
    run->page_after = xstrdup("");
    run->base_after = xstrdup("");
    run->walk = blob_walk_new(env->source);
    if (request->full && request->memory) {
        kb_sync_memory_forget(request->memory);
    }
    go_on(run);
}

void kb_sync_memory_forget(struct kb_sync_memory *memory)
{
    free(memory->digests);
    *memory = (struct kb_sync_memory){0};
}
