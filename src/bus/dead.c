/* The dead letters of one stage. */
#include "bus/dead.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/parse.h"
#include "bus/kafka.h"
#include "bus/transaction.h"

#define PATIENCE_MS 30000
#define REQUEST_TIMEOUT_MS 15000
#define POLL_MS 100
#define FETCH_WAIT_MS 20 /* a partition's end is found by a fetch that brings nothing */
#define RETRY_PAUSE_MS 50
#define COMMITS_KEPT_DEFAULT_MS (INT64_C(7) * 24 * 60 * 60 * 1000)
#define LOGICAL_SIZE 64

/* Codes of errors. */
#define ABORTED "transaction_aborted" /* inside only: the same is tried again */
#define GIVEN_UP "given_up"
#define FENCED "fenced"

struct dead {
    const struct conf *conf;
    const char *stage;
    bool embedded;
    char logical[LOGICAL_SIZE]; /* "<stage>.dead" */
    char topic[KAFKA_NAME_SIZE];
    char group[KAFKA_NAME_SIZE];
    rd_kafka_t *consumer;
    struct transaction transaction; /* its producer is NULL for DEAD_READ */
    struct dead_partition *partitions;
    int32_t count;
    int32_t broker; /* the id of one of them */
    int64_t commits_kept_ms;
    int64_t due_ms; /* when patience ends */

    rd_kafka_resp_err_t codes[DEAD_COMMIT_MAX]; /* of the records under way */
    size_t in_flight;
};

static bool given_up(void *arg)
{
    const struct dead *dead = arg;
    return clock_mono_ms() >= dead->due_ms;
}

static void be_patient(struct dead *dead)
{
    dead->due_ms = clock_mono_ms() + PATIENCE_MS;
}

/* Between two tries; false when patience is over. */
static bool pause_before_retry(struct dead *dead)
{
    const struct timespec pause = {.tv_nsec = RETRY_PAUSE_MS * 1000000L};
    nanosleep(&pause, NULL);
    return !given_up(dead);
}

static bool is_fenced(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

/* Whether a transaction's call is done; what else became of it, for `err`. */
static bool is_done(struct dead *dead, enum transaction_end end, const char *what, struct error *err)
{
    const struct transaction *transaction = &dead->transaction;
    switch (end) {
    case TRANSACTION_OK:
        return true;
    case TRANSACTION_ABORT:
        return error_set(err, ERROR_RETRY,
            transaction->code == RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE ? "map_too_large" : ABORTED,
            "%s: %s", what, transaction->text);
    case TRANSACTION_GIVEN_UP:
        return error_set(err, ERROR_RETRY, GIVEN_UP, "%s: %s", what, transaction->text);
    default:
        return error_set(err, ERROR_FATAL, is_fenced(transaction->code) ? FENCED : "transaction_refused",
            "%s: %s", what, transaction->text);
    }
}

/* ---- opening ---- */

static void delivered(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    (void)kafka;
    struct dead *dead = opaque;
    rd_kafka_resp_err_t *code = message->_private;
    *code = message->err;
    dead->in_flight--;
}

static bool open_consumer(struct dead *dead, struct error *err)
{
    rd_kafka_conf_t *kconf = kafka_conf_new(dead->conf, err);
    if (!kconf) {
        return false;
    }
    kafka_conf_consumer(kconf, dead->conf, 1, 0);
    kafka_conf_set(kconf, "group.id", dead->group);
    kafka_conf_set(kconf, "enable.partition.eof", "true");
    kafka_conf_set_int(kconf, "fetch.wait.max.ms", dead->embedded ? 1 : FETCH_WAIT_MS);
    dead->consumer = kafka_new(RD_KAFKA_CONSUMER, kconf, err);
    if (!dead->consumer) {
        return false;
    }
    rd_kafka_poll_set_consumer(dead->consumer);
    return true;
}

static bool open_producer(struct dead *dead, struct error *err)
{
    rd_kafka_conf_t *kconf = kafka_conf_new(dead->conf, err);
    if (!kconf) {
        return false;
    }
    kafka_conf_producer(kconf);
    kafka_conf_set(kconf, "max.in.flight.requests.per.connection", "1"); /* see producer.c */
    kafka_conf_set(kconf, "linger.ms", dead->embedded ? "1" : "0");
    kafka_conf_set(kconf, "topic.metadata.propagation.max.ms", "2000");
    if (dead->embedded) {
        kafka_conf_set_int(kconf, "message.timeout.ms", PATIENCE_MS);
    } else {
        char id[KAFKA_NAME_SIZE];
        snprintf(id, sizeof(id), "%sdlq.%s", conf_text(dead->conf, CONF_KAFKA_PREFIX), dead->stage);
        transaction_configure(kconf, id);
    }
    rd_kafka_conf_set_opaque(kconf, dead);
    rd_kafka_conf_set_dr_msg_cb(kconf, delivered);
    dead->transaction.producer = kafka_new(RD_KAFKA_PRODUCER, kconf, err);
    if (!dead->transaction.producer) {
        return false;
    }
    dead->transaction.give_up = given_up;
    dead->transaction.give_up_arg = dead;
    return dead->embedded || is_done(dead, transaction_init(&dead->transaction), dead->topic, err);
}

static bool read_count(struct dead *dead, struct error *err)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(dead->consumer, dead->topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(dead->consumer, 0, topic, &metadata, REQUEST_TIMEOUT_MS);
    rd_kafka_topic_destroy(topic);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_error(err, code, dead->topic);
    }
    bool there = metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR;
    dead->count = there ? metadata->topics[0].partition_cnt : 0;
    dead->broker = metadata->broker_cnt > 0 ? metadata->brokers[0].id : 0;
    rd_kafka_metadata_destroy(metadata);
    return dead->count > 0 || error_set(err, ERROR_FATAL, "topic_absent",
                                  "there is no topic %s: `helpdesk topics apply` makes it", dead->topic);
}

static rd_kafka_resp_err_t ask_bounds(struct dead *dead, int32_t i)
{
    struct dead_partition *partition = &dead->partitions[i];
    rd_kafka_resp_err_t code = kafka_offset(
        dead->consumer, dead->topic, i, RD_KAFKA_OFFSET_BEGINNING, REQUEST_TIMEOUT_MS, &partition->low);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = kafka_offset(
            dead->consumer, dead->topic, i, RD_KAFKA_OFFSET_END, REQUEST_TIMEOUT_MS, &partition->end);
    }
    return code;
}

static bool read_bounds(struct dead *dead, struct error *err)
{
    dead->partitions = xcalloc((size_t)dead->count, sizeof(*dead->partitions));
    for (int32_t i = 0; i < dead->count; i++) {
        rd_kafka_resp_err_t code;
        do {
            code = ask_bounds(dead, i);
        } while (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED &&
                 pause_before_retry(dead));
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return kafka_error(err, code, dead->topic);
        }
    }
    return true;
}

static rd_kafka_resp_err_t ask_committed(struct dead *dead, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t code = rd_kafka_committed(dead->consumer, list, REQUEST_TIMEOUT_MS);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err;
    }
    return code;
}

static bool read_committed(struct dead *dead, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(dead->count);
    for (int32_t i = 0; i < dead->count; i++) {
        rd_kafka_topic_partition_list_add(list, dead->topic, i);
    }
    rd_kafka_resp_err_t code;
    do { /* while the transaction of one that was killed is open, the commits are not known */
        code = ask_committed(dead, list);
    } while (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED &&
             pause_before_retry(dead));
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        const rd_kafka_topic_partition_t *found = &list->elems[i];
        struct dead_partition *partition = &dead->partitions[found->partition];
        partition->committed = found->offset >= 0 ? found->offset : -1;
        partition->metadata = xcalloc(1, found->metadata_size + 1);
        if (found->metadata_size > 0) {
            memcpy(partition->metadata, found->metadata, found->metadata_size);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || kafka_error(err, code, dead->group);
}

/* ---- how long commits are kept ---- */

static void read_retention(struct dead *dead, const rd_kafka_ConfigResource_t *broker)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(broker, &count);
    for (size_t i = 0; i < count; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]);
        int64_t minutes;
        if (strcmp(name, "offsets.retention.minutes") == 0 &&
            parse_int64(rd_kafka_ConfigEntry_value(entries[i]), &minutes)) {
            dead->commits_kept_ms = minutes * 60000;
        }
    }
}

/* Who may not ask counts with Kafka's default. */
static void ask_retention(struct dead *dead)
{
    dead->commits_kept_ms = dead->embedded ? INT64_MAX : COMMITS_KEPT_DEFAULT_MS;
    if (dead->embedded) {
        return;
    }
    char id[16];
    snprintf(id, sizeof(id), "%" PRId32, dead->broker);
    rd_kafka_ConfigResource_t *asked = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, id);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(dead->consumer);
    rd_kafka_DescribeConfigs(dead->consumer, &asked, 1, NULL, queue);
    rd_kafka_ConfigResource_destroy(asked);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, REQUEST_TIMEOUT_MS);
    if (event && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        size_t count = 0;
        const rd_kafka_ConfigResource_t **found =
            rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
        for (size_t i = 0; i < count; i++) {
            read_retention(dead, found[i]);
        }
    }
    if (event) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
}

int64_t dead_commits_kept_ms(const struct dead *dead)
{
    return dead->commits_kept_ms;
}

struct dead *dead_open(const struct conf *conf, const char *stage, enum dead_mode mode, struct error *err)
{
    struct dead *dead = xcalloc(1, sizeof(*dead));
    dead->conf = conf;
    dead->stage = stage;
    dead->embedded = conf_bool(conf, CONF_KAFKA_EMBEDDED);
    char group[LOGICAL_SIZE];
    snprintf(dead->logical, sizeof(dead->logical), "%s.dead", stage);
    snprintf(group, sizeof(group), "%s.dlq", stage);
    kafka_topic_name(conf, dead->logical, dead->topic);
    kafka_topic_name(conf, group, dead->group);
    be_patient(dead);
    bool ok = open_consumer(dead, err) && read_count(dead, err) &&
              (mode == DEAD_READ || open_producer(dead, err)) && read_bounds(dead, err) &&
              read_committed(dead, err);
    if (!ok) {
        dead_close(dead);
        return NULL;
    }
    ask_retention(dead);
    return dead;
}

void dead_close(struct dead *dead)
{
    if (!dead) {
        return;
    }
    if (dead->transaction.producer) {
        rd_kafka_purge(dead->transaction.producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(dead->transaction.producer, POLL_MS);
        rd_kafka_destroy(dead->transaction.producer);
    }
    if (dead->consumer) {
        rd_kafka_consumer_close(dead->consumer);
        rd_kafka_destroy(dead->consumer);
    }
    for (int32_t i = 0; i < dead->count && dead->partitions; i++) {
        free(dead->partitions[i].metadata);
    }
    free(dead->partitions);
    free(dead);
}

int32_t dead_partition_count(const struct dead *dead)
{
    return dead->count;
}

const struct dead_partition *dead_partition(const struct dead *dead, int32_t partition)
{
    return &dead->partitions[partition];
}

/* ---- reading ---- */

enum step { STEP_ON, STEP_END, STEP_FAILED };

static enum step take_message(struct dead *dead, const rd_kafka_message_t *message, int64_t end,
    dead_letter *fn, void *arg, struct error *err)
{
    switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        break;
    case RD_KAFKA_RESP_ERR__PARTITION_EOF: /* what is open at the end is not committed */
        return STEP_END;
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        kafka_error(err, message->err, dead->topic);
        return STEP_FAILED;
    default:
        kafka_error(err, message->err, dead->topic); /* weather, as long as patience lasts */
        return STEP_ON;
    }
    if (message->offset >= end) {
        return STEP_END;
    }
    struct bus_record *letter = record_from_message(message, dead->logical);
    bool on = fn(arg, letter);
    free(letter);
    be_patient(dead);
    return on && message->offset + 1 < end ? STEP_ON : STEP_END;
}

static bool assign(struct dead *dead, int32_t partition, int64_t from, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, dead->topic, partition)->offset = from;
    rd_kafka_resp_err_t code = rd_kafka_assign(dead->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || kafka_error(err, code, dead->topic);
}

bool dead_read(
    struct dead *dead, int32_t partition, int64_t from, dead_letter *fn, void *arg, struct error *err)
{
    int64_t end = dead->partitions[partition].end;
    if (from >= end) {
        return true;
    }
    if (!assign(dead, partition, from, err)) {
        return false;
    }
    be_patient(dead);
    error_set(err, ERROR_RETRY, "broker_unavailable", "%s: no answer", dead->topic);
    enum step step = STEP_ON;
    while (step == STEP_ON) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(dead->consumer, POLL_MS);
        if (message) {
            step = take_message(dead, message, end, fn, arg, err);
            rd_kafka_message_destroy(message);
        } else if (given_up(dead)) {
            step = STEP_FAILED;
        }
    }
    rd_kafka_assign(dead->consumer, NULL);
    return step == STEP_END;
}

/* ---- committing ---- */

static rd_kafka_topic_partition_list_t *offset_list(struct dead *dead, const struct dead_commit *commit)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *entry =
        rd_kafka_topic_partition_list_add(list, dead->topic, commit->partition);
    entry->offset = commit->offset;
    entry->metadata_size = strlen(commit->metadata);
    entry->metadata = entry->metadata_size > 0 ? xstrdup(commit->metadata) : NULL; /* the list frees it */
    return list;
}

static void hand_over(struct dead *dead, const struct bus_record *record, rd_kafka_resp_err_t *code)
{
    char name[KAFKA_NAME_SIZE];
    kafka_topic_name(dead->conf, record->topic, name);
    do {
        *code = record_produce(dead->transaction.producer, name, record, true, code);
        if (*code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_poll(dead->transaction.producer, POLL_MS);
        }
    } while (*code == RD_KAFKA_RESP_ERR__QUEUE_FULL && !given_up(dead));
    if (*code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        *code = RD_KAFKA_RESP_ERR__TIMED_OUT; /* until it is delivered */
        dead->in_flight++;
    }
}

/* What it means that a record was not taken or not delivered. */
static void record_failed(struct dead *dead, rd_kafka_resp_err_t code, const char *topic, struct error *err)
{
    char text[256];
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(dead->transaction.producer, text, sizeof(text));
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
        error_set(err, ERROR_FATAL, is_fenced(fatal) ? FENCED : "transaction_refused", "%s: %s", topic, text);
        return;
    }
    kafka_error(err, code, topic);
    if (err->disposition == ERROR_RETRY && strcmp(err->code, "topic_unavailable") != 0) {
        error_set(err, ERROR_RETRY, ABORTED, "%s: %s", topic, rd_kafka_err2str(code));
    }
}

/* Sends all records and waits for their acknowledgements. The worst of what they met: a refusal before
 * weather. */
static bool produce_all(
    struct dead *dead, const struct dead_commit *commit, size_t *refused, struct error *err)
{
    assert(commit->count <= DEAD_COMMIT_MAX);
    dead->in_flight = 0;
    for (size_t i = 0; i < commit->count; i++) {
        hand_over(dead, commit->records[i], &dead->codes[i]);
    }
    while (dead->in_flight > 0 && !given_up(dead) &&
           rd_kafka_fatal_error(dead->transaction.producer, NULL, 0) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_flush(dead->transaction.producer, POLL_MS);
    }
    bool ok = true;
    for (size_t i = 0; i < commit->count; i++) {
        if (dead->codes[i] == RD_KAFKA_RESP_ERR_NO_ERROR) {
            continue;
        }
        struct error met = {0};
        record_failed(dead, dead->codes[i], commit->records[i]->topic, &met);
        if (ok || met.disposition == ERROR_REJECT) {
            *err = met;
        }
        ok = false;
        if (met.disposition == ERROR_REJECT) {
            *refused = i;
            break;
        }
    }
    return ok;
}

static bool send_offsets(struct dead *dead, const struct dead_commit *commit, struct error *err)
{
    rd_kafka_topic_partition_list_t *offsets = offset_list(dead, commit);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata_new(dead->group);
    bool ok =
        is_done(dead, transaction_send_offsets(&dead->transaction, offsets, group), "what is handled", err);
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
    return ok;
}

static bool commit_transaction(
    struct dead *dead, const struct dead_commit *commit, size_t *refused, struct error *err)
{
    if (!is_done(dead, transaction_begin(&dead->transaction), "a transaction", err)) {
        return false;
    }
    bool ok = produce_all(dead, commit, refused, err);
    if (ok) {
        crash_point("dead.produced");
        ok = send_offsets(dead, commit, err);
    }
    if (ok) {
        crash_point("dead.offsets_sent");
        ok = is_done(dead, transaction_commit(&dead->transaction), "the transaction", err);
        crash_point("dead.committed");
    }
    if (ok || err->disposition == ERROR_FATAL || strcmp(err->code, GIVEN_UP) == 0) {
        return ok;
    }
    struct error aborting = {0};
    if (!is_done(dead, transaction_abort(&dead->transaction), "the transaction", &aborting)) {
        *err = aborting;
    }
    return false;
}

static bool commit_plain(
    struct dead *dead, const struct dead_commit *commit, size_t *refused, struct error *err)
{
    if (!produce_all(dead, commit, refused, err)) {
        return false;
    }
    crash_point("dead.produced");
    rd_kafka_topic_partition_list_t *offsets = offset_list(dead, commit);
    rd_kafka_resp_err_t code = rd_kafka_commit(dead->consumer, offsets, false);
    rd_kafka_topic_partition_list_destroy(offsets);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || kafka_error(err, code, dead->group);
}

bool dead_commit(struct dead *dead, const struct dead_commit *commit, size_t *refused, struct error *err)
{
    be_patient(dead);
    if (dead->embedded) {
        return commit_plain(dead, commit, refused, err);
    }
    bool ok;
    do {
        ok = commit_transaction(dead, commit, refused, err);
    } while (!ok && strcmp(err->code, ABORTED) == 0 && pause_before_retry(dead));
    return ok;
}

/* ---- removing ---- */

static bool removed(rd_kafka_event_t *event, const char *topic, struct error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const rd_kafka_topic_partition_list_t *ends =
            rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
        code = ends->cnt == 1 ? ends->elems[0].err : RD_KAFKA_RESP_ERR__BAD_MSG;
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || kafka_error(err, code, topic);
}

bool dead_remove(struct dead *dead, int32_t partition, int64_t offset, struct error *err)
{
    if (dead->embedded) {
        return true;
    }
    rd_kafka_topic_partition_list_t *below = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(below, dead->topic, partition)->offset = offset;
    rd_kafka_DeleteRecords_t *wanted = rd_kafka_DeleteRecords_new(below);
    rd_kafka_topic_partition_list_destroy(below);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(dead->consumer);
    rd_kafka_DeleteRecords(dead->consumer, &wanted, 1, NULL, queue);
    rd_kafka_DeleteRecords_destroy(wanted);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, REQUEST_TIMEOUT_MS);
    bool ok = event ? removed(event, dead->topic, err)
                    : error_set(err, ERROR_RETRY, "broker_unavailable", "%s: no answer", dead->topic);
    if (event) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    return ok;
}
