/* The generate step around any drafting model; for the stage and for tests. */
#ifndef HELPDESK_STAGES_GENERATOR_H
#define HELPDESK_STAGES_GENERATOR_H

#include "guard/guard.h"
#include "model/draft.h"
#include "model/voice.h"
#include "stages/stage.h"
#include "stages/strong_for.h"

struct generator_policy {
    double ready_confidence; /* a draft is ready only above it */
    double escalate_below;   /* confidence of the context under which a person is asked */
    struct strong_for strong_for;
};

/* State of generator_step; owns `model`, `guard` and `voices`. The guard works on the pool of `loop`; NULL:
 * inside the call. `db` tells whether sources are still there; NULL: nobody does. generator_step.close frees
 * it. */
void *generator_new(struct draft_model *model, struct guard *guard, struct voices *voices,
    const struct generator_policy *policy, struct loop *loop, struct db *db);

#endif
