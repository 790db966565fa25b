/* The words of a base in memory: what they find is what the database finds, whatever becomes of the base. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "kb/search.h"
#include "kb/word_memory.h"
#include "pg_testdb.h"

#define MEMORY ((size_t)64 << 20)
#define DOCUMENTS 28 /* of at most two passages: no more than a search weighs */
#define ROUNDS 30
#define ATTEMPTS 50
#define MANY 120 /* documents: three pages */

static struct pg_testdb testdb;
static struct loop *loop;
static struct db *db;
static struct word_memory *words;
static struct arena *arena;
static struct kb_search_result found;
static uint64_t seed = 42;

static const char *const vocabulary[] = {"pump", "filter", "invoice", "refund", "Rechnung", "Lieferung",
    "don''t", "back\\slash", "LUM-20418", "gateway", "hub", "light", "battery", "Sensor", "parcel", "card",
    "password", "Kündigung", "month", "payment"};
static const char *const configs[] = {"english", "german", "simple"};
static const char *const locales[] = {"en-GB", "de", ""};

static uint32_t any(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % below;
}

static const char *some_words(uint32_t most)
{
    const char *text = "";
    for (uint32_t i = any(most) + 1; i > 0; i--) {
        text =
            arena_printf(arena, "%s %s", text, vocabulary[any(sizeof(vocabulary) / sizeof(vocabulary[0]))]);
    }
    return text;
}

static void script(const char *sql)
{
    pg_testdb_script(&testdb, sql);
}

static void put(const char *key)
{
    uint32_t language = any(3);
    script(arena_printf(arena,
        "SELECT kb_put_document('default', 's', '%s', coalesce((SELECT revision FROM kb_documents WHERE "
        "tenant = "
        "'default' AND object_key = '%s'), 0), '%s', 'https://h/%s', '%s', md5(random()::text), 'e', 1, 1, "
        "'ready', '', '%s', '{\"Parcel\",\"Parcel\"}', '{\"\",\"\"}', ARRAY[E'%s', E'%s'])",
        key, key, some_words(2), key, locales[language], configs[language], some_words(30), some_words(9)));
}

static void take_away(const char *key)
{
    script(arena_printf(arena,
        "SELECT kb_remove_document('default', 's', object_key, revision) FROM kb_documents WHERE tenant = "
        "'default' AND object_key = '%s'",
        key));
}

static const char *key_of(uint32_t number)
{
    return arena_printf(arena, "d%u.md", number);
}

static int64_t revision(void)
{
    return strtoll(pg_testdb_value(&testdb,
                       "SELECT coalesce(max(revision), 0) FROM kb_revisions WHERE tenant = 'default'"),
        NULL, 10);
}

/* ---- searching ---- */

static void on_search(void *arg, const struct kb_search_result *result, const struct error *err)
{
    (void)arg;
    assert_null(err);
    found = *result;
    loop_stop(loop, 0);
}

static struct kb_search_result search_near(
    struct word_memory *in, const char *text, const char *locale, const struct vector_near *near)
{
    const struct kb_query query = {.tenant = "default",
        .subject = text,
        .body = "",
        .locale = locale,
        .not_ticket = "",
        .max_hits = {6, 3},
        .near = near};
    kb_search(db, in, arena, &query, on_search, NULL);
    (void)loop_run(loop);
    return found;
}

static struct kb_search_result search(struct word_memory *in, const char *text, const char *locale)
{
    return search_near(in, text, locale, NULL);
}

/* Some texts of the base, and one that it does not have. */
static struct vector_near some_near(void)
{
    struct vector_near near = {
        .count = 5, .similarity = {0.9, 0.8, 0.7, 0.5, 0.4}, .spread = {.mean = 0.1, .deviation = 0.1}};
    uint32_t order = any(1000000);
    for (size_t i = 0; i < near.count; i++) {
        const char *sql = arena_printf(arena,
            "SELECT encode(text_hash, 'hex') FROM kb_passages GROUP BY 1 ORDER BY md5(encode(text_hash, "
            "'hex') || "
            "'%u') OFFSET %zu LIMIT 1",
            order, i);
        near.hashes[i] =
            arena_strdup(arena, pg_testdb_value(&testdb, i == 2 ? "SELECT repeat('0', 64)" : sql));
    }
    return near;
}

static int searched_in_memory(void)
{
    return (int)metric_value(metrics_counter(
        "helpdesk_word_searches_total", "Searches of the knowledge base by words", "in=\"memory\""));
}

static double in_memory(void)
{
    return metric_value(metrics_gauge("helpdesk_word_bytes", "Memory of the knowledge base's words", NULL));
}

struct state {
    bool there;
    int64_t revision;
};

static void on_ready(void *arg, struct word_index *index, int64_t at)
{
    struct state *state = arg;
    *state = (struct state){.there = index != NULL, .revision = at};
}

/* Reads the words if they are not there. */
static bool is_there(void)
{
    static struct state ready;
    ready = (struct state){0};
    for (int i = 0; i < ATTEMPTS && !ready.there; i++) {
        word_memory_reach(words, "default", revision(), on_ready, &ready);
        (void)search(NULL, "anything", "en"); /* lets a statement come back */
    }
    return ready.there && ready.revision == revision();
}

static void assert_same(const struct kb_search_result *a, const struct kb_search_result *b)
{
    assert_int_equal(a->count, b->count);
    assert_true(fabs(a->confidence - b->confidence) < 1e-6);
    assert_int_equal(a->revision, b->revision);
    for (size_t i = 0; i < a->count; i++) {
        assert_string_equal(a->hits[i].source_id, b->hits[i].source_id);
        assert_string_equal(a->hits[i].text, b->hits[i].text);
        assert_string_equal(a->hits[i].title, b->hits[i].title);
        assert_true(fabs(a->hits[i].score - b->hits[i].score) < 1e-6);
    }
}

/* ---- each test ---- */

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    script("TRUNCATE kb_documents, kb_passages, kb_revisions, kb_history, kb_marks, kb_terms, kb_corpora");
    words = word_memory_new(db, MEMORY);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    word_memory_close(words);
    arena_free(arena);
    return 0;
}

static void finds_what_the_database_finds(void **state)
{
    (void)state;
    size_t hits = 0;
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        put(key_of(i));
    }
    assert_true(is_there());
    int before = searched_in_memory();
    for (int round = 0; round < ROUNDS; round++) {
        if (any(2)) {
            put(key_of(any(DOCUMENTS)));
        } else {
            take_away(key_of(any(DOCUMENTS)));
        }
        const char *text = some_words(6), *locale = locales[any(2)];
        struct kb_search_result by_database = search(NULL, text, locale);
        struct kb_search_result by_memory = search(words, text, locale);
        assert_same(&by_memory, &by_database);
        hits += by_memory.count;
        const struct vector_near near = some_near();
        by_database = search_near(NULL, text, locale, &near);
        by_memory = search_near(words, text, locale, &near);
        assert_same(&by_memory, &by_database);
    }
    assert_true(hits > ROUNDS);
    assert_int_equal(searched_in_memory() - before, 2 * ROUNDS);
}

static void reads_a_large_base_by_pages_and_its_changes(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        put(key_of(i));
    }
    assert_true(is_there());
    double before = in_memory();
    for (uint32_t i = 0; i < MANY; i++) {
        take_away(key_of(i));
    }
    put("new.md");
    struct kb_search_result by_database = search(NULL, "parcel", "en");
    (void)search(words, "parcel", "en"); /* there is more to read than one statement brings */
    assert_true(is_there());
    struct kb_search_result by_memory = search(words, "parcel", "en");
    assert_same(&by_memory, &by_database);
    assert_int_equal(by_memory.count, 2);
    assert_true(in_memory() < before);
}

/* The first search finds that out, one after it is in memory again. */
static void assert_read_anew(const struct kb_search_result *by_database)
{
    struct kb_search_result by_memory = search(words, "parcel", "en");
    assert_same(&by_memory, by_database);
    assert_true(is_there());
    int before = searched_in_memory();
    by_memory = search(words, "parcel", "en");
    assert_int_equal(searched_in_memory() - before, 1);
    assert_same(&by_memory, by_database);
}

/* The history does not tell of the removal any more. */
static void a_forgotten_history_is_no_trap(void **state)
{
    (void)state;
    put("a.md");
    put("b.md");
    assert_true(is_there());
    take_away("a.md");
    script("SELECT kb_forget('default', 's', '-1 s', 1000)");
    assert_string_equal(
        pg_testdb_value(&testdb, "SELECT count(*) FROM kb_history WHERE object_key = 'a.md'"), "0");
    struct kb_search_result by_database = search(NULL, "parcel", "en");
    assert_read_anew(&by_database);
}

static void what_has_expired_meanwhile_is_not_shown(void **state)
{
    (void)state;
    put("a.md");
    put("b.md");
    assert_true(is_there());
    script("UPDATE kb_documents SET expires_at = now() - interval '1 s' WHERE object_key = 'a.md'");
    struct kb_search_result by_memory = search(words, "parcel", "en");
    assert_int_equal(by_memory.count, 2);
    assert_non_null(strstr(by_memory.hits[0].source_id, "b.md"));
}

static void an_older_database_is_read_anew(void **state)
{
    (void)state;
    put("a.md");
    put("b.md");
    assert_true(is_there());
    script("DELETE FROM kb_documents WHERE object_key = 'b.md'; DELETE FROM kb_history WHERE object_key = "
           "'b.md'; "
           "UPDATE kb_revisions SET revision = 1");
    struct kb_search_result by_database = search(NULL, "parcel", "en");
    assert_int_equal(by_database.count, 2);
    assert_read_anew(&by_database);
}

static void words_that_do_not_fit_are_searched_in_the_database(void **state)
{
    (void)state;
    struct word_memory *small = word_memory_new(db, 1000), *usual = words;
    put("a.md");
    words = small;
    assert_false(is_there());
    struct kb_search_result by_database = search(NULL, "parcel", "en");
    struct kb_search_result by_memory = search(small, "parcel", "en");
    assert_same(&by_memory, &by_database);
    assert_int_equal(by_memory.count, 2);
    words = usual;
    word_memory_close(small);
}

/* ---- the base changes while it is searched ---- */

#define PUT_PARCEL(key, seen, colour)                                                                        \
    "SELECT kb_put_document('default', 's', '" key "', " seen ", 'Parcel', 'https://h/a', 'en', '" key       \
    " " colour "', 'e', 1, 1, 'ready', '', 'english', '{\"\"}', '{\"\"}', ARRAY['The " colour " parcel.'])"

#define LOCK "BEGIN; LOCK TABLE kb_passages IN ACCESS EXCLUSIVE MODE"

struct change {
    struct db_session *session; /* keeps readers of passages waiting */
    struct loop_timer *timer;
    const char *const *steps; /* the next is done when somebody waits; NULL ends them */
};

static void run_locked(struct change *change, const char *sql)
{
    struct error err;
    assert_true(db_session_script(change->session, sql, &err));
}

static void on_look(void *arg)
{
    struct change *change = arg;
    if (strcmp(pg_testdb_value(&testdb, "SELECT count(*) FROM pg_locks WHERE NOT granted"), "0") != 0) {
        run_locked(change, *change->steps++);
        run_locked(change, *change->steps ? "COMMIT; " LOCK : "COMMIT");
    }
    if (*change->steps) {
        loop_timer_arm(change->timer, 5);
    }
}

/* What is found for "parcel" in memory while statements wait for the steps. */
static struct kb_search_result search_while(const char *const *steps)
{
    struct change change = {.session = pg_testdb_open(&testdb), .steps = steps};
    change.timer = loop_timer_new(loop, on_look, &change);
    run_locked(&change, LOCK);
    loop_timer_arm(change.timer, 5);
    struct kb_search_result result = search(words, "parcel", "en");
    assert_null(*change.steps);
    loop_timer_free(change.timer);
    db_session_close(change.session);
    return result;
}

static void what_changes_within_is_looked_for_again(void **state)
{
    (void)state;
    script(PUT_PARCEL("a.md", "0", "red"));
    assert_true(is_there());
    static const char *const steps[] = {PUT_PARCEL("a.md", "1", "blue"), NULL};
    struct kb_search_result by_memory = search_while(steps);
    assert_int_equal(by_memory.count, 1);
    assert_string_equal(by_memory.hits[0].text, "The blue parcel.");
    assert_int_equal(by_memory.revision, 2);
}

/* The first statement finds one of two, and that is gone when the changed one is looked for. */
static void nothing_stays_of_a_try_before(void **state)
{
    (void)state;
    script(PUT_PARCEL("a.md", "0", "red"));
    script(PUT_PARCEL("b.md", "0", "green"));
    assert_true(is_there());
    static const char *const steps[] = {PUT_PARCEL("a.md", "1", "blue"),
        "SELECT kb_remove_document('default', 's', object_key, revision) FROM kb_documents", NULL};
    struct kb_search_result by_memory = search_while(steps);
    assert_int_equal(by_memory.count, 0);
    assert_int_equal(by_memory.revision, 5);
}

/* ---- what cannot be read ---- */

static void words_that_cannot_be_read_are_searched_in_the_database(void **state)
{
    (void)state;
    put("a.md");
    assert_true(is_there());
    put("a.md");
    script("ALTER TABLE kb_history RENAME TO kb_history_away");
    struct kb_search_result by_database = search(NULL, "parcel", "en");
    struct kb_search_result by_memory = search(words, "parcel", "en");
    assert_same(&by_memory, &by_database);
    assert_int_equal(by_memory.count, 2);
    script("ALTER TABLE kb_history_away RENAME TO kb_history");
    assert_true(is_there());
}

static void closing_waits_for_what_is_being_read(void **state)
{
    (void)state;
    put("a.md");
    struct word_memory *other = word_memory_new(db, MEMORY);
    static struct state ready;
    word_memory_reach(other, "default", 1, on_ready, &ready);
    assert_false(ready.there);
    word_memory_close(other);
    (void)search(NULL, "parcel", "en");
    assert_true(is_there());
}

static int setup_all(void **state)
{
    (void)state;
    pg_testdb_create(&testdb, true);
    loop = loop_new(1);
    db = db_new(loop, &(struct db_options){.url = testdb.url, .connections = 4, .query_timeout_ms = 60000});
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_what_the_database_finds, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_a_large_base_by_pages_and_its_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_forgotten_history_is_no_trap, setup, teardown),
        cmocka_unit_test_setup_teardown(what_has_expired_meanwhile_is_not_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_database_is_read_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(words_that_do_not_fit_are_searched_in_the_database, setup, teardown),
        cmocka_unit_test_setup_teardown(what_changes_within_is_looked_for_again, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_stays_of_a_try_before, setup, teardown),
        cmocka_unit_test_setup_teardown(
            words_that_cannot_be_read_are_searched_in_the_database, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_waits_for_what_is_being_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
