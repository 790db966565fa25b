/* Classifications by a language model for all who ask the same. */
#include "model/classify_driver.h"

#include <stdlib.h>
#include "base/alloc.h"
#include "model/answer_key.h"
#include "model/answers.h"
#include "model/prompt.h"

struct classify_cached {
    struct classify_model *model;
    struct answers *answers;
    char *scope;
    char prompt_version[PROMPT_VERSION_SIZE];
};

/* One request under way; in its arena. */
struct asking {
    struct classify_cached *owner;
    struct classify_request request;
    classify_done *done;
    void *arg;
    struct answers_ask ask;
};

static bool key_of(
    const struct classify_cached *owner, const struct classify_request *request, struct cache_key *out)
{
    struct answer_key key;
    answer_key_begin(&key);
    answer_key_put(&key, owner->scope);
    answer_key_put(&key, owner->prompt_version);
    answer_key_put(&key, request->tenant);
    answer_key_put_ticket(&key, request->ticket);
    return answer_key_end(&key, out);
}

static struct classify_result *copy(struct arena *arena, const struct classify_result *result)
{
    struct classify_result *made = ARENA_NEW(arena, struct classify_result);
    const struct msg_classification *classification =
        msg_copy(&msg_classification, arena, &result->classification);
    *made = (struct classify_result){.classification = *classification,
        .priority_confidence = result->priority_confidence,
        .model = arena_strdup(arena, result->model),
        .prompt_version = arena_strdup(arena, result->prompt_version),
        .policy_version = arena_strdup(arena, result->policy_version)};
    return made;
}

static void deliver(struct asking *asking, const struct classify_result *kept)
{
    struct classify_result *result = copy(asking->request.arena, kept);
    result->cache_hit = true;
    asking->done(asking->arg, result, NULL);
}

/* What cost nothing is soon said again. */
static void on_result(void *arg, const struct classify_result *result, const struct error *err)
{
    struct asking *asking = arg;
    struct arena *arena = NULL;
    const struct classify_result *kept = NULL;
    bool paid = !err && result->input_tokens + result->output_tokens > 0;
    if (paid && result->degraded_count == 0 &&
        !answer_names_ticket(result->classification.reasoning_snippet, asking->request.ticket)) {
        arena = arena_new(0);
        kept = copy(arena, result);
    }
    if (paid) {
        answers_missed(asking->owner->answers);
    }
    answers_end(asking->owner->answers, &asking->ask, arena, kept);
    asking->done(asking->arg, result, err);
}

static void on_shared(void *arg, const void *value)
{
    struct asking *asking = arg;
    struct error err;
    if (value) {
        deliver(asking, value);
    } else if (answers_closed(asking->owner->answers, &err)) {
        asking->done(asking->arg, NULL, &err);
    } else {
        classify_start(asking->owner->model, &asking->request, on_result, asking);
    }
}

static void classify_cached_start(
    void *state, const struct classify_request *request, classify_done *done, void *arg)
{
    struct classify_cached *owner = state;
    struct asking *asking = ARENA_NEW(request->arena, struct asking);
    *asking = (struct asking){.owner = owner, .request = *request, .done = done, .arg = arg};
    asking->ask = answers_ask_for(request->deadline_mono_ms, CLASSIFY_RESERVE_MS, on_shared, asking);
    if (!key_of(owner, request, &asking->ask.key)) {
        classify_start(owner->model, request, done, arg);
        return;
    }
    switch (answers_ask(owner->answers, &asking->ask)) {
    case ANSWERS_KEPT:
        deliver(asking, asking->ask.value);
        break;
    case ANSWERS_FIRST:
        classify_start(owner->model, &asking->request, on_result, asking);
        break;
    case ANSWERS_JOINED:
        break;
    }
}

static void classify_cached_free(void *state)
{
    struct classify_cached *owner = state;
    answers_close(owner->answers);
    classify_free(owner->model);
    answers_free(owner->answers);
    free(owner->scope);
    free(owner);
}

struct classify_model *classify_cached_new(
    struct loop *loop, struct classify_model *model, const char *scope, const struct cache_limits *limits)
{
    static const struct classify_driver driver = {
        .start = classify_cached_start, .free = classify_cached_free};
    struct classify_cached *owner = xcalloc(1, sizeof(*owner));
    owner->model = model;
    owner->answers = answers_new(loop, "classification", limits);
    owner->scope = xstrdup(scope);
    prompt_version("classify", prompt_classify, owner->prompt_version);
    return classify_model_new(&driver, owner);
}
