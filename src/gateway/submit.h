/* One ticket-taking request from its body to its answer: submit.c takes it to the broker, submit_answer.c
 * waits for the answer, or follows the run in the log, and answers. */
#ifndef HELPDESK_GATEWAY_SUBMIT_H
#define HELPDESK_GATEWAY_SUBMIT_H

#include "base/ids.h"
#include "gateway/answer_out.h"
#include "gateway/internal.h"
#include "gateway/ticket_in.h"

struct submit_endpoint {
    const char *route; /* as idempotency keys and logs name it */
    enum answer_shape shape;
    enum msg_kind kind;
    struct ticket_in_rules rules;
};

/* In the request's arena: gone when the request is answered. A query that is under way then finds its guard
 * empty. */
struct submission {
    struct gateway *gateway;
    struct http_request *request;
    const struct submit_endpoint *endpoint;
    struct arena *arena;
    struct ticket_in in;
    struct msg_ticket_event *event;
    struct submit_guard *guard; /* of the query under way, or NULL */
    struct waiter *waiter;      /* NULL: not waiting yet */
    struct loop_timer *poll;    /* next look into the log; NULL: the answer comes as a reply */
    int64_t poll_ms;
    int64_t wait_ms;   /* from arrival */
    size_t charge;     /* admitted bytes that no run has taken over yet; 0: none */
    int64_t leased_ms; /* monotonic: when the run was last asked for */
    const char *lease; /* until when this gateway may publish it, as the database says it, or NULL */
};

struct submit_guard {
    struct gateway *gateway;
    struct submission *submission; /* NULL: it was answered meanwhile */
};

/* A query on behalf of a submission, one at a time. `done` first calls submit_guard_take, and returns on
 * NULL. */
void submit_query(struct submission *s, const struct db_query *query, db_done *done);
struct submission *submit_guard_take(void *arg);
/* The same of a query that may take a run: what nobody publishes any more is given back. The columns of the
 * run's correlation id and of the lease; `result` may be NULL. */
struct submission *submit_guard_take_run(
    void *arg, const struct db_result *result, int correlation_id, int lease);

/* Who takes a run may publish it for `kafka.delivery-timeout` and this: time enough to begin, and for the
 * broker's word to reach the database. Then another may (schemas/sql/0013_publish_lease.up.sql). */
#define SUBMIT_MARGIN_S 5

/* That time in milliseconds, as the query's parameter, right before it is asked. */
const char *submit_lease_ms(struct submission *s);
/* Takes the lease that the query gave. False: the database, or this process, was held up, and it is too late
 * to begin: the run is given back, and the request answered. */
bool submit_leased(struct submission *s, const char *lease);

/* Enters the run in the table of waits and hands its record to the broker. */
void submit_publish(struct submission *s);
/* The same of a run that another claimed a while ago. */
void submit_publish_taken(struct submission *s);

/* Waits for the run's answer; `acknowledged` when the broker is known to have it. */
void submit_wait(struct submission *s, bool acknowledged);
/* Follows the run in the log as well: its answer may go to another gateway, or be there already. */
void submit_follow(struct submission *s, int64_t first_look_ms);

/* Ends: each answers the request. */
void submit_answer_event(struct submission *s, const struct msg_ticket_event *event, double total_ms);
void submit_end_error(struct submission *s, const struct error *err);
/* Lets go of the waiter, timers, guard and charge, right before the request is answered. */
void submit_close(struct submission *s);

#endif
