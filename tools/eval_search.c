/* Reads a folder into an empty knowledge base and searches it, for tools/eval: one JSON object a query.
 *
 *     eval_search FOLDER QUERIES.csv
 *
 * The queries have the columns id and text; HELPDESK_TEST_DATABASE_URL names the database
 * (tests/with_postgres.sh). */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/import_file.h"
#include "db/migrate.h"
#include "kb/search.h"
#include "kb/sync.h"
#include "kb/word_memory.h"

#define HITS 20
#define WORD_BYTES ((size_t)256 << 20)
#define PARSE_MEMORY ((size_t)768 << 20)
#define TIMEOUT_MS 60000

struct state {
    struct loop *loop;
    struct db *db;
    struct word_memory *words;
    const char *id; /* of the query under way */
};

static void must(bool condition, const char *what, const char *why)
{
    if (!condition) {
        fprintf(stderr, "eval_search: %s: %s\n", what, why);
        exit(1);
    }
}

static void migrate(const char *url)
{
    struct error err = {0};
    struct buf report;
    buf_init(&report, 64 * 1024);
    struct db_session *session = db_session_open(url, &err);
    must(session && migrate_up(session, &report, &err), "the database", err.text);
    db_session_close(session);
    buf_fini(&report);
}

/* ---- the folder ---- */

static void on_synced(
    void *arg, const struct kb_sync_counts *counts, const char *why, const struct error *err)
{
    struct state *state = arg;
    must(!err && !*why && counts->failed == 0, "the folder", err ? err->text : "documents cannot be read");
    fprintf(stderr, "%d documents\n", counts->changed);
    loop_stop(state->loop, 0);
}

static void read_folder(struct state *state, const char *folder)
{
    struct error err = {0};
    struct blob_source *source =
        blob_open(state->loop, &(struct blob_place){.name = "eval", .place = folder}, &err);
    must(source != NULL, folder, err.text);
    struct kb_sync_env env = {.loop = state->loop,
        .db = state->db,
        .source = source,
        .tenant = "default",
        .rules = {.public_url = "", .locale = ""},
        .max_document = KB_MAX_TEXT,
        .parser = kb_parser_new("/proc/self/exe", PARSE_MEMORY, TIMEOUT_MS)};
    kb_sync_run(&env, &(struct kb_sync_request){.done = on_synced, .arg = state});
    (void)loop_run(state->loop);
    blob_close(source);
    kb_parser_free(env.parser);
}

/* ---- the queries ---- */

static void on_hits(void *arg, const struct kb_search_result *result, const struct error *err)
{
    struct state *state = arg;
    must(!err, state->id, err ? err->text : "");
    cJSON *line = cJSON_CreateObject(), *hits = cJSON_AddArrayToObject(line, "hits");
    cJSON_AddStringToObject(line, "id", state->id);
    for (size_t i = 0; i < result->count; i++) {
        cJSON *hit = cJSON_CreateObject();
        cJSON_AddStringToObject(hit, "source_id", result->hits[i].source_id);
        cJSON_AddStringToObject(hit, "text", result->hits[i].text);
        cJSON_AddItemToArray(hits, hit);
    }
    char *text = cJSON_PrintUnformatted(line);
    puts(text);
    free(text);
    cJSON_Delete(line);
    loop_stop(state->loop, 0);
}

static const char *field(const struct import_record *record, const char *name)
{
    for (size_t i = 0; i < record->count; i++) {
        if (!strcmp(record->names[i], name)) {
            return record->values[i];
        }
    }
    must(false, "no column", name);
    return "";
}

static void search_all(struct state *state, const char *path)
{
    struct error err = {0};
    struct import_file *queries = import_file_open(path, &err);
    must(queries != NULL, path, err.text);
    for (;;) {
        struct arena *arena = arena_new(0);
        struct import_record record;
        enum import_read read = import_file_read(queries, arena, &record, &err);
        must(read != IMPORT_BAD, path, err.text);
        if (read == IMPORT_END) {
            arena_free(arena);
            break;
        }
        state->id = field(&record, "id");
        struct kb_query query = {.tenant = "default",
            .subject = field(&record, "text"),
            .body = "",
            .locale = "en",
            .not_ticket = "",
            .max_hits = {HITS, 0}};
        kb_search(state->db, state->words, arena, &query, on_hits, state);
        (void)loop_run(state->loop);
        arena_free(arena);
    }
    import_file_close(queries);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], KB_PARSER_COMMAND)) { /* started by kb_parser_run */
        return kb_parser_serve(argc - 1, argv + 1);
    }
    const char *url = getenv("HELPDESK_TEST_DATABASE_URL");
    must(argc == 3 && url != NULL, "usage", "eval_search FOLDER QUERIES.csv, under tests/with_postgres.sh");
    migrate(url);
    struct state state = {.loop = loop_new(2)};
    state.db = db_new(
        state.loop, &(struct db_options){.url = url, .connections = 4, .query_timeout_ms = TIMEOUT_MS});
    read_folder(&state, argv[1]);
    state.words = word_memory_new(state.db, WORD_BYTES);
    search_all(&state, argv[2]);
    word_memory_close(state.words);
    db_free(state.db);
    loop_free(state.loop);
    return 0;
}
