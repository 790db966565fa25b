/* Providers of chat models, for those who write one: what differs from one to the next. Everything else is
 * chat.c's and call.c's. All on the loop's thread but `check` and `ask`. */
#ifndef HELPDESK_MODEL_CHAT_DRIVER_H
#define HELPDESK_MODEL_CHAT_DRIVER_H

#include "model/call.h"
#include "model/chat.h"

#define CHAT_URL_MAX 1024
#define CHAT_KEY_MAX 4096
#define CHAT_CHECK_TIMEOUT_MS 10000

struct chat_driver {
    const char *name; /* setting model.provider */
    bool paid;        /* by the token, even where the address is of one's own network */
    const struct model_access *access;
    /* Whether the settings can work; false: ERROR_FATAL "setting_invalid" or "setting_missing". */
    bool (*check)(const struct chat_options *options, struct error *err);
    /* Asks the server whether address and key are right, at no cost; blocks. After `check`. */
    bool (*ask)(const struct chat_options *options, struct error *err);
    void *(*open)(struct loop *loop, const struct chat_options *options); /* after `check` */
    void (*free)(void *state);                                            /* nothing is under way */
    void (*put_body)(void *state, struct buf *out, const struct chat_request *request, bool with_schema);
    /* As chat_reply_read. */
    bool (*read_reply)(
        struct arena *arena, const char *body, size_t len, struct chat_reply *out, struct error *err);
    /* Whether the refusal only means that the answer's schema must be left out; NULL: never. */
    bool (*knows_no_schema)(const struct http_call_result *result);
    /* Whether the refusal tells how this server wants its requests otherwise, which `state` now remembers:
     * the request is then put once more. NULL: never. */
    bool (*adapt)(void *state, const struct http_call_result *result);
};

extern const struct chat_driver chat_openai;
extern const struct chat_driver chat_bedrock;

/* Bedrock's model when no setting names one: the profile of the region's part of the world. Static. */
const char *chat_bedrock_model(const char *region, bool strong);

/* Whether the model's id and the key, which `key_setting` holds, can be sent; the errors of `check`. */
bool chat_check_texts(const struct chat_options *options, const char *key_setting, struct error *err);
/* An http or https address without user, query and fragment. */
bool chat_is_address(const char *url);
/* `base_url` without its last '/', and `path`; the caller frees. */
char *chat_url(const char *base_url, const char *path);
/* The header line with a key as a bearer token; NULL without a key. The caller frees. */
char *chat_authorization(const char *api_key);

#endif
