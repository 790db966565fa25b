/* Documents in PostgreSQL: switched whole, once per content, removed when gone, safe against others. */
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

#include "blob/blob.h"
#include "kb/store.h"
#include "kb/sync.h"
#include "pg_testdb.h"

static struct pg_testdb testdb;
static struct loop *loop;
static struct db *db;
static struct blob_source *source;
static struct kb_sync_env env;
static struct kb_sync_memory memory;
static char folder[64];

static struct kb_sync_counts counts;
static struct error error;
static char why[200];
static int pending;

static void write_file(const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

static void on_done(void *arg, const struct kb_sync_counts *got, const char *reason, const struct error *err)
{
    (void)arg;
    counts = *got;
    error = err != NULL ? *err : (struct error){0};
    (void)snprintf(why, sizeof(why), "%s", reason);
    if (--pending == 0) {
        loop_stop(loop, 0);
    }
}

static void start_run(bool full, struct kb_sync_memory *remembered)
{
    pending++;
    kb_sync_run(&env, &(struct kb_sync_request){.full = full, .memory = remembered, .done = on_done});
}

static void run(bool full)
{
    start_run(full, NULL);
    (void)loop_run(loop);
    assert_int_equal(error.disposition, ERROR_NONE);
}

static int64_t revision(void)
{
    return strtoll(
        pg_testdb_value(&testdb, "SELECT revision FROM kb_revisions WHERE tenant = 'default'"), NULL, 10);
}

static void assert_counts(int found, int read, int changed, int failed, int removed)
{
    assert_int_equal(counts.found, found);
    assert_int_equal(counts.read, read);
    assert_int_equal(counts.changed, changed);
    assert_int_equal(counts.failed, failed);
    assert_int_equal(counts.removed, removed);
    assert_int_equal(counts.left, 0);
}

/* The counters of words must say what counting the passages again says. */
static void assert_terms_are_right(void)
{
    assert_string_equal(
        pg_testdb_value(&testdb,
            "SELECT count(*) FROM (SELECT p.tenant, p.config, u.lexeme, count(*)::int AS texts "
            "FROM kb_passages p, unnest(p.tsv) u GROUP BY 1, 2, 3) a FULL JOIN "
            "(SELECT * FROM kb_terms WHERE corpus = 'kb') b USING (tenant, config, lexeme, texts) "
            "WHERE b.corpus IS NULL OR a.texts IS NULL"),
        "0");
    assert_string_equal(
        pg_testdb_value(&testdb,
            "SELECT (SELECT count(*) FROM kb_passages) = (SELECT coalesce(sum(texts), 0) FROM kb_corpora "
            "WHERE corpus = 'kb')"),
        "t");
}

static int setup_all(void **state)
{
    (void)state;
    struct error err;
    pg_testdb_create(&testdb, true);
    (void)snprintf(folder, sizeof(folder), "/tmp/test_kb_store.XXXXXX");
    assert_non_null(mkdtemp(folder));
    loop = loop_new(2);
    db = db_new(loop, &(struct db_options){.url = testdb.url, .connections = 4, .query_timeout_ms = 20000});
    source = blob_open(loop, &(struct blob_place){.name = "default", .place = folder}, &err);
    assert_non_null(source);
    env = (struct kb_sync_env){.loop = loop,
        .db = db,
        .source = source,
        .tenant = "default",
        .rules = {.public_url = "https://help.example", .locale = ""},
        .max_document = 4096,
        .keep = true,
        .parser = kb_parser_new("/proc/self/exe", (size_t)512 << 20, 10000)};
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static int teardown_all(void **state)
{
    (void)state;
    db_free(db);
    blob_close(source);
    kb_parser_free(env.parser);
    loop_free(loop);
    pg_testdb_drop(&testdb);
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void new_documents_are_stored(void **state)
{
    (void)state;
    write_file("a.md", "# Alpha\n\nThe first document speaks of apples.\n");
    write_file("b.txt", "Beta\n\nThe second document speaks of pears.\n");
    write_file("picture.png", "not a document");
    run(false);
    assert_counts(2, 2, 2, 0, 0);
    assert_int_equal(revision(), 2);
    assert_string_equal(pg_testdb_value(&testdb, "SELECT uri FROM kb_documents WHERE object_key = 'a.md'"),
        "https://help.example/a.md");
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT anchor || ':' || text FROM kb_passages WHERE object_key = 'a.md'"),
        "alpha:The first document speaks of apples.");
    assert_terms_are_right();
}

static void what_did_not_change_is_not_read(void **state)
{
    (void)state;
    run(false);
    assert_counts(2, 0, 0, 0, 0);
    run(true);
    assert_counts(2, 2, 0, 0, 0);
    assert_int_equal(revision(), 2);
}

static void a_changed_document_is_switched(void **state)
{
    (void)state;
    write_file("a.md", "# Alpha\n\nNow it speaks of cherries, and of nothing else.\n");
    run(false);
    assert_counts(2, 1, 1, 0, 0);
    assert_int_equal(revision(), 3);
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT count(*) FROM kb_passages WHERE text LIKE '%apples%'"), "0");
    assert_terms_are_right();
}

static void a_broken_document_keeps_nothing_and_says_why(void **state)
{
    (void)state;
    write_file("a.md", "br\u00f6ken \u00e4 \u00fc \u00f6 \u00e9 \xff");
    run(false);
    assert_counts(2, 1, 0, 1, 0);
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT state || ': ' || why FROM kb_documents WHERE object_key = 'a.md'"),
        "failed: the document is not valid UTF-8 (at byte 20)");
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT count(*) FROM kb_passages WHERE object_key = 'a.md'"), "0");
    int64_t before = revision();
    char *large = malloc(6000);
    assert_non_null(large);
    memset(large, 'x', 5999);
    large[5999] = '\0';
    write_file("large.txt", large);
    free(large);
    run(false);
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT why FROM kb_documents WHERE object_key = 'large.txt'"),
        "the document has 5999 bytes, 4096 are allowed");
    run(false); /* it is looked at again, but nothing is new */
    assert_int_equal(revision(), before + 1);
    remove_file("large.txt");
    write_file("a.md", "# Alpha\n\nHealed.\n");
    run(false);
    assert_counts(2, 1, 1, 0, 1);
    assert_terms_are_right();
}

static void a_deleted_document_is_gone(void **state)
{
    (void)state;
    remove_file("b.txt");
    run(false);
    assert_counts(1, 0, 0, 0, 1);
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT count(*) FROM kb_documents WHERE object_key = 'b.txt'"), "0");
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT count(*) FROM kb_passages WHERE object_key = 'b.txt'"), "0");
    assert_string_equal(
        pg_testdb_value(&testdb,
            "SELECT string_agg(kind, ' ' ORDER BY revision DESC) FROM kb_history WHERE object_key = 'b.txt'"),
        "removed put");
    assert_string_equal(
        pg_testdb_value(&testdb,
            "SELECT max(h.revision) = max(r.revision) FROM kb_history h JOIN kb_revisions r USING (tenant)"),
        "t");
    assert_terms_are_right();
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
    run(false);
    write_file("kept.md", "Two.");
    run(false);
    write_file("kept.md", "br\u00f6ken \u00e4 \u00fc \u00f6 \u00e9 \xff");
    run(false);
    write_file("kept.md", "");
    run(false);
    remove_file("kept.md");
    run(false);
    pg_testdb_script(&testdb,
        "UPDATE kb_contents SET bytes = 'broken' WHERE position('\\xff' IN bytes) > 0"); /* to be shown */
    assert_string_equal(history_of("kept.md"), "put:One.|put:Two.|failed:broken|failed:|removed:-");
    assert_string_equal(history_of("same.md"), "put:One.");
    pg_testdb_script(
        &testdb, "UPDATE kb_history SET until_at = until_at - interval '1 hour' WHERE until_at IS NOT NULL");
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT kb_forget('default', 'default', interval '2 hours', 100)"), "0");
    const char *from_sql = "SELECT history_from FROM kb_revisions WHERE tenant = 'default'";
    assert_string_equal(pg_testdb_value(&testdb, from_sql), "0");
    pg_testdb_script(
        &testdb, "DELETE FROM kb_history WHERE object_key NOT IN ('kept.md', 'same.md', 'a.md')");
    while (strcmp(pg_testdb_value(&testdb, "SELECT kb_forget('default', 'default', interval '1 minute', 1)"),
               "0") != 0) {
        assert_string_not_equal(pg_testdb_value(&testdb, from_sql), "0");
    }
    assert_int_equal(strtoll(pg_testdb_value(&testdb, from_sql), NULL, 10), revision());
    assert_string_equal(history_of("kept.md"), "");
    assert_string_equal(history_of("same.md"), "put:One."); /* it holds */
    assert_string_equal(history_of("a.md"), "put:# Alpha\n\nHealed.\n");
    assert_string_equal(pg_testdb_value(&testdb, "SELECT count(*) FROM kb_contents"), "2");
    remove_file("same.md");
    run(false);
    assert_terms_are_right();
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
    run(false);
    assert_counts(2, 1, 1, 0, 0);
    assert_string_equal(state_of("w.md"), "withdrawn:it is a draft:0");
    run(false);
    assert_counts(2, 0, 0, 0, 0);
    write_file("w.md", "---\ndraft: false\n---\nWords.\n");
    run(false);
    assert_string_equal(state_of("w.md"), "ready::1");
    write_file("w.md", "---\nexpires: 2020-02-02\n---\nWords.\n");
    run(false);
    assert_string_equal(state_of("w.md"), "withdrawn:it expired on 2020-02-02T00:00:00.000Z:0");
    write_file("w.md", "---\nexpires: 2920-02-02\n---\nWords.\n");
    run(false);
    assert_string_equal(state_of("w.md"), "ready::1");
    run(false);
    assert_counts(2, 0, 0, 0, 0);
    pg_testdb_script(&testdb, "UPDATE kb_documents SET expires_at = now() WHERE object_key = 'w.md'");
    run(false); /* its time has come: it is read again */
    assert_counts(2, 1, 0, 0, 0);
    remove_file("w.md");
    run(false);
    assert_terms_are_right();
}

static void a_source_that_is_away_removes_nothing(void **state)
{
    (void)state;
    char away[80];
    (void)snprintf(away, sizeof(away), "%s.away", folder);
    assert_int_equal(rename(folder, away), 0);
    start_run(false, NULL);
    (void)loop_run(loop);
    assert_int_equal(error.disposition, ERROR_RETRY);
    assert_string_equal(error.code, "blob_unavailable");
    assert_int_equal(rename(away, folder), 0);
    assert_string_equal(pg_testdb_value(&testdb, "SELECT count(*) FROM kb_documents"), "1");
}

static void a_source_that_looks_the_same_is_left_at_once(void **state)
{
    (void)state;
    start_run(false, &memory);
    (void)loop_run(loop);
    assert_int_equal(memory.count, 1);
    assert_int_equal(strlen(memory.digests[0]), 64);
    pg_testdb_script(&testdb, "UPDATE kb_documents SET etag = ''"); /* would be read if it were compared */
    start_run(false, &memory);
    (void)loop_run(loop);
    assert_counts(1, 0, 0, 0, 0);
    write_file("c.md", "# Gamma\n\nThird.\n");
    start_run(false, &memory);
    (void)loop_run(loop);
    assert_counts(2, 2, 1, 0, 0);
}

static void two_runs_at_once_agree(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "many-%d.md", i);
        write_file(name, "# Many\n\nThe same words in many documents, changed at once.\n");
    }
    int64_t before = revision();
    start_run(false, NULL);
    start_run(false, NULL);
    start_run(false, NULL);
    (void)loop_run(loop);
    assert_int_equal(revision(), before + 20);
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT count(*) FROM kb_documents WHERE state = 'ready'"), "22");
    assert_terms_are_right();
}

/* ---- two who read the same document ---- */

static enum kb_change changed;
static struct kb_passage race_passage = {.heading_path = "", .anchor = "", .text = "text"};
static struct kb_document race_document = {
    .title = "T", .locale = "en", .passages = &race_passage, .passage_count = 1, .withdrawn = ""};

struct reader { /* knows what the base said before it read */
    struct arena *arena;
    struct kb_put put;
};

static void on_changed(void *arg, enum kb_change change, const struct error *err)
{
    (void)arg;
    assert_null(err);
    changed = change;
    loop_stop(loop, 0);
}

static void on_known(void *arg, const struct kb_since *since, const struct error *err)
{
    struct reader *reader = arg;
    assert_null(err);
    reader->put.since = *since;
    loop_stop(loop, 0);
}

static struct reader begins_to_read(const char *key, const char *etag)
{
    struct reader reader = {.arena = arena_new(0),
        .put = {.place = {.tenant = "default", .source = "default", .key = key},
            .uri = "kb://default/race.md",
            .fingerprint = "one",
            .etag = etag,
            .document = &race_document,
            .why = ""}};
    kb_store_look_up(db, reader.arena, &reader.put.place, on_known, &reader);
    (void)loop_run(loop);
    return reader;
}

static enum kb_change stores(struct reader *reader, const char *fingerprint)
{
    reader->put.fingerprint = fingerprint;
    kb_store_put(db, reader->arena, &reader->put, on_changed, NULL);
    (void)loop_run(loop);
    return changed;
}

static enum kb_change finds_it_gone(struct reader *reader)
{
    kb_store_remove(db, reader->arena, &reader->put.place, &reader->put.since, on_changed, NULL);
    (void)loop_run(loop);
    return changed;
}

static void readers_end(struct reader *one, struct reader *other)
{
    arena_free(one->arena);
    arena_free(other->arena);
    assert_terms_are_right();
}

static void who_read_earlier_does_not_overwrite(void **state)
{
    (void)state;
    struct reader early = begins_to_read("race.md", "1"), late = begins_to_read("race.md", "2");
    assert_int_equal(stores(&late, "two"), KB_CHANGED);
    assert_int_equal(stores(&early, "one"), KB_CONFLICT);
    assert_int_equal(finds_it_gone(&early), KB_CONFLICT);
    readers_end(&early, &late);
    struct reader again = begins_to_read("race.md", "3"), gone = begins_to_read("race.md", "");
    assert_int_equal(stores(&again, "one"), KB_CHANGED);
    gone.put.since.revision = revision();
    assert_int_equal(finds_it_gone(&gone), KB_CHANGED);
    readers_end(&again, &gone);
}

static void what_both_read_is_no_conflict(void **state)
{
    (void)state;
    struct reader one = begins_to_read("same.md", "1"), other = begins_to_read("same.md", "1");
    assert_int_equal(stores(&one, "one"), KB_CHANGED);
    int64_t before = revision();
    assert_int_equal(stores(&other, "one"), KB_UNCHANGED);
    assert_int_equal(revision(), before);
    one.put.since.revision = before;
    assert_int_equal(finds_it_gone(&one), KB_CHANGED);
    readers_end(&one, &other);
}

static void what_is_gone_does_not_come_back(void **state)
{
    (void)state;
    /* it was deleted before the base ever had it */
    struct reader early = begins_to_read("ghost.md", "1"), late = begins_to_read("ghost.md", "");
    assert_int_equal(finds_it_gone(&late), KB_UNCHANGED);
    assert_int_equal(stores(&early, "one"), KB_CONFLICT);
    readers_end(&early, &late);
    /* others put and removed it meanwhile */
    early = begins_to_read("ghost.md", "1");
    late = begins_to_read("ghost.md", "1");
    assert_int_equal(stores(&late, "one"), KB_CHANGED);
    late.put.since.revision = revision();
    assert_int_equal(finds_it_gone(&late), KB_CHANGED);
    assert_int_equal(stores(&early, "one"), KB_CONFLICT);
    readers_end(&early, &late);
    /* what is read after that is new */
    early = begins_to_read("ghost.md", "2");
    late = begins_to_read("other.md", "");
    assert_int_equal(stores(&early, "one"), KB_CHANGED);
    early.put.since.revision = revision();
    assert_int_equal(finds_it_gone(&early), KB_CHANGED);
    readers_end(&early, &late);
}

static void what_went_back_stays_so(void **state)
{
    (void)state;
    struct reader first = begins_to_read("back.md", "1");
    assert_int_equal(stores(&first, "one"), KB_CHANGED);
    struct reader early = begins_to_read("back.md", "2"), late = begins_to_read("back.md", "3");
    first.put.since = early.put.since;
    assert_int_equal(stores(&late, "one"), KB_UNCHANGED); /* as at first, in a version of its own */
    assert_int_equal(stores(&early, "two"), KB_CONFLICT);
    assert_int_equal(finds_it_gone(&first), KB_CONFLICT);
    assert_int_equal(finds_it_gone(&late), KB_CHANGED);
    arena_free(first.arena);
    readers_end(&early, &late);
}

/* ---- a folder that changes all the time, two processes that are told, and scans in between ---- */

#define STORM_NAMES 80
#define STORM_EVERY_MS 3

/* Each document is written, then deleted or written again, at once: whoever was told of the first is still at
 * work. No scan comes after that would heal what they do. */
struct storm {
    struct kb_sync_env envs[2];
    struct loop_timer *timer;
    int step;
    int told;
};

struct telling {
    struct storm *storm;
    const struct kb_sync_env *env;
    char key[32];
};

static bool storm_stays(int document)
{
    return document % 3 == 0;
}

static void storm_over(struct storm *storm)
{
    if (storm->step == 2 * STORM_NAMES && storm->told == 0 && pending == 0) {
        loop_stop(loop, 0);
    }
}

static void on_told(void *arg, enum kb_synced what, const struct error *err)
{
    struct telling *telling = arg;
    struct storm *storm = telling->storm;
    if (err) { /* as the engine does */
        assert_string_equal(err->code, "kb_conflict");
        kb_sync_document(telling->env, telling->key, on_told, telling);
        return;
    }
    (void)what; /* half a file is read as a broken one: the second telling heals that */
    free(telling);
    storm->told--;
    storm_over(storm);
}

static void storm_tells(struct storm *storm, int process, const char *key)
{
    struct telling *telling = calloc(1, sizeof(*telling));
    telling->storm = storm;
    telling->env = &storm->envs[process];
    (void)snprintf(telling->key, sizeof(telling->key), "%s", key);
    storm->told++;
    kb_sync_document(telling->env, telling->key, on_told, telling);
}

static void on_storm_scan(
    void *arg, const struct kb_sync_counts *got, const char *reason, const struct error *err)
{
    (void)got;
    assert_null(err);
    assert_string_equal(reason, "");
    pending--;
    storm_over(arg);
}

static void on_storm(void *arg)
{
    struct storm *storm = arg;
    char name[32], text[80];
    int document = storm->step / 2;
    (void)snprintf(name, sizeof(name), "storm-%d.md", document);
    (void)snprintf(text, sizeof(text), "# Storm\n\nThis is version %d.\n", storm->step);
    if (storm->step % 2 == 0 || storm_stays(document)) {
        write_file(name, text);
    } else {
        remove_file(name);
    }
    storm_tells(storm, storm->step % 2, name);
    if (pending == 0 && storm->step < STORM_NAMES) {
        pending++;
        kb_sync_run(
            &storm->envs[document % 2], &(struct kb_sync_request){.done = on_storm_scan, .arg = storm});
    }
    if (++storm->step < 2 * STORM_NAMES) {
        loop_timer_arm(storm->timer, STORM_EVERY_MS);
    }
}

static void two_processes_agree_with_a_folder_that_changes(void **state)
{
    (void)state;
    struct storm storm = {.envs = {env, env}};
    struct db *second =
        db_new(loop, &(struct db_options){.url = testdb.url, .connections = 2, .query_timeout_ms = 20000});
    storm.envs[1].db = second;
    storm.timer = loop_timer_new(loop, on_storm, &storm);
    loop_timer_arm(storm.timer, 0);
    (void)loop_run(loop);
    struct arena *arena = arena_new(0);
    for (int i = 0; i < STORM_NAMES; i++) {
        const char *has = pg_testdb_value(
            &testdb, arena_printf(arena, "SELECT text FROM kb_passages WHERE object_key = 'storm-%d.md'", i));
        assert_string_equal(
            has, storm_stays(i) ? arena_printf(arena, "This is version %d.", 2 * i + 1) : "(none)");
    }
    arena_free(arena);
    loop_timer_free(storm.timer);
    db_free(second);
    assert_terms_are_right();
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], KB_PARSER_COMMAND)) { /* started by the test itself */
        return kb_parser_serve(argc - 1, argv + 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_documents_are_stored),
        cmocka_unit_test(what_did_not_change_is_not_read),
        cmocka_unit_test(a_changed_document_is_switched),
        cmocka_unit_test(a_broken_document_keeps_nothing_and_says_why),
        cmocka_unit_test(a_deleted_document_is_gone),
        cmocka_unit_test(what_was_read_is_kept_as_long_as_the_history_needs_it),
        cmocka_unit_test(a_withdrawn_document_is_known_but_not_found),
        cmocka_unit_test(a_source_that_is_away_removes_nothing),
        cmocka_unit_test(a_source_that_looks_the_same_is_left_at_once),
        cmocka_unit_test(two_runs_at_once_agree),
        cmocka_unit_test(who_read_earlier_does_not_overwrite),
        cmocka_unit_test(what_both_read_is_no_conflict),
        cmocka_unit_test(what_is_gone_does_not_come_back),
        cmocka_unit_test(what_went_back_stays_so),
        cmocka_unit_test(two_processes_agree_with_a_folder_that_changes),
    };
    return cmocka_run_group_tests_name("kb_store", tests, setup_all, teardown_all);
}
