/* The generate step: asks the model for drafts, has them judged, and decides whether they may go out. */
#include "stages/generator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/log.h"
#include "base/metrics.h"
#include "model/chat.h"
#include "model/language.h"
#include "model/phrases.h"
#include "stages/draft_ready.h"
#include "stages/next_steps.h"
#include "stages/recheck.h"
#include "stages/retriever_items.h"
#include "stages/sharing.h"
#include "stages/spending.h"

#define POLICY_VERSION_SIZE 128

struct generator {
    struct draft_model *model;
    struct budget *budget;   /* or NULL */
    struct recheck *recheck; /* or NULL */
    struct guard *guard;
    struct voices *voices;
    char policy_version[POLICY_VERSION_SIZE];
    struct generator_policy policy;
    struct loop *loop; /* NULL: everything runs inside the call */
    struct metric *fallbacks;
};

struct asked {
    struct ticket_job *job;
    const struct generator *generator;
    const struct msg_ticket *question; /* without orders to the model */
    struct msg_context *quotable;      /* what drafts may say */
    struct draft_request request;
    const struct draft_result *result;
    struct voice_frame frame;
    size_t injections; /* sentences of the context that give orders to the model */
    struct recheck_known known;
    bool lost; /* sources are no more: said so */
    /* As they were before the first draft: */
    enum msg_state state;
    size_t degraded_count;
};

static void put_policy_version(const struct voices *voices, char out[POLICY_VERSION_SIZE])
{
    const char *version = voices_version(voices);
    snprintf(out, POLICY_VERSION_SIZE, "%s%s%s", GUARD_VERSION, version[0] != 0 ? " " : "", version);
}

void *generator_new(struct draft_model *model, struct guard *guard, struct voices *voices,
    const struct generator_policy *policy, struct loop *loop, struct db *db)
{
    struct generator *generator = xcalloc(1, sizeof *generator);
    *generator =
        (struct generator){.model = model, .guard = guard, .voices = voices, .policy = *policy, .loop = loop};
    put_policy_version(voices, generator->policy_version);
    generator->recheck = db != NULL ? recheck_new(loop, db) : NULL;
    generator->fallbacks = metrics_counter(
        "helpdesk_guard_fallbacks_total", "Answers replaced because they could not be judged", NULL);
    return generator;
}

/* The budget, if any, is behind all models; it is freed after them. */
static struct draft_model *open_model(const struct stage_env *env, const struct strong_for *rule,
    const char *policy_version, struct budget **budget, struct error *err)
{
    const struct conf *conf = env->conf;
    struct chat_options options = chat_options_of(conf), strong = chat_strong_options_of(conf);
    if (rule->any && !(chat_wanted(&strong) && strong.model[0])) {
        error_set(err, ERROR_FATAL, "setting_missing",
            "generator.strong-for needs a stronger model: set model.draft-strong, and the server that has "
            "it");
        return NULL;
    }
    if (!chat_drafts(conf)) {
        return draft_offline_new();
    }
    const struct chat_options *stronger = strong.model[0] ? &strong : NULL;
    if (!spending_open(env, &options, stronger, err)) {
        return NULL;
    }
    strong.budget = *budget = options.budget;
    struct draft_model *model =
        draft_chat_new(env->loop, &options, stronger, conf_int(conf, CONF_MODEL_TIMEOUT), err);
    return sharing_drafts(env, model, &options, stronger, policy_version);
}

static void *generator_open(const struct stage_env *env, struct error *err)
{
    struct generator_policy policy = {
        .ready_confidence = conf_number(env->conf, CONF_GENERATOR_READY_CONFIDENCE),
        .escalate_below = conf_number(env->conf, CONF_GENERATOR_ESCALATE_BELOW)};
    if (!strong_for_parse(conf_text(env->conf, CONF_GENERATOR_STRONG_FOR), &policy.strong_for, err)) {
        return NULL;
    }
    struct budget *budget = NULL;
    struct voices *voices = voices_load(conf_text(env->conf, CONF_GENERATOR_VOICES), err);
    struct draft_model *model = NULL;
    if (voices != NULL) {
        char version[POLICY_VERSION_SIZE];
        put_policy_version(voices, version);
        model = open_model(env, &policy.strong_for, version, &budget, err);
    }
    if (model == NULL) {
        budget_free(budget);
        voices_free(voices);
        return NULL;
    }
    struct generator *generator = generator_new(
        model, guard_new(conf_text(env->conf, CONF_GUARD_OFF_BRAND)), voices, &policy, env->loop, env->db);
    generator->budget = budget;
    if (env->db == NULL && !env->unbudgeted) {
        log_warn("no database is set: a draft may cite what is deleted after it was found");
    }
    return generator;
}

static void generator_close(void *state)
{
    struct generator *generator = state;
    recheck_close(generator->recheck);
    draft_free(generator->model);
    budget_free(generator->budget);
    guard_free(generator->guard);
    voices_free(generator->voices);
    free(generator);
}

/* ---- the answer ---- */

/* The customer's name, or NULL when it is not known or no name to greet by. */
static const char *greeting_name(const struct asked *asked)
{
    const struct msg_context *context = asked->job->event->context;
    const char *name = context != NULL && context->customer != NULL ? context->customer->name : NULL;
    return name != NULL && voice_name_fits(name) && guard_name_fits(asked->generator->guard, name) ? name
                                                                                                   : NULL;
}

static struct voice_frame frame_for(const struct asked *asked, const char *language, const char *name)
{
    const struct msg_ticket_event *event = asked->job->event;
    return voices_frame(asked->job->arena, asked->generator->voices, event->tenant,
        language != NULL ? language : event->ticket.locale, name);
}

/* The operator's words around those that were judged; what was found in these has moved. */
static void put_frame(const struct asked *asked, const struct voice_frame *frame, struct msg_draft *draft)
{
    size_t len = strlen(draft->text);
    while (len > 0 && draft->text[len - 1] == '\n') {
        len--;
    }
    int32_t moved = (int32_t)(strlen(frame->greeting) + strlen("\n\n"));
    draft->text = arena_printf(
        asked->job->arena, "%s\n\n%.*s\n\n%s\n", frame->greeting, (int)len, draft->text, frame->signature);
    for (size_t i = 0; i < draft->flag_details_count; i++) {
        struct msg_flag_detail *detail = &draft->flag_details[i];
        if (strncmp(detail->rule, "ticket.", strlen("ticket.")) != 0) {
            detail->start += moved;
            detail->end += moved;
        }
    }
}

/* A template that says nothing of the matter, for when the drafts could not be judged. */
static struct msg_draft safe_draft(const struct asked *asked)
{
    const struct phrases *phrases = phrases_for(asked->job->event->ticket.locale);
    const struct voice_frame frame = frame_for(asked, phrases->language, NULL);
    struct msg_draft draft = {.text = arena_printf(asked->job->arena, "%s\n\n%s %s", phrases->thanks,
                                  phrases->handover, phrases->rest)};
    put_frame(asked, &frame, &draft);
    return draft;
}

static void put_fallback(const struct asked *asked, const struct error *err)
{
    struct ticket_job *job = asked->job;
    struct msg_generation *generation = ARENA_NEW(job->arena, struct msg_generation);
    log_warn("a draft could not be judged: the safe template is used",
        LOG_STR("correlation_id", job->event->correlation_id), LOG_STR("code", err->code));
    metric_add(asked->generator->fallbacks, 1);
    generation->primary_draft = safe_draft(asked);
    generation->primary_draft.not_ready_because = arena_array(job->arena, 1, sizeof(char *));
    generation->primary_draft.not_ready_because[0] = "the guardrails failed: a person must write the answer";
    generation->primary_draft.not_ready_because_count = 1;
    generation->suggested_next_steps = arena_array(job->arena, 1, sizeof(char *));
    generation->suggested_next_steps[0] = "Write the answer yourself: the drafts could not be checked";
    generation->suggested_next_steps_count = 1;
    generation->guardrail_triggered = true;
    job->event->generation = generation;
    job->event->state = MSG_STATE_FALLBACK_GUARDRAIL_FAILURE;
}

static bool judge(const struct asked *asked, const struct guard_case *judged, bool escalated,
    struct msg_draft *draft, struct error *err)
{
    if (!guard_check(judged, draft, err)) {
        return false;
    }
    draft_ready_judge(asked->job, escalated, asked->generator->policy.ready_confidence, draft);
    put_frame(asked, &asked->frame, draft);
    return true;
}

static bool is_low(const struct asked *asked)
{
    const struct msg_context *context = asked->job->event->context;
    return context == NULL || context->aggregate_confidence < asked->generator->policy.escalate_below;
}

static void put_judged(
    const struct asked *asked, const struct guard_case *judged, const struct draft_result *result)
{
    struct ticket_job *job = asked->job;
    struct msg_generation *generation = ARENA_NEW(job->arena, struct msg_generation);
    struct error err = {0};
    *generation = result->generation;
    bool low = is_low(asked);
    if (!judge(asked, judged, result->escalated, &generation->primary_draft, &err)) {
        put_fallback(asked, &err);
        return;
    }
    struct msg_draft *alternative = generation->alternative_draft;
    if (alternative != NULL && !judge(asked, judged, result->escalated || low, alternative, &err)) {
        generation->alternative_draft = NULL;
        ticket_job_degraded(job, "the alternative draft could not be judged and was left out");
    }
    generation->guardrail_triggered = guard_triggered(&generation->primary_draft);
    next_steps_put(job, asked->injections > 0, generation);
    job->event->generation = generation;
    if (result->escalated || low) {
        job->event->state = MSG_STATE_ESCALATED_LOW_CONFIDENCE;
    }
}

static void put_generation(const struct asked *asked, const struct draft_result *result)
{
    const struct guard_input input = {.ticket = &asked->job->event->ticket,
        .context = asked->quotable,
        .low_context = asked->generator->policy.escalate_below};
    struct guard_case *judged = guard_case_new(asked->generator->guard, asked->job->arena, &input);
    put_judged(asked, judged, result);
    guard_case_free(judged);
}

/* ---- the way of a job: guards read every word of ticket, sources and drafts, which is work for the pool
 * ---- */

static void run_in_pool(struct asked *asked, loop_fn *work, loop_fn *done)
{
    if (asked->generator->loop != NULL) {
        loop_offload(asked->generator->loop, work, done, asked);
    } else {
        work(asked);
        done(asked);
    }
}

static void clean(struct asked *asked);

/* Everything but what has been spent is as before the first draft. */
static void say_lost(struct asked *asked)
{
    struct ticket_job *job = asked->job;
    job->event->state = asked->state;
    job->event->generation = NULL;
    job->trace->degraded_count = asked->degraded_count;
    if (!asked->lost) {
        asked->lost = true;
        ticket_job_degraded(
            job, "sources were changed or deleted after they had been found: they are left out");
        asked->degraded_count = job->trace->degraded_count;
    }
}

static void judge_work(void *arg)
{
    struct asked *asked = arg;
    asked->frame = frame_for(asked, asked->result->language, greeting_name(asked));
    if (asked->frame.foreign) {
        ticket_job_degraded(asked->job,
            arena_printf(asked->job->arena, "no %s greeting and signature: those of the draft are in English",
                language_name(asked->job->event->ticket.locale)));
    }
    put_generation(asked, asked->result);
}

/* Whether the guard found anything in the drafts, or in the ticket. */
static bool guard_touched(const struct asked *asked)
{
    const struct msg_generation *generation = asked->job->event->generation;
    const struct msg_draft *alternative = generation->alternative_draft;
    bool lost = alternative == NULL && asked->result->generation.alternative_draft != NULL;
    return generation->guardrail_triggered || lost || (alternative != NULL && guard_triggered(alternative));
}

/* What was drafted of sources that are no more is drafted anew, of the others. There are fewer each time. */
static void on_checked_again(void *arg, enum recheck_found found)
{
    struct asked *asked = arg;
    struct ticket_job *job = asked->job;
    if (found == RECHECK_LOST) {
        draft_unfit(asked->generator->model, &asked->request);
        say_lost(asked);
        clean(asked);
        return;
    }
    if (found == RECHECK_UNKNOWN) {
        struct msg_generation *generation = job->event->generation;
        ticket_job_degraded(job, "database unavailable: whether the sources are still there is not known");
        draft_ready_deny(&generation->primary_draft);
        if (generation->alternative_draft != NULL) {
            draft_ready_deny(generation->alternative_draft);
        }
    }
    ticket_job_done(job);
}

static void judge_done(void *arg)
{
    struct asked *asked = arg;
    if (guard_touched(asked)) {
        draft_unfit(asked->generator->model, &asked->request);
    }
    if (asked->job->event->state == MSG_STATE_FALLBACK_GUARDRAIL_FAILURE) {
        ticket_job_done(asked->job); /* the template says nothing of them */
    } else {
        recheck_sources(asked->generator->recheck, asked->job, &asked->known, on_checked_again, asked);
    }
}

static void generator_answered(void *arg, const struct draft_result *result, const struct error *err)
{
    struct asked *asked = arg;
    struct ticket_job *job = asked->job;
    if (err != NULL) {
        ticket_job_fail(job, err);
        return;
    }
    asked->result = result;
    job->trace->model = result->model;
    job->trace->prompt_version = result->prompt_version;
    job->trace->policy_version = asked->generator->policy_version;
    job->trace->input_tokens += result->input_tokens; /* to those of a draft that was given up */
    job->trace->output_tokens += result->output_tokens;
    job->trace->cost_usd += result->cost_usd;
    job->trace->cache_hit = result->cache_hit;
    job->trace->cache_semantic = result->semantic;
    job->event->question_vector = NULL; /* it has done its work */
    job->without = result->unanswered;
    for (size_t i = 0; i < result->degraded_count; i++) {
        ticket_job_degraded(job, result->degraded[i]);
    }
    run_in_pool(asked, judge_work, judge_done);
}

/* Leaves orders out that the ticket is not about: a draft could only tell what nobody asked. What callers
 * bring has scores of their own. */
static void keep_relevant(struct msg_context *context)
{
    size_t kept = 0;
    for (size_t i = 0; i < context->items_count; i++) {
        const struct msg_context_item *item = &context->items[i];
        if (item->type != MSG_ITEM_TYPE_ORDER || item->score > ORDER_NOT_ABOUT) {
            context->items[kept++] = *item;
        }
    }
    context->items_count = kept;
}

/* What the model gets: nothing that is known of the customer, so that a draft without an order may serve all
 * who ask the same. */
static const struct msg_context *without_customer(struct arena *arena, const struct msg_context *context)
{
    if (context == NULL) {
        return NULL;
    }
    struct msg_context *made = ARENA_NEW(arena, struct msg_context);
    *made = *context;
    made->customer = NULL;
    return made;
}

static void clean_work(void *arg)
{
    struct asked *asked = arg;
    struct ticket_job *job = asked->job;
    const struct guard *guard = asked->generator->guard;
    asked->quotable = guard_quotable(guard, job->arena, job->event->context, &asked->injections);
    if (asked->quotable != NULL && !job->event->caller_context) {
        keep_relevant(asked->quotable);
    }
    asked->question = guard_question(guard, job->arena, &job->event->ticket);
}

static void clean_done(void *arg)
{
    struct asked *asked = arg;
    struct ticket_job *job = asked->job;
    asked->request = (struct draft_request){.arena = job->arena,
        .tenant = job->event->tenant,
        .ticket = asked->question,
        .classification = job->event->classification,
        .context = without_customer(job->arena, asked->quotable),
        .tone = voices_tone(asked->generator->voices, job->event->tenant),
        .personal = job->event->caller_context,
        .kb_revision = recheck_found_at(job->event).revision,
        .vector = job->event->question_vector,
        .strong = job->event->use_sonnet || strong_for_fits(&asked->generator->policy.strong_for, job->event),
        .escalate_below = asked->generator->policy.escalate_below,
        .deadline_mono_ms = job->deadline_mono_ms};
    draft_start(asked->generator->model, &asked->request, generator_answered, asked);
}

static void clean(struct asked *asked)
{
    run_in_pool(asked, clean_work, clean_done);
}

/* The database does not answer: the check after the draft says so. */
static void on_checked(void *arg, enum recheck_found found)
{
    struct asked *asked = arg;
    if (found == RECHECK_LOST) {
        say_lost(asked);
    }
    clean(asked);
}

static void generator_process(struct ticket_job *job, void *state)
{
    struct asked *asked = ARENA_NEW(job->arena, struct asked);
    *asked = (struct asked){.job = job,
        .generator = state,
        .known = recheck_found_at(job->event),
        .state = job->event->state,
        .degraded_count = job->trace->degraded_count};
    recheck_sources(asked->generator->recheck, job, &asked->known, on_checked, asked);
}

const struct ticket_step generator_step = {.name = "generator",
    .step = MSG_STEP_GENERATE,
    .spends = chat_drafts,
    .open = generator_open,
    .close = generator_close,
    .process = generator_process};
