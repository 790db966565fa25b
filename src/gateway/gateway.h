/* The gateway: the HTTP API in front of the pipeline. A ticket comes in as JSON, goes to Kafka as a record,
 * and the answer comes back on this gateway's partition of tickets.replies. */
#ifndef HELPDESK_GATEWAY_GATEWAY_H
#define HELPDESK_GATEWAY_GATEWAY_H

#include "base/error.h"
#include "conf/conf.h"
#include "db/db.h"
#include "loop/loop.h"

struct gateway;

/* What a gateway produces to (logical names); ends with NULL. */
#define GATEWAY_TOPICS 5
extern const char *const gateway_topics[GATEWAY_TOPICS + 1];

/* Listens on gateway.host:gateway.port at once and answers 503 until broker, database and replies are there
 * (health parts "broker", "database", "replies"). `loop`, `conf` and `db` are borrowed. All on the loop
 * thread. NULL with ERROR_FATAL: port busy, or settings that contradict each other. */
struct gateway *gateway_new(struct loop *loop, const struct conf *conf, struct db *db, struct error *err);
int gateway_port(const struct gateway *gateway);
/* Stops accepting; who waits gets the answer if it comes within gateway.drain-timeout, else 202 (503 on the
 * embedded broker, whose tickets end with it). Then calls `done`. */
void gateway_drain(struct gateway *gateway, void (*done)(void *arg), void *arg);
void gateway_free(struct gateway *gateway); /* after `done`, before db_free */

#endif
