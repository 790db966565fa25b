/* What the three ticket stages share towards the engine; the stages themselves see stages/stage.h only. */
#ifndef HELPDESK_STAGES_TICKET_STEP_H
#define HELPDESK_STAGES_TICKET_STEP_H

#include "stages/stage.h"

/* State of a stage around `step`; for struct stage's open and close. NULL: err. */
void *ticket_stage_open(const struct ticket_step *step, const struct stage_env *env, struct error *err);
void ticket_stage_close(void *state);

/* The callbacks of struct engine_stage; `stage` comes from ticket_stage_open. */
void ticket_stage_process(struct engine_job *job, void *stage);
void ticket_stage_rejected(struct engine_job *job, const struct error *err, void *stage);

#endif
