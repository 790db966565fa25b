/* How OpenAI-compatible servers are reached, for the providers that ask something of them. */
#ifndef HELPDESK_MODEL_OPENAI_H
#define HELPDESK_MODEL_OPENAI_H

#include "model/chat_driver.h"

/* The state behind openai_access: the first member of what a provider keeps. */
struct openai {
    char *url;
    char *model;
    char *authorization; /* NULL: without a key */
};

extern const struct model_access openai_access;

/* Address, model and key. False: ERROR_FATAL "setting_invalid" or "setting_missing". */
bool openai_check(const struct chat_options *options, struct error *err);
/* `path` below the server's address: "/embeddings". */
void openai_init(struct openai *openai, const struct chat_options *options, const char *path);
void openai_fini(struct openai *openai); /* nothing is under way */
/* What a status other than 2xx says, by the rules of chat_done. */
void openai_refusal(const struct http_call_result *result, struct error *err);

#endif
