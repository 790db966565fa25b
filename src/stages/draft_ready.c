/* The reasons against a draft, in the words that agents read. */
#include "stages/draft_ready.h"

#include <string.h>
#include "guard/guard.h"

#define OTHER_REASONS 6
#define DEGRADED "the result is degraded"

static const char *flag_reason(enum msg_flag flag)
{
    static const char *const reasons[MSG_FLAG_COUNT] = {
        [MSG_FLAG_PII_DETECTED] = "the draft holds personal data",
        [MSG_FLAG_OFF_BRAND] = "the draft uses words we do not use",
        [MSG_FLAG_UNSAFE_CONTENT] = "the draft holds unsafe content",
        [MSG_FLAG_LOW_CONTEXT_CONFIDENCE] = "what was found hardly answers the question",
        [MSG_FLAG_UNGROUNDED] = "the draft says what its sources do not",
        [MSG_FLAG_OVERPROMISE] = "the draft promises what only a person may promise",
        [MSG_FLAG_PROMPT_INJECTION] = "the ticket or the draft gives instructions to the model",
    };
    return reasons[flag];
}

static void add_reason(struct msg_draft *draft, const char *reason)
{
    draft->not_ready_because[draft->not_ready_because_count++] = reason; /* room: see draft_ready_judge */
}

void draft_ready_judge(struct ticket_job *job, bool escalated, double confidence, struct msg_draft *draft)
{
    draft->not_ready_because =
        arena_array(job->arena, MSG_FLAG_COUNT + OTHER_REASONS, sizeof *draft->not_ready_because);
    draft->not_ready_because_count = 0;
    for (size_t i = 0; i < draft->safety_flags_count; i++) {
        if (draft->safety_flags[i] != MSG_FLAG_PII_DETECTED || guard_found_pii(draft)) {
            add_reason(draft, flag_reason(draft->safety_flags[i]));
        }
    }
    if (draft->confidence <= confidence) {
        add_reason(draft,
            arena_printf(job->arena, "confidence %.2f is not above %.2f", draft->confidence, confidence));
    }
    if (escalated) {
        add_reason(draft, "the draft hands the question to a person, it does not answer it");
    }
    if (job->event->caller_context) {
        add_reason(draft, "the context came from the caller and was not checked");
    }
    if (job->trace->degraded_count > 0) {
        add_reason(draft, DEGRADED);
    }
    draft->ready = draft->not_ready_because_count == 0;
}

void draft_ready_deny(struct msg_draft *draft)
{
    size_t count = draft->not_ready_because_count;
    if (count == 0 || strcmp(draft->not_ready_because[count - 1], DEGRADED) != 0) {
        add_reason(draft, DEGRADED);
    }
    draft->ready = false;
}
