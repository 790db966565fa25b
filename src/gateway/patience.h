/* A query that is asked again until it finds something: what was acknowledged a moment ago reaches the log a
 * moment later. */
#ifndef HELPDESK_GATEWAY_PATIENCE_H
#define HELPDESK_GATEWAY_PATIENCE_H

#include "gateway/internal.h"

/* Asks until there is a row or `wait_ms` are over; the last result, or the error, goes to `done`. The query's
 * parameters are borrowed until then. */
void patience_query(
    struct gateway *gateway, const struct db_query *query, int64_t wait_ms, db_done *done, void *arg);

#endif
