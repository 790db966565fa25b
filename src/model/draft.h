/* Models that draft answers, for those who ask them. */
#ifndef HELPDESK_MODEL_DRAFT_H
#define HELPDESK_MODEL_DRAFT_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/error.h"
#include "msg/codec.h"

#define DRAFT_MAX_BYTES (32 * 1024) /* of one draft's text */

struct draft_model;

struct loop;
struct chat_options;
struct cache_limits;

/* Everything is borrowed until `done`. */
struct draft_request {
    struct arena *arena; /* the result is made in it */
    const char *tenant;  /* who pays */
    const struct msg_ticket *ticket;
    const struct msg_classification *classification; /* or NULL */
    const struct msg_context *context; /* or NULL; what may be quoted: already without what must not be */
    const char *tone; /* how the draft should sound, in the operator's words; NULL: nobody said */
    /* The customer's own things may stand in the context whatever its items say: no draft made of it is
     * anybody else's. It is so, too, with an order, a past ticket, a customer or a conversation in it. */
    bool personal;
    int64_t kb_revision; /* of the knowledge base that the context was found in; 0: not known */
    bool strong;         /* the stronger model is to draft */
    const struct msg_question_vector *vector; /* of the ticket's subject and description; NULL: none */
    double escalate_below;    /* under this confidence of the context the alternative asks for a person */
    int64_t deadline_mono_ms; /* the answer is of no use after that */
};

struct draft_result {
    /* Texts, citations and confidence of the drafts, and next steps for the agent. Flags and `ready` are the
     * guard's. A sentence taken from a source ends with its marker: [1] is the first of `citations`. No text
     * has a greeting or a signature: who asks puts them around it, so that it is the same for every customer.
     */
    struct msg_generation generation;
    const char *language;  /* BCP 47, of the drafts' own words; NULL: the ticket's */
    bool escalated;        /* the primary draft hands the ticket to a person */
    bool cache_hit;        /* it was drafted for another request; nobody was asked, nothing was spent */
    bool semantic;         /* with cache_hit: the other request was in other words */
    bool unanswered;       /* the offline model stood in for one that was not asked or did not answer */
    const char **degraded; /* why it is less than it could be */
    size_t degraded_count;
    const char *model;
    const char *prompt_version;
    int64_t input_tokens;
    int64_t output_tokens;
    double cost_usd;
};

/* `err` NULL: `result` is good. Else ERROR_RETRY: the model may answer later, and there is time for it (or
 * the model is being freed). Loop thread; may be called inside draft_start. */
typedef void draft_done(void *arg, const struct draft_result *result, const struct error *err);

void draft_start(struct draft_model *model, const struct draft_request *request, draft_done *done, void *arg);
/* The draft that `request` got was found unfit to be sent as it stands: nobody else gets it. */
void draft_unfit(struct draft_model *model, const struct draft_request *request);
/* Requests under way end with an error, inside this call. NULL is fine. */
void draft_free(struct draft_model *model);

/* The model that needs nothing installed: it quotes the best sentences of the context and invents none. */
struct draft_model *draft_offline_new(void);

/* The model of a provider (model/chat.h), a call at most `timeout_ms` long. An answer that
 * is not usable is asked for once more; then, when the time is over, when the server takes no call, or when
 * the tenant's budget is used up, the offline model drafts and the result is degraded. `strong`: the stronger
 * model, or NULL; what it cannot draft for want of time, because it takes no calls, or because the budget
 * does not reach that far, the usual one drafts, degraded. NULL: the errors of chat_new. Before loop_free. */
struct draft_model *draft_chat_new(struct loop *loop, const struct chat_options *options,
    const struct chat_options *strong, int64_t timeout_ms, struct error *err);

/* Gives drafts of `model`, which it owns from now on, to all who ask the same (model/answers.h). The same is:
 * tenant, language, tone, revision of the knowledge base, passages in their order, classification, whether
 * the stronger model is wanted, the ticket's text but for case and white space, and `scope`, which says what
 * `model` is made of: whatever else its drafts depend on. Drafts of what is one customer's own (see
 * `personal`) are that customer's only. No draft is kept that is degraded, says which ticket it was made for,
 * or was called unfit. Before loop_free.
 *
 * `similarity` above 0: a draft also serves a ticket in other words whose vector is at least that similar
 * (cosine; `vector` of the request) and that alike_texts lets pass: where all but the text and the passages
 * after the best is the same, nothing in the context is a customer's own, all that the draft cites is in the
 * context of who asks, and it repeats nothing that only the other customer said. The questions kept for that
 * are bounded as the drafts are. Counts helpdesk_cache_hits_total{cache="draft-semantic"} and misses. */
struct draft_model *draft_cached_new(struct loop *loop, struct draft_model *model, const char *scope,
    const struct cache_limits *limits, double similarity);

#endif
