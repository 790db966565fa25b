/* A search while the base changes: what it finds is of one revision, whose number it tells. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kb/search.h"
#include "pg_testdb.h"

#define LOOK_MS 5

static struct pg_testdb testdb;
static struct loop *loop;
static struct db *db;
static struct arena *arena;
static struct kb_search_result found;

/* Puts the document with two passages that say `what`. */
#define PUT(key, seen, what)                                                                                 \
    "SELECT kb_put_document('default', 's', '" key "', " seen ", 'Pumps', 'https://h/" key "', 'en', "       \
    "'" what "', '" what "', 1, 1, 'ready', '', 'english', '{\"\",\"\"}', '{\"\",\"\"}', "                   \
    "ARRAY['The pump of " key " is " what ".', 'Clean the pump of " key ", which is " what ", weekly.']);"

static int setup_all(void **state)
{
    (void)state;
    pg_testdb_create(&testdb, true);
    loop = loop_new(1);
    db = db_new(loop, &(struct db_options){.url = testdb.url, .connections = 4, .query_timeout_ms = 60000});
    pg_testdb_script(&testdb, PUT("a.md", "0", "red") PUT("b.md", "0", "red"));
    return 0;
}

static int teardown_all(void **state)
{
    (void)state;
    db_free(db);
    loop_free(loop);
    pg_testdb_drop(&testdb);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void on_search(void *arg, const struct kb_search_result *result, const struct error *err)
{
    (void)arg;
    assert_null(err);
    found = *result;
    loop_stop(loop, 0);
}

static struct kb_query query_of(const struct vector_near *near)
{
    return (struct kb_query){.tenant = "default",
        .subject = "pump",
        .body = "How do I clean the pump?",
        .locale = "en",
        .not_ticket = "",
        .max_hits = {6, 3},
        .near = near};
}

static int64_t revision(void)
{
    return strtoll(
        pg_testdb_value(&testdb, "SELECT revision FROM kb_revisions WHERE tenant = 'default'"), NULL, 10);
}

/* ---- the base changes between the two statements ---- */

struct change {
    struct db_session *session; /* keeps readers of passages waiting */
    struct loop_timer *timer;
    const char *sql;
};

static void locked(struct change *change, const char *sql)
{
    struct error err;
    assert_true(db_session_script(change->session, sql, &err));
}

/* Changes the base once the statement that reads the texts is waiting: the one before it is over. */
static void on_look(void *arg)
{
    struct change *change = arg;
    if (strcmp(pg_testdb_value(&testdb, "SELECT count(*) FROM pg_locks WHERE NOT granted"), "0") == 0) {
        loop_timer_arm(change->timer, LOOK_MS);
        return;
    }
    locked(change, change->sql);
    locked(change, "COMMIT");
}

static void search_while(const char *sql, const struct vector_near *near)
{
    const struct kb_query query = query_of(near);
    struct change change = {.session = pg_testdb_open(&testdb), .sql = sql};
    change.timer = loop_timer_new(loop, on_look, &change);
    locked(&change, "BEGIN");
    locked(&change, "LOCK TABLE kb_passages IN ACCESS EXCLUSIVE MODE");
    loop_timer_arm(change.timer, LOOK_MS);
    kb_search(db, NULL, arena, &query, on_search, NULL);
    (void)loop_run(loop);
    loop_timer_free(change.timer);
    db_session_close(change.session);
}

static void assert_found(size_t count, const char *text)
{
    assert_int_equal(found.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(strstr(found.hits[i].text, text));
    }
    assert_int_equal(found.revision, revision());
}

static void finds_all_of_a_revision(void **state)
{
    (void)state;
    const struct kb_query query = query_of(NULL);
    kb_search(db, NULL, arena, &query, on_search, NULL);
    (void)loop_run(loop);
    assert_found(4, "red");
}

static void a_switch_within_is_seen_whole_and_told(void **state)
{
    (void)state;
    search_while(PUT("a.md", "1", "blue") PUT("b.md", "2", "blue"), NULL);
    assert_found(4, "blue");
    assert_int_equal(found.revision, 4);
}

/* Though kb-sync has not withdrawn it yet. */
static void what_has_expired_is_not_found(void **state)
{
    (void)state;
    const struct kb_query query = query_of(NULL);
    pg_testdb_script(&testdb,
        "UPDATE kb_documents SET expires_at = now() - interval '1 s' WHERE object_key = 'a.md'; "
        "UPDATE kb_documents SET expires_at = now() + interval '1 h' WHERE object_key = 'b.md'");
    kb_search(db, NULL, arena, &query, on_search, NULL);
    (void)loop_run(loop);
    assert_found(2, "of b.md");
}

/* Of the document's first passage. */
static const char *hash_of(const char *key)
{
    return arena_strdup(arena,
        pg_testdb_value(&testdb,
            arena_printf(arena,
                "SELECT encode(text_hash, 'hex') FROM kb_passages WHERE object_key = '%s' AND ordinal = 1",
                key)));
}

/* Those near by vectors and those of the same words are of one revision, too: a deleted document is in
 * neither. */
static void words_and_vectors_see_the_same(void **state)
{
    (void)state;
    struct vector_near near = {
        .similarity = {0.9, 0.8}, .count = 2, .spread = {.mean = 0.1, .deviation = 0.1}};
    near.hashes[0] = hash_of("a.md");
    near.hashes[1] = hash_of("b.md");
    search_while("SELECT kb_remove_document('default', 's', 'a.md', 3);", &near);
    assert_found(2, "of b.md");
    assert_true(found.hits[0].score > found.hits[1].score);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_all_of_a_revision, setup, teardown),
        cmocka_unit_test_setup_teardown(a_switch_within_is_seen_whole_and_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_has_expired_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(words_and_vectors_see_the_same, setup, teardown),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
