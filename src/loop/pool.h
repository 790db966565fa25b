/* The threads behind loop_offload. */
#ifndef HELPDESK_LOOP_POOL_H
#define HELPDESK_LOOP_POOL_H

#include "loop/loop.h"

struct pool;

struct pool *pool_new(struct loop *loop, unsigned threads); /* aborts when a thread cannot start */
/* Waits for work that has begun; what still waits is dropped, neither its `work` nor its `done` is called. */
void pool_free(struct pool *pool); /* NULL is fine */
void pool_add(struct pool *pool, loop_fn *work, loop_fn *done, void *arg);

/* Keeps what was to be called with `arg`, and will not be, in sight of who looks for leaks. Any thread. */
void loop_drop(void *arg);

#endif
