/* Returns documents to what they were at an earlier revision of the base: the bytes that the history keeps
 * are written back to the source, what did not exist is removed from it, and each of these documents is then
 * synchronised as after any other change of the source. So the source stays the only truth, and a rollback is
 * a change like others, which can be taken back. Loop thread. */
#ifndef HELPDESK_KB_ROLLBACK_H
#define HELPDESK_KB_ROLLBACK_H

#include "kb/sync.h"

enum kb_rollback_action {
    KB_ROLLBACK_WRITE,   /* it holds something else now */
    KB_ROLLBACK_RESTORE, /* it does not exist now */
    KB_ROLLBACK_REMOVE,  /* it did not exist then */
    KB_ROLLBACK_LEAVE,   /* it cannot be returned, and need not be: `why` */
    KB_ROLLBACK_LOST,    /* it cannot be returned, since what it was is not kept any more */
};

struct kb_rollback_step {
    enum kb_rollback_action action;
    const char *key;
    int64_t revision; /* of the change that made it what it is to be again; 0: there is none */
    int64_t size;     /* bytes of it */
    const char *why;  /* it is left, or it failed; "" */
    bool done;        /* the source holds it as it was, and the base does */
};

struct kb_rollback_plan {
    struct arena *arena;            /* of all below */
    struct kb_rollback_step *steps; /* in order of the keys; documents that are as they were are left out */
    size_t count;
    int64_t revision;     /* of the base now */
    int64_t history_from; /* the history tells of every document from this revision on */
    bool known;           /* the history tells of at least one of the documents */
};

/* Whether `env` has the source that the base was filled from, and its rules: one of the first documents of
 * both at least is the same; ERROR_REJECT "kb_settings" when there is none. A base without documents of the
 * source passes. Changes nothing; the arena belongs to the call until `done`. */
typedef void kb_rollback_checked(void *arg, const struct error *err);
void kb_rollback_check(
    const struct kb_sync_env *env, struct arena *arena, kb_rollback_checked *done, void *arg);

/* What `env->source` needs to be as it was at `revision` of the base; document `key` alone, or with NULL all
 * documents. The plan is in the arena, which belongs to the call until `done`. Changes nothing. */
typedef void kb_rollback_planned(void *arg, struct kb_rollback_plan *plan, const struct error *err);
void kb_rollback_plan(const struct kb_sync_env *env, struct arena *arena, const char *key, int64_t revision,
    kb_rollback_planned *done, void *arg);

/* Takes the steps of a plan, some at once, and says in each what came of it. A step that the source refuses,
 * or whose document was edited after the plan was made, fails alone; `err`: the database or the source is
 * away, and the rest was not begun. A new plan of the same revision does what is left. `progress` (may be
 * NULL) after each step. The plan and `env` are borrowed until `done`, which may be called inside when there
 * is nothing to do. */
void kb_rollback_run(const struct kb_sync_env *env, struct kb_rollback_plan *plan,
    void (*progress)(void *arg), void (*done)(void *arg, const struct error *err), void *arg);

#endif
