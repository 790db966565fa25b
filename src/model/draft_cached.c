/* Drafts for all who ask the same. */
#include "model/draft_driver.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "model/answer_key.h"
#include "model/answers.h"
#include "model/prompt.h"

struct draft_cached {
    struct draft_model *model;
    struct answers *answers;
    char *scope;
    char prompt_version[PROMPT_VERSION_SIZE];
};

/* One request under way; in its arena. */
struct asking {
    struct draft_cached *owner;
    struct draft_request request;
    draft_done *done;
    void *arg;
    struct answers_ask ask;
};

/* ---- what is the same ---- */

static bool is_personal(const struct draft_request *request)
{
    const struct msg_context *context = request->context;
    bool personal =
        request->personal || request->ticket->messages_count > 0 || (context && context->customer);
    for (size_t i = 0; context && !personal && i < context->items_count; i++) {
        enum msg_item_type type = context->items[i].type;
        personal = type != MSG_ITEM_TYPE_KB && type != MSG_ITEM_TYPE_RULE;
    }
    return personal;
}

static void put_context(struct answer_key *key, const struct draft_request *request)
{
    const struct msg_context *context = request->context;
    bool low = !context || context->aggregate_confidence < request->escalate_below;
    answer_key_put_int(key, low);
    answer_key_put_int(key, request->kb_revision);
    answer_key_put_int(key, context ? (int64_t)context->items_count : -1);
    for (size_t i = 0; context && i < context->items_count; i++) {
        const struct msg_context_item *item = &context->items[i];
        answer_key_put_int(key, (int64_t)item->type);
        answer_key_put(key, item->source_id);
        answer_key_put(key, item->title);
        answer_key_put(key, item->excerpt);
        answer_key_put(key, item->locale);
    }
}

static void put_classification(struct answer_key *key, const struct msg_classification *classification)
{
    answer_key_put(key, classification ? classification->category : NULL);
    answer_key_put_int(key, classification ? (int64_t)classification->priority : -1);
    answer_key_put_int(key, classification ? (int64_t)classification->sentiment : -1);
}

/* False: nobody else can ask the same. */
static bool key_of(
    const struct draft_cached *owner, const struct draft_request *request, struct cache_key *out)
{
    const char *customer = is_personal(request) ? request->ticket->customer_external_id : NULL;
    if (customer && !customer[0]) {
        return false;
    }
    struct answer_key key;
    answer_key_begin(&key);
    answer_key_put(&key, owner->scope);
    answer_key_put(&key, owner->prompt_version);
    answer_key_put(&key, request->tenant);
    answer_key_put(&key, customer);
    answer_key_put(&key, request->tone);
    answer_key_put_int(&key, request->strong);
    answer_key_put_ticket(&key, request->ticket);
    put_classification(&key, request->classification);
    put_context(&key, request);
    return answer_key_end(&key, out);
}

/* ---- what may be shared ---- */

static bool names_ticket(const struct draft_result *result, const struct msg_ticket *ticket)
{
    const struct msg_generation *generation = &result->generation;
    const struct msg_draft *alternative = generation->alternative_draft;
    bool found = answer_names_ticket(generation->primary_draft.text, ticket) ||
                 (alternative && answer_names_ticket(alternative->text, ticket));
    for (size_t i = 0; i < generation->suggested_next_steps_count && !found; i++) {
        found = answer_names_ticket(generation->suggested_next_steps[i], ticket);
    }
    return found;
}

static struct draft_result *copy(struct arena *arena, const struct draft_result *result)
{
    struct draft_result *made = ARENA_NEW(arena, struct draft_result);
    const struct msg_generation *generation = msg_copy(&msg_generation, arena, &result->generation);
    *made = (struct draft_result){.generation = *generation,
        .language = arena_strdup(arena, result->language),
        .escalated = result->escalated,
        .model = arena_strdup(arena, result->model),
        .prompt_version = arena_strdup(arena, result->prompt_version)};
    return made;
}

static void bound(struct msg_draft *draft, double most)
{
    if (draft && draft->confidence > most) {
        draft->confidence = most;
    }
}

/* No draft is surer than the sources of the ticket that it answers. */
static void deliver(struct asking *asking, const struct draft_result *kept)
{
    const struct msg_context *context = asking->request.context;
    double grounds = context ? context->aggregate_confidence : 0;
    struct draft_result *result = copy(asking->request.arena, kept);
    result->cache_hit = true;
    bound(&result->generation.primary_draft, grounds);
    bound(result->generation.alternative_draft, grounds);
    asking->done(asking->arg, result, NULL);
}

/* ---- asking ---- */

static void on_result(void *arg, const struct draft_result *result, const struct error *err)
{
    struct asking *asking = arg;
    struct arena *arena = NULL;
    const struct draft_result *kept = NULL;
    bool fits = !err && result->degraded_count == 0 && !result->unanswered;
    if (fits && !names_ticket(result, asking->request.ticket)) {
        arena = arena_new(0);
        kept = copy(arena, result);
    }
    answers_end(asking->owner->answers, &asking->ask, arena, kept);
    asking->done(asking->arg, result, err);
}

static void ask_model(struct asking *asking)
{
    answers_missed(asking->owner->answers);
    draft_start(asking->owner->model, &asking->request, on_result, asking);
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
        ask_model(asking);
    }
}

static void draft_cached_start(void *state, const struct draft_request *request, draft_done *done, void *arg)
{
    struct draft_cached *owner = state;
    struct asking *asking = ARENA_NEW(request->arena, struct asking);
    *asking = (struct asking){.owner = owner, .request = *request, .done = done, .arg = arg};
    asking->ask = answers_ask_for(request->deadline_mono_ms, DRAFT_RESERVE_MS, on_shared, asking);
    if (!key_of(owner, request, &asking->ask.key)) {
        draft_start(owner->model, request, done, arg);
        return;
    }
    switch (answers_ask(owner->answers, &asking->ask)) {
    case ANSWERS_KEPT:
        deliver(asking, asking->ask.value);
        break;
    case ANSWERS_FIRST:
        ask_model(asking);
        break;
    case ANSWERS_JOINED:
        break;
    }
}

static void draft_cached_unfit(void *state, const struct draft_request *request)
{
    const struct draft_cached *owner = state;
    struct cache_key key;
    if (key_of(owner, request, &key)) {
        answers_drop(owner->answers, &key);
    }
}

static void draft_cached_free(void *state)
{
    struct draft_cached *owner = state;
    answers_close(owner->answers);
    draft_free(owner->model);
    answers_free(owner->answers);
    free(owner->scope);
    free(owner);
}

struct draft_model *draft_cached_new(
    struct loop *loop, struct draft_model *model, const char *scope, const struct cache_limits *limits)
{
    static const struct draft_driver driver = {
        .start = draft_cached_start, .unfit = draft_cached_unfit, .free = draft_cached_free};
    struct draft_cached *owner = xcalloc(1, sizeof(*owner));
    owner->model = model;
    owner->answers = answers_new(loop, "draft", limits);
    owner->scope = xstrdup(scope);
    prompt_version("draft", prompt_draft, owner->prompt_version);
    return draft_model_new(&driver, owner);
}
