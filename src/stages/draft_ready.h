/* Whether a draft may go out as it is, and if not, why. Private to the generator. */
#ifndef HELPDESK_STAGES_DRAFT_READY_H
#define HELPDESK_STAGES_DRAFT_READY_H

#include "stages/stage.h"

/* After the guards. `escalated`: the draft only hands over to a person. It is ready only above `confidence`.
 */
void draft_ready_judge(struct ticket_job *job, bool escalated, double confidence, struct msg_draft *draft);

/* The result became degraded after the draft had been judged. */
void draft_ready_deny(struct msg_draft *draft);

#endif
