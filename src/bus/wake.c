/* A descriptor through which other threads, librdkafka's among them, wake the loop. */
#include "bus/wake.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/log.h"

static void wake_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct wake *wake = arg;
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof(count));
    (void)got; /* only resets the descriptor */
    wake->fn(wake->arg);
}

void wake_init(struct wake *wake, struct loop *loop, loop_fn *fn, void *arg)
{
    wake->fn = fn;
    wake->arg = arg;
    wake->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    wake->event =
        wake->fd < 0 ? NULL : event_new(loop_base(loop), wake->fd, EV_READ | EV_PERSIST, wake_ready, wake);
    if (!wake->event || event_add(wake->event, NULL) != 0) {
        log_error("no descriptor left to wake the loop");
        abort();
    }
}

void wake_fini(struct wake *wake)
{
    if (!wake->event) {
        return;
    }
    event_free(wake->event);
    wake->event = NULL;
    close(wake->fd);
}

void wake_signal(struct wake *wake)
{
    const uint64_t one = 1;
    ssize_t written = write(wake->fd, &one, sizeof(one));
    (void)written; /* fails only when the counter is full: then the loop is awake anyway */
}
