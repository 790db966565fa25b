/* A trained text classifier: which label a text has, and how sure that is. */
#ifndef HELPDESK_MODEL_TEXT_MODEL_H
#define HELPDESK_MODEL_TEXT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/error.h"

#define TEXT_MODEL_MAX_BYTES (512u * 1024 * 1024)
#define TEXT_MODEL_MAX_LABELS 1000
#define TEXT_MODEL_MAX_FEATURES (4u * 1024 * 1024)
#define TEXT_MODEL_LABEL_BYTES 128
#define TEXT_MODEL_HASH_BYTES 32 /* SHA-256 */

/* Read-only once loaded; any thread. */
struct text_model;

/* What a model says of a text. A linear model's scores (one-against-rest support vector machines over hashed
 * n-grams, Fan et al., LIBLINEAR, JMLR 9, 2008) become the probability that the first label is right by
 * Platt's method (1999) over the best score and its lead on the second, fitted to texts that the scoring
 * model had not seen. */
struct text_guess {
    size_t label;      /* the likeliest */
    size_t second;     /* the next */
    double confidence; /* 0..1: the probability that `label` is right */
    bool known;        /* confidence reaches the model's threshold; else the text may be of no label at all */
};

/* Checks `len` bytes of a model file, of which a copy is kept. NULL: ERROR_FATAL "model_invalid"; the text
 * says what is wrong. */
struct text_model *text_model_parse(const void *bytes, size_t len, struct error *err);
/* Reads the file at `path`. NULL: ERROR_FATAL "model_unreadable" or "model_invalid". */
struct text_model *text_model_load(const char *path, struct error *err);
void text_model_free(struct text_model *model); /* NULL is fine */

size_t text_model_label_count(const struct text_model *model);
const char *text_model_label(const struct text_model *model, size_t label); /* borrowed from the model */
const char *text_model_version(
    const struct text_model *model);                         /* 12 hexadecimal digits of the content hash */
double text_model_threshold(const struct text_model *model); /* of `known` */

/* `text` is valid UTF-8; works in `arena`, keeps nothing. */
void text_model_guess(
    const struct text_model *model, struct arena *arena, const char *text, struct text_guess *guess);

#endif
