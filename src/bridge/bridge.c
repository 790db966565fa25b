/* The bridge: a producer and up to two queues. */
#include "bridge/bridge.h"

#include <stdlib.h>
#include "base/alloc.h"
#include "bridge/queue.h"
#include "bus/bus.h"
#include "bus/topics.h"

#define QUEUES 2

const char *const bridge_topics[] = {TOPIC_KB_NOTIFICATIONS, TOPIC_SUBMITTED, NULL};

struct bridge {
    struct bus_producer *producer;
    struct queue *queues[QUEUES];
    size_t count;
    size_t idle;
    void (*drained)(void *arg);
    void *arg;
};

static void on_idle(void *arg)
{
    struct bridge *bridge = arg;
    if (++bridge->idle == bridge->count) {
        bridge->drained(bridge->arg);
    }
}

static bool open_queues(struct bridge *bridge, struct loop *loop, const struct conf *conf, struct error *err)
{
    static const struct {
        const char *name;
        enum conf_id setting;
        queue_convert *convert;
    } kinds[QUEUES] = {{"kb", CONF_BRIDGE_KB_QUEUE, queue_convert_event},
        {"tickets", CONF_BRIDGE_TICKETS_QUEUE, queue_convert_ticket}};
    for (size_t i = 0; i < QUEUES; i++) {
        struct queue_options options = {.name = kinds[i].name,
            .url = conf_text(conf, kinds[i].setting),
            .convert = kinds[i].convert,
            .loop = loop,
            .conf = conf,
            .producer = bridge->producer,
            .idle = on_idle,
            .arg = bridge};
        if (!*options.url) {
            continue;
        }
        bridge->queues[bridge->count] = queue_new(&options, err);
        if (!bridge->queues[bridge->count]) {
            return false;
        }
        bridge->count++;
    }
    return bridge->count > 0 || error_set(err, ERROR_FATAL, "setting_missing", "%s or %s must name a queue",
                                    conf_name(CONF_BRIDGE_KB_QUEUE), conf_name(CONF_BRIDGE_TICKETS_QUEUE));
}

struct bridge *bridge_new(struct loop *loop, const struct conf *conf, struct error *err)
{
    struct bridge *bridge = xcalloc(1, sizeof(*bridge));
    size_t topics = sizeof(bridge_topics) / sizeof(bridge_topics[0]) - 1;
    bridge->producer = bus_producer_new(loop, conf, bridge_topics, topics, err);
    if (!bridge->producer || !open_queues(bridge, loop, conf, err)) {
        bridge_free(bridge);
        return NULL;
    }
    return bridge;
}

void bridge_drain(struct bridge *bridge, void (*done)(void *arg), void *arg)
{
    bridge->drained = done;
    bridge->arg = arg;
    for (size_t i = 0; i < bridge->count; i++) {
        queue_stop(bridge->queues[i]);
    }
}

void bridge_free(struct bridge *bridge)
{
    if (!bridge) {
        return;
    }
    if (bridge->producer) {
        bus_producer_free(bridge->producer);
    }
    for (size_t i = 0; i < bridge->count; i++) {
        queue_free(bridge->queues[i]);
    }
    free(bridge);
}
