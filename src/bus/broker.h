/* The embedded broker: librdkafka's mock cluster on loopback, in a process of its own. For trial only: it
 * keeps nothing over a restart. */
#ifndef HELPDESK_BUS_BROKER_H
#define HELPDESK_BUS_BROKER_H

#include "conf/conf.h"
#include "loop/loop.h"

/* Starts it with all topics made, and writes its "host:port" to `address` (of `size` bytes). */
struct broker;
struct broker *broker_new(const struct conf *conf, char *address, size_t size, struct error *err);
void broker_free(struct broker *broker);

#endif
