/* Encoding and comparing vectors. */
#include "model/vector.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define CODE_MAX 127.0F
#define SCALE_BYTES 4

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&     \
    !defined(__SANITIZE_THREAD__)
#define FOR_EVERY_PROCESSOR                                                                                  \
    __attribute__((target_clones("arch=skylake-avx512", "avx2", "default"), optimize("O3")))
#else
#define FOR_EVERY_PROCESSOR
#endif

struct vector_codes vector_encode(struct arena *arena, const float *values, size_t dimension)
{
    int8_t *codes = arena_array(arena, dimension, sizeof(*codes));
    float most = 0;
    for (size_t i = 0; i < dimension; i++) {
        most = fmaxf(most, fabsf(values[i]));
    }
    float scale = most > 0 ? most / CODE_MAX : 1;
    for (size_t i = 0; i < dimension; i++) {
        codes[i] = (int8_t)lrintf(values[i] / scale);
    }
    return (struct vector_codes){.codes = codes, .dimension = dimension, .scale = scale};
}

char *hex_text(struct arena *arena, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *out = arena_array(arena, 2 * len + 1, 1);
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    return out;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_bytes(const char *hex, uint8_t *out, size_t len)
{
    if (strlen(hex) != 2 * len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        int high = digit_of(hex[2 * i]), low = digit_of(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

char *vector_to_hex(struct arena *arena, const struct vector_codes *vector)
{
    uint8_t *bytes = arena_array(arena, SCALE_BYTES + vector->dimension, 1);
    uint32_t scale;
    memcpy(&scale, &vector->scale, sizeof(scale));
    for (int i = 0; i < SCALE_BYTES; i++) {
        bytes[i] = (uint8_t)(scale >> (8 * i));
    }
    memcpy(bytes + SCALE_BYTES, vector->codes, vector->dimension);
    return hex_text(arena, bytes, SCALE_BYTES + vector->dimension);
}

bool vector_from_hex(struct arena *arena, const char *hex, struct vector_codes *out)
{
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = arena_array(arena, len + 1, 1);
    if (len <= SCALE_BYTES || len > SCALE_BYTES + VECTOR_DIMENSION_MAX || !hex_bytes(hex, bytes, len)) {
        return false;
    }
    uint32_t scale = 0;
    for (int i = 0; i < SCALE_BYTES; i++) {
        scale |= (uint32_t)bytes[i] << (8 * i);
    }
    *out =
        (struct vector_codes){.codes = (const int8_t *)(bytes + SCALE_BYTES), .dimension = len - SCALE_BYTES};
    memcpy(&out->scale, &scale, sizeof(scale));
    return isfinite(out->scale);
}

FOR_EVERY_PROCESSOR int32_t vector_dot(const int8_t *a, const int8_t *b, size_t dimension)
{
    int32_t sum = 0;
    for (size_t i = 0; i < dimension; i++) {
        sum += (int32_t)a[i] * b[i];
    }
    return sum;
}

float vector_similarity(const struct vector_codes *a, const struct vector_codes *b)
{
    assert(a->dimension == b->dimension);
    return (float)vector_dot(a->codes, b->codes, a->dimension) * a->scale * b->scale;
}
