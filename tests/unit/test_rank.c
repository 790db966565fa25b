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
#define LIST(texts)                                                                                          \
    {                                                                                                        \
        .items = (texts), .count = sizeof(texts) / sizeof((texts)[0])                                        \
    }

/* Texts are 0.1 similar to what they have nothing to do with. */
static const struct vector_near near = {
    .count = 3, .similarity = {0.9, 0.5, 0.3}, .spread = {.mean = 0.1, .deviation = 0.1}};
static const struct kb_query by_both = {.near = &near, .max_hits = {9, 9}}, by_words = {.max_hits = {9, 9}};

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct kb_search_result rank(const struct rank_input *input)
{
    struct kb_search_result result = {0};
    rank_texts(arena, input, &result);
    return result;
}

static void assert_order(const struct kb_search_result *result, const char *ids)
{
    assert_int_equal(result->count, strlen(ids));
    for (size_t i = 0; i < result->count; i++) {
        assert_int_equal(result->hits[i].source_id[0], ids[i]);
    }
}

static void what_both_find_is_one(void **state)
{
    (void)state;
    struct rank_text meant[] = {NEAR("a", 0.2, 0.9), NEAR("b", 0.1, 0.5)};
    struct rank_text said[] = {WORDS("b", 0.1), WORDS("c", 0.4), WORDS("a", 0.2), WORDS("d", 0.3)};
    struct rank_input input = {
        .query = &by_both, .found = {[RANK_KB] = LIST(said), [RANK_NEAR] = LIST(meant)}};
    struct kb_search_result result = rank(&input);
    assert_int_equal(result.count, 4);
    char ids[5] = "";
    for (size_t i = 0; i < 4; i++) {
        assert_null(strchr(ids, result.hits[i].source_id[0])); /* each once */
        ids[i] = result.hits[i].source_id[0];
    }
    struct rank_input none = {.query = &by_words};
    assert_int_equal(rank(&none).count, 0);
    assert_true(rank(&none).confidence == 0);
}

static void words_alone_sort_by_what_they_weigh(void **state)
{
    (void)state;
    struct rank_text all[] = {WORDS("b", 0.2), WORDS("a", 0.2), WORDS("c", 0.3)};
    struct rank_input input = {.query = &by_words, .found = {[RANK_KB] = LIST(all)}};
    struct kb_search_result result = rank(&input);
    assert_order(&result, "cab"); /* of the same weight by name, so that the order is always the same */
}

static void no_more_than_asked_for(void **state)
{
    (void)state;
    struct rank_text all[] = {WORDS("b", 0.2), WORDS("a", 0.2), WORDS("c", 0.3)};
    const struct kb_query two = {.max_hits = {2, 0}};
    struct rank_input input = {.query = &two, .found = {[RANK_KB] = LIST(all)}};
    struct kb_search_result result = rank(&input);
    assert_order(&result, "ca");
}

static void the_best_by_both_is_first(void **state)
{
    (void)state;
    struct rank_text meant[] = {
        NEAR("meant", 0, 0.9), NEAR("said", 0.4, 0.1), NEAR("both", 0.4, 0.9), NEAR("neither", 0, 0.1)};
    struct rank_input input = {.query = &by_both, .found = {[RANK_NEAR] = LIST(meant)}};
    struct kb_search_result result = rank(&input);
    assert_int_equal(result.count, 3); /* what neither words nor vectors find near is not shown */
    assert_string_equal(result.hits[0].source_id, "both");
    assert_float_equal(result.hits[0].score, result.confidence, 1e-9);
    /* The shares of words and vectors. */
    assert_float_equal(result.hits[1].score + result.hits[2].score, result.confidence, 1e-9);
}

static void nothing_is_farther_than_nothing(void **state)
{
    (void)state;
    struct rank_text away[] = {NEAR("away", 0, -0.5), NEAR("other", 0, 0.05)};
    struct rank_input input = {.query = &by_both, .found = {[RANK_NEAR] = LIST(away)}};
    assert_int_equal(rank(&input).count, 0);
    static const struct vector_near flat = {.count = 1, .similarity = {0.1}, .spread = {.mean = 0.1}};
    const struct kb_query by_flat = {.near = &flat, .max_hits = {9, 9}};
    struct rank_text same[] = {NEAR("same", 0, 0.1)};
    struct rank_input level = {.query = &by_flat, .found = {[RANK_NEAR] = LIST(same)}};
    assert_true(rank(&level).confidence == 0 && rank(&level).count == 0); /* no division by zero */
}

static void vectors_alone_make_no_answer_safe(void **state)
{
    (void)state;
    static const double far_out[] = {0.2, 0.5, 0.9};
    double before = 0;
    for (size_t i = 0; i < 3; i++) {
        const struct vector_near one = {
            .count = 1, .similarity = {far_out[i]}, .spread = {.mean = 0.1, .deviation = 0.1}};
        const struct kb_query asked = {.near = &one, .max_hits = {9, 9}};
        struct rank_text found[] = {NEAR("a", 0, far_out[i])};
        struct rank_input input = {.query = &asked, .found = {[RANK_NEAR] = LIST(found)}};
        double sure = rank(&input).confidence;
        assert_true(sure > before && sure < 0.75);
        before = sure;
    }
}

static const struct kb_unit unit = {.text = "How do I reset the hub?", .weight = 4};

static double sure_of(struct rank_text *texts, size_t count)
{
    struct rank_input input = {.query = &by_words,
        .units = &unit,
        .unit_count = 1,
        .found = {[RANK_KB] = {.items = texts, .count = count}}};
    return rank(&input).confidence;
}

static void words_that_cover_the_question_make_it_safe(void **state)
{
    (void)state;
    struct kb_term items[] = {{.lexeme = "reset", .units = 1, .texts = 1, .idf = 5, .weight = 5},
        {.lexeme = "hub", .units = 1, .texts = 2, .idf = 4, .weight = 4}};
    const struct kb_terms terms = {
        .corpus = "kb", .config = "english", .texts = 100, .items = items, .count = 2};
#define TEXT(id, of, bits, weighs)                                                                           \
    {                                                                                                        \
        .hit = {.source_id = (id)}, .document = (of), .terms = &terms, .matched = (bits),                    \
        .density = (weighs)                                                                                  \
    }
    struct rank_text all[] = {TEXT("a", "d", 3, 0.6)};
    struct rank_text half[] = {TEXT("a", "d", 2, 0.2)};
    double whole = sure_of(all, 1), part = sure_of(half, 1);
    assert_true(whole > 0.9 && part < 0.6 && part > 0);
    /* Two passages of one document cover it together, those of two do not. */
    struct rank_text together[] = {TEXT("a", "d", 2, 0.4), TEXT("b", "d", 1, 0.3)};
    struct rank_text apart[] = {TEXT("a", "d", 2, 0.4), TEXT("b", "e", 1, 0.3)};
    assert_true(sure_of(together, 2) > sure_of(apart, 2));
#undef TEXT
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_both_find_is_one),
        TEST(words_alone_sort_by_what_they_weigh),
        TEST(no_more_than_asked_for),
        TEST(the_best_by_both_is_first),
        TEST(nothing_is_farther_than_nothing),
        TEST(vectors_alone_make_no_answer_safe),
        TEST(words_that_cover_the_question_make_it_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
