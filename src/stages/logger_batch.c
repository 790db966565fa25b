/* Collects rows, writes them a batch at a time, waits for an absent database, and finds the row that it
 * refuses. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/metrics.h"
#include "stages/logger_batch.h"
#include "stages/logger_write.h"

#define MAX_ITEMS 500                   /* rows in a batch: where unnest was measured fastest */
#define MAX_BYTES (4 * 1024 * 1024)     /* of their texts */
#define ARENA_BYTES (256 * 1024 * 1024) /* a batch as parameters: every text quoted and held twice */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

/* Items that are written together. */
struct logger_set {
    struct logger_set *next;
    size_t count;
    struct logger_item *items[];
};

struct logger_batch {
    struct loop_timer *timer; /* the next turn */
    struct db *db;
    const struct voices *voices;
    struct logger_item *first, **last; /* collecting */
    struct logger_set *sets;           /* halves of a refused set, to be written first */
    struct logger_set *current;        /* being written, or waiting for the database */
    struct arena *arena;               /* of `current` */
    int outstanding;                   /* queries under way */
    struct error worst;                /* of them */
    int64_t backoff_ms;
    bool closed;
    struct metric *batches, *rows, *splits, *alone;
};

static void run_set(struct logger_batch *batch);

static struct logger_set *set_new(size_t count)
{
    struct logger_set *set = xcalloc(1, sizeof(*set) + count * sizeof(set->items[0]));
    set->count = count;
    return set;
}

/* The rows that have collected, up to a batch's size. */
static struct logger_set *take_collected(struct logger_batch *batch)
{
    size_t count = 0, bytes = 0;
    for (struct logger_item *item = batch->first; item != NULL && count < MAX_ITEMS; item = item->next) {
        bytes += logger_row_size(&item->row);
        if (count > 0 && bytes > MAX_BYTES) {
            break;
        }
        count++;
    }
    if (count == 0) {
        return NULL;
    }
    struct logger_set *set = set_new(count);
    for (size_t i = 0; i < count; i++) {
        set->items[i] = batch->first;
        batch->first = batch->first->next;
    }
    if (batch->first == NULL) {
        batch->last = &batch->first;
    }
    return set;
}

static void start_next(struct logger_batch *batch)
{
    if (batch->current != NULL || batch->closed) {
        return;
    }
    if (batch->sets != NULL) {
        batch->current = batch->sets;
        batch->sets = batch->sets->next;
    } else {
        batch->current = take_collected(batch);
    }
    if (batch->current != NULL) {
        run_set(batch);
    }
}

static void end_set(struct logger_batch *batch, const struct error *err)
{
    struct logger_set *set = batch->current;
    struct error why = err != NULL ? *err : (struct error){0};
    for (size_t i = 0; i < set->count; i++) { /* may add items: they collect, `current` is still there */
        set->items[i]->finished(set->items[i], err != NULL ? &why : NULL);
    }
    free(set);
    batch->current = NULL;
    loop_timer_arm(batch->timer, 0);
}

static void split_set(struct logger_batch *batch)
{
    struct logger_set *set = batch->current;
    size_t half = set->count / 2;
    struct logger_set *head = set_new(half), *tail = set_new(set->count - half);
    memcpy(head->items, set->items, half * sizeof(set->items[0]));
    memcpy(tail->items, set->items + half, tail->count * sizeof(set->items[0]));
    head->next = tail;
    tail->next = batch->sets;
    batch->sets = head;
    batch->current = NULL;
    free(set);
    metric_add(batch->splits, 1);
    loop_timer_arm(batch->timer, 0);
}

static void retry_set(struct logger_batch *batch)
{
    batch->backoff_ms = batch->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : batch->backoff_ms * 2;
    loop_timer_arm(
        batch->timer, batch->backoff_ms / 2 + (int64_t)arc4random_uniform((uint32_t)batch->backoff_ms));
}

/* All queries of the set have come back. */
static void conclude(struct logger_batch *batch)
{
    arena_free(batch->arena);
    batch->arena = NULL;
    if (batch->closed) {
        logger_batch_free(batch);
        return;
    }
    struct logger_set *set = batch->current;
    bool too_slow = strcmp(batch->worst.code, "db_timeout") == 0;
    switch (batch->worst.disposition) {
    case ERROR_NONE:
        batch->backoff_ms = BACKOFF_MIN_MS;
        metric_add(batch->batches, 1);
        metric_add(batch->rows, (double)set->count);
        end_set(batch, NULL);
        break;
    case ERROR_RETRY:
        if (too_slow && set->count > 1) {
            split_set(batch);
        } else {
            retry_set(batch);
        }
        break;
    case ERROR_REJECT:
        if (set->count > 1) {
            split_set(batch);
        } else {
            end_set(batch, &batch->worst);
        }
        break;
    case ERROR_FATAL:
        end_set(batch, &batch->worst);
        break;
    }
}

/* Fatal before retry before reject: a set is split only by a database that is otherwise well. */
static int weight(enum error_disposition disposition)
{
    static const int weights[] = {[ERROR_NONE] = 0, [ERROR_REJECT] = 1, [ERROR_RETRY] = 2, [ERROR_FATAL] = 3};
    return weights[disposition];
}

static void note_error(struct logger_batch *batch, const struct error *err)
{
    if (err != NULL && weight(err->disposition) > weight(batch->worst.disposition)) {
        batch->worst = *err;
    }
}

static void on_written(void *arg, const struct db_result *result, const struct error *err)
{
    (void)result;
    struct logger_batch *batch = arg;
    note_error(batch, err);
    if (--batch->outstanding == 0) {
        conclude(batch);
    }
}

static void write_set(
    struct logger_batch *batch, const struct resolution *resolutions, size_t resolution_count)
{
    struct logger_set *set = batch->current;
    const struct logger_row **rows = arena_array(batch->arena, set->count, sizeof(*rows));
    for (size_t i = 0; i < set->count; i++) {
        rows[i] = &set->items[i]->row;
    }
    struct db_query queries[LOGGER_MAX_QUERIES];
    size_t count =
        logger_write_queries(batch->arena, rows, set->count, resolutions, resolution_count, queries);
    batch->outstanding = (int)count;
    for (size_t i = 0; i < count; i++) {
        db_query(batch->db, &queries[i], on_written, batch);
    }
}

static size_t collect_feedback(const struct logger_set *set, const struct logger_row **rows)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i]->row.feedback != NULL) {
            rows[count++] = &set->items[i]->row;
        }
    }
    return count;
}

static void turn_away(struct logger_item *item)
{
    struct error err;
    error_set(&err, ERROR_RETRY, "ticket_unknown", "the log does not know the ticket of this feedback yet");
    item->finished(item, &err);
}

/* Patience is over: the feedback is kept, but changes no ticket. */
static void tell_alone(struct logger_batch *batch, const struct logger_item *item)
{
    metric_add(batch->alone, 1);
    log_warn("feedback to a ticket that the log does not know: it is stored and changes nothing",
        LOG_STR("feedback_id", item->row.feedback->feedback_id));
}

/* Takes out of the set what must wait, and makes the resolutions of the rest. */
static size_t apply_known(
    struct logger_batch *batch, const struct logger_known *known, struct resolution *resolutions)
{
    struct logger_set *set = batch->current;
    size_t kept = 0, feedback = 0, made = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct logger_item *item = set->items[i];
        if (item->row.feedback != NULL) {
            const struct logger_known *ticket = &known[feedback++];
            bool waits = logger_feedback_must_wait(item->row.feedback, ticket);
            if (item->patient && waits) {
                turn_away(item);
                continue;
            }
            if (waits && !ticket->ticket) {
                tell_alone(batch, item);
            }
            made += logger_feedback_resolution(
                batch->arena, batch->voices, item->row.feedback, ticket, &resolutions[made]);
        }
        set->items[kept++] = item;
    }
    set->count = kept;
    return made;
}

static void on_known(void *arg, const struct db_result *result, const struct error *err)
{
    struct logger_batch *batch = arg;
    batch->outstanding = 0;
    note_error(batch, err);
    if (err != NULL || batch->closed) {
        conclude(batch);
        return;
    }
    size_t count = batch->current->count;
    struct logger_known *known = arena_array(batch->arena, count, sizeof(*known));
    struct resolution *resolutions = arena_array(batch->arena, count, sizeof(*resolutions));
    logger_known_read(batch->arena, result, known, count);
    size_t made = apply_known(batch, known, resolutions);
    if (batch->current->count > 0) {
        write_set(batch, resolutions, made);
    } else {
        conclude(batch);
    }
}

static void run_set(struct logger_batch *batch)
{
    batch->arena = arena_new(ARENA_BYTES);
    batch->worst = (struct error){0};
    const struct logger_row **rows = arena_array(batch->arena, batch->current->count, sizeof(*rows));
    size_t count = collect_feedback(batch->current, rows);
    if (count == 0) {
        write_set(batch, NULL, 0);
        return;
    }
    struct db_query query;
    logger_known_query(batch->arena, rows, count, &query);
    batch->outstanding = 1;
    db_query(batch->db, &query, on_known, batch);
}

static void on_turn(void *arg)
{
    struct logger_batch *batch = arg;
    if (batch->current != NULL && batch->outstanding == 0) {
        run_set(batch); /* again */
    } else {
        start_next(batch);
    }
}

struct logger_batch *logger_batch_new(struct loop *loop, struct db *db, const struct voices *voices)
{
    struct logger_batch *batch = xcalloc(1, sizeof(*batch));
    batch->db = db;
    batch->voices = voices;
    batch->last = &batch->first;
    batch->backoff_ms = BACKOFF_MIN_MS;
    batch->timer = loop_timer_new(loop, on_turn, batch);
    batch->batches = metrics_counter("helpdesk_logger_batches_total", "Batches written", NULL);
    batch->rows = metrics_counter("helpdesk_logger_rows_total", "Records written", NULL);
    batch->splits = metrics_counter(
        "helpdesk_logger_splits_total", "Batches cut in two for a row that was refused", NULL);
    batch->alone = metrics_counter("helpdesk_logger_feedback_alone_total",
        "Feedback stored without effect, as the log did not know its ticket in time", NULL);
    return batch;
}

void logger_batch_free(struct logger_batch *batch)
{
    batch->closed = true;
    loop_timer_cancel(batch->timer);
    if (batch->outstanding > 0) {
        return; /* the last query that comes back frees it */
    }
    arena_free(batch->arena);
    free(batch->current);
    while (batch->sets != NULL) {
        struct logger_set *set = batch->sets;
        batch->sets = set->next;
        free(set);
    }
    loop_timer_free(batch->timer);
    free(batch);
}

void logger_batch_add(struct logger_batch *batch, struct logger_item *item)
{
    item->next = NULL;
    *batch->last = item;
    batch->last = &item->next;
    if (batch->current == NULL) {
        loop_timer_arm(batch->timer, 0);
    }
}
