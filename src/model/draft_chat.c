/* The drafting model of any provider (model/chat.h). What it says is checked; what it cannot say in time
 * or at all, the offline model says, marked. The alternative draft is the offline model's: it quotes the
 * sources word for word, or hands over to a person. */
#include "model/draft_driver.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/metrics.h"
#include "model/chat.h"
#include "model/draft_answer.h"
#include "model/draft_data.h"
#include "model/phrases.h"
#include "model/prompt.h"

#define LEAST_CALL_MS 500 /* a call with less time is not worth its price */
#define NEXT_ATTEMPT_MS                                                                                      \
    1500 /* beyond the reserve, for another attempt: the engine brings one back that late */
#define CUT "the ticket is long: the model read only a part of it"
#define TONE "friendly" /* unless somebody said another */
#define ONE_MODEL "the stronger model was asked for, this installation has one model"

struct drafting_model {
    struct chat *chat; /* NULL: there is none */
    char *name;        /* where the server gives none */
};

struct chat_draft {
    struct drafting_model usual;
    struct drafting_model strong;
    struct draft_model *offline;
    int64_t timeout_ms;
    int64_t max_output_tokens;
    bool closing;
    struct metric *unusable;
    struct metric *fallbacks;
};

/* One request under way; in its arena, so it goes with the job. */
struct asking {
    struct chat_draft *drafter;
    struct draft_request request;
    draft_done *done;
    void *arg;
    char *data;
    bool strong;            /* it is the stronger model that is asked */
    const char *not_strong; /* NULL, or why it is not, although it is wanted */
    bool cut;
    bool heard; /* the server has answered, whatever it said, or is not needed: the budget is used up */
    const char *wrong; /* NULL, or why the first answer was not usable */
    int64_t input_tokens;
    int64_t output_tokens;
    double cost_usd;
    const struct draft_result *offline;
};

/* ---- what the offline model is there for ---- */

static void on_offline(void *arg, const struct draft_result *result, const struct error *err)
{
    (void)err; /* it knows none */
    struct asking *asking = arg;
    asking->offline = result;
}

static const struct draft_result *ask_offline(struct asking *asking)
{
    struct draft_request request = asking->request;
    request.strong = false; /* what became of that is said here */
    draft_start(asking->drafter->offline, &request, on_offline, asking);
    return asking->offline;
}

static void add_degraded(struct asking *asking, struct draft_result *result, const char *reason)
{
    const char **longer =
        arena_array(asking->request.arena, result->degraded_count + 1, sizeof(*result->degraded));
    if (result->degraded_count > 0) {
        memcpy(longer, result->degraded, result->degraded_count * sizeof(*longer));
    }
    longer[result->degraded_count++] = reason;
    result->degraded = longer;
}

static void finish(struct asking *asking, struct draft_result *result)
{
    if (asking->not_strong) {
        add_degraded(asking, result, asking->not_strong);
    }
    result->input_tokens = asking->input_tokens;
    result->output_tokens = asking->output_tokens;
    result->cost_usd = asking->cost_usd;
    asking->done(asking->arg, result, NULL);
}

/* The offline model's draft in place of the model's. */
static void fall_back(struct asking *asking, const char *because)
{
    struct draft_result *result = ARENA_NEW(asking->request.arena, struct draft_result);
    metric_add(asking->drafter->fallbacks, 1);
    *result = *ask_offline(asking);
    result->unanswered = !asking->heard;
    add_degraded(asking, result, because);
    finish(asking, result);
}

static const char *because_of(struct asking *asking, const char *what, const char *why)
{
    return arena_printf(asking->request.arena, "%s: %s", what, why);
}

/* ---- what the model said ---- */

static const struct drafting_model *model_of(const struct asking *asking)
{
    return asking->strong ? &asking->drafter->strong : &asking->drafter->usual;
}

static const char *tone_of(const struct asking *asking)
{
    return asking->request.tone ? asking->request.tone : TONE;
}

/* The tone is a part of the prompt. */
static const char *version_of(const struct asking *asking)
{
    struct arena *arena = asking->request.arena;
    char *version = arena_alloc(arena, PROMPT_VERSION_SIZE);
    prompt_version("draft", arena_printf(arena, "%s\n%s", prompt_draft, tone_of(asking)), version);
    return version;
}

static void deliver(struct asking *asking, const struct draft_answer *answer, const struct chat_reply *reply)
{
    struct arena *arena = asking->request.arena;
    const struct msg_context *context = asking->request.context;
    double grounds = context ? context->aggregate_confidence : 0; /* no draft is surer than its sources */
    const struct draft_result *offline = ask_offline(asking);
    struct draft_result *result = ARENA_NEW(arena, struct draft_result);
    result->generation = (struct msg_generation){
        .primary_draft = {.text = phrases_unframe(arena, answer->text),
            .citations = answer->citations,
            .citations_count = answer->citation_count,
            .confidence = answer->confidence < grounds ? answer->confidence : grounds},
        .alternative_draft = offline->degraded_count == 0 ? offline->generation.alternative_draft : NULL,
        .suggested_next_steps = answer->steps,
        .suggested_next_steps_count = answer->step_count};
    result->escalated = answer->needs_person;
    result->model = reply->model[0] ? reply->model : model_of(asking)->name;
    result->prompt_version = version_of(asking);
    if (asking->cut) {
        add_degraded(asking, result, CUT);
    }
    finish(asking, result);
}

static void ask_model(struct asking *asking);

/* Once more, and the model is told what was wrong; not a third time. */
static void answered_unusably(struct asking *asking, const char *why)
{
    metric_add(asking->drafter->unusable, 1);
    log_info("a model's answer is not usable", LOG_STR("why", why), LOG_INT("again", asking->wrong == NULL));
    if (asking->wrong) {
        fall_back(asking, because_of(asking, "the model answered unusably", why));
        return;
    }
    asking->wrong = arena_strdup(asking->request.arena, why);
    ask_model(asking);
}

static int64_t time_left(const struct asking *asking)
{
    int64_t deadline = asking->request.deadline_mono_ms;
    return deadline == INT64_MAX ? INT64_MAX : deadline - clock_mono_ms() - DRAFT_RESERVE_MS;
}

/* The usual model in place of the stronger one. */
static void step_down(struct asking *asking, const struct error *err)
{
    asking->strong = false;
    asking->not_strong = because_of(asking, "the stronger model could not be asked", err->text);
    ask_model(asking);
}

/* Weather is the engine's to try again, as long as somebody waits for it. */
static void try_later(struct asking *asking, const struct error *err)
{
    int64_t needed = err->retry_after_ms > NEXT_ATTEMPT_MS ? err->retry_after_ms : NEXT_ATTEMPT_MS;
    bool waits = !asking->wrong && time_left(asking) >= needed;
    if (waits || asking->drafter->closing) {
        asking->done(asking->arg, NULL, err);
    } else if (asking->strong && !asking->wrong) {
        step_down(asking, err);
    } else if (asking->wrong) {
        fall_back(asking, because_of(asking, "the model answered unusably", asking->wrong));
    } else {
        fall_back(asking, because_of(asking, "no time left for the model", err->text));
    }
}

static void on_reply(void *arg, const struct chat_reply *reply, const struct error *err)
{
    struct asking *asking = arg;
    struct draft_answer answer;
    struct error wrong = {0};
    crash_point("model.answered"); /* paid for, not yet committed */
    asking->heard |= !err || err->disposition == ERROR_REJECT;
    asking->input_tokens += reply->input_tokens;
    asking->output_tokens += reply->output_tokens;
    asking->cost_usd += reply->cost_usd;
    if (!err && draft_answer_read(asking->request.arena, reply->content, reply->content_len,
                    asking->request.context, &answer, &wrong)) {
        deliver(asking, &answer, reply);
    } else if (!err) {
        answered_unusably(asking, wrong.text);
    } else if (err->disposition == ERROR_RETRY) {
        try_later(asking, err);
    } else if (asking->strong &&
               (err->disposition == ERROR_FATAL || strcmp(err->code, "budget_used_up") == 0)) {
        step_down(asking, err);
    } else if (err->disposition == ERROR_FATAL) {
        fall_back(asking, because_of(asking, "the model cannot be used", err->text));
    } else if (strcmp(err->code, "model_unusable") == 0) {
        answered_unusably(asking, err->text);
    } else if (strcmp(err->code, "budget_used_up") == 0) {
        fall_back(asking, arena_strdup(asking->request.arena, err->text));
    } else {
        fall_back(asking, because_of(asking, "the model does not take the request", err->text));
    }
}

/* ---- asking ---- */

static const char *user_prompt(struct asking *asking)
{
    struct arena *arena = asking->request.arena;
    const struct prompt_slot reason = {"reason", asking->wrong};
    const struct prompt_slot slots[] = {{"data", asking->data},
        {"again", asking->wrong ? prompt_render(arena, prompt_draft, "again", &reason, 1) : ""}};
    return prompt_render(arena, prompt_draft, "user", slots, 2);
}

static void ask_model(struct asking *asking)
{
    struct chat_draft *drafter = asking->drafter;
    struct arena *arena = asking->request.arena;
    int64_t left = time_left(asking);
    if (left < LEAST_CALL_MS) {
        fall_back(asking, asking->wrong ? because_of(asking, "the model answered unusably", asking->wrong)
                                        : "no time left for the model");
        return;
    }
    const struct prompt_slot tone = {"tone", tone_of(asking)};
    const struct chat_request request = {.arena = arena,
        .system = prompt_render(arena, prompt_draft, "system", &tone, 1),
        .user = user_prompt(asking),
        .schema_name = "draft",
        .schema = prompt_render(arena, prompt_draft, "schema", NULL, 0),
        .tenant = asking->request.tenant,
        .stage = "generator",
        .max_output_tokens = drafter->max_output_tokens,
        .timeout_ms = left < drafter->timeout_ms ? left : drafter->timeout_ms};
    chat_start(model_of(asking)->chat, &request, on_reply, asking);
    crash_point("model.asked");
}

static void chat_draft_start(void *state, const struct draft_request *request, draft_done *done, void *arg)
{
    struct asking *asking = ARENA_NEW(request->arena, struct asking);
    *asking = (struct asking){.drafter = state, .request = *request, .done = done, .arg = arg};
    asking->strong = request->strong && asking->drafter->strong.chat;
    asking->not_strong = request->strong && !asking->strong ? ONE_MODEL : NULL;
    asking->data = draft_data(request->arena, request, &asking->cut);
    ask_model(asking);
}

static void chat_draft_free(void *state)
{
    struct chat_draft *drafter = state;
    drafter->closing = true;
    chat_free(drafter->usual.chat);
    chat_free(drafter->strong.chat);
    draft_free(drafter->offline);
    free(drafter->usual.name);
    free(drafter->strong.name);
    free(drafter);
}

struct draft_model *draft_chat_new(struct loop *loop, const struct chat_options *options,
    const struct chat_options *strong, int64_t timeout_ms, struct error *err)
{
    static const struct draft_driver driver = {.start = chat_draft_start, .free = chat_draft_free};
    struct chat *usual = chat_new(loop, options, err);
    struct chat *stronger = usual && strong ? chat_new(loop, strong, err) : NULL;
    if (!usual || (strong && !stronger)) {
        chat_free(usual);
        return NULL;
    }
    struct chat_draft *drafter = xcalloc(1, sizeof(*drafter));
    drafter->usual = (struct drafting_model){usual, xstrdup(options->model)};
    drafter->strong = (struct drafting_model){stronger, xstrdup(strong ? strong->model : NULL)};
    drafter->offline = draft_offline_new();
    drafter->timeout_ms = timeout_ms;
    drafter->max_output_tokens = options->max_output_tokens;
    drafter->unusable = metrics_counter(
        "helpdesk_model_unusable_total", "Answers of models that could not be used as a draft", NULL);
    drafter->fallbacks = metrics_counter(
        "helpdesk_model_fallbacks_total", "Drafts by the offline model in place of the model's", NULL);
    return draft_model_new(&driver, drafter);
}
