/* The three ticket stages as the worker runs them: a step each, its topic, and the common half around it. */
#include "bus/topics.h"
#include "stages/ticket_step.h"

static void *open_classifier(const struct stage_env *env, struct error *err)
{
    return ticket_stage_open(&classifier_step, env, err);
}

static void *open_retriever(const struct stage_env *env, struct error *err)
{
    return ticket_stage_open(&retriever_step, env, err);
}

static void *open_generator(const struct stage_env *env, struct error *err)
{
    return ticket_stage_open(&generator_step, env, err);
}

static const struct engine_stage classifier_engine = {.name = "classifier",
    .topics = (const char *const[]){TOPIC_SUBMITTED, NULL},
    .process = ticket_stage_process,
    .rejected = ticket_stage_rejected};

static const struct engine_stage retriever_engine = {.name = "retriever",
    .topics = (const char *const[]){TOPIC_CLASSIFIED, NULL},
    .dependencies = (const char *const[]){"db", NULL},
    .process = ticket_stage_process,
    .rejected = ticket_stage_rejected};

static const struct engine_stage generator_engine = {.name = "generator",
    .topics = (const char *const[]){TOPIC_ENRICHED, NULL},
    .dependencies = (const char *const[]){"model", "db", NULL},
    .process = ticket_stage_process,
    .rejected = ticket_stage_rejected};

/* Where a stage's plan may go on, and the answers, which any stage may give. */
const struct stage stage_classifier = {.name = "classifier",
    .step = &classifier_step,
    .engine = &classifier_engine,
    .produces = (const char *const[]){TOPIC_CLASSIFIED, TOPIC_ENRICHED, TOPIC_ANSWERED, TOPIC_REPLIES, NULL},
    .open = open_classifier,
    .close = ticket_stage_close};

const struct stage stage_retriever = {.name = "retriever",
    .needs_db = true,
    .step = &retriever_step,
    .engine = &retriever_engine,
    .produces = (const char *const[]){TOPIC_ENRICHED, TOPIC_ANSWERED, TOPIC_REPLIES, NULL},
    .open = open_retriever,
    .close = ticket_stage_close};

const struct stage stage_generator = {.name = "generator",
    .uses_db = true,
    .step = &generator_step,
    .engine = &generator_engine,
    .produces = (const char *const[]){TOPIC_ANSWERED, TOPIC_REPLIES, NULL},
    .open = open_generator,
    .close = ticket_stage_close};
