/* The sources of a ticket, looked at again: what was changed, deleted, taken back or expired after it had
 * been found is left out. While a tenant's base has not changed, and they were looked at a moment ago, that
 * costs nothing. Private to the generator. Loop thread. */
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

/* When the context of an event was last known to stand. */
struct recheck_known {
    int64_t revision; /* of the base */
    int64_t at_ms;    /* wall clock; 0: it was not found in a base */
};

/* As the retriever found it. */
struct recheck_known recheck_found_at(const struct msg_ticket_event *event);

/* `known` lives until `done`, and is newer then where it was looked up. `recheck` NULL: nothing is known of
 * the base; they stand. */
void recheck_sources(struct recheck *recheck, struct ticket_job *job, struct recheck_known *known,
    recheck_done *done, void *arg);

#endif
