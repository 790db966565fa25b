/* `helpdesk kb rollback`: plans for each source what is to be done, shows it, does it, and tells what
 * changed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/database.h"
#include "cmd/kb.h"
#include "cmd/term.h"
#include "kb/rollback.h"
#include "kb/sources.h"

#define OFFLOAD_THREADS 2
#define QUERY_TIMEOUT_MS 60000
#define PLAN_ARENA ((size_t)1 << 30) /* of a base of a million documents */
#define ACTIONS (KB_ROLLBACK_LOST + 1)
#define KEY_COLUMNS 40

static const struct action {
    const char *name, *did;
} actions[ACTIONS] = {
    [KB_ROLLBACK_WRITE] = {"write", "wrote"},
    [KB_ROLLBACK_RESTORE] = {"restore", "restored"},
    [KB_ROLLBACK_REMOVE] = {"remove", "removed"},
    [KB_ROLLBACK_LEAVE] = {"leave", "left"},
    [KB_ROLLBACK_LOST] = {"lost", "lost"},
};

struct source {
    struct kb_sync_env env;
    struct kb_rollback_plan *plan;
};

struct rollback {
    const struct kb *kb;
    const char *tenant;
    struct conf *conf;
    struct arena *arena;
    struct loop *loop;
    struct database *database;
    struct kb_sources *settings;
    struct kb_parser *parser;
    struct source sources[KB_SOURCES_MAX];
    size_t source_count;
    int64_t before, after; /* revisions of the base */
    size_t total, ended;   /* steps */
    /* Of the call that is waited for: */
    struct kb_rollback_plan *planned;
    struct error err;
};

/* ---- what it works with ---- */

static bool open_source(struct rollback *rollback, const struct kb_source *settings, struct error *err)
{
    const struct conf *conf = rollback->conf;
    struct source *source = &rollback->sources[rollback->source_count];
    source->env = (struct kb_sync_env){
        .loop = rollback->loop,
        .db = database_pool(rollback->database),
        .source = blob_open(rollback->loop, &settings->place, err),
        .tenant = rollback->tenant,
        .rules = {.public_url = settings->public_url, .locale = settings->locale},
        .parser = rollback->parser,
        .max_document = (size_t)conf_int(conf, CONF_KB_MAX_DOCUMENT),
        .keep = conf_int(conf, CONF_KB_HISTORY_FOR) > 0,
    };
    rollback->source_count += source->env.source != NULL;
    return source->env.source != NULL;
}

/* Of a document its one source; of all documents every source, or the one that is named. */
static bool open_sources(struct rollback *rollback, struct error *err)
{
    const struct kb *kb = rollback->kb;
    const struct kb_sources *settings = rollback->settings;
    if (kb->source != NULL || kb->key != NULL) {
        const char *name = kb->source != NULL ? kb->source : "";
        const struct kb_source *found = kb_sources_find(settings, rollback->tenant, name);
        return found != NULL ? open_source(rollback, found, err)
                             : error_set(err, ERROR_REJECT, "kb_source",
                                   "tenant %.60s has no source \"%.60s\", or several: --source says which",
                                   rollback->tenant, name);
    }
    for (size_t i = 0; i < settings->count; i++) {
        if (strcmp(settings->items[i].tenant, rollback->tenant) == 0 &&
            !open_source(rollback, &settings->items[i], err)) {
            return false;
        }
    }
    return rollback->source_count > 0 ||
           error_set(err, ERROR_REJECT, "kb_source", "tenant %.60s has no source", rollback->tenant);
}

static bool open_all(struct rollback *rollback, struct error *err)
{
    const struct conf *conf = rollback->conf;
    if (!database_named(conf, err)) {
        return false;
    }
    rollback->loop = loop_new(OFFLOAD_THREADS);
    rollback->settings = kb_sources_load(conf, err);
    rollback->database =
        rollback->settings != NULL ? database_open(rollback->loop, conf, QUERY_TIMEOUT_MS, err) : NULL;
    if (rollback->database == NULL) {
        return false;
    }
    rollback->parser = kb_parser_new("/proc/self/exe", (size_t)conf_int(conf, CONF_KB_PARSE_MEMORY),
        conf_int(conf, CONF_KB_PARSE_TIMEOUT));
    return open_sources(rollback, err);
}

static void close_all(struct rollback *rollback)
{
    database_close(rollback->database);
    for (size_t i = 0; i < rollback->source_count; i++) {
        blob_close(rollback->sources[i].env.source);
    }
    kb_parser_free(rollback->parser);
    kb_sources_free(rollback->settings);
    if (rollback->loop != NULL) {
        loop_free(rollback->loop);
    }
    arena_free(rollback->arena);
    conf_free(rollback->conf);
}

/* ---- planning ---- */

static void on_planned(void *arg, struct kb_rollback_plan *plan, const struct error *err)
{
    struct rollback *rollback = arg;
    rollback->planned = plan;
    rollback->err = err != NULL ? *err : (struct error){0};
    loop_stop(rollback->loop, 0);
}

static void on_current(
    void *arg, const struct kb_sync_counts *counts, const char *why, const struct error *err)
{
    struct rollback *rollback = arg;
    (void)counts;
    rollback->err = err != NULL ? *err : (struct error){0};
    if (err == NULL && *why != '\0') {
        error_set(&rollback->err, ERROR_RETRY, "kb_source", "the source cannot be read in full: %s", why);
    }
    loop_stop(rollback->loop, 0);
}

static void on_current_document(void *arg, enum kb_synced what, const struct error *err)
{
    struct rollback *rollback = arg;
    (void)what;
    rollback->err = err != NULL ? *err : (struct error){0};
    loop_stop(rollback->loop, 0);
}

/* What the source holds now is in the history before it is written over. */
static bool read_current(struct rollback *rollback, const struct source *source, struct error *err)
{
    const char *key = rollback->kb->key;
    if (key != NULL && !blob_wanted(source->env.source, key)) {
        return true; /* the plan says so */
    }
    if (key != NULL) {
        kb_sync_document(&source->env, key, on_current_document, rollback);
    } else {
        kb_sync_run(&source->env, &(struct kb_sync_request){.done = on_current, .arg = rollback});
    }
    loop_run(rollback->loop);
    *err = rollback->err;
    return err->disposition == ERROR_NONE;
}

static void on_checked(void *arg, const struct error *err)
{
    struct rollback *rollback = arg;
    rollback->err = err != NULL ? *err : (struct error){0};
    loop_stop(rollback->loop, 0);
}

static bool check_source(struct rollback *rollback, const struct source *source, struct error *err)
{
    kb_rollback_check(&source->env, rollback->arena, on_checked, rollback);
    loop_run(rollback->loop);
    *err = rollback->err;
    return err->disposition == ERROR_NONE;
}

/* Whether it is only to tell what it would do. */
static bool only_tells(const struct rollback *rollback)
{
    return rollback->kb->dry_run || (rollback->kb->all && !rollback->kb->yes);
}

static struct kb_rollback_plan *plan_source(struct rollback *rollback, const struct source *source)
{
    kb_rollback_plan(
        &source->env, rollback->arena, rollback->kb->key, rollback->kb->to, on_planned, rollback);
    loop_run(rollback->loop);
    return rollback->planned;
}

static bool check_plan(
    const struct rollback *rollback, const struct kb_rollback_plan *plan, struct error *err)
{
    const struct kb *kb = rollback->kb;
    if (kb->to > plan->revision) {
        return error_set(err, ERROR_REJECT, "kb_revision",
            "the base is at revision %" PRId64 ", not yet at %" PRId64, plan->revision, kb->to);
    }
    if (kb->key != NULL && !plan->known) {
        return error_set(err, ERROR_REJECT, "kb_unknown", "the history knows no document of this key");
    }
    return kb->key != NULL || kb->to >= plan->history_from ||
           error_set(err, ERROR_REJECT, "kb_history",
               "revision %" PRId64 " is not kept any more: the history is whole from revision %" PRId64
               " on (kb.history-for)",
               kb->to, plan->history_from);
}

static bool make_plans(struct rollback *rollback, struct error *err)
{
    for (size_t i = 0; i < rollback->source_count; i++) {
        if (!check_source(rollback, &rollback->sources[i], err) ||
            (!only_tells(rollback) && !read_current(rollback, &rollback->sources[i], err))) {
            return false;
        }
        struct kb_rollback_plan *plan = plan_source(rollback, &rollback->sources[i]);
        if (plan == NULL) {
            *err = rollback->err;
            return false;
        }
        if (!check_plan(rollback, plan, err)) {
            return false;
        }
        rollback->sources[i].plan = plan;
        rollback->before = rollback->after = plan->revision;
    }
    return true;
}

static size_t count_steps(const struct rollback *rollback, enum kb_rollback_action action, bool done_only)
{
    size_t count = 0;
    for (size_t i = 0; i < rollback->source_count; i++) {
        const struct kb_rollback_plan *plan = rollback->sources[i].plan;
        for (size_t s = 0; s < plan->count; s++) {
            count += plan->steps[s].action == action && (plan->steps[s].done || !done_only);
        }
    }
    return count;
}

/* ---- doing ---- */

static void on_progress(void *arg)
{
    struct rollback *rollback = arg;
    rollback->ended++;
    if (!rollback->kb->json && isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r\033[K%zu of %zu documents", rollback->ended, rollback->total);
        fflush(stderr);
    }
}

static void on_done(void *arg, const struct error *err)
{
    struct rollback *rollback = arg;
    rollback->err = err != NULL ? *err : (struct error){0};
    loop_stop(rollback->loop, 0);
}

/* What differs again, or still, was not done, whatever source and base answered. Both plans are in order of
 * their keys. */
static void compare_plans(struct kb_rollback_plan *plan, const struct kb_rollback_plan *now)
{
    for (size_t i = 0, n = 0; i < plan->count; i++) {
        while (n < now->count && strcmp(now->steps[n].key, plan->steps[i].key) < 0) {
            n++;
        }
        if (plan->steps[i].done && n < now->count && strcmp(now->steps[n].key, plan->steps[i].key) == 0) {
            plan->steps[i].done = false;
            plan->steps[i].why =
                "it is not what it was: somebody, or the source, changed it at the same time";
        }
    }
}

static void compare_all(struct rollback *rollback)
{
    for (size_t i = 0; i < rollback->source_count; i++) {
        const struct kb_rollback_plan *now = plan_source(rollback, &rollback->sources[i]);
        if (now != NULL) {
            compare_plans(rollback->sources[i].plan, now);
            rollback->after = now->revision;
        }
    }
}

/* False: it ended early, `err` says why. */
static bool take_plans(struct rollback *rollback, struct error *err)
{
    bool whole = true;
    rollback->total = count_steps(rollback, KB_ROLLBACK_WRITE, false) +
                      count_steps(rollback, KB_ROLLBACK_RESTORE, false) +
                      count_steps(rollback, KB_ROLLBACK_REMOVE, false);
    for (size_t i = 0; i < rollback->source_count && whole; i++) {
        struct source *source = &rollback->sources[i];
        kb_rollback_run(&source->env, source->plan, on_progress, on_done, rollback);
        loop_run(rollback->loop);
        whole = rollback->err.disposition == ERROR_NONE;
    }
    *err = rollback->err;
    if (!rollback->kb->json && isatty(STDERR_FILENO)) {
        fputs("\r\033[K", stderr);
    }
    compare_all(rollback);
    return whole;
}

/* ---- telling ---- */

static bool step_failed(const struct rollback *rollback, const struct kb_rollback_step *step)
{
    return !rollback->kb->dry_run && !step->done && step->action < KB_ROLLBACK_LEAVE;
}

static void put_step(const struct rollback *rollback, struct term *term, const struct kb_rollback_step *step)
{
    bool failed = step_failed(rollback, step);
    const struct action *action = &actions[step->action];
    term_pad(term, failed ? TERM_RED : TERM_PLAIN,
        failed ? "not done" : (rollback->kb->dry_run ? action->name : action->did), 9);
    term_put(term, TERM_PLAIN, " ");
    term_pad(term, TERM_PLAIN, step->key, KEY_COLUMNS);
    if (failed || step->action == KB_ROLLBACK_LEAVE) {
        term_printf(term, TERM_PLAIN, " %s", *step->why != '\0' ? step->why : "not begun");
    } else if (step->action != KB_ROLLBACK_REMOVE) {
        term_printf(
            term, TERM_PLAIN, " as of revision %" PRId64 ", %" PRId64 " bytes", step->revision, step->size);
    }
    term_newline(term);
}

static void put_text(const struct rollback *rollback, struct buf *out)
{
    bool dry = rollback->kb->dry_run;
    struct term term = term_for(stdout, out);
    for (size_t i = 0; i < rollback->source_count; i++) {
        for (size_t s = 0; s < rollback->sources[i].plan->count; s++) {
            put_step(rollback, &term, &rollback->sources[i].plan->steps[s]);
        }
    }
    term_printf(&term, TERM_BOLD, "%s%zu written, %zu restored, %zu removed, %zu left",
        dry ? "would be: " : "", count_steps(rollback, KB_ROLLBACK_WRITE, !dry),
        count_steps(rollback, KB_ROLLBACK_RESTORE, !dry), count_steps(rollback, KB_ROLLBACK_REMOVE, !dry),
        count_steps(rollback, KB_ROLLBACK_LEAVE, false));
    if (rollback->after != rollback->before) {
        term_printf(&term, TERM_PLAIN, "; the base went from revision %" PRId64 " to %" PRId64,
            rollback->before, rollback->after);
    }
    term_newline(&term);
}

static void add_steps(const struct rollback *rollback, const struct source *source, cJSON *list)
{
    for (size_t i = 0; i < source->plan->count; i++) {
        const struct kb_rollback_step *step = &source->plan->steps[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "source", blob_name(source->env.source));
        cJSON_AddStringToObject(object, "key", step->key);
        cJSON_AddStringToObject(object, "action", actions[step->action].name);
        cJSON_AddNumberToObject(object, "revision", (double)step->revision);
        cJSON_AddNumberToObject(object, "size", (double)step->size);
        cJSON_AddBoolToObject(object, "done", step->done);
        cJSON_AddBoolToObject(object, "failed", step_failed(rollback, step));
        cJSON_AddStringToObject(object, "why", step->why);
        cJSON_AddItemToArray(list, object);
    }
}

static void put_json(const struct rollback *rollback, struct buf *out)
{
    struct buf plain;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddBoolToObject(object, "dry_run", rollback->kb->dry_run);
    cJSON_AddNumberToObject(object, "to", (double)rollback->kb->to);
    cJSON_AddNumberToObject(object, "revision_before", (double)rollback->before);
    cJSON_AddNumberToObject(object, "revision", (double)rollback->after);
    cJSON *list = cJSON_AddArrayToObject(object, "documents");
    for (size_t i = 0; i < rollback->source_count; i++) {
        add_steps(rollback, &rollback->sources[i], list);
    }
    buf_init(&plain, KB_OUTPUT_BYTES);
    json_put_and_delete(&plain, object);
    term_escape_json(out, buf_text(&plain));
    buf_putc(out, '\n');
    buf_fini(&plain);
}

static void tell(const struct rollback *rollback)
{
    struct buf out;
    buf_init(&out, KB_OUTPUT_BYTES);
    (rollback->kb->json ? put_json : put_text)(rollback, &out);
    cmd_print(out.failed ? "" : buf_text(&out));
    buf_fini(&out);
}

/* ---- the command ---- */

static int fail(const struct error *err)
{
    struct buf out;
    buf_init(&out, KB_OUTPUT_BYTES);
    term_clean(&out, err->text);
    int code = cmd_fail(strcmp(err->code, "setting_missing") == 0 ? 2 : 1, KB_NAME, "%s%s", buf_text(&out),
        strcmp(err->code, "db_schema") == 0 ? ": run `helpdesk migrate up`" : "");
    buf_fini(&out);
    return code;
}

/* What cannot be done whole is not begun. */
static bool refuse_lost(const struct rollback *rollback)
{
    struct buf out;
    buf_init(&out, KB_OUTPUT_BYTES);
    struct term term = term_for(stderr, &out);
    for (size_t i = 0; i < rollback->source_count; i++) {
        const struct kb_rollback_plan *plan = rollback->sources[i].plan;
        for (size_t s = 0; s < plan->count; s++) {
            if (plan->steps[s].action == KB_ROLLBACK_LOST) {
                term_printf(&term, TERM_PLAIN,
                    "helpdesk kb: %s: what it was at revision %" PRId64
                    " is not kept, or not any more (kb.history-for); nothing was changed",
                    plan->steps[s].key, rollback->kb->to);
                term_newline(&term);
            }
        }
    }
    fputs(buf_text(&out), stderr);
    bool any = out.len > 0;
    buf_fini(&out);
    return any;
}

static int roll_back(struct rollback *rollback)
{
    struct error err = {0};
    if (!open_all(rollback, &err) || !make_plans(rollback, &err)) {
        return fail(&err);
    }
    if (refuse_lost(rollback)) {
        return 1;
    }
    if (!rollback->kb->dry_run && !rollback->kb->all && !rollback->kb->yes &&
        count_steps(rollback, KB_ROLLBACK_REMOVE, false) > 0) {
        return cmd_fail(2, KB_NAME,
            "at revision %" PRId64 " there was no %s: this would remove it; to do it say --yes",
            rollback->kb->to, rollback->kb->key);
    }
    if (!rollback->kb->dry_run && only_tells(rollback)) {
        return cmd_fail(2, KB_NAME,
            "this would write %zu, restore %zu and remove %zu documents: look at them with --dry-run, then "
            "say "
            "--yes",
            count_steps(rollback, KB_ROLLBACK_WRITE, false),
            count_steps(rollback, KB_ROLLBACK_RESTORE, false),
            count_steps(rollback, KB_ROLLBACK_REMOVE, false));
    }
    bool whole = rollback->kb->dry_run || take_plans(rollback, &err);
    tell(rollback);
    if (!whole) {
        fail(&err);
        return cmd_fail(1, KB_NAME, "it ended early; the same command does what is left");
    }
    size_t done = count_steps(rollback, KB_ROLLBACK_WRITE, true) +
                  count_steps(rollback, KB_ROLLBACK_RESTORE, true) +
                  count_steps(rollback, KB_ROLLBACK_REMOVE, true);
    return rollback->kb->dry_run || done == rollback->total ? 0 : 1;
}

int kb_rollback(const struct kb *kb)
{
    struct rollback rollback = {.kb = kb, .conf = cmd_load_conf(), .arena = arena_new(PLAN_ARENA)};
    int code = 2;
    if (rollback.conf != NULL) {
        log_setup(KB_NAME, (enum log_level)log_level_parse(conf_text(rollback.conf, CONF_LOG_LEVEL)));
        rollback.tenant = kb->tenant != NULL ? kb->tenant : conf_text(rollback.conf, CONF_TENANT);
        code = roll_back(&rollback);
    }
    close_all(&rollback);
    return code;
}
