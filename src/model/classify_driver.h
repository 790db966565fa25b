/* Classification models, for those who write one. */
#ifndef HELPDESK_MODEL_CLASSIFY_DRIVER_H
#define HELPDESK_MODEL_CLASSIFY_DRIVER_H

#include "model/classify.h"

#define CLASSIFY_RESERVE_MS 1500 /* of a deadline: for the commit and the steps that follow */

struct classify_driver {
    void (*start)(void *state, const struct classify_request *request, classify_done *done, void *arg);
    void (*free)(void *state);
};

struct classify_model {
    const struct classify_driver *driver;
    void *state;
};

/* A model of `driver` that owns `state`. */
struct classify_model *classify_model_new(const struct classify_driver *driver, void *state);

#endif
