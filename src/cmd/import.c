/* `helpdesk import customers|orders|tickets FILE`: loads records in batches; each bad one is named by its
 * line. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/database.h"
#include "cmd/import_kind.h"
#include "db/db_table.h"
#include "stages/resolution.h"

#define NAME "import"
#define BATCH_ROWS 500
#define BATCH_BYTES (4 * 1024 * 1024)
#define BATCH_ARENA                                                                                          \
    (512 * 1024 * 1024) /* a batch and the record that overflows it, quoted and held several times */
#define MAX_CONFLICTS 20
#define MAX_TOLD 100 /* bad records that are named; the rest is counted */

struct row {
    size_t line;
    const char *cells[IMPORT_MAX_COLUMNS];
};

struct import {
    const struct import_kind *kind;
    const char *path;
    const char *tenant;
    struct voices *voices;
    struct db_session *session;
    struct import_file *file;
    size_t columns;
    struct arena *arena; /* of the batch */
    struct row rows[BATCH_ROWS];
    size_t row_count;
    size_t stored;
    size_t bad;
    struct error fatal; /* ends the import */
};

static void tell_bad(struct import *import, size_t line, const char *why)
{
    import->bad++;
    if (import->bad <= MAX_TOLD) {
        (void)fprintf(stderr, "%s:%zu: %s\n", import->path, line, why);
    } else if (import->bad == MAX_TOLD + 1) {
        (void)fprintf(stderr, "%s: further bad records are only counted\n", import->path);
    }
}

/* ---- storing ---- */

/* Whoever loses against others that write the same tables (a deadlock) tries again. NULL: `err`. */
static struct db_result *ask(struct import *import, const struct db_query *query, struct error *err)
{
    struct db_result *result = NULL;
    for (int attempt = 0; attempt < MAX_CONFLICTS && result == NULL; attempt++) {
        result = db_session_query(import->session, query, err);
        if (result == NULL && strcmp(err->code, "db_conflict") != 0) {
            break;
        }
    }
    return result;
}

static bool run(struct import *import, const struct db_query *query, struct error *err)
{
    struct db_result *result = ask(import, query, err);
    db_result_free(result);
    return result != NULL;
}

static void table_query(
    const struct import *import, struct arena *arena, size_t first, size_t count, struct db_query *query)
{
    struct db_table table;
    db_table_init(&table, arena, import->columns);
    for (size_t i = 0; i < count; i++) {
        memcpy(db_table_row(&table), import->rows[first + i].cells, import->columns * sizeof(const char *));
    }
    struct db_query columns = {0};
    db_table_params(&table, &columns);
    *query = (struct db_query){
        .sql = import->kind->sql, .param_count = columns.param_count + 1, .params = {import->tenant}};
    memcpy(query->params + 1, columns.params, import->columns * sizeof(const char *));
}

static bool make_resolution(const struct import *import, struct arena *arena, const struct row *row,
    const char *customer, struct resolution *resolution)
{
    const struct import_kind *kind = import->kind;
    *resolution = (struct resolution){.tenant = import->tenant,
        .ticket_id = import_kind_cell(kind, row->cells, "ticket_id"),
        .subject = import_kind_cell(kind, row->cells, "subject"),
        .problem = import_kind_cell(kind, row->cells, "description"),
        .answer = import_kind_cell(kind, row->cells, "answer"),
        .category = import_kind_cell(kind, row->cells, "category"),
        .locale = import_kind_cell(kind, row->cells, "locale"),
        .customer = customer};
    (void)clock_parse(import_kind_cell(kind, row->cells, "accepted_at"), &resolution->accepted_at);
    return resolution_clean(arena, import->voices, resolution);
}

/* The names of who asked, one for each of the rows: NULL for who is not known. */
static struct db_result *ask_names(
    struct import *import, struct arena *arena, size_t first, size_t count, struct error *err)
{
    struct db_table table;
    db_table_init(&table, arena, 1);
    for (size_t i = 0; i < count; i++) {
        db_table_row(&table)[0] =
            import_kind_cell(import->kind, import->rows[first + i].cells, "customer_external_id");
    }
    struct db_query customers = {0};
    db_table_params(&table, &customers);
    const struct db_query query = {
        .sql = "SELECT c.name FROM unnest($2::text[]) WITH ORDINALITY AS x(external_id, n) "
               "LEFT JOIN customers c ON c.tenant = $1 AND c.external_id = x.external_id ORDER BY x.n",
        .param_count = 2,
        .params = {import->tenant, customers.params[0]}};
    return ask(import, &query, err);
}

static bool store_resolutions(
    struct import *import, struct arena *arena, size_t first, size_t count, struct error *err)
{
    struct resolution *resolutions = arena_array(arena, count, sizeof(*resolutions));
    size_t made = 0;
    struct db_result *names = ask_names(import, arena, first, count, err);
    for (size_t i = 0; names != NULL && i < count; i++) {
        const struct row *row = &import->rows[first + i];
        if (import_kind_cell(import->kind, row->cells, "answer") != NULL) {
            const char *name = arena_strdup(arena, db_value(names, (int)i, 0));
            made += make_resolution(import, arena, row, name, &resolutions[made]);
        }
    }
    bool ok = names != NULL;
    db_result_free(names);
    if (made == 0) {
        return ok;
    }
    struct db_query query;
    resolution_store(arena, resolutions, made, &query);
    return run(import, &query, err);
}

static bool store_rows(struct import *import, size_t first, size_t count, struct error *err)
{
    struct arena *arena = arena_new(BATCH_ARENA);
    struct db_query query;
    table_query(import, arena, first, count, &query);
    bool ok = run(import, &query, err) &&
              (!import->kind->solved || store_resolutions(import, arena, first, count, err));
    arena_free(arena);
    return ok;
}

/* Stores rows as one; when the database refuses one of them, finds it by halves. False: the import cannot go
 * on. */
static bool store_range(struct import *import, size_t first, size_t count)
{
    struct error err;
    if (store_rows(import, first, count, &err)) {
        import->stored += count;
        return true;
    }
    if (err.disposition != ERROR_REJECT) {
        import->fatal = err;
        return false;
    }
    if (count == 1) {
        tell_bad(import, import->rows[first].line, err.text);
        return true;
    }
    return store_range(import, first, count / 2) && store_range(import, first + count / 2, count - count / 2);
}

static bool flush(struct import *import)
{
    bool ok = import->row_count == 0 || store_range(import, 0, import->row_count);
    import->row_count = 0;
    arena_free(import->arena);
    import->arena = arena_new(BATCH_ARENA);
    return ok;
}

/* ---- reading ---- */

static bool is_known(const struct import_kind *kind, const char *name)
{
    for (const struct import_column *column = kind->columns; column->name != NULL; column++) {
        if (strcmp(column->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void tell_ignored(const struct import *import, const struct import_record *record)
{
    for (size_t i = 0; i < record->count; i++) {
        if (!is_known(import->kind, record->names[i])) {
            (void)fprintf(
                stderr, "%s: column %.100s is not known and is ignored\n", import->path, record->names[i]);
        }
    }
}

static void take_record(struct import *import, const struct import_record *record)
{
    struct row *row = &import->rows[import->row_count];
    struct error err;
    row->line = record->line;
    if (import_kind_read(import->kind, import->arena, record, row->cells, &err)) {
        import->row_count++;
    } else {
        tell_bad(import, record->line, err.text);
    }
}

/* False: `import->fatal`. */
static bool load(struct import *import)
{
    bool first = true;
    for (;;) {
        struct import_record record;
        struct error err;
        enum import_read read = import_file_read(import->file, import->arena, &record, &err);
        if (read == IMPORT_END) {
            return flush(import);
        }
        if (read == IMPORT_BAD) {
            tell_bad(import, record.line, err.text);
        } else {
            if (first) {
                tell_ignored(import, &record);
            }
            first = false;
            take_record(import, &record);
        }
        bool full = import->row_count == BATCH_ROWS || arena_used(import->arena) > BATCH_BYTES;
        if (full && !flush(import)) {
            return false;
        }
    }
}

static int report(const struct import *import, bool complete)
{
    char line[160];
    (void)snprintf(
        line, sizeof(line), "%s: %zu stored, %zu bad\n", import->kind->name, import->stored, import->bad);
    cmd_print(line);
    if (!complete) {
        return cmd_fail(1, NAME, "%s; run it again: rows that are stored do no harm", import->fatal.text);
    }
    return import->bad > 0 ? 1 : 0;
}

static int import_into(const struct conf *conf, const struct import_kind *kind, const char *path)
{
    static struct import import; /* large */
    struct error err;
    import = (struct import){.kind = kind,
        .path = path,
        .tenant = conf_text(conf, CONF_TENANT),
        .columns = import_kind_columns(kind)};
    import.voices = voices_load(conf_text(conf, CONF_GENERATOR_VOICES), &err);
    if (import.voices == NULL) {
        return cmd_fail(2, NAME, "%s", err.text);
    }
    import.file = import_file_open(path, &err);
    if (import.file == NULL) {
        voices_free(import.voices);
        return cmd_fail(1, NAME, "%s", err.text);
    }
    int code;
    import.session = database_session(conf, &err);
    if (import.session == NULL) {
        code = cmd_fail(err.disposition == ERROR_FATAL ? 2 : 1, NAME, "%s", err.text);
    } else {
        import.arena = arena_new(BATCH_ARENA);
        bool complete = load(&import);
        code = report(&import, complete);
        arena_free(import.arena);
    }
    db_session_close(import.session);
    import_file_close(import.file);
    voices_free(import.voices);
    return code;
}

static int help(void)
{
    struct buf out;
    buf_init(&out, 64 * 1024);
    buf_puts(&out, "helpdesk import customers|orders|tickets FILE\n\n"
                   "FILE is CSV in UTF-8 whose first line names the columns, or one JSON object a line when "
                   "its name ends with\n"
                   ".jsonl. A row is the whole record: an absent or empty column gets its default. A row "
                   "whose key is there\n"
                   "already takes its place; tickets that helpdesk itself has worked on stay as they are. "
                   "Bad rows are named on\n"
                   "standard error by line and field, the others are stored; the exit code is then 1.\n\n");
    import_kind_help(&out);
    cmd_print(buf_text(&out));
    buf_fini(&out);
    return 0;
}

int cmd_import(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        return help();
    }
    const struct import_kind *kind = import_kinds;
    while (argc == 3 && kind->name != NULL && strcmp(kind->name, argv[1]) != 0) {
        kind++;
    }
    if (argc != 3 || kind->name == NULL) {
        return cmd_fail(2, NAME, "say customers, orders or tickets and a file; --help tells the columns");
    }
    struct conf *conf = cmd_load_conf();
    if (conf == NULL) {
        return 2;
    }
    int code = import_into(conf, kind, argv[2]);
    conf_free(conf);
    return code;
}
