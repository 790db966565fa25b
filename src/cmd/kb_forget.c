/* `helpdesk kb forget`: takes the documents of a source that is in the settings no more out of the base. No
 * role does so by itself: another one's settings may still have it. */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "cmd/cmd.h"
#include "cmd/database.h"
#include "cmd/kb.h"
#include "kb/sources.h"

/* Documents of one statement: it holds the lock under which the base changes. */
#define AT_ONCE "100"

/* Each is a removal as that of an object which is gone: readings under way do not bring it back. */
static const char forget_sql[] =
    "WITH taken AS MATERIALIZED (SELECT object_key, revision FROM kb_documents WHERE tenant = $1 AND source "
    "= $2 LIMIT " AT_ONCE ") "
    "SELECT count(*) FILTER (WHERE kb_marked(kb_remove_document($1, $2, object_key, revision), "
    "'{changed,unchanged}', $1, $2, object_key) = 'changed') FROM taken";
static const char count_sql[] = "SELECT count(*) FROM kb_documents WHERE tenant = $1 AND source = $2";
static const char scan_sql[] =
    "WITH gone AS (DELETE FROM kb_scans WHERE tenant = $1 AND source = $2 AND NOT EXISTS (SELECT 1 FROM "
    "kb_documents d WHERE (d.tenant, d.source) = ($1, $2)) RETURNING 1) SELECT count(*) FROM gone";

struct forget {
    const char *tenant, *source;
    struct db_session *session;
};

/* The number that the statement tells; -1 with `err`. */
static int64_t ask(const struct forget *forget, const char *sql, struct error *err)
{
    const struct db_query query = {.sql = sql, .param_count = 2, .params = {forget->tenant, forget->source}};
    struct db_result *rows = db_session_query(forget->session, &query, err);
    int64_t told = rows != NULL ? db_int(rows, 0, 0) : -1;
    db_result_free(rows);
    return told;
}

static bool in_settings(const struct forget *forget, const struct conf *conf, bool *found, struct error *err)
{
    struct kb_sources *settings = kb_sources_load(conf, err);
    if (settings == NULL) {
        return false;
    }
    *found = kb_sources_find(settings, forget->tenant, forget->source) != NULL;
    kb_sources_free(settings);
    return true;
}

/* How many were removed; -1 with `err`, also when some are still there. */
static int64_t remove_all(const struct forget *forget, struct error *err)
{
    int64_t removed = 0, now;
    do {
        now = ask(forget, forget_sql, err);
        removed += now;
    } while (now > 0);
    int64_t left = now < 0 || ask(forget, scan_sql, err) < 0 ? -1 : ask(forget, count_sql, err);
    if (left > 0) {
        error_set(err, ERROR_RETRY, "kb_conflict",
            "%" PRId64 " documents are still there: somebody changes them; does a kb-sync read this source?",
            left);
    }
    return left == 0 ? removed : -1;
}

static void tell(const struct kb *kb, int64_t count)
{
    struct buf out;
    buf_init(&out, KB_OUTPUT_BYTES);
    if (kb->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "source", kb->key);
        cJSON_AddNumberToObject(object, "documents", (double)count);
        cJSON_AddBoolToObject(object, "removed", !kb->dry_run);
        json_put_and_delete(&out, object);
        buf_putc(&out, '\n');
    } else {
        buf_printf(&out, "%" PRId64 " documents of source \"%s\" %s.\n", count, kb->key,
            kb->dry_run ? "would be removed" : "were removed");
    }
    cmd_print(buf_text(&out));
    buf_fini(&out);
}

static int forget_source(const struct kb *kb, struct forget *forget, const struct conf *conf)
{
    struct error err = {0};
    bool found;
    if (!in_settings(forget, conf, &found, &err)) {
        return cmd_fail(2, KB_NAME, "%s", err.text);
    }
    if (found) {
        return cmd_fail(2, KB_NAME,
            "source \"%s\" is in the settings: kb-sync would read it again; take it out of them first",
            kb->key);
    }
    forget->session = database_named(conf, &err) ? database_session(conf, &err) : NULL;
    int64_t count = forget->session != NULL ? ask(forget, count_sql, &err) : -1;
    if (count == 0) {
        return cmd_fail(1, KB_NAME,
            "the base has no document of a source \"%s\"; `helpdesk kb status` names them", kb->key);
    }
    if (count > 0 && !kb->dry_run && !kb->yes) {
        return cmd_fail(2, KB_NAME, "this would remove %" PRId64 " documents: to do it say --yes", count);
    }
    if (count > 0 && !kb->dry_run) {
        count = remove_all(forget, &err);
    }
    if (count < 0) {
        return cmd_fail(strcmp(err.code, "setting_missing") == 0 ? 2 : 1, KB_NAME, "%s", err.text);
    }
    tell(kb, count);
    return 0;
}

int kb_forget(const struct kb *kb)
{
    struct conf *conf = cmd_load_conf();
    if (conf == NULL) {
        return 2;
    }
    struct forget forget = {
        .tenant = kb->tenant != NULL ? kb->tenant : conf_text(conf, CONF_TENANT), .source = kb->key};
    int code = forget_source(kb, &forget, conf);
    db_session_close(forget.session);
    conf_free(conf);
    return code;
}
