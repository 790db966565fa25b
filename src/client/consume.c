/* Consumes answers as a member of a group: decodes, hands to the program, commits what it took. */
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/log.h"
#include "bus/topics.h"
#include "client/client.h"

#define RETRY_FIRST_MS 1000
#define RETRY_LAST_MS 30000
#define CLOSE_MS 10000

/* A record that waits behind one which comes again. */
struct held {
    struct held *next;
    const struct bus_record *record;
    void *handle;
};

struct partition {
    struct partition *next;
    struct consume *consume;
    int32_t number;
    int64_t done;               /* the offset to read next, as far as the program took them */
    bool dirty;                 /* `done` is not committed */
    bool committing;            /* in the batch under way */
    bool leaving;               /* revoked: released when nothing is left to commit */
    struct held *first, **last; /* not empty while an answer comes again */
    struct loop_timer *retry;
    int64_t retry_ms;
};

struct consume {
    struct helpdesk_client *client;
    struct bus_consumer *consumer;
    struct bus_committer *committer;
    struct partition *partitions;
    helpdesk_answered *answered;
    void *arg;
    bool closing;
    bool closed;
};

/* ---- partitions ---- */

static struct partition *find(struct consume *consume, int32_t number)
{
    struct partition *partition = consume->partitions;

    while (partition != NULL && partition->number != number) {
        partition = partition->next;
    }
    return partition;
}

static void drop_held(struct partition *partition)
{
    while (partition->first != NULL) {
        struct held *held = partition->first;
        partition->first = held->next;
        bus_consumer_free_record(held->handle);
        free(held);
    }
    partition->last = &partition->first;
    loop_timer_cancel(partition->retry);
}

static void free_partition(struct partition *partition)
{
    drop_held(partition);
    loop_timer_free(partition->retry);
    free(partition);
}

static void forget(struct partition *partition)
{
    struct partition **link = &partition->consume->partitions;

    while (*link != partition) {
        link = &(*link)->next;
    }
    *link = partition->next;
    free_partition(partition);
}

/* ---- committing ---- */

static void commit(struct consume *consume);

static void release_left(struct consume *consume)
{
    struct partition *next;

    for (struct partition *p = consume->partitions; p != NULL; p = next) {
        next = p->next;
        if (p->leaving && !p->dirty && !p->committing) {
            int32_t number = p->number;
            forget(p);
            bus_consumer_release(consume->consumer, TOPIC_ANSWERED, number);
        }
    }
}

static void committed(
    void *arg, enum bus_commit_end end, const struct error *err, struct bus_batch *batch, int output)
{
    struct consume *consume = arg;

    (void)output; /* there are none, and so nothing is given back */
    (void)batch;
    /* Refused offsets: a rebalance is near, whoever gets the partition next starts where the last commit was.
     */
    for (struct partition *p = consume->partitions; p != NULL; p = p->next) {
        p->committing = false;
    }
    if (end == BUS_COMMIT_FATAL) {
        client_fail(consume->client, err);
    } else {
        commit(consume);
    }
}

/* Commits what is not committed yet, when no batch is under way: its end comes back here. */
static void commit(struct consume *consume)
{
    struct bus_batch *batch = NULL;

    if (!bus_committer_busy(consume->committer)) {
        for (struct partition *p = consume->partitions; p != NULL; p = p->next) {
            if (!p->dirty) {
                continue;
            }
            if (batch == NULL) {
                batch = bus_batch_new();
            }
            bus_batch_offset(batch, TOPIC_ANSWERED, p->number, p->done, "");
            p->dirty = false;
            p->committing = true;
        }
    }
    if (batch != NULL) {
        bus_committer_submit(consume->committer, batch, committed, consume);
    }
    release_left(consume);
}

/* ---- answers ---- */

/* What the program makes of a record; HELPDESK_OK for what it is not shown. */
static enum helpdesk_disposition show(struct consume *consume, const struct bus_record *record)
{
    struct arena *arena = arena_new(0);
    struct error err = {.disposition = ERROR_NONE};
    enum helpdesk_disposition result = HELPDESK_OK;
    const struct msg_ticket_event *event =
        msg_decode(&msg_ticket_event, arena, record->value, record->value_len, &err);

    if (event == NULL && err.disposition == ERROR_RETRY) {
        result = HELPDESK_RETRY; /* its schema is being fetched */
    } else if (event == NULL) {
        log_warn("an answer cannot be decoded, it is left out", LOG_STR("code", err.code),
            LOG_STR("why", err.text), LOG_INT("partition", record->partition),
            LOG_INT("offset", record->offset));
    } else if (event->kind == MSG_KIND_TICKET &&
               strcmp(event->tenant, conf_text(consume->client->conf, CONF_TENANT)) == 0) {
        result = consume->answered(consume->arg, answer_from_event(arena, event));
        client_called_back(consume->client);
    }
    arena_free(arena);
    return result;
}

/* Shows a record; false when it has to come again, or nothing may go on. */
static bool take(struct partition *partition, const struct bus_record *record)
{
    static const struct error refused = {.disposition = ERROR_FATAL,
        .code = "callback_failed",
        .text = "The callback of an answer returned HELPDESK_FATAL"};

    switch (show(partition->consume, record)) {
    case HELPDESK_RETRY:
        return false;
    case HELPDESK_FATAL:
        client_fail(partition->consume->client, &refused);
        return false;
    case HELPDESK_REJECT:
        log_warn("an answer was refused by the program, it is left out",
            LOG_INT("partition", record->partition), LOG_INT("offset", record->offset));
        break;
    case HELPDESK_OK:
        break;
    }
    partition->done = record->offset + 1;
    partition->dirty = true;
    partition->retry_ms = 0;
    return true;
}

static void hold(struct partition *partition, const struct bus_record *record, void *handle)
{
    struct held *held = xcalloc(1, sizeof *held);

    *held = (struct held){.record = record, .handle = handle};
    *partition->last = held;
    partition->last = &held->next;
}

/* The first held record comes again, later each time. */
static void wait_for_retry(struct partition *partition)
{
    partition->retry_ms = partition->retry_ms == 0 ? RETRY_FIRST_MS : 2 * partition->retry_ms;
    if (partition->retry_ms > RETRY_LAST_MS) {
        partition->retry_ms = RETRY_LAST_MS;
    }
    loop_timer_arm(partition->retry, partition->retry_ms);
}

static void retry(void *arg)
{
    struct partition *partition = arg;
    struct consume *consume = partition->consume;

    while (partition->first != NULL && consume->client->fatal.disposition == ERROR_NONE) {
        struct held *held = partition->first;
        if (!take(partition, held->record)) {
            wait_for_retry(partition);
            break;
        }
        partition->first = held->next;
        if (partition->first == NULL) {
            partition->last = &partition->first;
        }
        bus_consumer_free_record(held->handle);
        free(held);
    }
    if (partition->first == NULL) {
        bus_consumer_resume(consume->consumer, TOPIC_ANSWERED, partition->number);
    }
    commit(consume);
}

/* ---- what the consumer tells ---- */

static void assigned(void *arg, const char *topic, int32_t number, int64_t offset, const char *metadata)
{
    struct consume *consume = arg;
    struct partition *partition = xcalloc(1, sizeof *partition);

    (void)topic;
    (void)metadata;
    partition->consume = consume;
    partition->number = number;
    partition->done = offset;
    partition->last = &partition->first;
    partition->retry = loop_timer_new(consume->client->loop, retry, partition);
    partition->next = consume->partitions;
    consume->partitions = partition;
}

static void revoked(void *arg, const char *topic, int32_t number, bool lost)
{
    struct consume *consume = arg;
    struct partition *partition = find(consume, number);

    (void)topic;
    if (partition == NULL) {
        return;
    }
    if (lost) {
        forget(partition);
        return;
    }
    partition->leaving = true;
    drop_held(partition);
    commit(consume);
}

static void got_record(void *arg, const struct bus_record *record, void *handle)
{
    struct consume *consume = arg;
    struct partition *partition = find(consume, record->partition);

    if (partition == NULL || partition->leaving || consume->closing ||
        consume->client->fatal.disposition != ERROR_NONE) {
        bus_consumer_free_record(handle);
        return;
    }
    if (partition->first != NULL) {
        hold(partition, record, handle);
    } else if (take(partition, record)) {
        bus_consumer_free_record(handle);
        commit(consume);
    } else {
        hold(partition, record, handle);
        bus_consumer_pause(consume->consumer, TOPIC_ANSWERED, partition->number);
        wait_for_retry(partition);
    }
}

static void fatal(void *arg, const struct error *err)
{
    struct consume *consume = arg;

    client_fail(consume->client, err);
}

/* ---- starting and ending ---- */

bool helpdesk_consume(struct helpdesk_client *client, const char *group, helpdesk_answered *answered,
    void *arg, struct helpdesk_error *err)
{
    static const char *const topics[] = {TOPIC_ANSWERED};
    static const struct bus_consumer_events events = {
        .assigned = assigned, .revoked = revoked, .record = got_record, .fatal = fatal};
    struct error why = {.disposition = ERROR_NONE};

    if (client->consume != NULL) {
        error_set(&why, ERROR_REJECT, "already_consuming", "This client consumes answers already");
        return client_error(err, &why);
    }
    struct consume *consume = xcalloc(1, sizeof *consume);
    consume->client = client;
    consume->answered = answered;
    consume->arg = arg;
    const struct bus_subscription subscription = {.group = group, .topics = topics, .topic_count = 1};
    consume->consumer = bus_consumer_new(client->loop, client->conf, &subscription, &events, consume, &why);
    if (consume->consumer != NULL) {
        consume->committer =
            bus_committer_new(client->loop, client->conf, consume->consumer, BUS_AT_LEAST_ONCE, &why);
    }
    if (consume->committer != NULL) {
        client->consume = consume;
        return true;
    }
    consume_free(consume);
    return client_error(err, &why);
}

size_t helpdesk_client_partitions(const struct helpdesk_client *client)
{
    size_t count = 0;

    if (client->consume != NULL) {
        for (const struct partition *p = client->consume->partitions; p != NULL; p = p->next) {
            count += p->leaving ? 0 : 1;
        }
    }
    return count;
}

static void left_group(void *arg)
{
    struct consume *consume = arg;

    consume->closed = true;
    client_called_back(consume->client);
}

void consume_close(struct consume *consume)
{
    consume->closing = true;
    bus_consumer_close(consume->consumer, left_group, consume);
    client_run_until(consume->client, &consume->closed, CLOSE_MS);
}

void consume_free(struct consume *consume)
{
    struct partition *next;

    if (consume == NULL) {
        return;
    }
    if (consume->committer != NULL) {
        bus_committer_free(consume->committer);
    }
    for (struct partition *p = consume->partitions; p != NULL; p = next) {
        next = p->next;
        free_partition(p);
    }
    if (consume->consumer != NULL) {
        bus_consumer_free(consume->consumer);
    }
    free(consume);
}
