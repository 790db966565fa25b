/* Documents in PostgreSQL: switched whole, once per content, removed when gone, safe against others. */
#include "kb_store_fixture.h"

#include <fcntl.h>

static struct kb_sync_memory memory;
static struct kb_sync_counts counts;
static struct error error;
static char why[200];

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

static void assert_counts(int found, int read, int changed, int failed, int removed)
{
    assert_int_equal(counts.found, found);
    assert_int_equal(counts.read, read);
    assert_int_equal(counts.changed, changed);
    assert_int_equal(counts.failed, failed);
    assert_int_equal(counts.removed, removed);
    assert_int_equal(counts.left, 0);
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

/* "14 days" becomes "30 days" by a program that copies the time of the file, too. */
static void a_change_that_size_and_time_do_not_tell(void **state)
{
    (void)state;
    char path[512];
    struct stat before;
    write_file("days.md", "# Days\n\nIt takes 14 days.\n");
    run(false);
    (void)snprintf(path, sizeof(path), "%s/days.md", folder);
    assert_int_equal(stat(path, &before), 0);
    write_file("days.md", "# Days\n\nIt takes 30 days.\n");
    const struct timespec times[] = {before.st_atim, before.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    run(false);
    assert_string_equal(pg_testdb_value(&testdb, "SELECT text FROM kb_passages WHERE object_key = 'days.md'"),
        "It takes 30 days.");
    remove_file("days.md");
    run(false);
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

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], KB_PARSER_COMMAND)) { /* started by the test itself */
        return kb_parser_serve(argc - 1, argv + 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_documents_are_stored),
        cmocka_unit_test(what_did_not_change_is_not_read),
        cmocka_unit_test(a_changed_document_is_switched),
        cmocka_unit_test(a_change_that_size_and_time_do_not_tell),
        cmocka_unit_test(a_broken_document_keeps_nothing_and_says_why),
        cmocka_unit_test(a_deleted_document_is_gone),
        cmocka_unit_test(a_source_that_is_away_removes_nothing),
        cmocka_unit_test(a_source_that_looks_the_same_is_left_at_once),
        cmocka_unit_test(two_runs_at_once_agree),
    };
    return cmocka_run_group_tests_name("kb_store", tests, setup_all, teardown_all);
}
