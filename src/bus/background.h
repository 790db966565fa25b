/* One thread for librdkafka's blocking calls, so that the loop never waits for a broker. */
#ifndef HELPDESK_BUS_BACKGROUND_H
#define HELPDESK_BUS_BACKGROUND_H

#include <stdbool.h>
#include "loop/loop.h"

struct background;

/* One call: `work` on the thread, then `done` on the loop thread. When the background is freed before `work`
 * or before `done`, `drop` runs instead of `done`. Embed it in what the call is about; it is not used after
 * `done` or `drop`. */
struct background_call {
    void (*work)(struct background_call *call);
    void (*done)(struct background_call *call);
    void (*drop)(struct background_call *call);
    struct background *background;
    struct background_call *next;
};

struct background *background_new(struct loop *loop);
void background_submit(struct background *background, struct background_call *call); /* loop thread */
/* For `work` that waits: true when it must give up. Any thread. */
bool background_stopping(struct background *background);
/* Sleeps on the thread, at most until background_free. True when it must give up. */
bool background_sleep(struct background *background, int64_t ms);
void background_free(struct background *background); /* joins the thread; NULL is fine */

#endif
