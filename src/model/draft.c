/* Hands a request to the model that was chosen. */
#include "model/draft_driver.h"

#include <stdlib.h>
#include "base/alloc.h"

struct draft_model *draft_model_new(const struct draft_driver *driver, void *state)
{
    struct draft_model *model = xcalloc(1, sizeof *model);
    *model = (struct draft_model){.driver = driver, .state = state};
    return model;
}

void draft_start(struct draft_model *model, const struct draft_request *request, draft_done *done, void *arg)
{
    model->driver->start(model->state, request, done, arg);
}

void draft_unfit(struct draft_model *model, const struct draft_request *request)
{
    if (model->driver->unfit != NULL) {
        model->driver->unfit(model->state, request);
    }
}

void draft_free(struct draft_model *model)
{
    if (model != NULL) {
        if (model->driver->free != NULL) {
            model->driver->free(model->state);
        }
        free(model);
    }
}
