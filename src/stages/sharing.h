/* Sharing what the models of a stage answer with all who ask the same, as settings cache.* say. */
#ifndef HELPDESK_STAGES_SHARING_H
#define HELPDESK_STAGES_SHARING_H

#include "model/chat.h"
#include "model/classify.h"
#include "model/draft.h"
#include "stages/stage.h"

/* `model`, or one that owns it and shares its drafts; NULL gives NULL. `strong` may be NULL. `policy` names
 * what else the drafts depend on. */
struct draft_model *sharing_drafts(const struct stage_env *env, struct draft_model *model,
    const struct chat_options *usual, const struct chat_options *strong, const char *policy);
/* The same for classifications. */
struct classify_model *sharing_classifications(const struct stage_env *env, struct classify_model *model,
    const struct chat_options *options, const char *policy);

#endif
