/* Classification models, for those who ask them. */
#ifndef HELPDESK_MODEL_CLASSIFY_H
#define HELPDESK_MODEL_CLASSIFY_H

#include "base/arena.h"
#include "base/error.h"
#include "model/taxonomy.h"
#include "msg/codec.h"

struct classify_model;

struct classify_request {
    struct arena *arena;             /* the result is made in it; lives until `done` */
    const struct msg_ticket *ticket; /* borrowed until `done` */
    int64_t deadline_mono_ms;        /* the answer is of no use after that */
};

struct classify_result {
    struct msg_classification classification; /* the model's own opinion, whatever the caller hinted */
    double priority_confidence;               /* 0..1 */
    const char *model;
    const char *prompt_version; /* "" when there is no prompt */
    const char *policy_version; /* of the taxonomy and the rules */
    int64_t input_tokens;
    int64_t output_tokens;
    double cost_usd;
};

/* `err` NULL: `result` is good. Loop thread; may be called inside classify_start. */
typedef void classify_done(void *arg, const struct classify_result *result, const struct error *err);

/* `request` is borrowed until `done`. */
void classify_start(
    struct classify_model *model, const struct classify_request *request, classify_done *done, void *arg);
void classify_free(struct classify_model *model); /* no request is under way; NULL is fine */

#define CLASSIFY_NO_EVIDENCE 0.3 /* the rules' confidence when nothing speaks for any category */

/* The model that needs nothing installed: rules over the taxonomy's keywords. Owns `taxonomy` from now on. */
struct classify_model *classify_offline_new(struct taxonomy *taxonomy);

#endif
