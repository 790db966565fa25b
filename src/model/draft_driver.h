/* Models that draft answers, for those who write one. */
#ifndef HELPDESK_MODEL_DRAFT_DRIVER_H
#define HELPDESK_MODEL_DRAFT_DRIVER_H

#include "model/draft.h"

#define DRAFT_RESERVE_MS 1500 /* of a deadline: for the guard, the commit and the way back */

struct draft_driver {
    void (*start)(void *state, const struct draft_request *request, draft_done *done, void *arg);
    void (*unfit)(void *state, const struct draft_request *request); /* NULL: drafts are nobody else's */
    void (*free)(void *state);                                       /* NULL: there is nothing to free */
};

struct draft_model {
    const struct draft_driver *driver;
    void *state;
};

/* A model of `driver` that owns `state`. */
struct draft_model *draft_model_new(const struct draft_driver *driver, void *state);

#endif
