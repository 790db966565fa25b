/* What is suggested to the agent besides the drafts. Private to the generator. */
#ifndef HELPDESK_STAGES_NEXT_STEPS_H
#define HELPDESK_STAGES_NEXT_STEPS_H

#include "stages/stage.h"

/* Puts ours before those that the model gave. `injected`: a source gives orders to the model. */
void next_steps_put(const struct ticket_job *job, bool injected, struct msg_generation *generation);

#endif
