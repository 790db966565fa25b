/* Vectors as they are kept, compared and searched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "kb/vector_index.h"

#define DIMENSION 16
#define MANY 300 /* more than the index has room for at first, several times */

static struct arena *arena;

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

/* Of length 1, the same for the same seed. */
static struct vector_codes vector_of(unsigned seed, size_t dimension)
{
    float *values = arena_array(arena, dimension, sizeof(*values));
    double squares = 0;
    for (size_t i = 0; i < dimension; i++) {
        values[i] = (float)(rand_r(&seed) % 2001) / 1000 - 1;
        squares += (double)values[i] * values[i];
    }
    for (size_t i = 0; i < dimension; i++) {
        values[i] /= (float)sqrt(squares);
    }
    return vector_encode(arena, values, dimension);
}

static void hash_of(unsigned seed, uint8_t hash[VECTOR_HASH_BYTES])
{
    for (size_t i = 0; i < VECTOR_HASH_BYTES; i++) {
        hash[i] = (uint8_t)rand_r(&seed);
    }
}

/* All at the same place of the table, and the last one's neighbour is its first. */
static void crowded_hash(unsigned number, uint8_t hash[VECTOR_HASH_BYTES])
{
    memset(hash, 0xff, VECTOR_HASH_BYTES);
    hash[VECTOR_HASH_BYTES - 1] = (uint8_t)number;
}

static bool same_hash(const struct vector_hit *hit, unsigned seed)
{
    uint8_t hash[VECTOR_HASH_BYTES];
    hash_of(seed, hash);
    return memcmp(hit->hash, hash, sizeof(hash)) == 0;
}

/* ---- the codec ---- */

static void codes_keep_what_is_similar(void **state)
{
    (void)state;
    const float values[] = {0.6F, -0.8F, 0, 0}, other[] = {0.8F, 0.6F, 0, 0};
    struct vector_codes a = vector_encode(arena, values, 4), b = vector_encode(arena, other, 4);
    assert_int_equal(a.codes[1], -127);
    assert_true(fabsf(a.codes[0] * a.scale - 0.6F) < 0.005F);
    assert_true(fabsf(vector_similarity(&a, &a) - 1) < 0.01F);
    assert_true(fabsf(vector_similarity(&a, &b)) < 0.01F);
    const float nothing[] = {0, 0};
    struct vector_codes none = vector_encode(arena, nothing, 2);
    assert_true(none.scale == 1 && none.codes[0] == 0 && none.codes[1] == 0);
}

static void text_and_back(void **state)
{
    (void)state;
    const int8_t codes[] = {0, 1, -1, 127, -127};
    const struct vector_codes vector = {.codes = codes, .dimension = 5, .scale = 0.5F};
    char *hex = vector_to_hex(arena, &vector);
    assert_string_equal(hex, "0000003f0001ff7f81"); /* as it stands in databases */
    struct vector_codes read;
    assert_true(vector_from_hex(arena, hex, &read));
    assert_int_equal(read.dimension, 5);
    assert_memory_equal(read.codes, codes, sizeof(codes));
    assert_true(read.scale == 0.5F);
}

static void what_is_no_vector(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "0", "0000003f", "0000003f0", "0000003fzz", "0000003F01",
        "0000c07f01" /* not a number */, "0000807f01" /* infinite */, "0000003f01 "};
    struct vector_codes read;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(vector_from_hex(arena, bad[i], &read));
    }
    size_t len = 2 * (4 + VECTOR_DIMENSION_MAX + 1);
    char *long_one = arena_array(arena, len + 1, 1);
    memset(long_one, '0', len);
    assert_false(vector_from_hex(arena, long_one, &read));
    long_one[len - 2] = '\0';
    assert_true(vector_from_hex(arena, long_one, &read));
    assert_int_equal(read.dimension, VECTOR_DIMENSION_MAX);
}

/* ---- the index ---- */

static void finds_the_nearest_first(void **state)
{
    (void)state;
    struct vector_index *index = vector_index_new(DIMENSION);
    uint8_t hash[VECTOR_HASH_BYTES];
    float similarity[MANY];
    struct vector_codes query = vector_of(7, DIMENSION);
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < MANY; i++) {
        struct vector_codes vector = vector_of(i, DIMENSION);
        hash_of(i, hash);
        vector_index_put(index, hash, &vector);
        similarity[i] = vector_similarity(&query, &vector);
        sum += similarity[i];
        squares += (double)similarity[i] * similarity[i];
    }
    assert_int_equal(vector_index_count(index), MANY);
    struct vector_hit hits[10];
    struct vector_spread spread;
    assert_int_equal(vector_index_search(index, &query, hits, 10, &spread), 10);
    assert_true(same_hash(&hits[0], 7) && fabsf(hits[0].similarity - 1) < 0.02F);
    size_t better = 0;
    for (size_t i = 0; i < MANY; i++) {
        better += similarity[i] > hits[9].similarity;
    }
    assert_int_equal(better, 9);
    for (size_t i = 1; i < 10; i++) {
        assert_true(hits[i].similarity <= hits[i - 1].similarity);
    }
    double mean = sum / MANY;
    assert_float_equal(spread.mean, mean, 1e-5);
    assert_float_equal(spread.deviation, sqrt(squares / MANY - mean * mean), 1e-4);
    assert_int_equal(vector_index_search(index, &query, hits, 0, &spread), 0);
    vector_index_free(index);
}

static void puts_in_place_and_removes(void **state)
{
    (void)state;
    struct vector_index *index = vector_index_new(DIMENSION);
    uint8_t hash[VECTOR_HASH_BYTES];
    struct vector_hit hits[MANY];
    struct vector_spread spread;
    for (unsigned i = 0; i < MANY; i++) {
        struct vector_codes vector = vector_of(i, DIMENSION);
        hash_of(i, hash);
        vector_index_put(index, hash, &vector);
    }
    struct vector_codes instead = vector_of(1000, DIMENSION), short_one = vector_of(1, DIMENSION - 1);
    hash_of(5, hash);
    vector_index_put(index, hash, &instead);
    vector_index_put(index, hash, &short_one); /* is left out */
    assert_int_equal(vector_index_count(index), MANY);
    assert_true(vector_index_search(index, &instead, hits, 1, &spread) == 1 && same_hash(&hits[0], 5));
    for (unsigned i = 0; i < MANY; i += 2) {
        hash_of(i, hash);
        vector_index_remove(index, hash);
        vector_index_remove(index, hash); /* there is none any more */
    }
    assert_int_equal(vector_index_count(index), MANY / 2);
    assert_int_equal(vector_index_search(index, &instead, hits, MANY, &spread), MANY / 2);
    for (unsigned i = 1; i < MANY; i += 2) { /* each of the others is itself still */
        struct vector_codes vector = i == 5 ? instead : vector_of(i, DIMENSION);
        assert_true(vector_index_search(index, &vector, hits, 1, &spread) == 1 && same_hash(&hits[0], i));
    }
    vector_index_free(index);
}

static void crowded_places_lose_nothing(void **state)
{
    (void)state;
    struct vector_index *index = vector_index_new(DIMENSION);
    uint8_t hash[VECTOR_HASH_BYTES];
    struct vector_hit hit;
    struct vector_spread spread;
    for (unsigned i = 0; i < 40; i++) {
        struct vector_codes vector = vector_of(i, DIMENSION);
        crowded_hash(i, hash);
        vector_index_put(index, hash, &vector);
    }
    for (unsigned i = 0; i < 40; i += 3) {
        crowded_hash(i, hash);
        vector_index_remove(index, hash);
    }
    for (unsigned i = 0; i < 40; i++) {
        struct vector_codes vector = vector_of(i, DIMENSION);
        crowded_hash(i, hash);
        assert_int_equal(vector_index_search(index, &vector, &hit, 1, &spread), 1);
        assert_int_equal(memcmp(hit.hash, hash, sizeof(hash)) == 0, i % 3 != 0);
        vector_index_put(index, hash, &vector);
    }
    assert_int_equal(vector_index_count(index), 40);
    vector_index_free(index);
}

static void an_empty_index_has_no_spread(void **state)
{
    (void)state;
    struct vector_index *index = vector_index_new(DIMENSION);
    struct vector_codes query = vector_of(1, DIMENSION);
    struct vector_hit hit;
    struct vector_spread spread;
    assert_int_equal(vector_index_search(index, &query, &hit, 1, &spread), 0);
    assert_true(spread.mean == 0 && spread.deviation == 0);
    vector_index_free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_keep_what_is_similar),
        cmocka_unit_test(text_and_back),
        cmocka_unit_test(what_is_no_vector),
        cmocka_unit_test(finds_the_nearest_first),
        cmocka_unit_test(puts_in_place_and_removes),
        cmocka_unit_test(crowded_places_lose_nothing),
        cmocka_unit_test(an_empty_index_has_no_spread),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
