/* Brings the database's schema to a step and back: each step in one transaction with its row in
 * schema_migrations. */
#include <stdio.h>
#include <string.h>

#include "db/migrate.h"

/* An arbitrary number that all programs of this project share: two of them never migrate at once. */
#define LOCK_SQL "SELECT pg_advisory_lock(4517208813)"
#define REPORT_MAX (64 * 1024)
#define UNLOCK_SQL "SELECT pg_advisory_unlock(4517208813)"

static bool run(struct db_session *session, const struct db_query *query, struct error *err)
{
    struct db_result *result = db_session_query(session, query, err);
    db_result_free(result);
    return result != NULL;
}

static bool lock(struct db_session *session, struct error *err)
{
    return run(session, &(struct db_query){.sql = LOCK_SQL}, err) &&
           db_session_script(session,
               "CREATE TABLE IF NOT EXISTS schema_migrations (number int PRIMARY KEY, name text NOT NULL, "
               "checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
               err);
}

static void unlock(struct db_session *session)
{
    (void)run(session, &(struct db_query){.sql = UNLOCK_SQL}, NULL); /* ends with the session at the latest */
}

/* The applied steps: number, name, checksum, applied_at. */
static struct db_result *read_applied(struct db_session *session, struct error *err)
{
    return db_session_query(session,
        &(struct db_query){
            .sql = "SELECT number, name, checksum, applied_at FROM schema_migrations ORDER BY number"},
        err);
}

static int find_row(const struct db_result *applied, int number)
{
    for (int row = 0; row < db_rows(applied); row++) {
        if (db_int(applied, row, 0) == number) {
            return row;
        }
    }
    return -1;
}

static bool same_text(struct db_session *session, const struct db_migration *step, const char *checksum,
    bool *same, struct error *err)
{
    struct db_result *result = db_session_query(session,
        &(struct db_query){.sql = "SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex') = $2",
            .param_count = 2,
            .params = {step->up, checksum}},
        err);
    *same = result != NULL && db_bool(result, 0, 0);
    db_result_free(result);
    return result != NULL;
}

/* Runs `script` and then `note` as one. */
static bool apply(
    struct db_session *session, const char *script, const struct db_query *note, struct error *err)
{
    if (!db_session_script(session, "BEGIN", err)) {
        return false;
    }
    if (db_session_script(session, script, err) && run(session, note, err) &&
        db_session_script(session, "COMMIT", err)) {
        return true;
    }
    (void)db_session_script(session, "ROLLBACK", NULL);
    return false;
}

static bool name_step(struct error *err, const struct db_migration *step)
{
    if (err != NULL) {
        char text[sizeof(err->text)];
        (void)snprintf(text, sizeof(text), "%04d_%s: %.300s", step->number, step->name, err->text);
        memcpy(err->text, text, sizeof(text));
    }
    return false;
}

static bool apply_up(
    struct db_session *session, const struct db_migration *step, struct buf *report, struct error *err)
{
    char number[16];
    (void)snprintf(number, sizeof(number), "%d", step->number);
    struct db_query note = {.sql = "INSERT INTO schema_migrations (number, name, checksum) "
                                   "VALUES ($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))",
        .param_count = 3,
        .params = {number, step->name, step->up}};
    if (!apply(session, step->up, &note, err)) {
        return name_step(err, step);
    }
    buf_printf(report, "%04d_%s applied\n", step->number, step->name);
    return true;
}

static bool up_locked(struct db_session *session, struct buf *report, struct error *err)
{
    struct db_result *applied = read_applied(session, err);
    bool ok = applied != NULL;
    int done = 0;
    for (const struct db_migration *step = db_migrations; ok && step->number != 0; step++) {
        int row = find_row(applied, step->number);
        if (row < 0) {
            ok = apply_up(session, step, report, err);
            done++;
            continue;
        }
        bool same = false;
        ok = same_text(session, step, db_value(applied, row, 2), &same, err);
        if (ok && !same) {
            ok = error_set(err, ERROR_FATAL, "migration_changed",
                "%04d_%s was applied with another text; a step never changes: add a new one", step->number,
                step->name);
        }
    }
    if (ok && done == 0) {
        buf_puts(report, "nothing to do\n");
    }
    db_result_free(applied);
    return ok;
}

bool migrate_up(struct db_session *session, struct buf *report, struct error *err)
{
    bool ok = lock(session, err) && up_locked(session, report, err);
    unlock(session);
    return ok;
}

static const struct db_migration *find_step(int64_t number)
{
    for (const struct db_migration *step = db_migrations; step->number != 0; step++) {
        if (step->number == number) {
            return step;
        }
    }
    return NULL;
}

static bool down_locked(struct db_session *session, int steps, struct buf *report, struct error *err)
{
    struct db_result *applied = read_applied(session, err);
    bool ok = applied != NULL;
    int last = ok ? db_rows(applied) - 1 : -1;
    for (int row = last; ok && row >= 0 && row > last - steps; row--) {
        const struct db_migration *step = find_step(db_int(applied, row, 0));
        if (step == NULL) {
            ok = error_set(err, ERROR_FATAL, "migration_unknown",
                "%s is not known to this version of the program", db_value(applied, row, 1));
            break;
        }
        struct db_query note = {.sql = "DELETE FROM schema_migrations WHERE number = $1",
            .param_count = 1,
            .params = {db_value(applied, row, 0)}};
        ok = apply(session, step->down, &note, err) || name_step(err, step);
        if (ok) {
            buf_printf(report, "%04d_%s taken back\n", step->number, step->name);
        }
    }
    if (ok && last < 0) {
        buf_puts(report, "nothing to do\n");
    }
    db_result_free(applied);
    return ok;
}

bool migrate_to_newest(const char *url, struct error *err)
{
    struct db_session *session = db_session_open(url, err);
    if (!session) {
        return false;
    }
    struct buf report;
    buf_init(&report, REPORT_MAX);
    bool ok = migrate_up(session, &report, err);
    buf_fini(&report);
    db_session_close(session);
    return ok;
}

bool migrate_down(struct db_session *session, int steps, struct buf *report, struct error *err)
{
    bool ok = lock(session, err) && down_locked(session, steps, report, err);
    unlock(session);
    return ok;
}

static bool status_of_step(struct db_session *session, const struct db_migration *step,
    const struct db_result *applied, struct buf *report, struct error *err)
{
    int row = find_row(applied, step->number);
    if (row < 0) {
        buf_printf(report, "%04d_%s pending\n", step->number, step->name);
        return true;
    }
    bool same = false;
    if (!same_text(session, step, db_value(applied, row, 2), &same, err)) {
        return false;
    }
    buf_printf(report, "%04d_%s applied %s%s\n", step->number, step->name, db_value(applied, row, 3),
        same ? "" : ", but with another text");
    return true;
}

static bool status_locked(struct db_session *session, struct buf *report, struct error *err)
{
    struct db_result *applied = read_applied(session, err);
    bool ok = applied != NULL;
    for (const struct db_migration *step = db_migrations; ok && step->number != 0; step++) {
        ok = status_of_step(session, step, applied, report, err);
    }
    for (int row = 0; ok && row < db_rows(applied); row++) {
        if (find_step(db_int(applied, row, 0)) == NULL) {
            buf_printf(report, "%04d_%s applied %s, not known to this version of the program\n",
                (int)db_int(applied, row, 0), db_value(applied, row, 1), db_value(applied, row, 3));
        }
    }
    db_result_free(applied);
    return ok;
}

bool migrate_status(struct db_session *session, struct buf *report, struct error *err)
{
    bool ok = lock(session, err) && status_locked(session, report, err);
    unlock(session);
    return ok;
}
