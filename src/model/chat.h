/* Asking a model of any provider for a chat completion: what is sent, and what its failures mean. */
#ifndef HELPDESK_MODEL_CHAT_H
#define HELPDESK_MODEL_CHAT_H

#include "conf/conf.h"
#include "loop/loop.h"
#include "model/chat_reply.h"
#include "model/price.h"

struct chat; /* one server, one model */

#define CHAT_REGION_SIZE 64
struct budget; /* model/budget.h */

struct chat_options {
    const char *provider; /* "openai" (NULL too) or "bedrock" */
    const char *base_url; /* "https://api.openai.com/v1"; of Bedrock what stands for the region's, or "" */
    const char *api_key;  /* "": none is sent; to Bedrock a bearer token, "": calls are signed */
    const char *model;
    const char *prices;            /* setting model.prices; chat_new finds the model's in it */
    const char *setting;           /* that names the model; NULL: "model.draft" */
    const char *part;              /* condition of base/health.h; NULL: "model" */
    const char *guardrail;         /* Bedrock's, "id:version"; "" and NULL: none */
    char region[CHAT_REGION_SIZE]; /* Bedrock's */
    int64_t max_output_tokens;     /* of a draft; for those who make requests */
    int64_t dimensions;            /* of a vector, for model/embed.h; 0: the model's own */
    struct budget *budget; /* what calls may cost is reserved there first; NULL: nobody counts. Lives longer
                              than the chat */
};

/* From settings model.*; texts are borrowed from `conf`. Bedrock's region may come from where the AWS SDKs
 * look, its models have defaults. Reads files: at start only. */
struct chat_options chat_options_of(const struct conf *conf);
/* The same for the stronger model; `model` is "" when there is none. */
struct chat_options chat_strong_options_of(const struct conf *conf);
/* Whether there is a server to ask; without one the offline models do all. */
bool chat_wanted(const struct chat_options *options);
/* Whether it drafts: the offline model does, too, where the settings name models for other work (model.embed,
 * model.classify) and none that drafts. Bedrock's always does: it has a default. */
bool chat_drafts(const struct conf *conf);

struct chat_request {
    struct arena *arena; /* the reply is made in it; lives until `done` */
    const char *system;
    const char *user;
    const char *schema_name;
    const char *schema; /* JSON schema of the answer; left out once the server says that it knows none */
    const char *tenant; /* who pays */
    const char *stage;  /* who asks: "generator" */
    int64_t max_output_tokens; /* above 0; what is longer is cut, and unusable */
    int64_t timeout_ms;
};

/* `err` NULL: `reply` holds what the model said. Else `reply` tells only what was spent:
 *   those of budget_done (model/budget.h): nothing was asked; their text says so
 *   ERROR_RETRY  "model_unavailable": the server is away, or says when it has time again, or has failed many
 *                calls in a row; "model_busy", "model_failed", "model_timeout", "model_broken": this call
 *   ERROR_REJECT "model_unusable" (see chat_reply_read), "model_refused": the server does not take the
 *                request, or its guardrail stopped it
 *   ERROR_FATAL  "model_config": address, key, model or account are not accepted; no call can succeed
 * The text may be shown to anybody: it names the server's status, no address and nothing that was sent. Loop
 * thread. */
typedef void chat_done(void *arg, const struct chat_reply *reply, const struct error *err);

/* Copies `options`. NULL: ERROR_FATAL "setting_invalid" or "setting_missing", naming the setting. Sets
 * condition `part` of base/health.h and counts helpdesk_model_calls_total{model,outcome},
 * helpdesk_model_seconds{model}, helpdesk_model_tokens_total{model,direction},
 * helpdesk_model_cost_usd_total{model}. */
struct chat *chat_new(struct loop *loop, const struct chat_options *options, struct error *err);
/* Whether calls cost money. False also when there is no price, which chat_new tells. Reads files. */
bool chat_costs(const struct chat_options *options);
/* Whether address and key are right: asks the server, at no cost. Blocks; any thread. False: the errors of
 * chat_new and chat_done. */
bool chat_check(const struct chat_options *options, struct error *err);
/* Calls under way end with ERROR_RETRY "model_stopped", inside this call; no other may be started by that.
 * Before loop_free. NULL is fine. */
void chat_free(struct chat *chat);

/* Texts of `request` are borrowed until `done`, which is called once, never inside this call. Loop thread. */
void chat_start(struct chat *chat, const struct chat_request *request, chat_done *done, void *arg);

#endif
