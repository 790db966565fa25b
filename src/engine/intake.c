/* What comes in: partitions with their maps, records into jobs, and the limits that pause them. */
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/log.h"
#include "engine/internal.h"

static struct order *order_of(const struct engine *engine, const char *topic)
{
    size_t i = 0;
    while (i + 1 < engine->topic_count && strcmp(engine->stage->topics[i], topic) != 0) {
        i++;
    }
    return engine->orders[i];
}

void intake_assigned(void *arg, const char *topic, int32_t partition, int64_t offset, const char *metadata)
{
    struct engine *engine = arg;
    struct engine_partition *added = xcalloc(1, sizeof(*added));
    added->topic = topic;
    added->id = partition;
    added->order = order_of(engine, topic);
    TAILQ_INIT(&added->jobs);
    if (!window_init(&added->window, offset, metadata)) {
        log_warn("the map of finished records is unreadable; starting at the offset", LOG_STR("topic", topic),
            LOG_INT("partition", partition), LOG_INT("offset", offset));
    }
    LIST_INSERT_HEAD(&engine->partitions, added, link);
    engine->refused = false;
    engine->journal_stale = engine->journal != NULL;
    intake_update(engine);
}

static struct engine_partition *find_for(struct engine *engine, const struct bus_record *record)
{
    struct engine_partition *partition;
    LIST_FOREACH(partition, &engine->partitions, link)
    {
        if (partition->id == record->partition && partition->topic == record->topic) {
            return partition;
        }
    }
    return NULL;
}

/* The topic was deleted and made anew: its offsets begin again, and nothing known of the old ones holds. */
static struct engine_partition *begin_again(
    struct engine *engine, struct engine_partition *partition, const struct bus_record *record)
{
    log_warn("offsets went back; the partition begins again", LOG_STR("topic", record->topic),
        LOG_INT("partition", record->partition), LOG_INT("offset", record->offset));
    drain_lose(engine, partition);
    intake_assigned(engine, record->topic, record->partition, record->offset, "");
    return find_for(engine, record);
}

static void limit_intake(struct engine *engine)
{
    size_t beside = engine->max_running * BUFFER_FACTOR;
    size_t max = engine->max_running + (beside < BUFFER_MAX ? beside : BUFFER_MAX);
    if (engine->buffered >= max || engine->bytes >= engine->max_bytes) {
        engine->full = true;
    } else if (engine->buffered <= max - max / 4 &&
               engine->bytes <= engine->max_bytes - engine->max_bytes / 4) {
        engine->full = false;
    }
}

void intake_update(struct engine *engine)
{
    limit_intake(engine);
    bool closed = engine->full || engine->draining || engine->stopped;
    struct engine_partition *partition;
    LIST_FOREACH(partition, &engine->partitions, link)
    {
        /* A dead letter that cannot be written stops its partition: what it holds must not grow without end.
         */
        bool narrow = partition->narrow && window_can_grow(&partition->window);
        bool pause = closed || partition->leaving || narrow || partition->held > 0;
        if (pause == partition->paused) {
            continue;
        }
        partition->paused = pause;
        if (pause) {
            bus_consumer_pause(engine->consumer, partition->topic, partition->id);
        } else {
            bus_consumer_resume(engine->consumer, partition->topic, partition->id);
        }
    }
}

static size_t square_root(size_t n)
{
    size_t root = 1;
    while ((root + 1) * (root + 1) <= n) {
        root++;
    }
    return root;
}

/* Whether processes died with this record in their hands. */
static int crashes_of(struct engine *engine, const struct bus_record *record)
{
    if (engine->journal_stale) {
        engine->journal_stale = false;
        journal_refresh(engine->journal);
        engine->suspects_at_once = square_root(journal_suspects(engine->journal));
        if (journal_suspects(engine->journal) > 0) {
            log_warn("a process died while it ran records; they are watched",
                LOG_STR("stage", engine->stage->name), LOG_INT("records", journal_suspects(engine->journal)));
        }
    }
    return engine->journal ? journal_crashes(engine->journal, record) : 0;
}

void intake_record(void *arg, const struct bus_record *record, void *handle)
{
    struct engine *engine = arg;
    struct engine_partition *partition = find_for(engine, record);
    if (!partition || partition->leaving || engine->draining || engine->stopped) {
        bus_consumer_free_record(handle);
        return;
    }
    enum window_take take = window_take(&partition->window, record->offset);
    if (take == WINDOW_BEHIND) {
        partition = begin_again(engine, partition, record);
        take = window_take(&partition->window, record->offset);
    }
    if (take == WINDOW_DONE) {
        metric_add(engine->metric.skipped, 1);
        bus_consumer_free_record(handle);
        return;
    }
    struct engine_job *job = job_new(partition, engine, record, handle);
    job_take_crashes(job, crashes_of(engine, record));
    const void *key = engine->stage->any_order ? NULL : record->key;
    if (order_join(partition->order, &job->turn, key, record->key_len)) {
        job_make_ready(job);
    }
    limit_intake(engine);
    if (engine->full) {
        intake_update(engine);
    }
}
