/* Asks the log again and again, for a bounded time. */
#include "gateway/patience.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"

#define FIRST_PAUSE_MS 20
#define MAX_PAUSE_MS 320

struct patience {
    struct gateway *gateway;
    struct db_query query;
    struct loop_timer *timer;
    int64_t until_ms;
    int64_t pause_ms;
    db_done *done;
    void *arg;
};

static void answered(void *arg, const struct db_result *result, const struct error *err)
{
    struct patience *p = arg;
    int64_t left = p->until_ms - clock_mono_ms();
    if (err == NULL && db_rows(result) == 0 && left > 0) {
        p->gateway->pending++; /* a drain waits for the timer too */
        loop_timer_arm(p->timer, p->pause_ms < left ? p->pause_ms : left);
        p->pause_ms = p->pause_ms * 2 < MAX_PAUSE_MS ? p->pause_ms * 2 : MAX_PAUSE_MS;
        return;
    }
    p->done(p->arg, result, err);
    loop_timer_free(p->timer);
    free(p);
}

static void ask_again(void *arg)
{
    struct patience *p = arg;
    p->gateway->pending--;
    gateway_query(p->gateway, &p->query, answered, p);
}

void patience_query(
    struct gateway *gateway, const struct db_query *query, int64_t wait_ms, db_done *done, void *arg)
{
    struct patience *p = xcalloc(1, sizeof *p);
    p->gateway = gateway;
    p->query = *query;
    p->timer = loop_timer_new(gateway->loop, ask_again, p);
    p->until_ms = clock_mono_ms() + wait_ms;
    p->pause_ms = FIRST_PAUSE_MS;
    p->done = done;
    p->arg = arg;
    gateway_query(gateway, &p->query, answered, p);
}
