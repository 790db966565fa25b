/* Answers that cost something, shared by all who ask the same: what was answered is kept for a while
 * (model/cache.h), and what is being answered is not asked twice ("single flight"): the first does the work,
 * the others wait for it. An answer that is not good for others is given to nobody: who waited for it does
 * the work alone then.
 *
 * Counts helpdesk_cache_hits_total{cache}, helpdesk_cache_misses_total{cache},
 * helpdesk_cache_joined_total{cache} and helpdesk_cache_evicted_total{cache}; gauge
 * helpdesk_cache_bytes{cache}. Loop thread. */
#ifndef HELPDESK_MODEL_ANSWERS_H
#define HELPDESK_MODEL_ANSWERS_H

#include <sys/queue.h>
#include "base/arena.h"
#include "base/error.h"
#include "conf/conf.h"
#include "loop/loop.h"
#include "model/cache.h"

#define ANSWERS_MAX 100000 /* kept at once */

struct answers;
struct answers_flight; /* work under way */

enum answers_turn {
    ANSWERS_KEPT,   /* there is an answer: `value` of the ask, borrowed until the next call of this module */
    ANSWERS_FIRST,  /* do the work, then call answers_end */
    ANSWERS_JOINED, /* somebody does it: `got` is called */
};

/* `value`: the answer, borrowed until this returns. NULL: there is none to share, the deadline passed, or
 * answers_close was called; who still wants one does the work alone, then calls answers_end. Never inside
 * answers_ask. */
typedef void answers_got(void *arg, const void *value);

/* One who asks. Lives until `got`, or until answers_end. */
struct answers_ask {
    struct cache_key key;
    int64_t deadline_mono_ms; /* the longest it waits for others; INT64_MAX: as long as they take */
    answers_got *got;
    void *arg;
    const void *value;
    /* of answers.c: */
    struct answers_flight *flight;
    struct loop_timer *timer;
    TAILQ_ENTRY(answers_ask) link;
};

/* Who gives the answer up to `reserve_ms` before a deadline (INT64_MAX: none) to others' work; with a key to
 * come. */
struct answers_ask answers_ask_for(int64_t deadline_mono_ms, int64_t reserve_ms, answers_got *got, void *arg);

/* From settings cache.*. False: nothing is to be kept, nor shared. */
bool answers_limits_of(const struct conf *conf, struct cache_limits *out);

/* `name`: label `cache`, such as "draft". */
struct answers *answers_new(struct loop *loop, const char *name, const struct cache_limits *limits);

enum answers_turn answers_ask(struct answers *answers, struct answers_ask *ask);

/* What is kept under a key, without asking for it; NULL: nothing. Borrowed as `value` of an ask is. */
const void *answers_peek(struct answers *answers, const struct cache_key *key);

/* The work of an ask is done. `value` in `arena`, which is taken over, is for all who ask the same, those who
 * wait among them: their `got` is called inside. NULL, both: there is nothing that others may have. */
void answers_end(struct answers *answers, struct answers_ask *ask, struct arena *arena, const void *value);

/* The answer was found to be unfit after it had been kept. */
void answers_drop(struct answers *answers, const struct cache_key *key);

/* Says that something was asked that was not kept. Not counted by answers_ask: work may turn out to cost
 * nothing. */
void answers_missed(struct answers *answers);

/* Nobody waits any more, from now on; before what does the work is freed. */
void answers_close(struct answers *answers);
/* Whether answers_close was called; then `err` is what to tell who gets nothing: ERROR_RETRY "model_stopped".
 */
bool answers_closed(const struct answers *answers, struct error *err);
/* After answers_close, and answers_end of all who do the work. NULL is fine. */
void answers_free(struct answers *answers);

#endif
