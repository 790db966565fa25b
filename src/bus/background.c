/* One thread for librdkafka's blocking calls, so that the loop never waits for a broker. */
#include "bus/background.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include "base/alloc.h"
#include "base/log.h"
#include "bus/wake.h"

struct call_list {
    struct background_call *first;
    struct background_call **last;
};

struct background {
    struct wake wake;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct call_list todo;
    struct call_list done;
    bool stopping;
};

static void list_init(struct call_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_add(struct call_list *list, struct background_call *call)
{
    call->next = NULL;
    *list->last = call;
    list->last = &call->next;
}

static struct background_call *list_take(struct call_list *list)
{
    struct background_call *call = list->first;
    if (call) {
        list->first = call->next;
        if (!list->first) {
            list->last = &list->first;
        }
    }
    return call;
}

static void *background_main(void *arg)
{
    struct background *background = arg;
    pthread_mutex_lock(&background->lock);
    while (!background->stopping) {
        struct background_call *call = list_take(&background->todo);
        if (!call) {
            pthread_cond_wait(&background->changed, &background->lock);
            continue;
        }
        pthread_mutex_unlock(&background->lock);
        call->work(call);
        pthread_mutex_lock(&background->lock);
        list_add(&background->done, call);
        wake_signal(&background->wake);
    }
    pthread_mutex_unlock(&background->lock);
    return NULL;
}

static void background_deliver(void *arg)
{
    struct background *background = arg;
    pthread_mutex_lock(&background->lock);
    struct background_call *call = list_take(&background->done);
    bool more = background->done.first != NULL;
    pthread_mutex_unlock(&background->lock);
    if (more) {
        wake_signal(&background->wake);
    }
    if (call) {
        call->done(call); /* last: may free the background */
    }
}

struct background *background_new(struct loop *loop)
{
    struct background *background = xcalloc(1, sizeof(*background));
    wake_init(&background->wake, loop, background_deliver, background);
    pthread_mutex_init(&background->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&background->changed, &attr);
    pthread_condattr_destroy(&attr);
    list_init(&background->todo);
    list_init(&background->done);
    if (pthread_create(&background->thread, NULL, background_main, background) != 0) {
        log_error("no thread for the broker's blocking calls");
        abort();
    }
    return background;
}

void background_submit(struct background *background, struct background_call *call)
{
    call->background = background;
    pthread_mutex_lock(&background->lock);
    list_add(&background->todo, call);
    pthread_cond_broadcast(&background->changed);
    pthread_mutex_unlock(&background->lock);
}

bool background_stopping(struct background *background)
{
    pthread_mutex_lock(&background->lock);
    bool stopping = background->stopping;
    pthread_mutex_unlock(&background->lock);
    return stopping;
}

bool background_sleep(struct background *background, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&background->lock);
    int waited = 0; /* woken early by a new call: sleeps on, the calls are done in turn */
    while (!background->stopping && waited == 0) {
        waited = pthread_cond_timedwait(&background->changed, &background->lock, &until);
    }
    bool stopping = background->stopping;
    pthread_mutex_unlock(&background->lock);
    return stopping;
}

static void drop_all(struct call_list *list)
{
    struct background_call *call;
    while ((call = list_take(list)) != NULL) {
        call->drop(call);
    }
}

void background_free(struct background *background)
{
    if (!background) {
        return;
    }
    pthread_mutex_lock(&background->lock);
    background->stopping = true;
    pthread_cond_broadcast(&background->changed);
    pthread_mutex_unlock(&background->lock);
    pthread_join(background->thread, NULL);
    drop_all(&background->done);
    drop_all(&background->todo);
    wake_fini(&background->wake);
    pthread_cond_destroy(&background->changed);
    pthread_mutex_destroy(&background->lock);
    free(background);
}
