/* Brings what lies in SQS queues to Kafka: notifications of buckets to kb.notifications, tickets to
 * tickets.submitted. A message is deleted when the broker has acknowledged its record; one that cannot be
 * read stays, for the queue's own redrive. */
#ifndef HELPDESK_BRIDGE_BRIDGE_H
#define HELPDESK_BRIDGE_BRIDGE_H

#include "base/error.h"
#include "conf/conf.h"
#include "loop/loop.h"

struct bridge;

extern const char *const bridge_topics[]; /* that it produces to; ends with NULL */

/* All on the loop's thread. NULL with ERROR_FATAL "setting_missing" (neither queue is named), "bridge_queue"
 * or what bus_producer_new says. Sets a health part for each queue. */
struct bridge *bridge_new(struct loop *loop, const struct conf *conf, struct error *err);
/* Receives no more, waits for what is under way, and calls `done`. */
void bridge_drain(struct bridge *bridge, void (*done)(void *arg), void *arg);
void bridge_free(struct bridge *bridge); /* NULL is fine */

#endif
