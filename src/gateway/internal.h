/* What the files of the gateway share. Loop thread only. */
#ifndef HELPDESK_GATEWAY_INTERNAL_H
#define HELPDESK_GATEWAY_INTERNAL_H

#include "base/arena.h"
#include "base/metrics.h"
#include "bus/bus.h"
#include "gateway/customer_cache.h"
#include "gateway/gateway.h"
#include "gateway/sla.h"
#include "gateway/waits.h"
#include "http/call.h"
#include "http/server.h"
#include "kb/event.h"

#define RETRY_AFTER_S 2 /* for what heals by itself */

struct gateway_metrics {
    struct metric *waiting;
    struct metric *unfinished_bytes;
    struct metric *published_tickets;
    struct metric *published_questions;
    struct metric *replies_matched;
    struct metric *replies_unknown;
    struct metric *processing; /* answers 202 */
    struct metric *joined;
    struct metric *refused; /* admission: 503 */
};

struct gateway {
    struct loop *loop;
    const struct conf *conf;
    struct db *db;
    struct http_server *http;
    struct bus_producer *producer;
    struct bus_reader *reader;
    struct waits *waits;
    struct http_calls *calls;
    struct customer_cache *customers;
    struct sla_table sla;
    struct gateway_metrics metrics;
    const char *tenant;
    int32_t replies_partition;
    bool embedded;

    /* Admission: tickets from their arrival until nothing more is owed for them. */
    size_t unfinished;
    size_t unfinished_bytes;

    size_t pending; /* queries and records under way */
    struct loop_timer *tick;
    int64_t refreshed_ms; /* monotonic: when the slow half of the housekeeping was done */
    bool asking_held;

    struct held_reply *held; /* replies that cannot be decoded yet, in the order in which they came */
    size_t held_count;
    struct loop_timer *held_timer; /* NULL until there was one */

    struct loop_timer *drain;
    int64_t drain_by_ms;
    void (*drained)(void *arg);
    void *drained_arg;
};

extern const struct http_route gateway_routes[];

/* calls.c: db_query and bus_produce, counted, so that a drain can wait for them. */
void gateway_query(struct gateway *gateway, const struct db_query *query, db_done *done, void *arg);
void gateway_produce(
    struct gateway *gateway, const struct bus_record *record, bus_delivered *done, void *arg);

/* admission.c */
bool gateway_admit(
    struct gateway *gateway, size_t bytes); /* false: too much is under way; nothing was taken */
void gateway_release(struct gateway *gateway, size_t bytes);
size_t gateway_charge(
    const struct gateway *gateway, size_t body_bytes); /* what a ticket of that size is charged */

/* replies.c: a record of this gateway's partition of tickets.replies; and the end of those that are held. */
void gateway_reply(void *arg, const struct bus_record *record);
void gateway_forget_replies(struct gateway *gateway);

/* health.c: broker, database and replies are there. */
bool gateway_ready(void);

/* housekeeping.c: what is done from time to time while the gateway runs. */
void gateway_tick(void *arg);

/* request_in.c: what every handler reads. Those that return false have answered the request. */
bool request_check_ready(struct http_request *request); /* broker, database and replies */
bool request_check_database(struct gateway *gateway, struct http_request *request);
/* The body is there (unless `may_be_empty`) and says that it is JSON. */
bool request_check_body(struct http_request *request, bool may_be_empty);
/* The Idempotency-Key, NULL when there is none. */
bool request_read_key(struct http_request *request, const char **key);
/* How long the client waits: Prefer: wait=N (RFC 7240), at most gateway.max-wait, else `fallback_ms`. */
int64_t request_wait_ms(struct gateway *gateway, struct http_request *request, int64_t fallback_ms);
/* Answers for a query that failed: 503 for weather, 500 otherwise. */
void request_fail(struct http_request *request, const struct error *err);

/* idempotency.c: remembers that `key` asks for `thing_id` with this body, or finds what it asked for before.
 * `done` is called with the thing to use, NULL and `err` after a failed query, or NULL twice when the key
 * came with another body. Everything is copied. */
typedef void idempotency_done(void *arg, const char *thing_id, const struct error *err);
void idempotency_claim(struct gateway *gateway, const char *route, const char *key, const char *body,
    size_t len, const char *thing_id, idempotency_done *done, void *arg);
void request_fail_key(struct http_request *request); /* 422 */

/* kb_events.c: what came of what was posted. */
void kb_events_count(const char *outcome, size_t amount);
/* kb_confirm.c: confirms the subscription that `events` (in the request's arena) tells of, and answers. */
void kb_confirm(struct gateway *gateway, struct http_request *request, const struct kb_events *events);

/* Handlers. */
void handle_ticket_intake(struct http_request *request, void *arg);
void handle_ticket_classify(struct http_request *request, void *arg);
void handle_ticket_context(struct http_request *request, void *arg);
void handle_ticket_respond(struct http_request *request, void *arg);
void handle_ticket_orchestrate(struct http_request *request, void *arg);
void handle_ticket_get(struct http_request *request, void *arg);
void handle_feedback(struct http_request *request, void *arg);
void handle_customer_get(struct http_request *request, void *arg);
void handle_customer_get_by_ticket_path(struct http_request *request, void *arg);
void handle_kb_sync(struct http_request *request, void *arg);
void handle_kb_events(struct http_request *request, void *arg);
void handle_kb_job_get(struct http_request *request, void *arg);
void handle_health(struct http_request *request, void *arg);
void handle_health_live(struct http_request *request, void *arg);
void handle_health_ready(struct http_request *request, void *arg);

#endif
