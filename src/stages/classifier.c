/* The classify step: asks the model for category, priority, department and sentiment. */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "model/chat.h"
#include "model/classify_local.h"
#include "stages/sharing.h"
#include "stages/spending.h"

#define POLICY_SIZE 4096

struct classifier {
    struct classify_model *model;
    struct budget *budget; /* or NULL */
    double hint_override;
};

static bool classifier_spends(const struct conf *conf)
{
    return conf_text(conf, CONF_MODEL_CLASSIFY)[0] != '\0' && spending_wanted(conf);
}

/* The local model; with model.classify behind it the one that is asked when it is not sure. */
static struct classify_model *open_model(
    const struct stage_env *env, struct budget **budget, struct error *err)
{
    const struct conf *conf = env->conf;
    const char *path = conf_text(conf, CONF_CLASSIFIER_TAXONOMY);
    struct taxonomy *taxonomy = taxonomy_load(path, err);
    if (taxonomy == NULL) {
        return NULL;
    }
    struct classify_model *local = classify_local_new(taxonomy, conf_text(conf, CONF_CLASSIFIER_MODEL), err);
    if (local == NULL || conf_text(conf, CONF_MODEL_CLASSIFY)[0] == '\0') {
        return local;
    }
    struct taxonomy *again = taxonomy_load(path, err);
    if (again == NULL) {
        classify_free(local);
        return NULL;
    }
    struct chat_options chat = chat_options_of(conf);
    chat.model = conf_text(conf, CONF_MODEL_CLASSIFY);
    chat.setting = conf_name(CONF_MODEL_CLASSIFY);
    if (!spending_open(env, &chat, NULL, err)) {
        classify_free(local);
        taxonomy_free(again);
        return NULL;
    }
    *budget = chat.budget;
    const struct classify_chat_options options = {.chat = &chat,
        .ask_below = conf_text(conf, CONF_CLASSIFIER_ASK_BELOW),
        .timeout_ms = conf_int(conf, CONF_MODEL_TIMEOUT)};
    char policy[POLICY_SIZE];
    snprintf(policy, sizeof policy, "%s %s", again->version, options.ask_below);
    struct classify_model *model = classify_chat_new(env->loop, &options, local, again, err);
    return sharing_classifications(env, model, &chat, policy);
}

static void *classifier_open(const struct stage_env *env, struct error *err)
{
    struct budget *budget = NULL;
    struct classify_model *model = open_model(env, &budget, err);
    if (model == NULL) {
        budget_free(budget);
        return NULL;
    }
    struct classifier *classifier = xcalloc(1, sizeof *classifier);
    classifier->model = model;
    classifier->budget = budget;
    classifier->hint_override = conf_number(env->conf, CONF_CLASSIFIER_HINT_OVERRIDE);
    return classifier;
}

static void classifier_close(void *state)
{
    struct classifier *classifier = state;
    classify_free(classifier->model);
    budget_free(classifier->budget);
    free(classifier);
}

struct asked {
    struct ticket_job *job;
    const struct classifier *classifier;
    struct classify_request request;
};

/* The caller's hint wins unless the model is surer than the setting. */
static enum msg_priority choose_priority(const struct asked *asked, const struct classify_result *result)
{
    const struct msg_ticket *ticket = &asked->job->event->ticket;
    bool overrule = !ticket->has_priority || result->priority_confidence > asked->classifier->hint_override;
    return overrule ? result->classification.priority : ticket->priority;
}

static void classifier_answered(void *arg, const struct classify_result *result, const struct error *err)
{
    struct asked *asked = arg;
    struct ticket_job *job = asked->job;
    if (err != NULL) {
        ticket_job_fail(job, err);
        return;
    }
    struct msg_classification *classification = ARENA_NEW(job->arena, struct msg_classification);
    *classification = result->classification;
    classification->priority = choose_priority(asked, result);
    if (job->event->ticket.has_priority && classification->priority == job->event->ticket.priority &&
        result->classification.priority != job->event->ticket.priority) {
        classification->reasoning_snippet = arena_printf(job->arena, "%s; priority %s as the caller hinted",
            result->classification.reasoning_snippet, msg_priority_name(classification->priority));
    }
    job->event->classification = classification;
    job->trace->model = result->model;
    job->trace->prompt_version = result->prompt_version;
    job->trace->policy_version = result->policy_version;
    job->trace->input_tokens = result->input_tokens;
    job->trace->output_tokens = result->output_tokens;
    job->trace->cost_usd = result->cost_usd;
    job->trace->cache_hit = result->cache_hit;
    for (size_t i = 0; i < result->degraded_count; i++) {
        ticket_job_degraded(job, result->degraded[i]);
    }
    ticket_job_done(job);
}

static void classifier_process(struct ticket_job *job, void *state)
{
    struct asked *asked = ARENA_NEW(job->arena, struct asked);
    *asked = (struct asked){.job = job, .classifier = state};
    asked->request = (struct classify_request){.arena = job->arena,
        .tenant = job->event->tenant,
        .ticket = &job->event->ticket,
        .deadline_mono_ms = job->deadline_mono_ms};
    struct classifier *classifier = state;
    classify_start(classifier->model, &asked->request, classifier_answered, asked);
}

const struct ticket_step classifier_step = {.name = "classifier",
    .step = MSG_STEP_CLASSIFY,
    .spends = classifier_spends,
    .open = classifier_open,
    .close = classifier_close,
    .process = classifier_process};
