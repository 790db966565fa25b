/* `helpdesk kb status|failures|withdrawn|history`: what the knowledge base holds, what could not be read, and
 * what changed. */
#include <string.h>

#include "base/json.h"
#include "cmd/cmd.h"
#include "cmd/database.h"
#include "cmd/kb.h"
#include "cmd/term.h"
#include "kb/sources.h"

#define COLUMNS_MOST 8
#define UTC(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

#define DOCUMENTS_THAT_ARE(state)                                                                            \
    "SELECT source, object_key, " UTC(                                                                       \
        "synced_at") ", why FROM kb_documents WHERE tenant = $1 AND state = '" state                         \
                     "' AND ($2::text IS NULL OR source = $2) AND ($3::text IS NULL OR object_key = $3) "    \
                     "ORDER BY source, object_key COLLATE \"C\" LIMIT $4::int"
#define DOCUMENT_COLUMNS                                                                                     \
    {                                                                                                        \
        {"source", 12, false}, {"key", 34, false}, {"since", 21, false},                                     \
        {                                                                                                    \
            "why", 0, false                                                                                  \
        }                                                                                                    \
    }

/* Parameters of each: $1 the tenant, $2 the source or NULL, $3 the key or NULL, $4 how many. */
static const struct report {
    const char *name;
    const char *nothing;
    const char *sql;
    struct report_column {
        const char *name;
        int width; /* 0: the last one, as it is */
        bool number;
    } columns[COLUMNS_MOST];
} reports[] = {
    {"status", "The knowledge base is empty.",
        "SELECT h.source, d.ready, d.failed, d.withdrawn, p.passages, h.revision, h.changed FROM "
        "(SELECT source, max(revision) AS revision, " UTC(
            "max(changed_at)") " AS changed FROM kb_history "
                               "WHERE tenant = $1 AND ($2::text IS NULL OR source = $2) AND ($3::text IS "
                               "NULL OR object_key = $3) "
                               "GROUP BY source) h "
                               "CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE state = 'ready') AS ready, "
                               "count(*) FILTER (WHERE state = 'failed') AS failed, "
                               "count(*) FILTER (WHERE state = 'withdrawn') AS withdrawn "
                               "FROM kb_documents WHERE tenant = $1 AND source = h.source) d "
                               "CROSS JOIN LATERAL (SELECT count(*) AS passages FROM kb_passages "
                               "WHERE tenant = $1 AND source = h.source) p ORDER BY h.source LIMIT $4::int",
        {{"source", 20, false}, {"ready", 9, true}, {"failed", 9, true}, {"withdrawn", 10, true},
            {"passages", 10, true}, {"revision", 10, true}, {"last_change", 0, false}}},
    {"failures", "No document failed.", DOCUMENTS_THAT_ARE("failed"), DOCUMENT_COLUMNS},
    {"withdrawn", "No document is withdrawn.", DOCUMENTS_THAT_ARE("withdrawn"), DOCUMENT_COLUMNS},
    {"history", "Nothing changed.",
        "SELECT revision, " UTC("changed_at") ", kind, source, size, object_key, title, etag, why FROM "
                                              "kb_history WHERE tenant = $1 AND ($2::text IS NULL OR source "
                                              "= $2) AND ($3::text IS NULL OR "
                                              "object_key = $3) ORDER BY revision DESC LIMIT $4::int",
        {{"revision", 10, true}, {"at", 21, false}, {"kind", 10, false}, {"source", 12, false},
            {"size", 10, true}, {"key", 0, false}}},
};
#define REPORT_COUNT (sizeof reports / sizeof reports[0])

static void put_cell(
    struct term *term, enum term_style style, const struct report_column *column, const char *value)
{
    if (column->number) {
        term_printf(term, style, "%*s ", column->width - 1, value);
    } else if (column->width > 0) {
        term_pad(term, style, value, column->width - 1);
        term_put(term, style, " ");
    } else {
        term_put(term, style, value);
    }
}

static void put_table(const struct report *report, const struct db_result *rows, struct buf *out)
{
    struct term term = term_for(stdout, out);
    for (int row = -1; row < db_rows(rows) && db_rows(rows) > 0; row++) {
        for (int i = 0; i < COLUMNS_MOST && report->columns[i].name != NULL; i++) {
            const struct report_column *column = &report->columns[i];
            put_cell(&term, row < 0 ? TERM_DIM : TERM_PLAIN, column,
                row < 0 ? column->name : db_value(rows, row, i));
        }
        term_newline(&term);
    }
    if (db_rows(rows) == 0) {
        term_put(&term, TERM_PLAIN, report->nothing);
        term_newline(&term);
    }
}

static void put_json(const struct report *report, const struct db_result *rows, struct buf *out)
{
    struct buf plain;
    cJSON *list = cJSON_CreateArray();
    for (int row = 0; row < db_rows(rows); row++) {
        cJSON *object = cJSON_CreateObject();
        for (int i = 0; i < COLUMNS_MOST && report->columns[i].name != NULL; i++) {
            const struct report_column *column = &report->columns[i];
            if (column->number) {
                cJSON_AddNumberToObject(object, column->name, (double)db_int(rows, row, i));
            } else {
                cJSON_AddStringToObject(object, column->name, db_value(rows, row, i));
            }
        }
        cJSON_AddItemToArray(list, object);
    }
    buf_init(&plain, KB_OUTPUT_BYTES);
    json_put_and_delete(&plain, list);
    term_escape_json(out, buf_text(&plain));
    buf_putc(out, '\n');
    buf_fini(&plain);
}

static bool is_set(const struct conf *conf, const char *tenant, const char *source)
{
    struct kb_sources *sources = kb_sources_load(conf, NULL);
    bool found = sources != NULL && kb_sources_find(sources, tenant, source) != NULL;
    kb_sources_free(sources);
    return found;
}

/* What is not in the base has nothing to tell: is it a slip? -1: it is known; else the exit code. */
static int check_known(const struct kb *kb, const struct conf *conf, struct db_session *session,
    const char *tenant, struct error *err)
{
    const struct db_query query = {
        .sql =
            "SELECT string_agg(source, ', ' ORDER BY source), coalesce(bool_or(source = $2), $2::text IS "
            "NULL), $3::text IS NULL OR EXISTS (SELECT FROM kb_documents WHERE tenant = $1 AND object_key = "
            "$3) OR EXISTS (SELECT FROM kb_history WHERE tenant = $1 AND object_key = $3) FROM (SELECT "
            "source FROM kb_history WHERE tenant = $1 UNION SELECT source FROM kb_documents WHERE tenant = "
            "$1) known",
        .param_count = 3,
        .params = {tenant, kb->source, kb->key}};
    struct db_result *row = db_session_query(session, &query, err);
    int code = -1;
    if (row == NULL) {
        code = cmd_fail(1, KB_NAME, "%s", err->text);
    } else if (!db_bool(row, 0, 1) && !is_set(conf, tenant, kb->source)) {
        const char *known = db_value(row, 0, 0);
        code = cmd_fail(1, KB_NAME, "the knowledge base of tenant %s knows no source \"%s\"; it has %s",
            tenant, kb->source, known != NULL ? known : "none yet");
    } else if (!db_bool(row, 0, 2)) {
        code =
            cmd_fail(1, KB_NAME, "the knowledge base of tenant %s knows no document \"%s\"", tenant, kb->key);
    }
    db_result_free(row);
    return code;
}

static int show(const struct kb *kb, const struct report *report, const struct db_result *rows)
{
    struct buf out;
    buf_init(&out, KB_OUTPUT_BYTES);
    (kb->json ? put_json : put_table)(report, rows, &out);
    int code = out.failed ? cmd_fail(1, KB_NAME, "the report is too large: take a smaller --last") : 0;
    cmd_print(out.failed ? "" : buf_text(&out));
    buf_fini(&out);
    return code;
}

static int tell(const struct kb *kb, const struct report *report, const struct conf *conf)
{
    struct error err = {0};
    const char *tenant = kb->tenant != NULL ? kb->tenant : conf_text(conf, CONF_TENANT);
    const struct db_query query = {
        .sql = report->sql, .param_count = 4, .params = {tenant, kb->source, kb->key, kb->last}};
    struct db_session *session = database_named(conf, &err) ? database_session(conf, &err) : NULL;
    struct db_result *rows = session != NULL ? db_session_query(session, &query, &err) : NULL;
    int code = -1;
    if (rows == NULL) {
        code = cmd_fail(strcmp(err.code, "setting_missing") == 0 ? 2 : 1, KB_NAME, "%s%s", err.text,
            strcmp(err.code, "db_schema") == 0 ? ": run `helpdesk migrate up`" : "");
    } else if (db_rows(rows) == 0) {
        code = check_known(kb, conf, session, tenant, &err);
    }
    if (code < 0) {
        code = show(kb, report, rows);
    }
    db_result_free(rows);
    db_session_close(session);
    return code;
}

int kb_report(const struct kb *kb)
{
    for (size_t i = 0; i < REPORT_COUNT; i++) {
        if (strcmp(kb->what, reports[i].name) == 0) {
            struct conf *conf = cmd_load_conf();
            int code = conf != NULL ? tell(kb, &reports[i], conf) : 2;
            conf_free(conf);
            return code;
        }
    }
    return cmd_fail(2, KB_NAME,
        "\"%s\" should be status, failures, withdrawn, history, sync, rollback or forget", kb->what);
}
