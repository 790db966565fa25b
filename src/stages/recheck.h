/* The sources of a ticket, looked at again: what was changed or deleted after it had been found is left out.
 * While a tenant's base has not changed that costs nothing. Private to the generator. Loop thread. */
#ifndef HELPDESK_STAGES_RECHECK_H
#define HELPDESK_STAGES_RECHECK_H

#include "stages/stage.h"

struct recheck;

struct recheck *recheck_new(struct loop *loop, struct db *db);
void recheck_close(struct recheck *recheck); /* no `done` is called any more; before the loop; NULL is fine */

enum recheck_found {
    RECHECK_STANDS,  /* as far as is known: nothing is looked up for what a caller brought */
    RECHECK_LOST,    /* the event's context is without those that are no more */
    RECHECK_UNKNOWN, /* the database does not answer */
};

/* May be called inside recheck_sources. The job lives until then, or until recheck_close. */
typedef void recheck_done(void *arg, enum recheck_found found);

/* `revision`: of the base, that the context of the job's event is known to stand in; 0: it was not found in a
 * base. Lives until `done`, and is newer then where it was looked up. `recheck` NULL: nothing is known of the
 * base; they stand. */
void recheck_sources(
    struct recheck *recheck, struct ticket_job *job, int64_t *revision, recheck_done *done, void *arg);

#endif
