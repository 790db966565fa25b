/* The table of runs that somebody waits for, by correlation id. A waiting request costs an entry and a timer,
 * no thread; several may wait for one run. All on the loop thread. */
#ifndef HELPDESK_GATEWAY_WAITS_H
#define HELPDESK_GATEWAY_WAITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "loop/loop.h"
#include "msg/messages.h"

struct waits;
struct waiter;

enum wait_how {
    WAIT_REPLY,   /* an answer came, early or final */
    WAIT_EXPIRED, /* the time is over, and the broker has the run */
    WAIT_FAILED,  /* no answer can come, or the broker never had the run */
};

struct wait_end {
    enum wait_how how;
    const struct msg_ticket_event *event; /* WAIT_REPLY; borrowed inside the call */
    double total_ms;                      /* WAIT_REPLY: since the run's first waiter came */
    const struct error *err;              /* WAIT_FAILED */
};

/* Tells the waiter. True: it is done and forgotten. False, for WAIT_REPLY only: it waits on for a later
 * answer. */
typedef bool wait_fn(void *arg, const struct wait_end *end);

/* Called when a run leaves the table, with what waits_open was given. */
typedef void waits_closed_fn(void *arg, size_t bytes);

struct waits *waits_new(struct loop *loop, waits_closed_fn *closed, void *arg);
void waits_free(struct waits *waits); /* tells nobody */

/* Enters the run of this gateway that is about to be published, `bytes` large. With `hold` it stays until a
 * final reply, waits_finished or waits_fail, else until it is acknowledged and nobody waits. False: it is
 * there already. */
bool waits_open(struct waits *waits, const char *correlation_id, size_t bytes, bool hold);

/* Waits for a run, opened here or not, at most `wait_ms`. Nobody is told WAIT_EXPIRED before
 * waits_acknowledged. */
struct waiter *waits_add(
    struct waits *waits, const char *correlation_id, int64_t wait_ms, wait_fn *fn, void *arg);
void waits_cancel(struct waits *waits, struct waiter *waiter); /* forgets it; it is not told */

/* The broker has the run. Who waited too long already is told now. */
void waits_acknowledged(struct waits *waits, const char *correlation_id);
/* False: nobody knows that run here. A reply is an acknowledgement too. */
bool waits_reply(struct waits *waits, const char *correlation_id, const struct msg_ticket_event *event);
bool waits_known(const struct waits *waits, const char *correlation_id);
void waits_fail(struct waits *waits, const char *correlation_id, const struct error *err);
void waits_fail_all(struct waits *waits, const struct error *err);
/* Every waiter's time is over now; who is not acknowledged fails with `err`. */
void waits_expire_all(struct waits *waits, const struct error *err);

/* A held run is finished, as the log says. */
void waits_finished(struct waits *waits, const char *correlation_id);
/* Up to `max` held runs that nobody waits for and that are acknowledged, the ids in `out`. Held longer than
 * `age_ms`: forgotten instead. */
size_t waits_held(struct waits *waits, int64_t age_ms, const char **out, size_t max);

size_t waits_waiters(const struct waits *waits);
size_t waits_runs(const struct waits *waits);

/* Whether the state is the last one of a run. */
bool wait_state_final(enum msg_state state);

#endif
