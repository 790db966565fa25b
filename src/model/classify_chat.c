/* The classifier that asks a language model about what a local one is not sure of. What the language model
 * cannot say, the local one's opinion stands for, marked: unlike a draft, a classification is never waited
 * for, so a model that is away holds up no ticket. */
#include "model/classify_driver.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "model/ask_below.h"
#include "model/chat.h"
#include "model/classify_answer.h"
#include "model/draft_data.h"
#include "model/prompt.h"

#define LEAST_CALL_MS 300 /* a call with less time is not worth its price */
#define MAX_CALLS 2
#define OUTPUT_SHARE 4 /* a classification is short: this part of what a draft may take */
#define LIST_MAX (1024 * 1024)
#define CUT "the ticket is long: the model read only a part of it"

struct classify_chat {
    struct chat *chat;
    struct classify_model *local;
    struct taxonomy *taxonomy;
    struct ask_below below;
    struct arena *arena; /* of the two texts */
    const char *system;
    const char *schema;
    char *model; /* its name where the server gives none */
    int64_t timeout_ms;
    int64_t max_output_tokens;
    bool closing;
    struct metric *asked, *confident, *unusable, *fallbacks;
    char prompt_version[PROMPT_VERSION_SIZE];
};

/* One request under way; in its arena. */
struct asking {
    struct classify_chat *owner;
    struct classify_request request;
    classify_done *done;
    void *arg;
    struct classify_result local;
    char *data;
    bool cut;
    int calls;
    const char *wrong; /* NULL, or why the last answer was not usable */
    int64_t input_tokens;
    int64_t output_tokens;
    double cost_usd;
};

/* ---- the end of a request ---- */

static void finish(struct asking *asking, struct classify_result *result, const char *degraded)
{
    if (degraded) {
        const char **longer = arena_array(asking->request.arena, result->degraded_count + 1, sizeof(*longer));
        for (size_t i = 0; i < result->degraded_count; i++) {
            longer[i] = result->degraded[i];
        }
        longer[result->degraded_count++] = degraded;
        result->degraded = longer;
    }
    result->input_tokens = asking->input_tokens;
    result->output_tokens = asking->output_tokens;
    result->cost_usd = asking->cost_usd;
    asking->done(asking->arg, result, NULL);
}

/* The local opinion in place of the model's. */
static void fall_back(struct asking *asking, const char *what, const char *why)
{
    metric_add(asking->owner->fallbacks, 1);
    finish(asking, &asking->local,
        arena_printf(asking->request.arena, "%s%s%s: the local classifier's unsure opinion stands", what,
            why[0] ? ": " : "", why));
}

static void deliver(
    struct asking *asking, const struct classify_answer *answer, const struct chat_reply *reply)
{
    struct arena *arena = asking->request.arena;
    struct classify_result result = {
        .classification = {.category = arena_strdup(arena, answer->category->name),
            .department = arena_strdup(arena, answer->category->department),
            .priority = answer->priority,
            .sentiment = answer->sentiment,
            .confidence = answer->confidence,
            .reasoning_snippet = answer->reason},
        .priority_confidence = answer->priority_confidence,
        .model = reply->model[0] ? reply->model : asking->owner->model,
        .prompt_version = asking->owner->prompt_version,
        .policy_version = asking->owner->taxonomy->version};
    finish(asking, &result, asking->cut ? CUT : NULL);
}

/* ---- asking ---- */

static void ask_model(struct asking *asking);

static void ask_again(struct asking *asking, const char *what, const char *why)
{
    if (asking->calls < MAX_CALLS) {
        ask_model(asking);
    } else {
        fall_back(asking, what, why);
    }
}

/* Once more, and the model is told what was wrong; not a third time. */
static void answered_unusably(struct asking *asking, const char *why)
{
    metric_add(asking->owner->unusable, 1);
    log_info("a model's classification is not usable", LOG_STR("why", why),
        LOG_INT("again", asking->calls < MAX_CALLS));
    asking->wrong = arena_strdup(asking->request.arena, why);
    ask_again(asking, "the model answered unusably", asking->wrong);
}

static bool is_outage(const struct error *err)
{
    return strcmp(err->code, "model_unavailable") == 0 || strcmp(err->code, "db_unavailable") == 0;
}

static void on_failure(struct asking *asking, const struct error *err)
{
    if (err->disposition == ERROR_RETRY && asking->owner->closing) {
        asking->done(asking->arg, NULL, err);
    } else if (err->disposition == ERROR_REJECT && strcmp(err->code, "model_unusable") == 0) {
        answered_unusably(asking, err->text);
    } else if (err->disposition == ERROR_RETRY && !is_outage(err)) {
        ask_again(asking, "the model did not answer", err->text);
    } else if (strcmp(err->code, "budget_used_up") == 0) {
        fall_back(asking, err->text, "");
    } else {
        fall_back(asking, "the model cannot be used", err->text);
    }
}

static void on_reply(void *arg, const struct chat_reply *reply, const struct error *err)
{
    struct asking *asking = arg;
    struct classify_answer answer;
    struct error wrong = {0};
    asking->input_tokens += reply->input_tokens;
    asking->output_tokens += reply->output_tokens;
    asking->cost_usd += reply->cost_usd;
    if (err) {
        on_failure(asking, err);
    } else if (classify_answer_read(asking->request.arena, reply->content, reply->content_len,
                   asking->owner->taxonomy, &answer, &wrong)) {
        deliver(asking, &answer, reply);
    } else {
        answered_unusably(asking, wrong.text);
    }
}

static const char *user_prompt(const struct asking *asking)
{
    struct arena *arena = asking->request.arena;
    const struct prompt_slot reason = {"reason", asking->wrong};
    const struct prompt_slot slots[] = {{"data", asking->data},
        {"again", asking->wrong ? prompt_render(arena, prompt_classify, "again", &reason, 1) : ""}};
    return prompt_render(arena, prompt_classify, "user", slots, 2);
}

static void ask_model(struct asking *asking)
{
    struct classify_chat *owner = asking->owner;
    int64_t deadline = asking->request.deadline_mono_ms;
    int64_t left = deadline == INT64_MAX ? INT64_MAX : deadline - clock_mono_ms() - CLASSIFY_RESERVE_MS;
    if (left < LEAST_CALL_MS) {
        fall_back(asking, "no time left for the model", asking->wrong ? asking->wrong : "");
        return;
    }
    const struct chat_request request = {.arena = asking->request.arena,
        .system = owner->system,
        .user = user_prompt(asking),
        .schema_name = "classification",
        .schema = owner->schema,
        .tenant = asking->request.tenant,
        .stage = "classifier",
        .max_output_tokens = owner->max_output_tokens,
        .timeout_ms = left < owner->timeout_ms ? left : owner->timeout_ms};
    asking->calls++;
    chat_start(owner->chat, &request, on_reply, asking);
}

static void on_local(void *arg, const struct classify_result *result, const struct error *err)
{
    struct asking *asking = arg;
    struct classify_chat *owner = asking->owner;
    if (err || result->classification.confidence >=
                   ask_below_of(&owner->below, owner->taxonomy, result->classification.category)) {
        metric_add(owner->confident, err ? 0 : 1);
        asking->done(asking->arg, result, err);
        return;
    }
    const struct draft_request wanted = {.arena = asking->request.arena, .ticket = asking->request.ticket};
    metric_add(owner->asked, 1);
    asking->local = *result;
    asking->input_tokens = result->input_tokens;
    asking->output_tokens = result->output_tokens;
    asking->cost_usd = result->cost_usd;
    asking->data = draft_data(asking->request.arena, &wanted, &asking->cut);
    ask_model(asking);
}

static void classify_chat_start(
    void *state, const struct classify_request *request, classify_done *done, void *arg)
{
    struct classify_chat *owner = state;
    struct asking *asking = ARENA_NEW(request->arena, struct asking);
    *asking = (struct asking){.owner = owner, .request = *request, .done = done, .arg = arg};
    classify_start(owner->local, &asking->request, on_local, asking);
}

/* ---- making it ---- */

static void classify_chat_free(void *state)
{
    struct classify_chat *owner = state;
    owner->closing = true;
    chat_free(owner->chat);
    classify_free(owner->local);
    taxonomy_free(owner->taxonomy);
    arena_free(owner->arena);
    free(owner->model);
    free(owner);
}

/* The categories as the prompt lists them, and as the schema does. */
static void make_texts(struct classify_chat *owner)
{
    struct buf list, names;
    buf_init(&list, LIST_MAX);
    buf_init(&names, LIST_MAX);
    for (size_t i = 0; i < owner->taxonomy->category_count; i++) {
        const struct taxonomy_category *category = &owner->taxonomy->categories[i];
        const char *description = category->description ? category->description : "";
        buf_printf(
            &list, "%s- %s%s%s", i > 0 ? "\n" : "", category->name, description[0] ? ": " : "", description);
        buf_putc(&names, i > 0 ? ',' : '[');
        json_put_string(&names, category->name);
    }
    buf_putc(&names, ']');
    const struct prompt_slot listed = {"categories", buf_text(&list)};
    const struct prompt_slot named = {"categories", buf_text(&names)};
    owner->system = prompt_render(owner->arena, prompt_classify, "system", &listed, 1);
    owner->schema = prompt_render(owner->arena, prompt_classify, "schema", &named, 1);
    buf_fini(&list);
    buf_fini(&names);
}

static struct metric *counter(const char *name, const char *help)
{
    return metrics_counter(name, help, NULL);
}

struct classify_model *classify_chat_new(struct loop *loop, const struct classify_chat_options *options,
    struct classify_model *local, struct taxonomy *taxonomy, struct error *err)
{
    static const struct classify_driver driver = {.start = classify_chat_start, .free = classify_chat_free};
    struct ask_below below;
    struct chat *chat = ask_below_parse(options->ask_below, taxonomy, &below, err)
                            ? chat_new(loop, options->chat, err)
                            : NULL;
    if (!chat) {
        classify_free(local);
        taxonomy_free(taxonomy);
        return NULL;
    }
    struct classify_chat *owner = xcalloc(1, sizeof(*owner));
    *owner = (struct classify_chat){.chat = chat,
        .local = local,
        .taxonomy = taxonomy,
        .below = below,
        .arena = arena_new(0),
        .model = xstrdup(options->chat->model),
        .timeout_ms = options->timeout_ms,
        .max_output_tokens = options->chat->max_output_tokens / OUTPUT_SHARE};
    owner->asked = counter("helpdesk_classify_asked_total", "Tickets about which a language model was asked");
    owner->confident =
        counter("helpdesk_classify_local_total", "Tickets that the local classifier was sure of");
    owner->unusable = counter(
        "helpdesk_classify_unusable_total", "Answers of models that could not be used as a classification");
    owner->fallbacks =
        counter("helpdesk_classify_fallbacks_total", "Unsure local classifications in place of the model's");
    prompt_version("classify", prompt_classify, owner->prompt_version);
    make_texts(owner);
    return classify_model_new(&driver, owner);
}
