/* The classifier that runs in this process: a trained text model for the category, rules for the rest. */
#ifndef HELPDESK_MODEL_CLASSIFY_LOCAL_H
#define HELPDESK_MODEL_CLASSIFY_LOCAL_H

#include "model/classify.h"
#include "model/text_model.h"

/* The model trained on deploy/examples.csv when the program was built, compiled in. */
extern const unsigned char text_model_shipped[];
extern const unsigned char text_model_shipped_end[];

/* Classifies by the model file at `path`; its confidence is the model's calibrated one. "" means the shipped
 * model, whose word and the rules' are weighed against each other, or the rules alone when the taxonomy lacks
 * one of its categories. A text that the model does not know gets what the rules say, with a confidence not
 * above the model's threshold, and the reasoning says so. Priority, sentiment and department are the rules'
 * and the taxonomy's. `taxonomy` is owned by the model from now on, also when it fails. Answers inside
 * classify_start. NULL: the errors of text_model_load, or ERROR_FATAL "model_mismatch" when the file names a
 * category that the taxonomy lacks. */
struct classify_model *classify_local_new(struct taxonomy *taxonomy, const char *path, struct error *err);

#endif
