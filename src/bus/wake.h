/* A descriptor through which other threads, librdkafka's among them, wake the loop. */
#ifndef HELPDESK_BUS_WAKE_H
#define HELPDESK_BUS_WAKE_H

#include "loop/loop.h"

struct wake {
    int fd;
    struct event *event;
    loop_fn *fn;
    void *arg;
};

/* `fn` runs on the loop thread after each signal; signals that come together are one. Aborts without
 * descriptors. */
void wake_init(struct wake *wake, struct loop *loop, loop_fn *fn, void *arg);
void wake_fini(struct wake *wake);
void wake_signal(struct wake *wake); /* any thread */

#endif
