/* Trains a text model from examples, and says how good it is on texts that it has not seen. */
#ifndef HELPDESK_MODEL_TEXT_MODEL_TRAIN_H
#define HELPDESK_MODEL_TEXT_MODEL_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "model/text_model.h"

#define TEXT_TRAIN_FOLDS 5
#define TEXT_TRAIN_MIN_EXAMPLES 5 /* of each label: one in every fold */
#define TEXT_TRAIN_MAX_EXAMPLES 200000

struct text_example {
    const char *label; /* at most TEXT_MODEL_LABEL_BYTES, valid UTF-8, not blank */
    const char *text;  /* valid UTF-8 */
};

struct text_train_label {
    const char *label; /* borrowed from the examples */
    size_t examples;
    size_t right;   /* of them, guessed rightly */
    size_t guesses; /* of this label, right or wrong */
};

/* By cross-validation: each example was guessed by a model that was trained without it. */
struct text_train_report {
    size_t examples;
    double accuracy;
    double calibration_error; /* ECE over 15 bins of equal width (Guo et al., ICML 2017) */
    double threshold;
    double known;          /* share of the examples whose confidence reaches the threshold */
    double known_accuracy; /* among these */
    size_t label_count;
    struct text_train_label *labels; /* by name; in the arena */
};

/* Trains on `count` examples and appends the model's file to `out`. The same examples in the same order give
 * the same bytes. Report and scratch memory are of `arena`. One thread at a time in the process (liblinear
 * draws from rand()). False: ERROR_REJECT "too_little_data", "too_much_data" or "bad_label". */
bool text_model_train(struct arena *arena, const struct text_example *examples, size_t count, struct buf *out,
    struct text_train_report *report, struct error *err);

/* ECE of `count` guesses: the mean distance of confidence and accuracy over 15 bins of equal width, each bin
 * by its share. */
double text_train_calibration_error(const double *confidence, const bool *right, size_t count);

#endif
