/* The event loop of a process: libevent, a queue into it from other threads, timers and signals. */
#include "loop/loop.h"

#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/log.h"
#include "loop/pool.h"

struct loop_call {
    loop_fn *fn;
    void *arg;
    struct loop_call *next;
};

struct loop {
    struct event_base *base;
    struct pool *pool; /* NULL without offload threads */
    bool stopped;
    int code;

    pthread_mutex_t lock; /* guards the two below */
    struct loop_call *first;
    struct loop_call **last;
    int wake_fd;
    struct event *wake;

    struct event *sigterm, *sigint;
    loop_fn *shutdown;
    void *shutdown_arg;
};

struct loop_timer {
    struct loop *loop;
    struct event *event;
    loop_fn *fn;
    void *arg;
};

/* What cannot fail but for want of memory or file descriptors at the start. */
static void *need(void *made, const char *what)
{
    if (!made) {
        log_error("the event loop cannot start", LOG_STR("what", what));
        abort();
    }
    return made;
}

static struct loop_call *take_calls(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct loop_call *calls = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    pthread_mutex_unlock(&loop->lock);
    return calls;
}

/* Runs what was posted so far; what that posts comes in the next round, so that other events have their turn.
 */
static void run_calls(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct loop *loop = arg;
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof(count));
    (void)got; /* only resets the descriptor; the queue says what there is to do */
    struct loop_call *call = take_calls(loop);
    while (call) {
        struct loop_call *next = call->next;
        call->fn(call->arg);
        free(call);
        call = next;
    }
}

static struct event_base *new_base(void)
{
    struct event_config *config = need(event_config_new(), "event_config_new");
    /* The default clock is coarse: timers would fire up to 4 ms before clock_mono_ms says so. */
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    struct event_base *base = need(event_base_new_with_config(config), "event_base_new_with_config");
    event_config_free(config);
    return base;
}

struct loop *loop_new(unsigned offload_threads)
{
    struct loop *loop = xcalloc(1, sizeof(*loop));
    signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error of write(2), not the end of the process */
    evthread_use_pthreads();
    loop->base = new_base();
    pthread_mutex_init(&loop->lock, NULL);
    loop->last = &loop->first;
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    need(loop->wake_fd < 0 ? NULL : loop, "eventfd");
    loop->wake =
        need(event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, run_calls, loop), "event_new");
    event_add(loop->wake, NULL);
    if (offload_threads > 0) {
        loop->pool = pool_new(loop, offload_threads);
    }
    return loop;
}

static void free_event(struct event *event)
{
    if (event) {
        event_free(event);
    }
}

void loop_end_offload(struct loop *loop)
{
    pool_free(loop->pool);
    loop->pool = NULL;
}

void loop_free(struct loop *loop)
{
    if (!loop) {
        return;
    }
    loop_end_offload(loop);
    free_event(loop->sigterm);
    free_event(loop->sigint);
    free_event(loop->wake);
    struct loop_call *call = take_calls(loop);
    while (call) {
        struct loop_call *next = call->next;
        loop_drop(call->arg);
        free(call);
        call = next;
    }
    close(loop->wake_fd);
    pthread_mutex_destroy(&loop->lock);
    event_base_free(loop->base);
    free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

int loop_run(struct loop *loop)
{
    if (!loop->stopped) {
        event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
    }
    loop->stopped = false;
    return loop->code;
}

void loop_stop(struct loop *loop, int code)
{
    loop->code = code;
    loop->stopped = true;
    event_base_loopbreak(loop->base);
}

void loop_post(struct loop *loop, loop_fn *fn, void *arg)
{
    struct loop_call *call = xcalloc(1, sizeof(*call));
    call->fn = fn;
    call->arg = arg;
    pthread_mutex_lock(&loop->lock);
    bool wake = !loop->first;
    *loop->last = call;
    loop->last = &call->next;
    if (wake) { /* under the lock: the loop cannot be freed by what was posted before this is done with it */
        const uint64_t one = 1;
        ssize_t written = write(loop->wake_fd, &one, sizeof(one));
        (void)written; /* fails only when the counter is full: then the loop is awake anyway */
    }
    pthread_mutex_unlock(&loop->lock);
}

void loop_offload(struct loop *loop, loop_fn *work, loop_fn *done, void *arg)
{
    need(loop->pool, "offload without threads");
    pool_add(loop->pool, work, done, arg);
}

/* ---- timers ---- */

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct loop_timer *timer = arg;
    timer->fn(timer->arg); /* may free the timer */
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *fn, void *arg)
{
    struct loop_timer *timer = xcalloc(1, sizeof(*timer));
    timer->loop = loop;
    timer->fn = fn;
    timer->arg = arg;
    timer->event = need(evtimer_new(loop->base, timer_fired, timer), "evtimer_new");
    return timer;
}

void loop_timer_arm(struct loop_timer *timer, int64_t delay_ms)
{
    if (delay_ms < 0) {
        delay_ms = 0;
    }
    struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
    /* libevent counts from the start of this round of the loop, which may be long ago. */
    event_base_update_cache_time(timer->loop->base);
    evtimer_add(timer->event, &delay);
}

void loop_timer_cancel(struct loop_timer *timer)
{
    evtimer_del(timer->event);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (!timer) {
        return;
    }
    event_free(timer->event);
    free(timer);
}

/* ---- signals ---- */

static void exit_at_once(int signal_number)
{
    (void)signal_number;
    _exit(1);
}

static void shutdown_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct loop *loop = arg;
    /* The next signal must end the process even when the loop no longer turns. */
    event_del(loop->sigterm);
    event_del(loop->sigint);
    struct sigaction action = {.sa_handler = exit_at_once};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    log_info("shutting down", LOG_STR("signal", fd == SIGTERM ? "SIGTERM" : "SIGINT"));
    loop->shutdown(loop->shutdown_arg);
}

void loop_on_shutdown(struct loop *loop, loop_fn *fn, void *arg)
{
    loop->shutdown = fn;
    loop->shutdown_arg = arg;
    if (loop->sigterm) {
        return;
    }
    loop->sigterm = need(evsignal_new(loop->base, SIGTERM, shutdown_signal, loop), "evsignal_new");
    loop->sigint = need(evsignal_new(loop->base, SIGINT, shutdown_signal, loop), "evsignal_new");
    event_add(loop->sigterm, NULL);
    event_add(loop->sigint, NULL);
}
