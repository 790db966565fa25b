/* The engine's turns: starts what may start, seals what is finished, opens and closes the intake. */
#include <stdio.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/health.h"
#include "base/log.h"
#include "engine/internal.h"

static void show_gauges(struct engine *engine)
{
    size_t window = 0;
    size_t held = 0;
    size_t waiting = 0;
    size_t keys = 0;
    const struct engine_partition *partition;
    LIST_FOREACH(partition, &engine->partitions, link)
    {
        window += partition->window.count;
        held += partition->held;
    }
    metric_set(engine->metric.in_flight, (double)engine->running);
    metric_set(engine->metric.buffered, (double)engine->buffered);
    metric_set(engine->metric.bytes, (double)engine->bytes);
    for (size_t i = 0; i < engine->topic_count; i++) {
        waiting += order_waiting(engine->orders[i]);
        keys += order_keys(engine->orders[i]);
    }
    metric_set(engine->metric.waiting, (double)waiting);
    metric_set(engine->metric.keys, (double)keys);
    metric_set(engine->metric.window, (double)window);
    metric_set(engine->metric.held, (double)held);
}

static void take_turn(void *arg)
{
    struct engine *engine = arg;
    engine->turn_armed = false;
    gate_start(engine);
    commit_seal(engine);
    drain_step(engine);
    intake_update(engine);
    show_gauges(engine);
}

void engine_kick(struct engine *engine)
{
    if (engine->turn_armed) {
        return;
    }
    engine->turn_armed = true;
    loop_timer_arm(engine->turn, 0);
}

void engine_stop(struct engine *engine, const struct error *err)
{
    if (engine->stopped) {
        return;
    }
    engine->stopped = true;
    const char *text = err ? err->text : "a job failed without saying why";
    log_error("the stage cannot go on", LOG_STR("stage", engine->stage->name),
        LOG_STR("code", err ? err->code : ""), LOG_STR("text", text));
    health_set("engine", false, text);
    loop_stop(engine->loop, 1);
}

static void consumer_fatal(void *arg, const struct error *err)
{
    engine_stop(arg, err);
}

/* ---- lifecycle ---- */

static void make_metrics(struct engine *engine)
{
    char labels[96];
    snprintf(labels, sizeof(labels), "stage=\"%s\"", engine->stage->name);
    engine->metric.in_flight = metrics_gauge("helpdesk_engine_in_flight", "Jobs that run", labels);
    engine->metric.buffered =
        metrics_gauge("helpdesk_engine_buffered", "Jobs not done, running or waiting", labels);
    engine->metric.bytes =
        metrics_gauge("helpdesk_engine_bytes", "Bytes of records and outputs held", labels);
    engine->metric.waiting =
        metrics_gauge("helpdesk_engine_waiting", "Jobs that wait for an earlier one of their key", labels);
    engine->metric.keys = metrics_gauge("helpdesk_engine_keys", "Keys with a job", labels);
    engine->metric.window =
        metrics_gauge("helpdesk_engine_window", "Records taken and not yet committed", labels);
    engine->metric.held = metrics_gauge(
        "helpdesk_engine_held", "Records whose dead letter cannot be written at present", labels);
    engine->metric.seconds =
        metrics_histogram("helpdesk_engine_job_seconds", "From start to end of a job", labels);
    engine->metric.retries = metrics_counter("helpdesk_engine_retries_total", "Further attempts", labels);
    engine->metric.dead = metrics_counter("helpdesk_engine_dead_letters_total", "Dead letters", labels);
    engine->metric.skipped = metrics_counter(
        "helpdesk_engine_repeats_avoided_total", "Records read again that the map says are done", labels);
    engine->metric.dropped = metrics_counter("helpdesk_engine_dropped_total",
        "Jobs given up because their partition left or the worker stopped", labels);
    engine->metric.crashed = metrics_counter(
        "helpdesk_engine_crashed_total", "Records given up because they killed the process", labels);
    engine->metric.oversized = metrics_counter(
        "helpdesk_engine_oversized_total", "Jobs with an output larger than its topic takes", labels);
    for (int action = ACTION_COMMIT; action <= ACTION_STOP; action++) {
        snprintf(labels, sizeof(labels), "stage=\"%s\",outcome=\"%s\"", engine->stage->name,
            outcome_action_name((enum outcome_action)action));
        engine->metric.jobs[action] =
            metrics_counter("helpdesk_engine_jobs_total", "Attempts by what came of them", labels);
    }
}

static void read_settings(struct engine *engine, const struct conf *conf)
{
    engine->max_running = (size_t)conf_int(conf, CONF_ENGINE_IN_FLIGHT);
    engine->max_bytes = (size_t)conf_int(conf, CONF_ENGINE_BYTES);
    engine->retry.retries = conf_int(conf, CONF_ENGINE_RETRIES);
    engine->retry.base_ms = conf_int(conf, CONF_ENGINE_RETRY_BASE);
    engine->retry.cap_ms = conf_int(conf, CONF_ENGINE_RETRY_CAP);
    engine->revoke_bound_ms = bus_revoke_bound_ms(conf);
    engine->drain_timeout_ms = conf_int(conf, CONF_ENGINE_DRAIN_TIMEOUT);
    engine->clock_skew_ms = conf_int(conf, CONF_STAGE_CLOCK_SKEW);
}

static void open_journal(struct engine *engine, const struct conf *conf)
{
    struct error err = {0};
    if (!conf_is_set(conf, CONF_RUN_DIR)) {
        return;
    }
    engine->journal = journal_open(conf_text(conf, CONF_RUN_DIR), engine->stage->name, &err);
    if (!engine->journal) {
        log_warn("no journal: a record that kills the process will be run again", LOG_STR("code", err.code),
            LOG_STR("text", err.text));
    }
    engine->journal_stale = engine->journal != NULL;
}

static bool open_bus(struct engine *engine, const struct conf *conf, struct error *err)
{
    static const struct bus_consumer_events events = {
        .assigned = intake_assigned,
        .revoked = drain_revoked,
        .record = intake_record,
        .fatal = consumer_fatal,
    };
    const struct bus_subscription subscription = {.group = engine->stage->name,
        .topics = engine->stage->topics,
        .topic_count = engine->topic_count,
        .gather_ms = engine->stage->gather_ms};
    engine->consumer = bus_consumer_new(engine->loop, conf, &subscription, &events, engine, err);
    if (!engine->consumer) {
        return false;
    }
    engine->committer =
        bus_committer_new(engine->loop, conf, engine->consumer, bus_delivery_setting(conf), err);
    return engine->committer != NULL;
}

struct engine *engine_new(struct loop *loop, const struct conf *conf, const struct engine_stage *stage,
    void *stage_state, struct error *err)
{
    struct engine *engine = xcalloc(1, sizeof(*engine));
    engine->loop = loop;
    engine->stage = stage;
    engine->stage_state = stage_state;
    while (stage->topics[engine->topic_count]) {
        engine->topic_count++;
    }
    engine->orders = xcalloc(engine->topic_count, sizeof(*engine->orders));
    for (size_t i = 0; i < engine->topic_count; i++) {
        engine->orders[i] = order_new();
    }
    LIST_INIT(&engine->partitions);
    TAILQ_INIT(&engine->finished);
    TAILQ_INIT(&engine->sealed);
    engine->turn = loop_timer_new(loop, take_turn, engine);
    engine->revoke_timer = loop_timer_new(loop, drain_revoke_overdue, engine);
    engine->drain_timer = loop_timer_new(loop, drain_timed_out, engine);
    gate_init(engine, conf_int(conf, CONF_ENGINE_BREAKER_AFTER));
    read_settings(engine, conf);
    open_journal(engine, conf);
    make_metrics(engine);
    if (!open_bus(engine, conf, err)) {
        engine_free(engine);
        return NULL;
    }
    return engine;
}

void engine_free_last(struct engine *engine)
{
    if (engine->running > 0) {
        return;
    }
    for (size_t i = 0; i < engine->topic_count; i++) {
        order_free(engine->orders[i]);
    }
    free(engine->orders);
    free(engine);
}

static void free_jobs(struct engine *engine)
{
    struct engine_partition *partition;
    while ((partition = LIST_FIRST(&engine->partitions)) != NULL) {
        drain_lose(engine, partition);
    }
    struct engine_job *job;
    while ((job = TAILQ_FIRST(&engine->sealed)) != NULL) {
        TAILQ_REMOVE(&engine->sealed, job, link);
        job_free(job);
    }
}

void engine_free(struct engine *engine)
{
    if (!engine) {
        return;
    }
    bus_committer_free(engine->committer); /* first: it borrows the outputs */
    free_jobs(engine);
    bus_consumer_free(engine->consumer);
    loop_timer_free(engine->turn);
    loop_timer_free(engine->revoke_timer);
    loop_timer_free(engine->drain_timer);
    gate_fini(engine);
    journal_close(engine->journal);
    engine->freed = true;
    engine_free_last(engine); /* or the last job that still runs does it */
}
