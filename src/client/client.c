/* The life of a client: it starts, turns its loop inside helpdesk_client_poll, and ends. */
#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "bus/registry.h"
#include "bus/topics.h"

bool client_error(struct helpdesk_error *out, const struct error *err)
{
    static const enum helpdesk_disposition dispositions[] = {[ERROR_NONE] = HELPDESK_OK,
        [ERROR_RETRY] = HELPDESK_RETRY,
        [ERROR_REJECT] = HELPDESK_REJECT,
        [ERROR_FATAL] = HELPDESK_FATAL};

    if (out != NULL && err != NULL) {
        *out = (struct helpdesk_error){
            .disposition = dispositions[err->disposition], .retry_after_ms = err->retry_after_ms};
        snprintf(out->code, sizeof out->code, "%s", err->code);
        snprintf(out->text, sizeof out->text, "%s", err->text);
    }
    return false;
}

void client_fail(struct helpdesk_client *client, const struct error *err)
{
    if (client->fatal.disposition == ERROR_NONE) {
        client->fatal = *err;
    }
    loop_stop(client->loop, 0);
}

void client_called_back(struct helpdesk_client *client)
{
    loop_stop(client->loop, 0);
}

static void time_is_up(void *arg)
{
    struct helpdesk_client *client = arg;

    loop_stop(client->loop, 0);
}

static void run(struct helpdesk_client *client, int64_t timeout_ms)
{
    loop_timer_arm(client->poll_timer, timeout_ms);
    loop_run(client->loop);
    loop_timer_cancel(client->poll_timer);
}

void client_run_until(struct helpdesk_client *client, const bool *over, int64_t timeout_ms)
{
    int64_t due = clock_mono_ms() + timeout_ms;

    while (!*over && clock_mono_ms() < due) {
        run(client, due - clock_mono_ms());
    }
}

/* ---- starting ---- */

static bool set(struct conf *conf, const char *name, const char *value, struct error *err)
{
    return value == NULL || conf_set(conf, name, value, err);
}

static struct conf *load_conf(const struct helpdesk_options *options, struct error *err)
{
    struct buf problems;

    buf_init(&problems, 64 * 1024);
    struct conf *conf = conf_load(NULL, &problems);
    if (conf == NULL) {
        error_set(err, ERROR_FATAL, "settings", "%s", buf_text(&problems));
    }
    buf_fini(&problems);
    if (conf == NULL || options == NULL) {
        return conf;
    }
    if (set(conf, "kafka.brokers", options->brokers, err) &&
        set(conf, "kafka.prefix", options->prefix, err) && set(conf, "tenant", options->tenant, err) &&
        set(conf, "kafka.embedded", options->embedded ? "true" : NULL, err)) {
        return conf;
    }
    conf_free(conf);
    return NULL;
}

struct helpdesk_client *helpdesk_client_new(
    const struct helpdesk_options *options, struct helpdesk_error *err)
{
    static const char *const topics[] = {TOPIC_SUBMITTED, NULL};
    struct helpdesk_client *client = xcalloc(1, sizeof *client);
    struct error why = {.disposition = ERROR_NONE};

    log_setup("client", LOG_WARN);
    client->conf = load_conf(options, &why);
    client->registry =
        client->conf != NULL && msg_setup(client->conf, &why) && registry_open(client->conf, topics, &why);
    if (client->registry) {
        client->loop = loop_new(0);
        client->poll_timer = loop_timer_new(client->loop, time_is_up, client);
        client->producer = bus_producer_new(client->loop, client->conf, topics, 1, &why);
    }
    if (client->producer != NULL) {
        return client;
    }
    why.disposition = ERROR_FATAL;
    client_error(err, &why);
    helpdesk_client_free(client);
    return NULL;
}

bool helpdesk_client_poll(struct helpdesk_client *client, int timeout_ms, struct helpdesk_error *err)
{
    if (client->fatal.disposition == ERROR_NONE) {
        run(client, timeout_ms);
    }
    return client->fatal.disposition == ERROR_NONE || client_error(err, &client->fatal);
}

size_t helpdesk_client_pending(const struct helpdesk_client *client)
{
    return client->pending;
}

void helpdesk_client_free(struct helpdesk_client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->consume != NULL) {
        consume_close(client->consume);
    }
    if (client->producer != NULL) {
        bus_producer_free(client->producer);
    }
    consume_free(client->consume);
    loop_timer_free(client->poll_timer);
    loop_free(client->loop);
    if (client->registry) {
        registry_close();
    }
    conf_free(client->conf);
    free(client);
}
