/* One queue: receives, has the messages published, deletes those that were. Private to the bridge. */
#ifndef HELPDESK_BRIDGE_QUEUE_H
#define HELPDESK_BRIDGE_QUEUE_H

#include "bridge/sqs.h"
#include "bus/bus.h"
#include "conf/conf.h"
#include "loop/loop.h"

struct queue;

/* What its messages become. False: ERROR_REJECT, the message is none. All of `out` is in the arena. */
typedef bool queue_convert(struct arena *arena, const struct conf *conf, const struct sqs_message *message,
    struct bus_record *out, struct error *err);

struct queue_options {
    const char *name; /* in metrics, logs and health: "kb" */
    const char *url;
    queue_convert *convert;
    struct loop *loop;
    const struct conf *conf;
    struct bus_producer *producer;
    void (*idle)(void *arg); /* called once after queue_stop, when nothing is under way any more */
    void *arg;
};

/* Starts at once. Everything of `options` is borrowed. NULL with ERROR_FATAL "bridge_queue". */
struct queue *queue_new(const struct queue_options *options, struct error *err);
void queue_stop(struct queue *queue); /* `idle` may be called inside */
void queue_free(struct queue *queue); /* NULL is fine */

/* The two kinds. */
bool queue_convert_event(struct arena *arena, const struct conf *conf, const struct sqs_message *message,
    struct bus_record *out, struct error *err);
bool queue_convert_ticket(struct arena *arena, const struct conf *conf, const struct sqs_message *message,
    struct bus_record *out, struct error *err);

#endif
