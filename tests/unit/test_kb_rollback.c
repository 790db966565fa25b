/* The history of documents: what is kept of them. Rollbacks: what is planned, what is written and removed,
 * and that the base follows the source. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kb/rollback.h"
#include "pg_testdb.h"

static struct pg_testdb testdb;
static struct loop *loop;
static struct db *db;
static struct kb_sync_env env;
static struct arena *arena;
static char folder[64];

static struct kb_rollback_plan *plan;
static struct error error;
static size_t ended;
static struct kb_sync_counts counts;

static const char *path_of(const char *name)
{
    static char path[200];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

/* Its text; "(none)": there is no such file. */
static const char *read_file(const char *name)
{
    static char text[200];
    FILE *file = fopen(path_of(name), "r");
    if (!file) {
        return "(none)";
    }
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    return text;
}

static void on_synced(void *arg, const struct kb_sync_counts *told, const char *why, const struct error *err)
{
    (void)arg;
    (void)why;
    assert_null(err);
    counts = *told;
    loop_stop(loop, 0);
}

/* Returns the base's revision. */
static int64_t synced(void)
{
    kb_sync_run(&env, &(struct kb_sync_request){.done = on_synced});
    (void)loop_run(loop);
    return strtoll(pg_testdb_value(&testdb, "SELECT coalesce(max(revision), 0) FROM kb_revisions"), NULL, 10);
}

static void on_planned(void *arg, struct kb_rollback_plan *made, const struct error *err)
{
    (void)arg;
    assert_null(err);
    plan = made;
    loop_stop(loop, 0);
}

/* "write a.md@1|remove b.md@0" */
static const char *planned(const char *key, int64_t revision)
{
    static const char *const names[] = {"write", "restore", "remove", "leave", "lost"};
    static char text[1000];
    kb_rollback_plan(&env, arena, key, revision, on_planned, NULL);
    (void)loop_run(loop);
    text[0] = '\0';
    for (size_t i = 0; i < plan->count; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof(text) - len, "%s%s %s@%d", i ? "|" : "",
            names[plan->steps[i].action], plan->steps[i].key, (int)plan->steps[i].revision);
    }
    return text;
}

static void on_progress(void *arg)
{
    (void)arg;
    ended++;
}

static void on_done(void *arg, const struct error *err)
{
    (void)arg;
    error = err ? *err : (struct error){0};
    loop_stop(loop, 0);
}

static void take_plan(void)
{
    ended = 0;
    kb_rollback_run(&env, plan, on_progress, on_done, NULL);
    (void)loop_run(loop);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

/* Of each test: an empty base and an empty folder. */
static int setup(void **state)
{
    (void)state;
    struct error err;
    (void)snprintf(folder, sizeof(folder), "/tmp/test_kb_rollback.XXXXXX");
    assert_non_null(mkdtemp(folder));
    pg_testdb_script(&testdb, "TRUNCATE kb_documents, kb_history, kb_contents, kb_revisions CASCADE");
    arena = arena_new(0);
    static const char *const excluded[] = {"hidden/**"};
    env.source = blob_open(loop,
        &(struct blob_place){.name = "default", .place = folder, .exclude = excluded, .exclude_count = 1},
        &err);
    assert_non_null(env.source);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    blob_close(env.source);
    arena_free(arena);
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int setup_all(void **state)
{
    (void)state;
    pg_testdb_create(&testdb, true);
    loop = loop_new(2);
    db = db_new(loop, &(struct db_options){.url = testdb.url, .connections = 4, .query_timeout_ms = 20000});
    env = (struct kb_sync_env){.loop = loop,
        .db = db,
        .tenant = "default",
        .rules = {.public_url = "", .locale = ""},
        .max_document = 4096,
        .keep = true,
        .parser = kb_parser_new("/proc/self/exe", (size_t)512 << 20, 10000)};
    return 0;
}

static int teardown_all(void **state)
{
    (void)state;
    db_free(db);
    kb_parser_free(env.parser);
    loop_free(loop);
    pg_testdb_drop(&testdb);
    return 0;
}

/* What the history says of a document, oldest first, with the text that it keeps. */
static const char *history_of(const char *key)
{
    static char sql[600];
    (void)snprintf(sql, sizeof(sql),
        "SELECT string_agg(h.kind || ':' || coalesce(convert_from(c.bytes, 'UTF8'), '-'), '|' ORDER BY "
        "revision) "
        "FROM kb_history h LEFT JOIN kb_contents c ON (c.tenant, c.hash) = (h.tenant, h.content) "
        "WHERE object_key = '%s'",
        key);
    return pg_testdb_value(&testdb, sql);
}

static void what_was_read_is_kept_as_long_as_the_history_needs_it(void **state)
{
    (void)state;
    write_file("kept.md", "One.");
    write_file("same.md", "One.");
    (void)synced();
    write_file("kept.md", "Two.");
    (void)synced();
    write_file("kept.md", "---\nexpires: tomorrow\n---\nThree.");
    (void)synced();
    write_file("kept.md", "");
    (void)synced();
    (void)unlink(path_of("kept.md"));
    (void)synced();
    assert_string_equal(history_of("kept.md"),
        "put:One.|put:Two.|failed:---\nexpires: tomorrow\n---\nThree.|failed:|removed:-");
    assert_string_equal(history_of("same.md"), "put:One.");
    pg_testdb_script(&testdb, "UPDATE kb_documents SET content = NULL WHERE object_key = 'same.md'; "
                              "UPDATE kb_history SET content = NULL WHERE object_key = 'same.md'");
    (void)synced(); /* as what was read before contents were kept: it is read again */
    assert_string_equal(history_of("same.md"), "put:One.");
    pg_testdb_script(
        &testdb, "UPDATE kb_history SET until_at = until_at - interval '1 hour' WHERE until_at IS NOT NULL");
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT kb_forget('default', 'default', interval '2 hours', 100)"), "0");
    const char *from_sql = "SELECT history_from FROM kb_revisions WHERE tenant = 'default'";
    assert_string_equal(pg_testdb_value(&testdb, from_sql), "0");
    while (strcmp(pg_testdb_value(&testdb, "SELECT kb_forget('default', 'default', interval '1 minute', 1)"),
               "0") != 0) {
        assert_string_not_equal(pg_testdb_value(&testdb, from_sql), "0");
    }
    assert_int_equal(strtoll(pg_testdb_value(&testdb, from_sql), NULL, 10), synced());
    assert_string_equal(history_of("kept.md"), "");
    assert_string_equal(history_of("same.md"), "put:One."); /* it holds */
    assert_string_equal(pg_testdb_value(&testdb, "SELECT count(*) FROM kb_contents"), "1");
}

static const char *state_of(const char *key)
{
    static char sql[200];
    (void)snprintf(sql, sizeof(sql),
        "SELECT state || ':' || why || ':' || (SELECT count(*) FROM kb_passages p WHERE p.object_key = "
        "d.object_key) FROM kb_documents d WHERE object_key = '%s'",
        key);
    return pg_testdb_value(&testdb, sql);
}

static void a_withdrawn_document_is_known_but_not_found(void **state)
{
    (void)state;
    write_file("w.md", "---\ndraft: true\n---\nWords.\n");
    (void)synced();
    assert_int_equal(counts.changed, 1);
    assert_string_equal(state_of("w.md"), "withdrawn:it is a draft:0");
    (void)synced();
    assert_int_equal(counts.read, 0);
    write_file("w.md", "---\ndraft: false\n---\nWords.\n");
    (void)synced();
    assert_string_equal(state_of("w.md"), "ready::1");
    write_file("w.md", "---\nexpires: 2020-02-02\n---\nWords.\n");
    (void)synced();
    assert_string_equal(state_of("w.md"), "withdrawn:it expired on 2020-02-02T00:00:00.000Z:0");
    write_file("w.md", "---\nexpires: 2920-02-02\n---\nWords.\n");
    (void)synced();
    assert_string_equal(state_of("w.md"), "ready::1");
    (void)synced();
    assert_int_equal(counts.read, 0);
    pg_testdb_script(&testdb, "UPDATE kb_documents SET expires_at = now() WHERE object_key = 'w.md'");
    (void)synced(); /* its time has come: it is read again */
    assert_int_equal(counts.read, 1);
    assert_int_equal(counts.changed, 0);
}

/* Nobody could take it back. */
static void what_is_not_kept_now_is_left(void **state)
{
    (void)state;
    write_file("a.md", "A, one.");
    int64_t then = synced();
    char large[6000];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    write_file("a.md", large);
    write_file("b.md", large);
    (void)synced();
    assert_int_equal(counts.failed, 2);
    (void)planned(NULL, then);
    assert_int_equal(plan->count, 2);
    for (size_t i = 0; i < plan->count; i++) {
        assert_int_equal(plan->steps[i].action, KB_ROLLBACK_LEAVE);
        assert_non_null(strstr(plan->steps[i].why, "not kept"));
    }
    take_plan();
    assert_int_equal(strlen(read_file("a.md")), 199); /* the most that is read: it is there */
    assert_int_equal(strlen(read_file("b.md")), 199);
}

static void a_file_keeps_its_mode(void **state)
{
    (void)state;
    struct stat st;
    write_file("a.md", "A, one.");
    int64_t then = synced();
    write_file("a.md", "A, two.");
    assert_int_equal(chmod(path_of("a.md"), 0640), 0);
    (void)synced();
    assert_string_equal(planned(NULL, then), "write a.md@1");
    take_plan();
    assert_string_equal(read_file("a.md"), "A, one.");
    assert_int_equal(stat(path_of("a.md"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static void the_whole_base_goes_back_and_forth(void **state)
{
    (void)state;
    write_file("a.md", "A, one.");
    (void)synced();
    write_file("b.md", "---\ndraft: true\n---\nB.");
    (void)synced();
    write_file("c.md", "---\nexpires: tomorrow\n---\nC.");
    write_file("same.md", "As ever.");
    int64_t then = synced();
    assert_int_equal(then, 4);
    assert_string_equal(planned(NULL, then), "");
    write_file("a.md", "A, two.");
    (void)unlink(path_of("b.md"));
    write_file("c.md", "C, healed.");
    write_file("d.md", "D.");
    int64_t later = synced();
    char back[200];
    (void)snprintf(back, sizeof(back), "%s", planned(NULL, then));
    assert_non_null(strstr(back, "write a.md@1|restore b.md@2|write c.md@"));
    assert_non_null(strstr(back, "|remove d.md@0"));
    assert_int_equal(plan->count, 4);
    assert_int_equal(plan->revision, later);
    take_plan();
    assert_int_equal(error.disposition, ERROR_NONE);
    assert_int_equal(ended, 4);
    assert_string_equal(read_file("a.md"), "A, one.");
    assert_string_equal(read_file("b.md"), "---\ndraft: true\n---\nB.");
    assert_string_equal(read_file("c.md"), "---\nexpires: tomorrow\n---\nC.");
    assert_string_equal(read_file("d.md"), "(none)");
    assert_string_equal(pg_testdb_value(&testdb,
                            "SELECT string_agg(object_key || ' ' || state, '|' ORDER BY object_key) FROM "
                            "kb_documents"),
        "a.md ready|b.md withdrawn|c.md failed|same.md ready");
    assert_string_equal(planned(NULL, then), "");
    assert_int_equal(plan->revision, later + 4);
    assert_int_equal(synced(), later + 4); /* the base has it all */
    assert_int_equal((int)strlen(planned(NULL, later)) > 0, 1);
    take_plan(); /* the rollback is taken back */
    assert_string_equal(read_file("a.md"), "A, two.");
    assert_string_equal(read_file("b.md"), "(none)");
    assert_string_equal(read_file("d.md"), "D.");
    assert_string_equal(planned(NULL, later), "");
}

static void one_document_goes_back_alone(void **state)
{
    (void)state;
    write_file("a.md", "A, one.");
    write_file("b.md", "B, one.");
    int64_t then = synced();
    write_file("a.md", "A, two.");
    write_file("b.md", "B, two.");
    (void)synced();
    assert_non_null(strstr(planned("a.md", then), "write a.md@"));
    assert_int_equal(plan->count, 1);
    take_plan();
    assert_string_equal(read_file("a.md"), "A, one.");
    assert_string_equal(read_file("b.md"), "B, two.");
    (void)planned("nobody.md", then);
    assert_false(plan->known);
}

static void what_was_begun_is_finished(void **state)
{
    (void)state;
    write_file("a.md", "A, one.");
    write_file("b.md", "B, one.");
    int64_t then = synced();
    write_file("a.md", "A, two.");
    write_file("b.md", "B, two.");
    write_file("c.md", "C.");
    (void)synced();
    (void)planned(NULL, then);
    write_file("a.md", "A, one."); /* as if it had ended behind the first change of the source */
    assert_int_equal(plan->count, 3);
    take_plan();
    assert_string_equal(planned(NULL, then), "");
    assert_string_equal(read_file("b.md"), "B, one.");
    assert_string_equal(read_file("c.md"), "(none)");
}

static void what_is_not_kept_is_known_before_anything_is_done(void **state)
{
    (void)state;
    write_file("a.md", "A, one.");
    write_file("b.md", "B, one.");
    int64_t then = synced();
    write_file("a.md", "A, two.");
    write_file("b.md", "B, two.");
    (void)synced();
    pg_testdb_script(&testdb, "UPDATE kb_history SET content = NULL WHERE object_key = 'a.md'");
    assert_non_null(strstr(planned(NULL, then), "lost a.md@"));
    assert_non_null(strstr(planned(NULL, then), "write b.md@"));
    assert_string_equal(planned(NULL, 0), "remove a.md@0|remove b.md@0");
    pg_testdb_script(&testdb, "UPDATE kb_revisions SET history_from = 1"); /* what was before is forgotten */
    assert_string_equal(planned(NULL, 0), "lost a.md@0|lost b.md@0");
    pg_testdb_script(&testdb, "UPDATE kb_revisions SET history_from = 0");
    pg_testdb_script(&testdb, /* more than the history holds of one document */
        "DO $$ BEGIN FOR i IN 1..100 LOOP UPDATE kb_documents SET revision = kb_next_revision('default') "
        "WHERE object_key = 'b.md'; END LOOP; END $$");
    assert_string_equal(planned("b.md", then), "lost b.md@0");
}

static void what_could_not_be_read_is_left(void **state)
{
    (void)state;
    char *large = calloc(1, 5001);
    assert_non_null(large);
    memset(large, 'x', 5000);
    write_file("large.md", large);
    free(large);
    int64_t then = synced();
    write_file("large.md", "Small.");
    (void)synced();
    assert_non_null(strstr(planned(NULL, then), "leave large.md@"));
    take_plan();
    assert_int_equal(ended, 0);
    assert_string_equal(read_file("large.md"), "Small.");
    pg_testdb_script(
        &testdb, "UPDATE kb_history SET object_key = 'hidden/' || object_key"); /* as if excluded now */
    assert_non_null(strstr(planned(NULL, then), "leave hidden/large.md@"));
    assert_string_equal(plan->steps[0].why, "the source's settings leave it out");
}

static void a_step_that_fails_fails_alone(void **state)
{
    (void)state;
    write_file("a.md", "A, one.");
    write_file("b.md", "B, one.");
    int64_t then = synced();
    write_file("a.md", "A, two.");
    write_file("b.md", "B, two.");
    (void)synced();
    (void)planned(NULL, then);
    assert_int_equal(plan->count, 2);
    pg_testdb_script(&testdb, "DELETE FROM kb_contents WHERE bytes = 'A, one.'"); /* pruned meanwhile */
    take_plan();
    assert_int_equal(error.disposition, ERROR_NONE);
    assert_false(plan->steps[0].done);
    assert_string_equal(plan->steps[0].why, "what it held is not kept any more");
    assert_true(plan->steps[1].done);
    assert_string_equal(read_file("a.md"), "A, two.");
    assert_string_equal(read_file("b.md"), "B, one.");
}

static void what_is_edited_meanwhile_is_left(void **state)
{
    (void)state;
    write_file("a.md", "A, one.");
    write_file("b.md", "B, one.");
    int64_t then = synced();
    write_file("a.md", "A, two.");
    write_file("b.md", "B, two.");
    write_file("c.md", "C.");
    (void)synced();
    (void)planned(NULL, then);
    assert_int_equal(plan->count, 3);
    write_file("a.md", "A, three.");
    write_file("c.md", "C, two.");
    take_plan();
    assert_int_equal(error.disposition, ERROR_NONE);
    assert_string_equal(read_file("a.md"), "A, three.");
    assert_string_equal(read_file("b.md"), "B, one.");
    assert_string_equal(read_file("c.md"), "C, two.");
    assert_false(plan->steps[0].done || plan->steps[2].done);
    assert_non_null(strstr(plan->steps[0].why, "changed after the rollback had begun"));
    (void)planned(NULL, then); /* now it is known, and can be taken back */
    take_plan();
    assert_string_equal(read_file("a.md"), "A, one.");
    assert_string_equal(read_file("c.md"), "(none)");
}

static void a_source_that_is_away_ends_it(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        char name[20];
        (void)snprintf(name, sizeof(name), "%d.md", i);
        write_file(name, "Words.");
    }
    (void)synced();
    (void)planned(NULL, 0);
    assert_int_equal(plan->count, 20);
    char away[80];
    (void)snprintf(away, sizeof(away), "%s.away", folder);
    assert_int_equal(rename(folder, away), 0);
    take_plan();
    assert_int_equal(error.disposition, ERROR_RETRY);
    assert_true(ended > 0 && ended < 20);
    assert_int_equal(rename(away, folder), 0);
    (void)planned(NULL, 0);
    take_plan();
    assert_int_equal(error.disposition, ERROR_NONE);
    assert_string_equal(read_file("19.md"), "(none)");
    assert_string_equal(pg_testdb_value(&testdb, "SELECT count(*) FROM kb_documents"), "0");
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], KB_PARSER_COMMAND)) { /* started by the test itself */
        return kb_parser_serve(argc - 1, argv + 1);
    }
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_read_is_kept_as_long_as_the_history_needs_it),
        TEST(a_withdrawn_document_is_known_but_not_found),
        TEST(what_is_not_kept_now_is_left),
        TEST(a_file_keeps_its_mode),
        TEST(the_whole_base_goes_back_and_forth),
        TEST(one_document_goes_back_alone),
        TEST(what_was_begun_is_finished),
        TEST(what_is_not_kept_is_known_before_anything_is_done),
        TEST(what_could_not_be_read_is_left),
        TEST(a_step_that_fails_fails_alone),
        TEST(what_is_edited_meanwhile_is_left),
        TEST(a_source_that_is_away_ends_it),
    };
    return cmocka_run_group_tests_name("kb_rollback", tests, setup_all, teardown_all);
}
