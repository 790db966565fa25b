/* A rollback: one statement tells what differs, then each document is written or removed, and synchronised.
 */
#include "kb/rollback.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "model/vector.h"

#define AT_ONCE 4                     /* documents; each may hold its whole text in memory */
#define STEP_ARENA ((size_t)64 << 20) /* a document and its hexadecimal text */
#define HISTORY_OF_EACH "100"         /* changes that the history keeps of a document (kb_remember) */

/* ---- the plan ---- */

struct planning {
    const struct kb_sync_env *env;
    struct arena *arena;
    const char *key;
    kb_rollback_planned *done;
    void *arg;
};

/* Columns of the statement below; the first row is of the base itself, without a key. */
enum { PLAN_KEY, PLAN_ACTION, PLAN_REVISION, PLAN_SIZE, PLAN_NOW, PLAN_FROM, PLAN_KNOWN };

/* `t` is what held then: nothing where the document did not exist, unless the history of that time is gone.
 * A failure without content is one of reading. What is not kept of now ('unkept') is not written over. */
static const char plan_sql[] =
    "WITH keys AS (SELECT object_key, count(*) AS changes FROM kb_history WHERE tenant = $1 AND source = $2 "
    "AND ($3::text IS NULL OR object_key = $3) GROUP BY object_key), "
    "base AS (SELECT coalesce(max(revision), 0) AS revision, coalesce(max(history_from), 0) AS history_from "
    "FROM kb_revisions WHERE tenant = $1), "
    "steps AS (SELECT k.object_key, t.revision, t.size, CASE "
    "WHEN t.revision IS NULL AND ($4::bigint < b.history_from OR k.changes >= " HISTORY_OF_EACH
    ") THEN 'lost' "
    "WHEN t.revision IS NULL OR t.kind = 'removed' THEN CASE WHEN d.revision IS NULL THEN NULL "
    "WHEN d.content IS NULL THEN 'unkept' ELSE 'remove' END "
    "WHEN d.revision = t.revision THEN NULL "
    "WHEN t.content IS NULL THEN CASE t.kind WHEN 'failed' THEN 'leave' ELSE 'lost' END "
    "WHEN d.content = t.content THEN NULL "
    "WHEN d.revision IS NULL THEN 'restore' WHEN d.content IS NULL THEN 'unkept' ELSE 'write' END AS action "
    "FROM keys k CROSS JOIN base b LEFT JOIN LATERAL (SELECT * FROM kb_history h WHERE h.tenant = $1 "
    "AND h.source = $2 AND h.object_key = k.object_key AND h.revision <= $4::bigint "
    "ORDER BY h.revision DESC LIMIT 1) t ON true "
    "LEFT JOIN kb_documents d ON (d.tenant, d.source, d.object_key) = ($1, $2, k.object_key)) "
    "SELECT NULL, NULL, NULL, NULL, revision, history_from, EXISTS (SELECT 1 FROM keys) FROM base "
    "UNION ALL (SELECT object_key, action, revision, size, NULL, NULL, NULL FROM steps "
    "WHERE action IS NOT NULL ORDER BY object_key COLLATE \"C\")";

static enum kb_rollback_action action_of(const char *name)
{
    static const char *const names[] = {"write", "restore", "remove", "leave", "lost"};
    enum kb_rollback_action action = KB_ROLLBACK_WRITE;
    while (action < KB_ROLLBACK_LOST && strcmp(names[action], name) != 0) {
        action++;
    }
    return action;
}

static void read_step(
    const struct planning *planning, const struct db_result *result, int row, struct kb_rollback_step *step)
{
    const char *action = db_value(result, row, PLAN_ACTION);
    bool unkept = !strcmp(action, "unkept");
    *step = (struct kb_rollback_step){
        .action = unkept ? KB_ROLLBACK_LEAVE : action_of(action),
        .key = arena_strdup(planning->arena, db_value(result, row, PLAN_KEY)),
        .revision = db_int(result, row, PLAN_REVISION),
        .size = db_int(result, row, PLAN_SIZE),
        .why = "",
    };
    if (!blob_wanted(planning->env->source, step->key)) {
        step->action = KB_ROLLBACK_LEAVE;
        step->why = "the source's settings leave it out";
    } else if (unkept) {
        step->why = "what it holds now is not kept, so it could not be taken back: change it by hand";
    } else if (step->action == KB_ROLLBACK_LEAVE) {
        step->why = arena_printf(
            planning->arena, "it could not be read at revision %" PRId64 " either", step->revision);
    }
}

static void on_plan(void *arg, const struct db_result *result, const struct error *err)
{
    struct planning *planning = arg;
    if (err) {
        planning->done(planning->arg, NULL, err);
        return;
    }
    struct kb_rollback_plan *plan = ARENA_NEW(planning->arena, struct kb_rollback_plan);
    plan->arena = planning->arena;
    plan->count = (size_t)db_rows(result) - 1;
    plan->revision = db_int(result, 0, PLAN_NOW);
    plan->history_from = db_int(result, 0, PLAN_FROM);
    plan->known = db_bool(result, 0, PLAN_KNOWN);
    plan->steps = arena_array(planning->arena, plan->count + 1, sizeof(*plan->steps));
    for (size_t i = 0; i < plan->count; i++) {
        read_step(planning, result, (int)i + 1, &plan->steps[i]);
    }
    planning->done(planning->arg, plan, NULL);
}

void kb_rollback_plan(const struct kb_sync_env *env, struct arena *arena, const char *key, int64_t revision,
    kb_rollback_planned *done, void *arg)
{
    struct planning *planning = ARENA_NEW(arena, struct planning);
    *planning = (struct planning){.env = env, .arena = arena, .key = key, .done = done, .arg = arg};
    struct db_query query = {
        .sql = plan_sql,
        .param_count = 4,
        .params = {env->tenant, blob_name(env->source), key, arena_printf(arena, "%" PRId64, revision)},
    };
    db_query(env->db, &query, on_plan, planning);
}

/* ---- taking it ---- */

struct rollback {
    const struct kb_sync_env *env;
    struct kb_rollback_plan *plan;
    size_t next;
    int under_way;
    bool working; /* inside go_on */
    struct error err;
    void (*progress)(void *arg);
    void (*done)(void *arg, const struct error *err);
    void *arg;
};

/* A document under way, in its own arena. */
struct step {
    struct rollback *rollback;
    struct kb_rollback_step *plan;
    struct arena *arena;
};

static void go_on(struct rollback *rollback);

static bool stopped(const struct rollback *rollback)
{
    return rollback->err.disposition != ERROR_NONE;
}

/* Whether the trouble is that document's alone: refused, or changed by others at the same time. */
static bool fails_alone(const struct error *err)
{
    return err->disposition == ERROR_REJECT || !strcmp(err->code, "blob_changed") ||
           !strcmp(err->code, "kb_conflict");
}

static void step_end(struct step *step, const struct error *err)
{
    struct rollback *rollback = step->rollback;
    rollback->under_way--;
    step->plan->done = !err;
    if (err) {
        step->plan->why = arena_strdup(rollback->plan->arena, err->text);
    }
    if (err && !fails_alone(err) && !stopped(rollback)) {
        rollback->err = *err;
    }
    if (rollback->progress) {
        rollback->progress(rollback->arg);
    }
    arena_free(step->arena);
    go_on(rollback);
}

static void on_synced(void *arg, enum kb_synced what, const struct error *err)
{
    (void)what; /* a document may be as broken as it was */
    step_end(arg, err);
}

static void on_changed(void *arg, const struct error *err)
{
    struct step *step = arg;
    if (err) {
        step_end(step, err);
    } else {
        kb_sync_document(step->rollback->env, step->plan->key, on_synced, step);
    }
}

static void write_back(struct step *step, const char *hex)
{
    size_t len = hex ? strlen(hex) / 2 : 0;
    uint8_t *bytes = arena_alloc(step->arena, len + 1);
    if (hex && hex_bytes(hex, bytes, len)) {
        blob_write(step->rollback->env->source, step->arena, step->plan->key, bytes, len, on_changed, step);
    } else {
        struct error gone;
        error_set(&gone, ERROR_REJECT, "kb_content_gone", "what it held is not kept any more");
        step_end(step, &gone);
    }
}

static void on_content(void *arg, const struct db_result *result, const struct error *err)
{
    struct step *step = arg;
    struct error edited;
    if (!err && db_bool(result, 0, 1)) {
        error_set(&edited, ERROR_RETRY, "kb_conflict",
            "it was changed after the rollback had begun, and is left as it is; it is in the history");
        err = &edited;
    }
    if (err) {
        step_end(step, err);
    } else if (step->plan->action == KB_ROLLBACK_REMOVE) {
        blob_remove(step->rollback->env->source, step->arena, step->plan->key, on_changed, step);
    } else {
        write_back(step, db_value(result, 0, 0));
    }
}

/* What the source holds at this moment is in the history: whether that is what the plan knew, and what is to
 * be there again. */
static void on_current(void *arg, enum kb_synced what, const struct error *err)
{
    (void)what;
    struct step *step = arg;
    const struct kb_sync_env *env = step->rollback->env;
    if (err) {
        step_end(step, err);
        return;
    }
    struct db_query query = {
        .sql = "SELECT (SELECT encode(c.bytes, 'hex') FROM kb_history h JOIN kb_contents c "
               "ON (c.tenant, c.hash) = (h.tenant, h.content) "
               "WHERE (h.tenant, h.source, h.object_key, h.revision) = ($1, $2, $3, $4::bigint)), "
               "EXISTS (SELECT 1 FROM kb_history h WHERE (h.tenant, h.source, h.object_key) = ($1, $2, $3) "
               "AND h.revision > $5::bigint)",
        .param_count = 5,
        .params = {env->tenant, blob_name(env->source), step->plan->key,
            arena_printf(step->arena, "%" PRId64, step->plan->revision),
            arena_printf(step->arena, "%" PRId64, step->rollback->plan->revision)},
    };
    db_query(env->db, &query, on_content, step);
}

static void step_start(struct rollback *rollback, struct kb_rollback_step *plan)
{
    if (plan->done || plan->action == KB_ROLLBACK_LEAVE || plan->action == KB_ROLLBACK_LOST) {
        return;
    }
    struct arena *arena = arena_new(STEP_ARENA);
    struct step *step = ARENA_NEW(arena, struct step);
    *step = (struct step){.rollback = rollback, .plan = plan, .arena = arena};
    rollback->under_way++;
    kb_sync_document(rollback->env, plan->key, on_current, step);
}

static void go_on(struct rollback *rollback)
{
    if (rollback->working) {
        return;
    }
    rollback->working = true;
    while (!stopped(rollback) && rollback->next < rollback->plan->count && rollback->under_way < AT_ONCE) {
        step_start(rollback, &rollback->plan->steps[rollback->next++]);
    }
    rollback->working = false;
    if (rollback->under_way == 0) {
        rollback->done(rollback->arg, stopped(rollback) ? &rollback->err : NULL);
        free(rollback);
    }
}

void kb_rollback_run(const struct kb_sync_env *env, struct kb_rollback_plan *plan,
    void (*progress)(void *arg), void (*done)(void *arg, const struct error *err), void *arg)
{
    struct rollback *rollback = xcalloc(1, sizeof(*rollback));
    *rollback = (struct rollback){.env = env, .plan = plan, .progress = progress, .done = done, .arg = arg};
    go_on(rollback);
}
