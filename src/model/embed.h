/* Asking a model for the vectors of texts, by any provider: what is sent, and what its failures mean. */
#ifndef HELPDESK_MODEL_EMBED_H
#define HELPDESK_MODEL_EMBED_H

#include "loop/loop.h"
#include "model/chat.h"
#include "model/embed_reply.h"

#define EMBED_MAX_BYTES (256 * 1024) /* of the texts of one call */
#define EMBED_IDENTITY_SIZE (CHAT_MODEL_MAX + 64)
#define EMBED_REPORT_SIZE (EMBED_IDENTITY_SIZE + 128)

struct embedder; /* one server, one model */

/* From settings model.*, `model` from model.embed; texts are borrowed from `conf`. An empty model: none is
 * wanted. Reads files: at start only. */
struct chat_options embed_options_of(const struct conf *conf);
/* The same for the model that made vectors of `identity` ("openai/MODEL/384"), which is borrowed, too; its
 * model's id is kept in `id`. False: it is not an identity. */
bool embed_options_for(
    const struct conf *conf, const char *identity, char id[CHAT_MODEL_MAX + 1], struct chat_options *out);
/* What the identity of vectors of a model with these options starts with: all but the dimension when only the
 * model knows it, "openai/MODEL/". */
void embed_identity_start(const struct chat_options *options, char out[EMBED_IDENTITY_SIZE]);
/* Whether vectors of `identity` are what a model with these options makes. */
bool embed_makes(const struct chat_options *options, const char *identity);

/* Everything is borrowed until `done`. */
struct embed_request {
    struct arena *arena;      /* the reply is made in it */
    const char *const *texts; /* 1 to embed_max_texts, none empty, of at most EMBED_MAX_BYTES together */
    size_t count;
    bool query;         /* it is searched for; else a text that is found: some models tell them apart */
    const char *tenant; /* who pays; with a budget */
    const char *stage;  /* who asks; the same */
    int64_t timeout_ms;
};

/* `err` NULL: `reply` is good. Else it tells only what was spent, and the errors are those of chat_done; also
 * ERROR_FATAL "model_config" when the vectors' dimension is not that of earlier ones: they are not
 * comparable. Loop thread. */
typedef void embed_done(void *arg, const struct embed_reply *reply, const struct error *err);

/* Copies `options`; calls are made within `options->budget`, health and metrics are those of chat_new, with
 * condition "model-embed". NULL: ERROR_FATAL "setting_invalid" or "setting_missing", naming the setting. */
struct embedder *embed_new(struct loop *loop, const struct chat_options *options, struct error *err);
/* Calls under way end with ERROR_RETRY "model_stopped", inside this call; no other may be started by that.
 * Before loop_free. NULL is fine. */
void embed_free(struct embedder *embedder);
size_t embed_max_texts(const struct embedder *embedder); /* of one call */

/* `done` is called once, never inside this call. Asserts that the bounds of `request` are kept. Loop thread.
 */
void embed_start(struct embedder *embedder, const struct embed_request *request, embed_done *done, void *arg);

/* What vectors are only comparable with: "openai/MODEL/DIMENSION"; "" before the first answer. Borrowed until
 * the next. */
const char *embed_identity(const struct embedder *embedder);

/* Whether the model answers: asks for the vector of one word. Blocks; any thread. On true, `report` says
 * identity, tokens and cost. False: the errors of embed_new and embed_done. */
bool embed_check(const struct chat_options *options, char report[EMBED_REPORT_SIZE], struct error *err);

#endif
