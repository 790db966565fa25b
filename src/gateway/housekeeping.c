/* What the gateway does from time to time: service levels, old idempotency keys, the embedded broker's
 * unfinished runs. */
#include <stdio.h>

#include "base/clock.h"
#include "base/health.h"
#include "base/log.h"
#include "gateway/internal.h"

#define TICK_MS 200
#define REFRESH_MS 60000
#define HELD_MAX 500       /* runs asked for in one query */
#define HELD_FOR_MS 600000 /* as long as replies are kept: then nobody can tell any more */

/* ---- service levels and keys ---- */

static void sla_read(void *arg, const struct db_result *result, const struct error *err)
{
    struct gateway *gateway = arg;
    if (err != NULL || db_rows(result) == 0) {
        return; /* the rules in force stay */
    }
    sla_defaults(&gateway->sla);
    for (int row = 0; row < db_rows(result); row++) {
        sla_set(&gateway->sla, db_value(result, row, 0), db_value(result, row, 1),
            (int32_t)db_int(result, row, 2), (int32_t)db_int(result, row, 3));
    }
}

static void keys_deleted(void *arg, const struct db_result *result, const struct error *err)
{
    (void)arg;
    if (err == NULL && db_affected(result) > 0) {
        log_debug("old idempotency keys deleted", LOG_INT("count", db_affected(result)));
    }
}

static void refresh(struct gateway *gateway)
{
    struct db_query rules = {
        .sql = "SELECT priority, tier, response_minutes, resolution_minutes FROM sla_rules "
               "WHERE tenant = $1 AND response_minutes > 0",
        .param_count = 1,
        .params = {gateway->tenant},
    };
    gateway_query(gateway, &rules, sla_read, gateway);
    char kept[32];
    snprintf(kept, sizeof kept, "%lld ms", (long long)conf_int(gateway->conf, CONF_GATEWAY_IDEMPOTENCY_FOR));
    struct db_query keys = {
        .sql = "DELETE FROM idempotency_keys WHERE tenant = $2 AND created_at < now() - $1::interval",
        .param_count = 2,
        .params = {kept, gateway->tenant},
    };
    gateway_query(gateway, &keys, keys_deleted, gateway);
}

/* ---- the embedded broker ---- */

static void held_read(void *arg, const struct db_result *result, const struct error *err)
{
    struct gateway *gateway = arg;
    gateway->asking_held = false;
    for (int row = 0; err == NULL && row < db_rows(result); row++) {
        waits_finished(gateway->waits, db_value(result, row, 0));
    }
}

/* Runs whose client has its answer, but which are still on their way: asks the log which of them are done. */
static void ask_held(struct gateway *gateway)
{
    const char *ids[HELD_MAX];
    size_t count = waits_held(gateway->waits, HELD_FOR_MS, ids, HELD_MAX);
    if (count == 0 || gateway->asking_held) {
        return;
    }
    struct arena *arena = arena_new(0);
    struct db_query query = {
        .sql = "SELECT correlation_id FROM runs WHERE tenant = $1 AND correlation_id = ANY ($2::text[]) AND "
               "finished_at IS NOT NULL",
        .param_count = 2,
        .params = {gateway->tenant, db_text_array(arena, ids, count)},
    };
    gateway->asking_held = true;
    gateway_query(gateway, &query, held_read, gateway);
    arena_free(arena);
}

/* What the embedded broker had is gone with it: nobody waits for what cannot come. */
static void watch_broker(struct gateway *gateway)
{
    if (!health_ok("broker") && waits_runs(gateway->waits) > 0) {
        struct error err = {0};
        error_set(&err, ERROR_RETRY, "broker_lost", "the embedded broker was lost, and its tickets with it");
        log_warn("embedded broker lost", LOG_INT("runs", waits_runs(gateway->waits)));
        waits_fail_all(gateway->waits, &err);
    }
}

void gateway_tick(void *arg)
{
    struct gateway *gateway = arg;
    int64_t now = clock_mono_ms();
    if (gateway->embedded) {
        watch_broker(gateway);
        ask_held(gateway);
    }
    if (db_up(gateway->db) && (gateway->refreshed_ms == 0 || now - gateway->refreshed_ms >= REFRESH_MS)) {
        gateway->refreshed_ms = now;
        refresh(gateway);
    }
    metric_set(gateway->metrics.waiting, (double)waits_waiters(gateway->waits));
    loop_timer_arm(gateway->tick, TICK_MS);
}
