/* A small pool of threads for CPU work, its results posted back to the loop. */
#include "loop/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/log.h"

struct pool_job {
    loop_fn *work;
    loop_fn *done;
    void *arg;
    struct pool_job *next;
};

struct pool {
    struct loop *loop; /* borrowed */
    pthread_mutex_t lock;
    pthread_cond_t some;
    struct pool_job *first;
    struct pool_job **last;
    bool closing;
    unsigned threads;
    pthread_t ids[];
};

/* What is dropped uncalled keeps what it holds until the process ends, and who looks for leaks finds it from
 * here. */
static struct pool_job *dropped __attribute__((used));
static pthread_mutex_t dropped_lock = PTHREAD_MUTEX_INITIALIZER;

void loop_drop(void *arg)
{
    struct pool_job *job = xcalloc(1, sizeof(*job));
    job->arg = arg;
    pthread_mutex_lock(&dropped_lock);
    job->next = dropped;
    dropped = job;
    pthread_mutex_unlock(&dropped_lock);
}

/* The next job, or NULL when the pool closes. */
static struct pool_job *next_job(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->closing) {
        pthread_cond_wait(&pool->some, &pool->lock);
    }
    struct pool_job *job = pool->closing ? NULL : pool->first;
    if (job) {
        pool->first = job->next;
        if (!pool->first) {
            pool->last = &pool->first;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void *run_jobs(void *arg)
{
    struct pool *pool = arg;
    struct pool_job *job;
    while ((job = next_job(pool))) {
        job->work(job->arg);
        loop_post(pool->loop, job->done, job->arg);
        free(job);
    }
    return NULL;
}

struct pool *pool_new(struct loop *loop, unsigned threads)
{
    struct pool *pool = xcalloc(1, sizeof(*pool) + threads * sizeof(pool->ids[0]));
    pool->loop = loop;
    pool->threads = threads;
    pool->last = &pool->first;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->some, NULL);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(
        SIG_SETMASK, &all, &old); /* signals are the loop thread's: the new threads inherit none */
    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&pool->ids[i], NULL, run_jobs, pool) != 0) {
            log_error("an offload thread cannot start");
            abort();
        }
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return pool;
}

void pool_free(struct pool *pool)
{
    if (!pool) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->some);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads; i++) {
        pthread_join(pool->ids[i], NULL);
    }
    while (pool->first) {
        struct pool_job *next = pool->first->next;
        loop_drop(pool->first->arg);
        free(pool->first);
        pool->first = next;
    }
    pthread_cond_destroy(&pool->some);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void pool_add(struct pool *pool, loop_fn *work, loop_fn *done, void *arg)
{
    struct pool_job *job = xcalloc(1, sizeof(*job));
    job->work = work;
    job->done = done;
    job->arg = arg;
    pthread_mutex_lock(&pool->lock);
    *pool->last = job;
    pool->last = &job->next;
    pthread_cond_signal(&pool->some);
    pthread_mutex_unlock(&pool->lock);
}
