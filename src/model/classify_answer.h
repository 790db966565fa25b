/* What a language model answers when it is asked to classify: read strictly, against the taxonomy. */
#ifndef HELPDESK_MODEL_CLASSIFY_ANSWER_H
#define HELPDESK_MODEL_CLASSIFY_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/error.h"
#include "model/taxonomy.h"
#include "msg/codec.h"

#define CLASSIFY_ANSWER_MAX_REASON 600 /* bytes */

struct classify_answer {
    const struct taxonomy_category *category; /* of the taxonomy; the department is its */
    enum msg_priority priority;
    enum msg_sentiment sentiment;
    double confidence; /* 0..1, as the model says */
    double priority_confidence;
    const char *reason;
};

/* Reads the JSON object of src/model/prompts/classify.txt. `content` is hostile. `reason` is in the arena.
 * False: ERROR_REJECT "model_unusable", whose text goes on from "the model answered unusably: " and holds
 * nothing of what the model said, so that it may be told so. Any thread. */
bool classify_answer_read(struct arena *arena, const char *content, size_t len,
    const struct taxonomy *taxonomy, struct classify_answer *out, struct error *err);

#endif
