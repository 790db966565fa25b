/* The guard: judges a draft, and keeps out of drafts what must not be quoted. */
#ifndef HELPDESK_GUARD_GUARD_H
#define HELPDESK_GUARD_GUARD_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/error.h"
#include "msg/codec.h"

#define GUARD_VERSION "guard/1"
#define GUARD_MAX_DRAFT (64 * 1024)

struct guard; /* any thread */

/* `off_brand`: words a draft must not use besides the built-in ones, separated by commas. */
struct guard *guard_new(const char *off_brand);
void guard_free(struct guard *guard);

struct guard_input {
    const struct msg_ticket *ticket;
    const struct msg_context *context; /* as quoted from, or NULL */
    double low_context;                /* flags low_context_confidence below this aggregate confidence */
};

/* The drafts of one ticket: what is the same for all is looked at once. `guard`, `arena` and what `input`
 * names are borrowed until the case is freed; one thread at a time. */
struct guard_case;
struct guard_case *guard_case_new(
    const struct guard *guard, struct arena *arena, const struct guard_input *input);
void guard_case_free(struct guard_case *judged);

/* Sets safety_flags and flag_details of `draft` (in the case's arena). False: the draft could not be judged
 * (ERROR_REJECT "draft_unreadable" or "draft_too_large"), so it must not be used. */
bool guard_check(const struct guard_case *judged, struct msg_draft *draft, struct error *err);

/* Whether the guard found anything in the draft or a danger in the ticket: every flag but a low confidence,
 * and personal data that stands in the ticket only. */
bool guard_triggered(const struct msg_draft *draft);

/* Whether the draft's own text holds personal data. */
bool guard_found_pii(const struct msg_draft *draft);

/* Whether a customer's name may stand in a greeting: no rule finds anything in it. */
bool guard_name_fits(const struct guard *guard, const char *name);

/* The context without sentences that give orders to a model, promise, or could harm: what may be quoted.
 * `injections` counts the first kind. `context` is not changed; NULL gives NULL. */
struct msg_context *guard_quotable(
    const struct guard *guard, struct arena *arena, const struct msg_context *context, size_t *injections);

/* The ticket without the sentences that give orders to a model: what a model may read. `ticket` is not
 * changed. */
struct msg_ticket *guard_question(
    const struct guard *guard, struct arena *arena, const struct msg_ticket *ticket);

#endif
