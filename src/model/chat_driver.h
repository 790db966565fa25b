/* Providers of chat models, for those who write one: what differs from one to the next. Everything else (the
 * call, its time, metrics, health, outages, cost) is chat.c's. All on the loop's thread but `check` and
 * `ask`. */
#ifndef HELPDESK_MODEL_CHAT_DRIVER_H
#define HELPDESK_MODEL_CHAT_DRIVER_H

#include "http/call.h"
#include "model/chat.h"

#define CHAT_HEADERS_MAX 8
#define CHAT_URL_MAX 1024
#define CHAT_KEY_MAX 4096
#define CHAT_CHECK_TIMEOUT_MS 10000

struct chat_driver {
    const char *address_setting; /* the one to blame when no call can be made with the address */
    /* Whether the settings can work; false: ERROR_FATAL "setting_invalid" or "setting_missing". */
    bool (*check)(const struct chat_options *options, struct error *err);
    /* Asks the server whether address and key are right, at no cost; blocks. After `check`. */
    bool (*ask)(const struct chat_options *options, struct error *err);
    void *(*open)(const struct chat_options *options); /* after `check` */
    void (*free)(void *state);
    const char *(*url)(void *state); /* borrowed from `state` */
    void (*put_body)(void *state, struct buf *out, const struct chat_request *request, bool with_schema);
    /* "Name: value" lines for `body`, at most CHAT_HEADERS_MAX and a NULL; from `state` or `arena`. */
    void (*headers)(
        void *state, struct arena *arena, const struct buf *body, const char *lines[CHAT_HEADERS_MAX + 1]);
    /* As chat_reply_read. */
    bool (*read_reply)(
        struct arena *arena, const char *body, size_t len, struct chat_reply *out, struct error *err);
    /* What a status other than 2xx says: fills `err` by the rules of chat_done. */
    void (*read_refusal)(const struct http_call_result *result, struct error *err);
    /* Whether the refusal only means that the answer's schema must be left out; NULL: never. */
    bool (*knows_no_schema)(const struct http_call_result *result);
};

extern const struct chat_driver chat_openai;

/* At most `max` visible ASCII characters. */
bool chat_is_visible(const char *text, size_t max);
/* An http or https address without user, query and fragment. */
bool chat_is_address(const char *url);
/* `base_url` without its last '/', and `path`; the caller frees. */
char *chat_url(const char *base_url, const char *path);
/* What a call that brought no answer says (`why`, of http/call.h), by the rules of chat_done. */
void chat_read_failure(const char *address_setting, const struct error *why, struct error *err);

/* Of OpenAI-compatible servers, whatever is asked of them: what a status other than 2xx says, by the rules of
 * chat_done; and the header of a key, NULL without one, which the caller frees. */
void chat_openai_refusal(const struct http_call_result *result, struct error *err);
char *chat_openai_authorization(const char *api_key);

#endif
