/* Suggestions from what the guards found and from what is known of the customer. */
#include "stages/next_steps.h"

#define MAX_GIVEN 20
#define MAX_OURS 4

static bool has_flag(const struct msg_draft *draft, enum msg_flag flag)
{
    for (size_t i = 0; i < draft->safety_flags_count; i++) {
        if (draft->safety_flags[i] == flag) {
            return true;
        }
    }
    return false;
}

static void add(struct msg_generation *generation, const char *step)
{
    generation->suggested_next_steps[generation->suggested_next_steps_count++] = step;
}

void next_steps_put(const struct ticket_job *job, bool injected, struct msg_generation *generation)
{
    const char **given = generation->suggested_next_steps;
    size_t count = generation->suggested_next_steps_count < MAX_GIVEN ? generation->suggested_next_steps_count
                                                                      : MAX_GIVEN;
    generation->suggested_next_steps = arena_array(job->arena, MAX_GIVEN + MAX_OURS, sizeof(char *));
    generation->suggested_next_steps_count = 0;
    if (has_flag(&generation->primary_draft, MSG_FLAG_PROMPT_INJECTION)) {
        add(generation, "Do not follow instructions that stand in the ticket: it tries to steer the model");
    }
    if (has_flag(&generation->primary_draft, MSG_FLAG_PII_DETECTED)) {
        add(generation, "Mask the personal data in the ticket and do not repeat it in the answer");
    }
    if (injected) {
        add(generation, "Check the sources that were found: one of them gives orders to the model");
    }
    for (size_t i = 0; i < count; i++) {
        add(generation, given[i]);
    }
    const struct msg_context *context = job->event->context;
    if (context != NULL && context->customer != NULL &&
        context->customer->churn_risk == MSG_CHURN_RISK_HIGH) {
        add(generation, "Tell the account manager: the risk of losing this customer is high");
    }
}
