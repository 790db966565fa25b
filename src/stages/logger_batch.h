/* Writes rows in batches: while one is being written, the next collects. */
#ifndef HELPDESK_STAGES_LOGGER_BATCH_H
#define HELPDESK_STAGES_LOGGER_BATCH_H

#include <stdbool.h>
#include "base/error.h"
#include "db/db.h"
#include "loop/loop.h"
#include "model/voice.h"
#include "stages/logger_row.h"

struct logger_batch;

/* A row and whoever waits for it; lives until `finished` was called. */
struct logger_item {
    struct logger_item *next;
    struct logger_row row;
    bool patient; /* feedback to a ticket that the log does not know yet may come again later */
    /* Loop thread, never inside logger_batch_add. `err` NULL: the row is in the database. ERROR_REJECT: the
     * database does not take this row. ERROR_RETRY only for a patient one. A database that is away is waited
     * for. */
    void (*finished)(struct logger_item *item, const struct error *err);
    void *owner;
};

/* `voices` is borrowed: what is taken off an answer that is kept. */
struct logger_batch *logger_batch_new(struct loop *loop, struct db *db, const struct voices *voices);
/* Items that are not finished are forgotten; what is under way in the database may still go through. */
void logger_batch_free(struct logger_batch *batch);
void logger_batch_add(struct logger_batch *batch, struct logger_item *item);

#endif
