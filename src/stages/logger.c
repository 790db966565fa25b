/* The logger: every step of every ticket, answers, feedback and failures go to PostgreSQL, and leave it when
 * their time is over. */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "bus/topics.h"
#include "stages/logger_batch.h"
#include "stages/stage.h"

#define PATIENCE 5 /* further attempts at feedback to an unknown ticket */
/* Of the records of one ticket most are written by one statement a table, and the stages that work on it need
 * not share the processor with the log of what they did. */
#define GATHER_MS 50
#define MAINTENANCE_MS ((int64_t)10 * 60 * 1000)
#define MAINTENANCE_SOON_MS 1000 /* there is more to delete */
#define MAINTENANCE_ROWS "20000" /* deleted at once */

struct logger {
    struct stage_env env;
    struct voices *voices;
    struct logger_batch *batch;
    struct loop_timer *maintenance;
    int64_t patience; /* attempts after which feedback to an unknown ticket is stored all the same */
    bool maintaining;
    bool closed;
};

/* A job's row, in the job's arena. */
struct logged {
    struct logger_item item;
    struct engine_job *job;
};

static void on_finished(struct logger_item *item, const struct error *err)
{
    struct logged *logged = item->owner;
    engine_finish(logged->job, err == NULL ? ENGINE_DONE : ENGINE_FAILED, err);
}

static void process(struct engine_job *job, void *stage)
{
    struct logger *logger = stage;
    struct arena *arena = engine_arena(job);
    struct logged *logged = ARENA_NEW(arena, struct logged);
    struct error err;
    bool skip = false;
    if (!logger_row_make(arena, engine_record(job), &logged->item.row, &skip, &err)) {
        engine_finish(job, ENGINE_FAILED, &err);
        return;
    }
    if (skip) {
        engine_finish(job, ENGINE_SKIP, NULL);
        return;
    }
    logged->job = job;
    logged->item.patient = engine_attempt(job) <= logger->patience;
    logged->item.finished = on_finished;
    logged->item.owner = logged;
    logger_batch_add(logger->batch, &logged->item);
}

static void close_logger(void *state)
{
    struct logger *logger = state;
    logger->closed = true;
    if (logger->batch != NULL) {
        logger_batch_free(logger->batch);
        logger->batch = NULL;
    }
    voices_free(logger->voices);
    logger->voices = NULL;
    loop_timer_free(logger->maintenance);
    logger->maintenance = NULL;
    if (!logger->maintaining) {
        free(logger);
    }
}

static void on_maintained(void *arg, const struct db_result *result, const struct error *err)
{
    struct logger *logger = arg;
    logger->maintaining = false;
    if (logger->closed) {
        free(logger);
        return;
    }
    bool more = false;
    if (err != NULL) {
        log_warn("retention did not run", LOG_STR("code", err->code), LOG_STR("error", err->text));
    } else if (db_value(result, 0, 0) != NULL) { /* NULL: another logger is at it */
        more = db_bool(result, 0, 1);
        if (db_int(result, 0, 0) > 0) {
            log_info("retention deleted rows", LOG_INT("most_of_a_table", db_int(result, 0, 0)));
        }
    }
    loop_timer_arm(logger->maintenance, more ? MAINTENANCE_SOON_MS : MAINTENANCE_MS);
}

static void maintain(void *arg)
{
    struct logger *logger = arg;
    char keep_log[32], keep_tickets[32];
    (void)snprintf(
        keep_log, sizeof(keep_log), "%lld", (long long)conf_int(logger->env.conf, CONF_LOGGER_RETENTION));
    (void)snprintf(keep_tickets, sizeof(keep_tickets), "%lld",
        (long long)conf_int(logger->env.conf, CONF_LOGGER_TICKET_RETENTION));
    struct db_query query = {
        .sql = "SELECT n, n >= $3::int FROM retention_maintain($1::bigint * interval '1 ms', "
               "$2::bigint * interval '1 ms', $3::int) AS n",
        .param_count = 3,
        .params = {keep_log, keep_tickets, MAINTENANCE_ROWS}};
    logger->maintaining = true;
    db_query(logger->env.db, &query, on_maintained, logger);
}

static void *open_logger(const struct stage_env *env, struct error *err)
{
    struct voices *voices = voices_load(conf_text(env->conf, CONF_GENERATOR_VOICES), err);
    if (voices == NULL) {
        return NULL;
    }
    struct logger *logger = xcalloc(1, sizeof(*logger));
    logger->env = *env;
    logger->voices = voices;
    int64_t retries = conf_int(env->conf, CONF_ENGINE_RETRIES);
    logger->patience = retries < PATIENCE ? retries : PATIENCE;
    logger->batch = logger_batch_new(env->loop, env->db, voices);
    logger->maintenance = loop_timer_new(env->loop, maintain, logger);
    loop_timer_arm(logger->maintenance, 0);
    return logger;
}

/* Not its own dead letters: what could not be logged once would come back for ever. */
static const char *const topics[] = {TOPIC_SUBMITTED, TOPIC_CLASSIFIED, TOPIC_ENRICHED, TOPIC_ANSWERED,
    TOPIC_REPLIES, TOPIC_FEEDBACK, "classifier.dead", "retriever.dead", "generator.dead", "kb-sync.dead",
    NULL};

static const struct engine_stage engine = {
    .name = "logger", .topics = topics, .gather_ms = GATHER_MS, .process = process};

const struct stage stage_logger = {.name = "logger",
    .needs_db = true,
    .engine = &engine,
    .produces = (const char *const[]){NULL},
    .open = open_logger,
    .close = close_logger};
