/* What a language model answers when it is asked for a draft: read strictly, believed only as far as it can
 * be checked. */
#ifndef HELPDESK_MODEL_DRAFT_ANSWER_H
#define HELPDESK_MODEL_DRAFT_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/error.h"
#include "msg/codec.h"

#define DRAFT_ANSWER_MAX_TEXT (16 * 1024)
#define DRAFT_ANSWER_MAX_STEPS 8

struct draft_answer {
    const char *text; /* every marker in it names one of `citations` */
    const char **citations;
    size_t citation_count;
    double confidence; /* 0..1 */
    bool needs_person;
    const char **steps;
    size_t step_count;
};

/* Reads the JSON object of src/model/prompts/draft.txt. `context` is what the model was given (NULL:
 * nothing); what is cited must be in it, and a draft that cites nothing must ask for a person. `content` is
 * hostile. In the arena. False: ERROR_REJECT "model_unusable", whose text goes on from "the model answered
 * unusably: " and holds nothing of what the model said, so that it may be told so. */
bool draft_answer_read(struct arena *arena, const char *content, size_t len,
    const struct msg_context *context, struct draft_answer *out, struct error *err);

#endif
