/* Fuzz target: vectors as the database keeps them. What is read is written back as it was, and what two
 * vectors of one dimension are compared to does not overflow. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "model/vector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int32_t dot(const struct vector_codes *a, const struct vector_codes *b)
{
    return vector_dot(a->codes, b->codes, a->dimension);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    const char *hex = arena_strndup(arena, (const char *)data, size);
    struct vector_codes read;
    if (vector_from_hex(arena, hex, &read)) {
        if (strcmp(vector_to_hex(arena, &read), hex) != 0 || !isfinite(read.scale)) {
            abort();
        }
        int8_t *least = arena_array(arena, read.dimension, 1);
        memset(least, INT8_MIN, read.dimension);
        const struct vector_codes other = {.codes = least, .dimension = read.dimension, .scale = 1};
        if (dot(&read, &read) < 0 || dot(&read, &other) != dot(&other, &read) || dot(&other, &other) < 0) {
            abort();
        }
    }
    arena_free(arena);
    return 0;
}
