/* A librdkafka handle on the loop: woken by its queues, ticking, its broker's health watched. */
#include <stdio.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/health.h"
#include "base/log.h"
#include "bus/kafka.h"

#define TICK_MS 250
#define PROBE_TIMEOUT_MS 1000
#define PROBE_PAUSE_MS 250

/* Asks for the cluster's description until it comes. It also warms up every topic the handle knows: the first
 * record for a topic otherwise waits up to a second for its leader. */
struct probe {
    struct background_call call;
    struct kafka_client *client;
    rd_kafka_t *kafka;
    bool answered;
    bool again; /* the brokers went down while it was under way: what it says may be older than that */
};

static void client_tick(void *arg)
{
    struct kafka_client *client = arg;
    loop_timer_arm(client->tick, client->tick_ms);
    client->serve(client->arg);
}

bool kafka_client_init(struct kafka_client *client, struct loop *loop, rd_kafka_type_t type,
    rd_kafka_conf_t *kconf, loop_fn *serve, void *arg, struct error *err)
{
    client->kafka = kafka_new(type, kconf, err);
    if (!client->kafka) {
        return false;
    }
    client->serve = serve;
    client->arg = arg;
    client->tick_ms = TICK_MS;
    wake_init(&client->wake, loop, serve, arg);
    client->tick = loop_timer_new(loop, client_tick, client);
    loop_timer_arm(client->tick, client->tick_ms);
    if (type == RD_KAFKA_CONSUMER) {
        rd_kafka_poll_set_consumer(client->kafka);
        client->queue = rd_kafka_queue_get_consumer(client->kafka);
    } else {
        client->queue = rd_kafka_queue_get_main(client->kafka);
    }
    client->background = background_new(loop);
    kafka_client_watch(client, client->queue);
    return true;
}

void kafka_client_watch(struct kafka_client *client, rd_kafka_queue_t *queue)
{
    const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(queue, client->wake.fd, &one, sizeof(one));
}

void kafka_client_unwatch(rd_kafka_queue_t *queue)
{
    rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
}

void kafka_client_set_tick(struct kafka_client *client, int64_t tick_ms)
{
    client->tick_ms = tick_ms;
    loop_timer_arm(client->tick, tick_ms);
}

static void probe_work(struct background_call *call)
{
    struct probe *probe = (struct probe *)call;
    while (!probe->answered && !background_stopping(call->background)) {
        const struct rd_kafka_metadata *metadata = NULL;
        rd_kafka_resp_err_t code = rd_kafka_metadata(probe->kafka, 0, NULL, &metadata, PROBE_TIMEOUT_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
            probe->answered = true;
        } else if (background_sleep(call->background, PROBE_PAUSE_MS)) {
            return;
        }
    }
}

static void probe_done(struct background_call *call)
{
    struct probe *probe = (struct probe *)call;
    if (probe->again) {
        probe->again = false;
        probe->answered = false;
        background_submit(call->background, call);
        return;
    }
    probe->client->probe = NULL;
    if (probe->answered) {
        health_set("broker", true, "");
    }
    free(probe);
}

static void probe_drop(struct background_call *call)
{
    free(call);
}

void kafka_client_probe(struct kafka_client *client)
{
    if (client->probe) {
        client->probe->again = true;
        return;
    }
    struct probe *probe = xcalloc(1, sizeof(*probe));
    probe->call = (struct background_call){.work = probe_work, .done = probe_done, .drop = probe_drop};
    probe->client = client;
    probe->kafka = client->kafka;
    client->probe = probe;
    background_submit(client->background, &probe->call);
}

bool kafka_client_error(struct kafka_client *client, rd_kafka_event_t *event, struct error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const char *text = rd_kafka_event_error_string(event);
    if (rd_kafka_event_error_is_fatal(event)) { /* its code is what was fatal, not RD_KAFKA_RESP_ERR__FATAL */
        char why[300];
        rd_kafka_fatal_error(client->kafka, why, sizeof(why));
        error_set(err, ERROR_FATAL, "kafka_fatal", "The Kafka client gave up: %s", why);
        return true;
    }
    switch (code) {
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        health_set("broker", false, "no broker answers");
        kafka_client_probe(client);
        return false;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
        log_debug("broker connection", LOG_STR("text", text));
        return false;
    default:
        log_warn("broker", LOG_STR("error", rd_kafka_err2name(code)), LOG_STR("text", text));
        return false;
    }
}

void kafka_client_stop(struct kafka_client *client)
{
    background_free(client->background);
    client->background = NULL;
    client->probe = NULL;
    loop_timer_free(client->tick);
    client->tick = NULL;
    if (client->queue) {
        kafka_client_unwatch(client->queue);
        rd_kafka_queue_destroy(client->queue);
        client->queue = NULL;
    }
}

void kafka_client_fini(struct kafka_client *client)
{
    wake_fini(&client->wake);
}
