/* The database of an evaluation: made beside the product's own, which is not touched, and dropped at the end.
 */
#include <string.h>

#include "base/ids.h"
#include "cmd/evaluate.h"
#include "db/db.h"
#include "db/migrate.h"

#define PREFIX "helpdesk_evaluate_"

struct evaluate_db {
    const char *server;
    const char *name;
    const char *url;
};

static bool run(const char *url, const char *sql, struct error *err)
{
    struct db_session *session = db_session_open(url, err);
    bool ok = session != NULL && db_session_script(session, sql, err);
    db_session_close(session);
    return ok;
}

/* libpq takes the last database that a URI or a list of key=value names. */
static const char *with_name(struct arena *arena, const char *url, const char *name)
{
    if (strstr(url, "://") == NULL) {
        return arena_printf(arena, "%s dbname=%s", url, name);
    }
    return arena_printf(arena, "%s%cdbname=%s", url, strchr(url, '?') != NULL ? '&' : '?', name);
}

static const char *new_name(struct arena *arena)
{
    char id[UUID_TEXT_SIZE];
    uuid_v7(id);
    char *name = arena_printf(arena, PREFIX "%s", id);
    for (char *at = name; *at; at++) {
        *at = *at == '-' ? '_' : *at;
    }
    return name;
}

struct evaluate_db *evaluate_db_make(const char *url, struct arena *arena, struct error *err)
{
    struct evaluate_db *db = ARENA_NEW(arena, struct evaluate_db);
    struct error why = {0};
    db->server = url;
    db->name = new_name(arena);
    db->url = with_name(arena, url, db->name);
    if (!run(url, arena_printf(arena, "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'", db->name),
            &why)) {
        error_set(err, why.disposition, why.code,
            "cannot make a database for the evaluation (the user of database.url needs CREATEDB): %.250s",
            why.text);
        return NULL;
    }
    if (!migrate_to_newest(db->url, err)) {
        (void)evaluate_db_remove(db, NULL);
        return NULL;
    }
    return db;
}

const char *evaluate_db_url(const struct evaluate_db *db)
{
    return db->url;
}

bool evaluate_db_remove(struct evaluate_db *db, struct error *err)
{
    struct error why = {0};
    char sql[160];
    if (db == NULL) {
        return true;
    }
    snprintf(sql, sizeof(sql), "DROP DATABASE IF EXISTS %s WITH (FORCE)", db->name);
    return run(db->server, sql, &why) || error_set(err, why.disposition, why.code,
                                             "database %s is left behind: %.250s", db->name, why.text);
}
