/* Vectors of texts as they are kept and compared: 8 bits a number and a scale, about a quarter of
 * the memory of 32 bits. The rounding may change the order of texts that are nearly as similar. */
#ifndef HELPDESK_MODEL_VECTOR_H
#define HELPDESK_MODEL_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"

#define VECTOR_DIMENSION_MAX 4096 /* numbers; the sum of their products fits into 32 bits */

struct vector_codes {
    const int8_t *codes;
    size_t dimension;
    float scale; /* number = code * scale */
};

/* Codes of `values`, in the arena. Any thread. */
struct vector_codes vector_encode(struct arena *arena, const float *values, size_t dimension);
/* As hexadecimal text, for the database: the scale's 4 bytes (IEEE 754, little end first), then the codes. */
char *vector_to_hex(struct arena *arena, const struct vector_codes *vector);
/* Back; false: it is none, its scale is not a finite number, or it has more numbers than
 * VECTOR_DIMENSION_MAX. In the arena. */
bool vector_from_hex(struct arena *arena, const char *hex, struct vector_codes *out);

/* Bytes as lower-case hexadecimal text, and back into exactly `len` bytes. */
char *hex_text(struct arena *arena, const uint8_t *bytes, size_t len);
bool hex_bytes(const char *hex, uint8_t *out, size_t len);

/* The sum of products of codes. */
int32_t vector_dot(const int8_t *a, const int8_t *b, size_t dimension);
/* Cosine of vectors of length 1; both of one dimension. */
float vector_similarity(const struct vector_codes *a, const struct vector_codes *b);

#endif
