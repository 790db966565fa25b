/* Hands a request to the model that was chosen. */
#include "model/classify_driver.h"

#include <stdlib.h>
#include "base/alloc.h"

struct classify_model *classify_model_new(const struct classify_driver *driver, void *state)
{
    struct classify_model *model = xcalloc(1, sizeof *model);
    *model = (struct classify_model){.driver = driver, .state = state};
    return model;
}

void classify_start(
    struct classify_model *model, const struct classify_request *request, classify_done *done, void *arg)
{
    model->driver->start(model->state, request, done, arg);
}

void classify_free(struct classify_model *model)
{
    if (model != NULL) {
        model->driver->free(model->state);
        free(model);
    }
}
