/* Words of passages in memory: reading tsvectors, what is found, what is removed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kb/tsvector.h"
#include "kb/word_index.h"

static struct arena *arena;
static struct word_index *base;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    base = word_index_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    word_index_free(base);
    arena_free(arena);
    return 0;
}

/* ---- tsvectors ---- */

static void reads_lexemes_and_weights(void **state)
{
    (void)state;
    const char *at = "'a''b':1A,2B,16383 'c\\\\d':4C,5,6 'stripped'";
    struct tsvector_lexeme lexeme;
    assert_int_equal(tsvector_next(&at, &lexeme), TSVECTOR_LEXEME);
    assert_string_equal(lexeme.text, "a'b");
    assert_memory_equal(lexeme.positions, ((uint32_t[]){1, 0, 1, 1}), sizeof(lexeme.positions));
    assert_int_equal(tsvector_next(&at, &lexeme), TSVECTOR_LEXEME);
    assert_string_equal(lexeme.text, "c\\d");
    assert_memory_equal(lexeme.positions, ((uint32_t[]){2, 1, 0, 0}), sizeof(lexeme.positions));
    assert_int_equal(tsvector_next(&at, &lexeme), TSVECTOR_LEXEME);
    assert_string_equal(lexeme.text, "stripped");
    assert_int_equal(tsvector_next(&at, &lexeme), TSVECTOR_END);
}

static void refuses_what_is_no_tsvector(void **state)
{
    (void)state;
    static const char *const bad[] = {"a", "'a", "'a\\b'", "''", "'a':", "'a':1,", "'a':x", "'a':123456",
        "'a' ", "'a' b", "'a''", "'a':1E", "'a''b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *at = bad[i];
        struct tsvector_lexeme lexeme;
        assert_int_equal(tsvector_next(&at, &lexeme), TSVECTOR_BAD);
    }
    char longest[TSVECTOR_LEXEME_SIZE + 3], *end = longest + sizeof(longest) - 1;
    memset(longest, 'x', sizeof(longest));
    longest[0] = end[-1] = '\'';
    *end = '\0';
    const char *at = longest;
    struct tsvector_lexeme lexeme;
    assert_int_equal(tsvector_next(&at, &lexeme), TSVECTOR_BAD);
}

/* ---- searches ---- */

static const char *hash(const char *digit)
{
    const char *text = "";
    for (int i = 0; i < 2 * VECTOR_HASH_BYTES; i++) {
        text = arena_printf(arena, "%s%s", text, digit);
    }
    return text;
}

/* The hash of its text is made of its first digit. */
static bool add(const char *config, const char *tsvector, const char *digit)
{
    return word_index_add(
        base, &(struct word_passage){
                  .ordinal = 1, .config = config, .tsvector = tsvector, .text_hash = hash(digit)});
}

static void put(const char *key, const char *locale, int64_t expires_ms)
{
    word_index_put(
        base, &(struct word_document){.source = "s", .key = key, .locale = locale, .expires_ms = expires_ms});
}

static void put_passage(const char *key, const char *tsvector)
{
    put(key, "en", 0);
    assert_true(add("english", tsvector, "0"));
}

static struct kb_term term(const char *lexeme, double weight, bool sought)
{
    return (struct kb_term){.lexeme = lexeme, .texts = 1, .weight = weight, .sought = sought};
}

/* What "pump" (sought, of weight 2), "clean" (of weight 1) find, as keys in their order. */
static const char *find(const char *locale, size_t max)
{
    struct kb_term items[] = {term("pump", 2, true), term("clean", 1, false)};
    const struct kb_terms groups[] = {{.corpus = "ticket", .config = "english", .items = items, .count = 2},
        {.corpus = "kb", .config = "english", .items = items, .count = 2},
        {.corpus = "kb", .config = "german", .items = items, .count = 2}};
    const struct word_query query = {
        .groups = groups, .group_count = 3, .corpus = "kb", .locale = locale, .now_ms = 1000};
    struct word_hit *hits;
    size_t count = word_index_find(base, arena, &query, max, &hits);
    const char *keys = "";
    for (size_t i = 0; i < count; i++) {
        assert_ptr_not_equal(hits[i].terms, &groups[0]);
        assert_string_equal(hits[i].source, "s");
        keys = arena_printf(arena, "%s%s%s", keys, *keys ? " " : "", hits[i].key);
    }
    return keys;
}

static void finds_the_densest_first(void **state)
{
    (void)state;
    put_passage("once", "'pump':1 'other':2");
    put_passage("twice", "'pump':1,2 'other':3");
    put_passage("title", "'pump':1A 'other':2");
    put_passage("clean", "'clean':2 'pump':1");
    put_passage("only-clean", "'clean':1"); /* not a sought word */
    put_passage("equal", "'pump':1 'other':2");
    assert_string_equal(find("en", 9), "title twice clean equal once");
    assert_string_equal(find("en", 2), "title twice");
}

static void the_density_is_bm25(void **state)
{
    (void)state;
    put_passage("a", "'pump':1,2B 'other':3");
    put_passage("b", "'x':1 'y':2 'z':3 'w':4");
    struct kb_term items[] = {term("pump", 2, true), term("none", 6, true)};
    const struct kb_terms group = {.corpus = "kb", .config = "english", .items = items, .count = 2};
    const struct word_query query = {.groups = &group, .group_count = 1, .corpus = "kb", .locale = "en_US"};
    struct word_hit *hits;
    assert_int_equal(word_index_find(base, arena, &query, 1, &hits), 1);
    double tf = 4, length = 2 * (0.25 + 0.75 * 2 / 3);
    assert_true(fabs(hits[0].density - 2.0 / (3 * 8) * tf * 3 / (tf + length)) < 1e-12);
    assert_int_equal(hits[0].matched, 1);
    assert_ptr_equal(hits[0].terms, &group);
}

static void other_languages_are_worth_less(void **state)
{
    (void)state;
    put("german", "de-AT", 0);
    assert_true(add("german", "'pump':1 'other':2", "0"));
    put_passage("english", "'pump':1 'other':2");
    assert_string_equal(find("en-GB", 9), "english german");
    assert_string_equal(find("DE_ch", 9), "german english");
}

static void what_expires_is_found_until_then(void **state)
{
    (void)state;
    put("then", "en", 1000);
    assert_true(add("english", "'pump':1", "0"));
    put("later", "en", 1001);
    assert_true(add("english", "'pump':1", "0"));
    assert_string_equal(find("en", 9), "later");
}

static void what_is_removed_is_not_found(void **state)
{
    (void)state;
    put_passage("a", "'pump':1");
    put_passage("b", "'pump':1");
    put_passage("c", "'pump':1");
    word_index_remove(base, "s", "b");
    word_index_remove(base, "s", "never there");
    word_index_remove(base, "t", "a");
    put_passage("c", "'other':1");
    assert_string_equal(find("en", 9), "a");
    assert_int_equal(word_index_passages(base), 2);
    assert_false(add("english", "'bad", "0"));
    assert_int_equal(word_index_passages(base), 2);
}

/* What "pump" finds together with texts 1 and 2, the nearest first. */
static const char *find_near(size_t max)
{
    struct kb_term items[] = {term("pump", 2, true), term("clean", 1, false)};
    const struct kb_terms group = {.corpus = "kb", .config = "english", .items = items, .count = 2};
    const struct vector_near near = {.hashes = {hash("1"), hash("2")}, .similarity = {0.9, 0.5}, .count = 2};
    const struct word_query query = {
        .groups = &group, .group_count = 1, .corpus = "kb", .locale = "en", .now_ms = 1000, .near = &near};
    struct word_hit *hits;
    size_t count = word_index_find(base, arena, &query, max, &hits);
    const char *found = "";
    for (size_t i = 0; i < count; i++) {
        assert_true(hits[i].near || hits[i].similarity == 0);
        found = arena_printf(arena, "%s%s%s%s%.2f%s", found, *found ? " " : "", hits[i].key,
            hits[i].near ? "~" : "", hits[i].similarity, hits[i].density > 0 ? "+" : "");
    }
    return found;
}

static void finds_what_is_near_by_vectors(void **state)
{
    (void)state;
    put_passage("far", "'pump':1 'x':2 'y':3");
    put("second", "en", 0);
    assert_true(add("english", "'clean':1 'x':2", "2"));
    put("first", "en", 0);
    assert_true(add("english", "'pump':1 'z':2", "1"));
    put("nothing", "en", 0);
    assert_true(add("english", "'x':1 'z':2", "2"));
    put("german", "de", 0);
    assert_true(add("german", "'pump':1", "1"));
    put("gone", "en", 1000);
    assert_true(add("english", "'pump':1", "1"));
    assert_string_equal(find_near(9), "first~0.90+ german~0.72 nothing~0.50 second~0.50+ far0.00+");
    assert_string_equal(find_near(1), "first~0.90+ german~0.72 nothing~0.50 second~0.50+");
    assert_string_equal(find("en", 9), "first german far"); /* nothing is left of the search before */
    assert_false(word_index_add(
        base, &(struct word_passage){
                  .ordinal = 1, .config = "english", .tsvector = "'a':1", .text_hash = "no hash"}));
}

/* Of many passages that say the same. */
static void those_near_are_not_too_many(void **state)
{
    (void)state;
    for (int i = 999; i >= 0; i--) {
        put(arena_printf(arena, "p%03d", i), "en", 0);
        assert_true(add("english", "'pump':1 'x':2", "1"));
    }
    const char *found = find_near(1);
    assert_non_null(strstr(found, "p000~0.90+ p001~0.90+"));
    assert_null(strstr(found, "p060"));
    assert_non_null(strstr(found, "p059~"));
    assert_string_equal(find("en", 2), "p000 p001");
}

/* Nothing is left behind by a base that changes for ever. */
static void memory_does_not_grow_by_changes(void **state)
{
    (void)state;
    put_passage("kept", "'pump':1");
    size_t most = 0;
    for (int i = 0; i < 20000; i++) {
        put_passage("changing", arena_printf(arena, "'pump':1 'word%d':2", i));
        if (i == 5000) {
            most = word_index_bytes(base);
        }
    }
    assert_true(word_index_bytes(base) <= 2 * most);
    assert_int_equal(word_index_passages(base), 2);
    assert_string_equal(find("en", 9), "kept changing");
}

/* However many there are, and however common a word is. */
static void weighs_all_that_are_found(void **state)
{
    (void)state;
    for (int i = 999; i >= 0; i--) {
        put_passage(arena_printf(arena, "p%03d", i), i == 7 ? "'clean':1 'pump':2" : "'pump':1 'other':2");
        put_passage(arena_printf(arena, "q%03d", i), "'clean':1");
    }
    assert_string_equal(find("en", 3), "p007 p000 p001");
    for (int i = 999; i >= 4; i--) {
        word_index_remove(base, "s", arena_printf(arena, "p%03d", i));
    }
    put_passage("last", "'clean':1 'pump':2"); /* few have "pump", many "clean" */
    assert_string_equal(find("en", 3), "last p000 p001");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_lexemes_and_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_tsvector, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_the_densest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(the_density_is_bm25, setup, teardown),
        cmocka_unit_test_setup_teardown(other_languages_are_worth_less, setup, teardown),
        cmocka_unit_test_setup_teardown(what_expires_is_found_until_then, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_removed_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_what_is_near_by_vectors, setup, teardown),
        cmocka_unit_test_setup_teardown(those_near_are_not_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_does_not_grow_by_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(weighs_all_that_are_found, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
