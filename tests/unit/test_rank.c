/* The order of what words and vectors find, and how sure of it the search is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "kb/rank.h"

#define NEAR(id, words, like)                                                                                \
    {                                                                                                        \
        .hit = {.source_id = (id)}, .document = "", .density = (words), .similarity = (like)                 \
    }
#define WORDS(id, words) NEAR(id, words, 0)

/* Texts are 0.1 similar to what they have nothing to do with. */
static const struct vector_near near = {
    .count = 3, .similarity = {0.9, 0.5, 0.3}, .spread = {.mean = 0.1, .deviation = 0.1}};
static const struct kb_asked by_both = {.near = &near}, by_words = {.near = NULL};

static void what_both_find_is_one(void **state)
{
    (void)state;
    struct kb_candidate all[] = {NEAR("a", 0.2, 0.9), NEAR("b", 0.1, 0.5), WORDS("b", 0.1), WORDS("c", 0.4),
        WORDS("a", 0.2), WORDS("d", 0.3)};
    assert_int_equal(kb_rank_unite(all, 2, 6, &near), 4);
    const char *const left[] = {"a", "b", "c", "d"};
    const double similarity[] = {0.9, 0.5, 0.3, 0.3}; /* words alone: as far as the farthest */
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(all[i].hit.source_id, left[i]);
        assert_float_equal(all[i].similarity, similarity[i], 1e-9);
    }
    struct kb_candidate words[] = {WORDS("a", 0.2), WORDS("b", 0.3)};
    assert_int_equal(kb_rank_unite(words, 0, 2, NULL), 2);
    assert_int_equal(kb_rank_unite(words, 0, 0, NULL), 0);
}

static void words_alone_sort_by_what_they_weigh(void **state)
{
    (void)state;
    struct kb_candidate all[] = {WORDS("b", 0.2), WORDS("a", 0.2), WORDS("c", 0.3)};
    (void)kb_rank(all, 3, &by_words);
    assert_string_equal(all[0].hit.source_id, "c");
    assert_string_equal(all[1].hit.source_id, "a"); /* by name, so that the order is always the same */
    assert_string_equal(all[2].hit.source_id, "b");
    assert_float_equal(all[0].relevance, 0.3, 1e-9);
}

static void the_best_by_both_is_first(void **state)
{
    (void)state;
    struct kb_candidate all[] = {
        NEAR("meant", 0, 0.9), NEAR("said", 0.4, 0.1), NEAR("both", 0.4, 0.9), NEAR("neither", 0, 0.1)};
    (void)kb_rank(all, 4, &by_both);
    assert_string_equal(all[0].hit.source_id, "both");
    assert_float_equal(all[0].relevance, 1, 1e-9);
    assert_string_equal(all[3].hit.source_id, "neither");
    assert_float_equal(all[3].relevance, 0, 1e-9);
    assert_float_equal(all[1].relevance + all[2].relevance, 1, 1e-9); /* the shares of words and vectors */
}

static void nothing_is_farther_than_nothing(void **state)
{
    (void)state;
    struct kb_candidate all[] = {NEAR("away", 0, -0.5), NEAR("other", 0, 0.05)};
    (void)kb_rank(all, 2, &by_both);
    assert_true(all[0].relevance == 0 && all[1].relevance == 0);
    static const struct vector_near flat = {.count = 1, .similarity = {0.1}, .spread = {.mean = 0.1}};
    const struct kb_asked by_flat = {.near = &flat};
    struct kb_candidate same[] = {NEAR("same", 0, 0.1)};
    assert_true(kb_rank(same, 1, &by_flat) == 0 && same[0].relevance == 0); /* no division by zero */
}

static void vectors_alone_make_no_answer_safe(void **state)
{
    (void)state;
    static const double far_out[] = {0.2, 0.5, 0.9};
    double before = 0;
    for (size_t i = 0; i < 3; i++) {
        const struct vector_near one = {
            .count = 1, .similarity = {far_out[i]}, .spread = {.mean = 0.1, .deviation = 0.1}};
        const struct kb_asked asked = {.near = &one};
        struct kb_candidate found[] = {NEAR("a", 0, far_out[i])};
        double sure = kb_rank(found, 1, &asked);
        assert_true(sure > before && sure < 0.75);
        before = sure;
    }
    assert_true(kb_rank(NULL, 0, &by_both) == 0);
}

static void words_that_cover_the_question_make_it_safe(void **state)
{
    (void)state;
    struct kb_term items[] = {{.lexeme = "reset", .units = 1, .texts = 1, .idf = 5, .weight = 5},
        {.lexeme = "hub", .units = 1, .texts = 2, .idf = 4, .weight = 4}};
    const struct kb_terms terms = {
        .corpus = "kb", .config = "english", .texts = 100, .items = items, .count = 2};
    const struct kb_unit unit = {.text = "How do I reset the hub?", .weight = 4};
    const struct kb_asked asked = {.units = &unit, .unit_count = 1, .near = NULL};
    struct kb_candidate all[] = {
        {.hit = {.source_id = "a"}, .document = "d", .terms = &terms, .matched = 3, .density = 0.6}};
    struct kb_candidate half[] = {
        {.hit = {.source_id = "a"}, .document = "d", .terms = &terms, .matched = 2, .density = 0.2}};
    double whole = kb_rank(all, 1, &asked), part = kb_rank(half, 1, &asked);
    assert_true(whole > 0.9 && part < 0.6 && part > 0);
    /* Two passages of one document cover it together, those of two do not. */
    struct kb_candidate together[] = {
        {.hit = {.source_id = "a"}, .document = "d", .terms = &terms, .matched = 2, .density = 0.4},
        {.hit = {.source_id = "b"}, .document = "d", .terms = &terms, .matched = 1, .density = 0.3}};
    struct kb_candidate apart[] = {
        {.hit = {.source_id = "a"}, .document = "d", .terms = &terms, .matched = 2, .density = 0.4},
        {.hit = {.source_id = "b"}, .document = "e", .terms = &terms, .matched = 1, .density = 0.3}};
    assert_true(kb_rank(together, 2, &asked) > kb_rank(apart, 2, &asked));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_both_find_is_one),
        cmocka_unit_test(words_alone_sort_by_what_they_weigh),
        cmocka_unit_test(the_best_by_both_is_first),
        cmocka_unit_test(nothing_is_farther_than_nothing),
        cmocka_unit_test(vectors_alone_make_no_answer_safe),
        cmocka_unit_test(words_that_cover_the_question_make_it_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
