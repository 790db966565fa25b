/* Below which confidence of the local classifier a language model is asked, by category. */
#ifndef HELPDESK_MODEL_ASK_BELOW_H
#define HELPDESK_MODEL_ASK_BELOW_H

#include <stdbool.h>
#include "base/error.h"
#include "model/taxonomy.h"

struct ask_below {
    double of[TAXONOMY_MAX_CATEGORIES]; /* as the taxonomy's categories */
};

/* Reads "0.6" or "0.6,billing=0.8,other=1": one number for all categories, then those that differ, each once.
 * False: ERROR_FATAL "setting_invalid"; the text names the entry and what would be right. Any thread. */
bool ask_below_parse(
    const char *text, const struct taxonomy *taxonomy, struct ask_below *out, struct error *err);

/* Of the category called `name`; 1 when the taxonomy has none. */
double ask_below_of(const struct ask_below *below, const struct taxonomy *taxonomy, const char *name);

#endif
