/* The budget behind the models that a stage asks. */
#ifndef HELPDESK_STAGES_SPENDING_H
#define HELPDESK_STAGES_SPENDING_H

#include "model/budget.h"
#include "model/chat.h"
#include "stages/stage.h"

/* Whether a step that asks a model has a server to ask. */
bool spending_wanted(const struct conf *conf);

/* Makes the budget for calls of `options`, and of `strong` unless it is NULL, and puts it into `options`;
 * NULL without a database. The stage frees it, after its models. False: ERROR_FATAL "setting_invalid" (a
 * limit), or "setting_missing": the model costs money, or tokens are limited, and there is no database to
 * keep that. */
bool spending_open(const struct stage_env *env, struct chat_options *options,
    const struct chat_options *strong, struct error *err);

#endif
