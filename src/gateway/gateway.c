/* The gateway's parts put together: listener, producer, reader of replies, table of waits; start, drain, end.
 */
#include "gateway/gateway.h"

#include <string.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "bus/topics.h"
#include "gateway/hash.h"
#include "gateway/internal.h"
#include "msg/codec.h"
#include "stages/ticket_check.h"

#define TICK_MS 200
#define DRAIN_LOOK_MS 20

const char *const gateway_topics[GATEWAY_TOPICS + 1] = {
    TOPIC_SUBMITTED, TOPIC_CLASSIFIED, TOPIC_ENRICHED, TOPIC_FEEDBACK, TOPIC_KB_NOTIFICATIONS, NULL};

static void run_closed(void *arg, size_t bytes)
{
    gateway_release(arg, bytes);
}

static void find_metrics(struct gateway_metrics *metrics)
{
    metrics->waiting = metrics_gauge("helpdesk_gateway_waiting", "Requests waiting for an answer", NULL);
    metrics->unfinished_bytes =
        metrics_gauge("helpdesk_gateway_unfinished_bytes", "Bytes that admission counts as under way", NULL);
    const char *help = "Records acknowledged by the broker";
    metrics->published_tickets = metrics_counter("helpdesk_gateway_published_total", help, "kind=\"ticket\"");
    metrics->published_questions =
        metrics_counter("helpdesk_gateway_published_total", help, "kind=\"question\"");
    help = "Replies read, by whether this gateway knew the run";
    metrics->replies_matched = metrics_counter("helpdesk_gateway_replies_total", help, "run=\"known\"");
    metrics->replies_unknown = metrics_counter("helpdesk_gateway_replies_total", help, "run=\"unknown\"");
    metrics->processing =
        metrics_counter("helpdesk_gateway_processing_total", "Answers 202: the wait ran out", NULL);
    metrics->joined =
        metrics_counter("helpdesk_gateway_joined_total", "Requests that joined an existing run", NULL);
    metrics->refused =
        metrics_counter("helpdesk_gateway_refused_total", "Tickets refused by admission", NULL);
}

/* The partition to listen on: the same one after a restart when the instance has a name. */
static int32_t choose_partition(const struct conf *conf)
{
    int64_t partitions = conf_int(conf, CONF_KAFKA_PARTITIONS);
    int64_t wanted = conf_int(conf, CONF_GATEWAY_REPLIES_PARTITION);
    if (wanted < 0) {
        char random_id[UUID_TEXT_SIZE];
        const char *instance = conf_text(conf, CONF_INSTANCE);
        uuid_v7(random_id);
        wanted = (int64_t)hash_fnv(instance[0] != '\0' ? instance : random_id);
    }
    return (int32_t)(wanted % partitions);
}

/* What no single setting can say of itself. */
static bool check_settings(const struct conf *conf, struct error *err)
{
    if (!ticket_tenant_valid(conf_text(conf, CONF_TENANT))) {
        return error_set(err, ERROR_FATAL, "setting_invalid",
            "%s must be 1 to 64 bytes without '/' and control characters", conf_name(CONF_TENANT));
    }
    int64_t body = conf_int(conf, CONF_GATEWAY_MAX_BODY);
    int64_t record = bus_topic_find(TOPIC_SUBMITTED)->max_bytes;
    if (body * 4 <= record) {
        return true;
    }
    return error_set(err, ERROR_FATAL, "setting_conflict",
        "%s is %lld bytes; it must be at most a quarter of what topic %s takes (%lld bytes)",
        conf_name(CONF_GATEWAY_MAX_BODY), (long long)body, TOPIC_SUBMITTED, (long long)record);
}

static bool open_parts(struct gateway *gateway, struct error *err)
{
    struct loop *loop = gateway->loop;
    const struct conf *conf = gateway->conf;
    gateway->producer = bus_producer_new(loop, conf, gateway_topics, GATEWAY_TOPICS, err);
    if (gateway->producer == NULL) {
        return false;
    }
    gateway->reader =
        bus_reader_new(loop, conf, TOPIC_REPLIES, gateway->replies_partition, gateway_reply, gateway, err);
    if (gateway->reader == NULL) {
        return false;
    }
    struct http_server_options options = {
        .name = "gateway",
        .host = conf_text(conf, CONF_GATEWAY_HOST),
        .port = (int)conf_int(conf, CONF_GATEWAY_PORT),
        .max_body = (size_t)conf_int(conf, CONF_GATEWAY_MAX_BODY),
        .max_arriving = (size_t)conf_int(conf, CONF_GATEWAY_MAX_WAITING_BYTES),
        .read_deadline_ms = conf_int(conf, CONF_GATEWAY_READ_DEADLINE),
        .routes = gateway_routes,
        .arg = gateway,
    };
    gateway->http = http_server_new(loop, &options, err);
    return gateway->http != NULL;
}

struct gateway *gateway_new(struct loop *loop, const struct conf *conf, struct db *db, struct error *err)
{
    if (!check_settings(conf, err)) {
        return NULL;
    }
    struct gateway *gateway = xcalloc(1, sizeof *gateway);
    gateway->loop = loop;
    gateway->conf = conf;
    gateway->db = db;
    gateway->tenant = conf_text(conf, CONF_TENANT);
    gateway->embedded = conf_bool(conf, CONF_KAFKA_EMBEDDED);
    gateway->replies_partition = choose_partition(conf);
    gateway->waits = waits_new(loop, run_closed, gateway);
    gateway->calls = http_calls_new(loop);
    gateway->customers = customer_cache_new(
        (size_t)conf_int(conf, CONF_GATEWAY_CUSTOMER_CACHE), conf_int(conf, CONF_GATEWAY_CUSTOMER_CACHE_FOR));
    sla_defaults(&gateway->sla);
    find_metrics(&gateway->metrics);
    if (!open_parts(gateway, err)) {
        gateway_free(gateway);
        return NULL;
    }
    gateway->tick = loop_timer_new(loop, gateway_tick, gateway);
    loop_timer_arm(gateway->tick, TICK_MS);
    log_info("listening", LOG_STR("host", conf_text(conf, CONF_GATEWAY_HOST)),
        LOG_INT("port", gateway_port(gateway)), LOG_INT("replies_partition", gateway->replies_partition),
        LOG_STR("durability", gateway->embedded ? "none" : "broker"));
    return gateway;
}

int gateway_port(const struct gateway *gateway)
{
    return http_server_port(gateway->http);
}

/* ---- the end ---- */

static void drain_look(void *arg)
{
    struct gateway *gateway = arg;
    if (http_server_open(gateway->http) == 0 && gateway->pending == 0) {
        log_info("drained", LOG_INT("runs", waits_runs(gateway->waits)));
        gateway->drained(gateway->drained_arg);
        return;
    }
    if (clock_mono_ms() >= gateway->drain_by_ms) {
        struct error err = {0};
        error_set(&err, ERROR_RETRY, "stopping", "the gateway stops");
        if (gateway->embedded) {
            waits_fail_all(gateway->waits, &err);
        } else {
            waits_expire_all(gateway->waits, &err);
        }
    }
    loop_timer_arm(gateway->drain, DRAIN_LOOK_MS);
}

void gateway_drain(struct gateway *gateway, void (*done)(void *arg), void *arg)
{
    gateway->drained = done;
    gateway->drained_arg = arg;
    gateway->drain_by_ms = clock_mono_ms() + conf_int(gateway->conf, CONF_GATEWAY_DRAIN_TIMEOUT);
    loop_timer_cancel(gateway->tick);
    http_server_drain(gateway->http);
    gateway->drain = loop_timer_new(gateway->loop, drain_look, gateway);
    loop_timer_arm(gateway->drain, 0);
}

void gateway_free(struct gateway *gateway)
{
    if (gateway == NULL) {
        return;
    }
    loop_timer_free(gateway->tick);
    loop_timer_free(gateway->drain);
    gateway_forget_replies(gateway);
    http_calls_free(gateway->calls);
    if (gateway->http != NULL) {
        http_server_free(gateway->http);
    }
    if (gateway->reader != NULL) {
        bus_reader_free(gateway->reader);
    }
    if (gateway->producer != NULL) {
        bus_producer_free(gateway->producer);
    }
    waits_free(gateway->waits);
    customer_cache_free(gateway->customers);
    free(gateway);
}
