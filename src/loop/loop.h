/* The event loop of a process: one thread, libevent below, everything above it non-blocking. */
#ifndef HELPDESK_LOOP_LOOP_H
#define HELPDESK_LOOP_LOOP_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

struct loop;
struct loop_timer;

typedef void loop_fn(void *arg);

/* A loop with `offload_threads` threads for CPU work (0: loop_offload may not be called). Aborts when
 * libevent cannot start. From here on the process ignores SIGPIPE. */
struct loop *loop_new(unsigned offload_threads);
/* After loop_run returned. Joins the offload threads; what still waits is dropped uncalled. */
void loop_free(struct loop *loop);
/* For http and db, which hang libevent's own objects on it. */
struct event_base *loop_base(struct loop *loop);

/* Before what offloaded work uses is freed: waits for work that has begun; what still waits is dropped
 * uncalled. */
void loop_end_offload(struct loop *loop);

int loop_run(struct loop *loop);             /* until loop_stop; returns its exit code */
void loop_stop(struct loop *loop, int code); /* loop thread */

/* Runs `fn` on the loop thread soon. Any thread. Calls keep their order. */
void loop_post(struct loop *loop, loop_fn *fn, void *arg);

/* One-shot timer; loop thread. Not armed at first. Arming again moves it; freeing cancels it. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *fn, void *arg);
void loop_timer_arm(struct loop_timer *timer, int64_t delay_ms);
void loop_timer_cancel(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); /* NULL is fine */

/* CPU work above 1 ms: `work` runs on a pool thread, then `done` on the loop thread, same `arg`. Loop thread.
 */
void loop_offload(struct loop *loop, loop_fn *work, loop_fn *done, void *arg);

/* Calls `fn` on the loop thread at SIGTERM or SIGINT; the second signal exits at once with code 1. */
void loop_on_shutdown(struct loop *loop, loop_fn *fn, void *arg);

#endif
