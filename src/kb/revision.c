/* LISTEN, and one look at all revisions each time that it begins. */
#include "kb/revision.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "base/parse.h"

#define CHANNEL "kb_revision"

struct tenant {
    char *name;
    int64_t revision;
};

struct kb_revisions {
    struct db *db;
    struct tenant *tenants; /* sorted by name */
    size_t count, capacity;
    bool known;   /* all were looked at since notifications come in */
    bool looking; /* the statement is under way */
    bool again;   /* notifications began anew meanwhile: it may have seen too little */
    bool closing; /* its end frees everything */
};

/* Where the tenant is, or belongs. */
static size_t place_of(const struct kb_revisions *revisions, const char *name)
{
    size_t low = 0, high = revisions->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(revisions->tenants[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct kb_revisions *revisions, size_t at, const char *name)
{
    return at < revisions->count && !strcmp(revisions->tenants[at].name, name);
}

/* What is older than what is known already changes nothing. */
static void take(struct kb_revisions *revisions, const char *name, int64_t revision)
{
    size_t at = place_of(revisions, name);
    if (is_at(revisions, at, name)) {
        struct tenant *tenant = &revisions->tenants[at];
        tenant->revision = revision > tenant->revision ? revision : tenant->revision;
        return;
    }
    if (revisions->count == revisions->capacity) {
        revisions->capacity = revisions->capacity ? revisions->capacity * 2 : 16;
        revisions->tenants = xrealloc(revisions->tenants, revisions->capacity * sizeof(*revisions->tenants));
    }
    memmove(&revisions->tenants[at + 1], &revisions->tenants[at],
        (revisions->count - at) * sizeof(*revisions->tenants));
    revisions->tenants[at] = (struct tenant){.name = xstrdup(name), .revision = revision};
    revisions->count++;
}

static void revisions_free(struct kb_revisions *revisions)
{
    for (size_t i = 0; i < revisions->count; i++) {
        free(revisions->tenants[i].name);
    }
    free(revisions->tenants);
    free(revisions);
}

/* ---- looking at all ---- */

static void look_at_all(struct kb_revisions *revisions);

static void on_all(void *arg, const struct db_result *result, const struct error *err)
{
    struct kb_revisions *revisions = arg;
    revisions->looking = false;
    if (revisions->closing) {
        revisions_free(revisions);
        return;
    }
    for (int row = 0; !err && row < db_rows(result); row++) {
        take(revisions, db_value(result, row, 0), db_int(result, row, 1));
    }
    if (!err && revisions->again) {
        look_at_all(revisions);
        return;
    }
    revisions->known = !err && db_listening(revisions->db);
}

static void look_at_all(struct kb_revisions *revisions)
{
    revisions->again = revisions->looking;
    if (!revisions->looking) {
        revisions->looking = true;
        db_query(revisions->db, &(struct db_query){.sql = "SELECT tenant, revision FROM kb_revisions"},
            on_all, revisions);
    }
}

/* ---- notifications ---- */

static void on_notify(void *arg, const char *payload)
{
    struct kb_revisions *revisions = arg;
    const char *space = strrchr(payload, ' ');
    int64_t revision;
    if (!*payload) { /* it begins: what was told before is to be asked for */
        revisions->known = false;
        look_at_all(revisions);
    } else if (space && parse_int64(space + 1, &revision)) {
        struct arena *arena = arena_new(0);
        take(revisions, arena_strndup(arena, payload, (size_t)(space - payload)), revision);
        arena_free(arena);
    }
}

int64_t kb_revisions_of(struct kb_revisions *revisions, const char *tenant)
{
    if (!db_listening(revisions->db)) {
        revisions->known = false;
        return -1;
    }
    if (!revisions->known) {
        if (!revisions->looking) {
            look_at_all(revisions);
        }
        return -1;
    }
    size_t at = place_of(revisions, tenant);
    return is_at(revisions, at, tenant) ? revisions->tenants[at].revision : 0;
}

struct kb_revisions *kb_revisions_new(struct db *db)
{
    struct kb_revisions *revisions = xcalloc(1, sizeof(*revisions));
    revisions->db = db;
    db_listen(db, CHANNEL, on_notify, revisions);
    return revisions;
}

void kb_revisions_free(struct kb_revisions *revisions)
{
    if (!revisions) {
        return;
    }
    db_unlisten(revisions->db, on_notify, revisions);
    revisions->closing = true;
    if (!revisions->looking) {
        revisions_free(revisions);
    }
}
