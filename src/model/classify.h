/* Classification models, for those who ask them. */
#ifndef HELPDESK_MODEL_CLASSIFY_H
#define HELPDESK_MODEL_CLASSIFY_H

#include "base/arena.h"
#include "base/error.h"
#include "model/taxonomy.h"
#include "msg/codec.h"

struct classify_model;

struct loop;
struct chat_options;
struct cache_limits;

struct classify_request {
    struct arena *arena;             /* the result is made in it; lives until `done` */
    const char *tenant;              /* who pays; borrowed until `done` */
    const struct msg_ticket *ticket; /* borrowed until `done` */
    int64_t deadline_mono_ms;        /* the answer is of no use after that */
};

struct classify_result {
    struct msg_classification classification; /* the model's own opinion, whatever the caller hinted */
    double priority_confidence;               /* 0..1 */
    const char *model;
    const char *prompt_version; /* "" when there is no prompt */
    const char *policy_version; /* of the taxonomy and the rules */
    int64_t input_tokens;
    int64_t output_tokens;
    double cost_usd;
    bool cache_hit;        /* a language model said it of another ticket; nothing was spent */
    const char **degraded; /* why it is less than it could be */
    size_t degraded_count;
};

/* `err` NULL: `result` is good. Loop thread; may be called inside classify_start. */
typedef void classify_done(void *arg, const struct classify_result *result, const struct error *err);

/* `request` is borrowed until `done`. */
void classify_start(
    struct classify_model *model, const struct classify_request *request, classify_done *done, void *arg);
void classify_free(
    struct classify_model *model); /* requests under way end with an error, inside it; NULL is fine */

#define CLASSIFY_NO_EVIDENCE 0.3 /* the rules' confidence when nothing speaks for any category */

/* The model that needs nothing installed: rules over the taxonomy's keywords. Owns `taxonomy` from now on. */
struct classify_model *classify_offline_new(struct taxonomy *taxonomy);

struct classify_chat_options {
    const struct chat_options *chat;
    const char *ask_below; /* see model/ask_below.h */
    int64_t timeout_ms;    /* longest call */
};

/* Asks `local` first, and a language model (model/chat.h) about what it is less sure of than its category's
 * threshold. A call that fails or an answer that is not usable is asked for once more; then, when the time is
 * over, when the server is away, or when the tenant's budget is used up or cannot be looked at, the local
 * result stands and is degraded. It ends with an error only when `local` does, or with ERROR_RETRY while it
 * is freed. Owns `local` and `taxonomy` from now on, also when it fails. NULL: the errors of chat_new and
 * ask_below_parse. Before loop_free. */
struct classify_model *classify_chat_new(struct loop *loop, const struct classify_chat_options *options,
    struct classify_model *local, struct taxonomy *taxonomy, struct error *err);

/* Gives what a language model told `model`, which it owns from now on, to all who ask the same
 * (model/answers.h): the same tenant, language and text but for case and white space, in a conversation also
 * the same customer, and the same `scope`, which says what `model` is made of. What a local model is sure of
 * is not kept, nor what is degraded or says which ticket it was made for. Before loop_free. */
struct classify_model *classify_cached_new(
    struct loop *loop, struct classify_model *model, const char *scope, const struct cache_limits *limits);

#endif
