/* Asking a model's server, whatever for: the budget, the credentials, the call, its time, metrics, health and
 * outages. What is asked and what an answer means is the caller's; how a provider is reached is a struct
 * model_access. All on the loop's thread. */
#ifndef HELPDESK_MODEL_CALL_H
#define HELPDESK_MODEL_CALL_H

#include "http/call.h"
#include "model/budget.h"
#include "model/price.h"

#define MODEL_HEADERS_MAX 8

/* What a call needs besides its texts: credentials, for example. `err` NULL: `pass` is the provider's own,
 * borrowed until this returns. Else ERROR_RETRY: it cannot be had now ("aws_credentials_late": it did not
 * come in time); ERROR_FATAL: nor later. */
typedef void model_ready(void *arg, const void *pass, const struct error *err);

/* How a provider's server is reached; `state` is the provider's. */
struct model_access {
    const char *address_setting; /* the one to blame when no call can be made with the address */
    /* Gets what a call needs before it is made. `ready` is called once: inside this call (then NULL is
     * returned), else later. NULL: calls need nothing. */
    void *(*prepare)(void *state, model_ready *ready, void *arg);
    void (*prepare_cancel)(void *state, void *wait); /* of what `prepare` returned; `ready` is not called */
    /* Whether the refusal only means that what `prepare` gave is good no more: it is got once again, and the
     * call repeated. NULL: never. */
    bool (*went_stale)(void *state, const struct http_call_result *result);
    const char *(*url)(void *state); /* borrowed from `state` */
    /* "Name: value" lines for `body`, at most MODEL_HEADERS_MAX and a NULL; from `state` or `arena`. `pass`
     * is what `prepare` gave. */
    void (*headers)(void *state, const void *pass, struct arena *arena, const struct buf *body,
        const char *lines[MODEL_HEADERS_MAX + 1]);
    /* What a status other than 2xx says: fills `err` by the rules of chat_done (model/chat.h). */
    void (*read_refusal)(const struct http_call_result *result, struct error *err);
};

/* Texts are copied, the rest is borrowed. */
struct model_asker_options {
    const struct model_access *access;
    void *state;
    const char *model; /* its id, for labels and the ledger */
    const char *part;  /* condition of base/health.h */
    struct price price;
    struct budget *budget; /* or NULL: nobody counts */
};

struct model_asker; /* one server, one model */

struct model_usage {
    int64_t input_tokens, output_tokens; /* what the answer says; 0 when it does not */
    double cost_usd;
};

struct model_question {
    struct arena *arena;       /* lives until `done` */
    const char *tenant;        /* who pays; borrowed until `done` */
    const char *stage;         /* who asks: "generator"; the same */
    int64_t most_input_tokens; /* that it can use, and be charged for */
    int64_t most_output_tokens;
    int64_t timeout_ms;
    size_t max_body, max_answer; /* bytes of the request and of the answer */
    void (*put_body)(void *arg, struct buf *out);
    /* An answer of status 2xx; fills the tokens of `usage` as far as they can be read. False: ERROR_REJECT
     * "model_unusable". */
    bool (*read)(
        void *arg, const struct http_call_result *result, struct model_usage *usage, struct error *err);
    /* Whether a refusal is of something that the next request, which put_body makes, does without. NULL:
     * never. */
    bool (*repeats)(void *arg, const struct http_call_result *result);
    /* `err` as in chat_done; `usage` tells what was spent, with an error too. */
    void (*done)(void *arg, const struct model_usage *usage, const struct error *err);
    void *arg;
};

struct model_asker *model_asker_new(struct loop *loop, const struct model_asker_options *options);
/* Calls under way end with ERROR_RETRY "model_stopped", inside this call; no other may be started by that.
 * Before what it borrows, and loop_free. NULL is fine. */
void model_asker_free(struct model_asker *asker);

/* `done` is called once, never inside this call. */
void model_ask(struct model_asker *asker, const struct model_question *question);

#endif
