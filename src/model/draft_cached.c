/* Drafts for all who ask the same. */
#include "model/draft_driver.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "model/alike.h"
#include "model/alike_text.h"
#include "model/answer_key.h"
#include "model/answers.h"
#include "model/prompt.h"

#define COMPARED_MAX 50  /* texts for one question: the newest of those whose vectors are near */
#define DROPPED_MAX 1000 /* texts, when a draft turns out to be unfit */

struct draft_cached {
    struct draft_model *model;
    struct answers *answers;
    char *scope;
    char prompt_version[PROMPT_VERSION_SIZE];
    struct alike *alike; /* NULL: drafts are of the same words only */
    struct metric *alike_hits, *alike_misses, *alike_bytes;
};

/* One request under way; in its arena. */
struct asking {
    struct draft_cached *owner;
    struct draft_request request;
    draft_done *done;
    void *arg;
    struct answers_ask ask;
    bool comparable; /* `question` is set */
    struct alike_question question;
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

/* What answers of the same and of other words have in common. */
static void put_common(
    struct answer_key *key, const struct draft_cached *owner, const struct draft_request *request)
{
    answer_key_put(key, owner->scope);
    answer_key_put(key, owner->prompt_version);
    answer_key_put(key, request->tenant);
    answer_key_put(key, request->tone);
    answer_key_put_int(key, request->strong);
    put_classification(key, request->classification);
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
    put_common(&key, owner, request);
    answer_key_put(&key, customer);
    answer_key_put_ticket(&key, request->ticket);
    put_context(&key, request);
    return answer_key_end(&key, out);
}

/* ---- what means the same ---- */

/* The best passage of the knowledge base; NULL: none was found. */
static const char *best_passage(const struct msg_context *context)
{
    for (size_t i = 0; i < context->items_count; i++) {
        if (context->items[i].type == MSG_ITEM_TYPE_KB) {
            return context->items[i].source_id;
        }
    }
    return NULL;
}

/* All but the words, and the passages from the second on. */
static bool group_of(
    const struct draft_cached *owner, const struct draft_request *request, struct cache_key *out)
{
    const struct msg_context *context = request->context;
    struct answer_key key;
    answer_key_begin(&key);
    put_common(&key, owner, request);
    answer_key_put(&key, request->ticket->channel);
    answer_key_put(&key, request->ticket->locale);
    answer_key_put(&key, request->vector->model);
    answer_key_put_int(&key, request->kb_revision);
    answer_key_put_int(&key, context->aggregate_confidence < request->escalate_below);
    answer_key_put(&key, best_passage(context));
    for (size_t i = 0; i < context->items_count; i++) { /* a service level is of the customer's tier */
        if (context->items[i].type != MSG_ITEM_TYPE_KB) {
            answer_key_put(&key, context->items[i].source_id);
            answer_key_put(&key, context->items[i].excerpt);
        }
    }
    return answer_key_end(&key, out);
}

/* False: it is compared with no other. */
static bool question_of(
    const struct draft_cached *owner, const struct draft_request *request, struct alike_question *out)
{
    if (!owner->alike || !request->vector || request->kb_revision <= 0 || !request->context ||
        !best_passage(request->context) || is_personal(request)) {
        return false;
    }
    const char *text = alike_text(request->arena, request->ticket);
    *out = (struct alike_question){.text = text, .locale = request->ticket->locale};
    return text && vector_from_hex(request->arena, request->vector->codes, &out->vector) &&
           group_of(owner, request, &out->group);
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

static bool cites_only(const struct msg_draft *draft, const struct msg_context *context)
{
    for (size_t i = 0; i < draft->citations_count; i++) {
        size_t item = 0;
        while (
            item < context->items_count && strcmp(draft->citations[i], context->items[item].source_id) != 0) {
            item++;
        }
        if (item == context->items_count) {
            return false;
        }
    }
    return true;
}

static bool draft_serves(
    const struct msg_draft *draft, const struct draft_request *request, const char *theirs, const char *ours)
{
    return cites_only(draft, request->context) && !alike_repeats(draft->text, theirs, ours, request->context);
}

/* Whether a draft for `theirs` may serve who asked `ours`. */
static bool serves(const struct draft_result *kept, const struct draft_request *request, const char *theirs,
    const char *ours)
{
    const struct msg_draft *primary = &kept->generation.primary_draft;
    const struct msg_draft *alternative = kept->generation.alternative_draft;
    return !kept->escalated && primary->citations_count > 0 && draft_serves(primary, request, theirs, ours) &&
           (!alternative || draft_serves(alternative, request, theirs, ours));
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
static void deliver(struct asking *asking, const struct draft_result *kept, bool semantic)
{
    const struct msg_context *context = asking->request.context;
    double grounds = context ? context->aggregate_confidence : 0;
    struct draft_result *result = copy(asking->request.arena, kept);
    result->cache_hit = true;
    result->semantic = semantic;
    if (semantic) { /* they are about the other's ticket */
        result->generation.suggested_next_steps_count = 0;
    }
    bound(&result->generation.primary_draft, grounds);
    bound(result->generation.alternative_draft, grounds);
    asking->done(asking->arg, result, NULL);
}

/* ---- asking ---- */

static void remember(const struct asking *asking)
{
    const struct draft_cached *owner = asking->owner;
    alike_put(owner->alike, &asking->question, &asking->ask.key, clock_mono_ms());
    metric_set(owner->alike_bytes, (double)alike_bytes(owner->alike));
}

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
    if (kept && asking->comparable && !result->escalated) {
        remember(asking);
    }
    asking->done(asking->arg, result, err);
}

/* The draft of a question that means the same; NULL: there is none that serves. */
static const struct draft_result *find_alike(const struct asking *asking)
{
    struct draft_cached *owner = asking->owner;
    const struct alike_question *question = &asking->question;
    size_t texts = COMPARED_MAX;
    struct alike_entry *next, *entry = alike_next(owner->alike, question, NULL, clock_mono_ms(), &texts);
    for (; entry; entry = next) {
        const struct draft_result *kept = answers_peek(owner->answers, alike_answer(entry));
        if (kept && serves(kept, &asking->request, alike_asked(entry), question->text)) {
            return kept;
        }
        next = alike_next(owner->alike, question, entry, clock_mono_ms(), &texts);
        if (!kept) {
            alike_drop(owner->alike, entry);
        }
    }
    return NULL;
}

/* What is not kept: a draft that serves all the same, else the model's. */
static void work(struct asking *asking)
{
    struct draft_cached *owner = asking->owner;
    const struct draft_result *kept = asking->comparable ? find_alike(asking) : NULL;
    if (kept) {
        metric_add(owner->alike_hits, 1);
        answers_end(owner->answers, &asking->ask, NULL, NULL);
        deliver(asking, kept, true);
        return;
    }
    if (asking->comparable) {
        metric_add(owner->alike_misses, 1);
    }
    answers_missed(owner->answers);
    draft_start(asking->owner->model, &asking->request, on_result, asking);
}

static void on_shared(void *arg, const void *value)
{
    struct asking *asking = arg;
    struct error err;
    if (value) {
        deliver(asking, value, false);
    } else if (answers_closed(asking->owner->answers, &err)) {
        asking->done(asking->arg, NULL, &err);
    } else {
        work(asking);
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
    asking->comparable = question_of(owner, request, &asking->question);
    switch (answers_ask(owner->answers, &asking->ask)) {
    case ANSWERS_KEPT:
        deliver(asking, asking->ask.value, false);
        break;
    case ANSWERS_FIRST:
        work(asking);
        break;
    case ANSWERS_JOINED:
        break;
    }
}

static void draft_cached_unfit(void *state, const struct draft_request *request)
{
    const struct draft_cached *owner = state;
    struct cache_key key;
    struct alike_question question;
    if (key_of(owner, request, &key)) {
        answers_drop(owner->answers, &key);
    }
    if (question_of(owner, request, &question)) { /* whatever it came from */
        size_t texts = DROPPED_MAX;
        struct alike_entry *next, *entry = alike_next(owner->alike, &question, NULL, clock_mono_ms(), &texts);
        for (; entry; entry = next) { /* the next one first: dropping frees it */
            next = alike_next(owner->alike, &question, entry, clock_mono_ms(), &texts);
            alike_drop(owner->alike, entry);
        }
    }
}

static void draft_cached_free(void *state)
{
    struct draft_cached *owner = state;
    answers_close(owner->answers);
    draft_free(owner->model);
    answers_free(owner->answers);
    alike_free(owner->alike);
    free(owner->scope);
    free(owner);
}

static void compare(struct draft_cached *owner, const struct cache_limits *limits, double similarity)
{
    static const char labels[] = "cache=\"draft-semantic\"";
    owner->alike = alike_new(limits, similarity);
    owner->alike_hits =
        metrics_counter("helpdesk_cache_hits_total", "Answers given that had been kept", labels);
    owner->alike_misses =
        metrics_counter("helpdesk_cache_misses_total", "Answers asked for that were not kept", labels);
    owner->alike_bytes = metrics_gauge("helpdesk_cache_bytes", "Size of the kept answers", labels);
}

struct draft_model *draft_cached_new(struct loop *loop, struct draft_model *model, const char *scope,
    const struct cache_limits *limits, double similarity)
{
    static const struct draft_driver driver = {
        .start = draft_cached_start, .unfit = draft_cached_unfit, .free = draft_cached_free};
    struct draft_cached *owner = xcalloc(1, sizeof(*owner));
    owner->model = model;
    owner->answers = answers_new(loop, "draft", limits);
    owner->scope = xstrdup(scope);
    prompt_version("draft", prompt_draft, owner->prompt_version);
    if (similarity > 0) {
        compare(owner, limits, similarity);
    }
    return draft_model_new(&driver, owner);
}
