/* Providers of models that make vectors, for those who write one; as model/chat_driver.h. */
#ifndef HELPDESK_MODEL_EMBED_DRIVER_H
#define HELPDESK_MODEL_EMBED_DRIVER_H

#include "model/call.h"
#include "model/embed.h"

struct embed_driver {
    const char *name; /* setting model.provider */
    bool paid;        /* by the token, even where the address is of one's own network */
    const struct model_access *access;
    /* Whether the settings can work; false: ERROR_FATAL "setting_invalid" or "setting_missing". */
    bool (*check)(const struct chat_options *options, struct error *err);
    void *(*open)(struct loop *loop, const struct chat_options *options); /* after `check` */
    void (*free)(void *state);                                            /* nothing is under way */
    size_t (*max_texts)(const void *state); /* of one call, at most EMBED_MAX_TEXTS */
    void (*put_body)(void *state, struct buf *out, const struct embed_request *request);
    /* As embed_reply_read. */
    bool (*read_reply)(void *state, struct arena *arena, const struct http_call_result *result, size_t count,
        struct embed_reply *out, struct error *err);
};

extern const struct embed_driver embed_openai;
extern const struct embed_driver embed_bedrock;

#endif
