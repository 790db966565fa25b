/* Asking for a ticket's vector, and for what is near to it. */
#include "stages/retriever_near.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "model/embed.h"
#include "stages/spending.h"

#define STAGE "retriever"
#define TEXT_BYTES 1500 /* of a ticket: what small models take */
#define AWAY_MS 5000    /* how long a model that cannot be reached is not asked */
#define EMBEDDERS 4     /* while models change, tenants switch one by one */

/* Vectors of tickets are compared with those of the base, by whichever model made these. */
struct asked_model {
    char identity[EMBED_IDENTITY_SIZE];
    struct embedder *embedder;
    int64_t away_until_ms; /* monotonic */
};

struct near_finder {
    struct loop *loop;
    const struct conf *conf;
    struct vector_memory *memory;
    struct budget *budget; /* or NULL */
    int64_t timeout_ms;
    struct asked_model models[EMBEDDERS];
    size_t next; /* the one that makes room */
};

struct finding {
    struct near_finder *finder;
    struct asked_model *model;
    struct vector_set *set; /* that are searched; or NULL */
    struct arena *arena;
    const char *codes;
    struct near_result result;
    near_found *done;
    void *arg;
};

bool near_finder_wanted(const struct conf *conf)
{
    return conf_text(conf, CONF_MODEL_EMBED)[0] != '\0';
}

struct near_finder *near_finder_new(const struct stage_env *env, struct error *err)
{
    struct chat_options options = embed_options_of(env->conf);
    struct embedder *tried = embed_new(env->loop, &options, err); /* what is wrong is said at the start */
    embed_free(tried);
    if (!tried || !spending_open(env, &options, NULL, err)) {
        return NULL;
    }
    struct near_finder *finder = xcalloc(1, sizeof(*finder));
    finder->loop = env->loop;
    finder->conf = env->conf;
    finder->budget = options.budget;
    finder->timeout_ms = conf_int(env->conf, CONF_MODEL_TIMEOUT);
    finder->memory =
        vector_memory_new(env->loop, env->db, (size_t)conf_int(env->conf, CONF_RETRIEVER_VECTOR_BYTES));
    const char *why; /* from now on it is read */
    vector_set_leave(vector_memory_hold(finder->memory, conf_text(env->conf, CONF_TENANT), &why));
    return finder;
}

void near_finder_close(struct near_finder *finder)
{
    if (!finder) {
        return;
    }
    for (size_t i = 0; i < EMBEDDERS; i++) {
        embed_free(finder->models[i].embedder);
    }
    vector_memory_close(finder->memory);
    budget_free(finder->budget);
    free(finder);
}

/* NULL: the model cannot be asked any more, with the settings as they are. */
static struct asked_model *model_of(struct near_finder *finder, const char *identity)
{
    for (size_t i = 0; i < EMBEDDERS; i++) {
        if (finder->models[i].embedder && strcmp(finder->models[i].identity, identity) == 0) {
            return &finder->models[i];
        }
    }
    char id[CHAT_MODEL_MAX + 1];
    struct chat_options options;
    struct error err;
    if (!embed_options_for(finder->conf, identity, id, &options)) {
        return NULL;
    }
    options.budget = finder->budget;
    struct embedder *embedder = embed_new(finder->loop, &options, &err);
    if (!embedder) {
        return NULL;
    }
    struct asked_model *model = &finder->models[finder->next];
    finder->next = (finder->next + 1) % EMBEDDERS;
    embed_free(model->embedder);
    *model = (struct asked_model){.embedder = embedder};
    memcpy(model->identity, identity, strlen(identity) + 1);
    return model;
}

static void end(struct finding *finding)
{
    vector_set_leave(finding->set);
    finding->done(finding->arg, &finding->result);
}

static void end_without(void *arg)
{
    end(arg);
}

static void on_near(void *arg, const struct vector_near *near)
{
    struct finding *finding = arg;
    finding->result.near = near;
    finding->result.codes = near ? finding->codes : NULL;
    if (!near) {
        finding->result.why = "the model's vectors are not those of the base";
    }
    end(finding);
}

static void on_vector(void *arg, const struct embed_reply *reply, const struct error *err)
{
    struct finding *finding = arg;
    finding->result.input_tokens = reply->input_tokens;
    finding->result.cost_usd = reply->cost_usd;
    if (err) {
        if (err->disposition == ERROR_FATAL || strcmp(err->code, "model_unavailable") == 0 ||
            strcmp(err->code, "model_timeout") == 0) {
            finding->model->away_until_ms = clock_mono_ms() + AWAY_MS;
        }
        finding->result.why = arena_strdup(finding->arena, err->text);
        end(finding);
        return;
    }
    finding->result.model = reply->identity;
    const struct vector_codes codes = vector_encode(finding->arena, reply->vectors[0], reply->dimension);
    finding->codes = vector_to_hex(finding->arena, &codes);
    vector_memory_find(finding->finder->memory, finding->arena, finding->set, reply->vectors[0],
        reply->dimension, on_near, finding);
}

void near_find(struct near_finder *finder, struct arena *arena, const char *tenant, const char *text,
    int64_t timeout_ms, near_found *done, void *arg)
{
    struct finding *finding = ARENA_NEW(arena, struct finding);
    *finding = (struct finding){.finder = finder, .arena = arena, .done = done, .arg = arg};
    finding->set = vector_memory_hold(finder->memory, tenant, &finding->result.why);
    finding->model = finding->set ? model_of(finder, vector_set_model(finding->set)) : NULL;
    if (finding->set && !finding->model) {
        finding->result.why = "the model that made the base's vectors cannot be asked";
    } else if (finding->model && finding->model->away_until_ms > clock_mono_ms()) {
        finding->model = NULL;
        finding->result.why = "the model was away a moment ago";
    }
    if (!finding->model) {
        loop_post(finder->loop, end_without, finding);
        return;
    }
    const char **texts = arena_array(arena, 1, sizeof(*texts));
    texts[0] = arena_strndup(arena, text, utf8_clip(text, TEXT_BYTES));
    const struct embed_request request = {.arena = arena,
        .texts = texts,
        .count = 1,
        .query = true,
        .tenant = tenant,
        .stage = STAGE,
        .timeout_ms = timeout_ms < finder->timeout_ms ? timeout_ms : finder->timeout_ms};
    embed_start(finding->model->embedder, &request, on_vector, finding);
}
