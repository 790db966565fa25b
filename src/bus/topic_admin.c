/* Bringing a cluster to the table of topics: what differs, creating and altering it, checking it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/parse.h"
#include "bus/kafka.h"
#include "bus/topics.h"

#define REQUEST_TIMEOUT_MS 15000
#define TOPIC_MAX 32
#define OVERRIDE_MAX 64

struct topic_state {
    const struct bus_topic *topic;
    char name[KAFKA_NAME_SIZE];
    int partitions; /* 0: absent */
    int64_t retention_ms;
    int64_t max_bytes;
    bool compacted;
    /* What is set on the topic itself: AlterConfigs replaces all of it. */
    char *override_names[OVERRIDE_MAX];
    char *override_values[OVERRIDE_MAX];
    size_t override_count;
};

struct admin {
    rd_kafka_t *kafka;
    rd_kafka_queue_t *queue;
    const struct conf *conf;
    struct topic_state topics[TOPIC_MAX];
    size_t count;
};

static bool admin_open(struct admin *admin, const struct conf *conf, struct error *err)
{
    memset(admin, 0, sizeof(*admin));
    admin->conf = conf;
    rd_kafka_conf_t *kconf = kafka_conf_new(conf, err);
    if (!kconf) {
        return false;
    }
    admin->kafka = kafka_new(RD_KAFKA_PRODUCER, kconf, err);
    if (!admin->kafka) {
        return false;
    }
    admin->queue = rd_kafka_queue_new(admin->kafka);
    for (const struct bus_topic *topic = bus_topics; topic->name && admin->count < TOPIC_MAX; topic++) {
        struct topic_state *state = &admin->topics[admin->count++];
        state->topic = topic;
        kafka_topic_name(conf, topic->name, state->name);
    }
    return true;
}

static void forget_overrides(struct topic_state *state)
{
    for (size_t i = 0; i < state->override_count; i++) {
        free(state->override_names[i]);
        free(state->override_values[i]);
    }
    state->override_count = 0;
}

static void admin_close(struct admin *admin)
{
    for (size_t i = 0; i < admin->count; i++) {
        forget_overrides(&admin->topics[i]);
    }
    if (admin->queue) {
        rd_kafka_queue_destroy(admin->queue);
    }
    if (admin->kafka) {
        rd_kafka_destroy(admin->kafka);
    }
}

/* ---- what there is ---- */

static bool read_partitions(struct admin *admin, struct error *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(admin->kafka, 1, NULL, &metadata, REQUEST_TIMEOUT_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_error(err, code, "the cluster's topics");
    }
    for (size_t i = 0; i < admin->count; i++) {
        admin->topics[i].partitions = 0;
        for (int j = 0; j < metadata->topic_cnt; j++) {
            const struct rd_kafka_metadata_topic *found = &metadata->topics[j];
            if (found->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
                strcmp(found->topic, admin->topics[i].name) == 0) {
                admin->topics[i].partitions = found->partition_cnt;
            }
        }
    }
    rd_kafka_metadata_destroy(metadata);
    return true;
}

static rd_kafka_event_t *await_event(struct admin *admin, const char *what, struct error *err)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(admin->queue, 2 * REQUEST_TIMEOUT_MS);
    if (!event) {
        error_set(err, ERROR_RETRY, "broker_unavailable", "%s: no answer", what);
        return NULL;
    }
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_error(err, code, what);
        rd_kafka_event_destroy(event);
        return NULL;
    }
    return event;
}

static void read_entry(struct topic_state *state, const rd_kafka_ConfigEntry_t *entry)
{
    const char *name = rd_kafka_ConfigEntry_name(entry);
    const char *value = rd_kafka_ConfigEntry_value(entry);
    if (!value) {
        return;
    }
    if (strcmp(name, "retention.ms") == 0) {
        parse_int64(value, &state->retention_ms);
    } else if (strcmp(name, "max.message.bytes") == 0) {
        parse_int64(value, &state->max_bytes);
    } else if (strcmp(name, "cleanup.policy") == 0) {
        state->compacted = strstr(value, "compact") != NULL;
    }
    if (rd_kafka_ConfigEntry_source(entry) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG &&
        state->override_count < OVERRIDE_MAX) {
        state->override_names[state->override_count] = xstrdup(name);
        state->override_values[state->override_count++] = xstrdup(value);
    }
}

static struct topic_state *find_state(struct admin *admin, const char *name)
{
    for (size_t i = 0; i < admin->count; i++) {
        if (strcmp(admin->topics[i].name, name) == 0) {
            return &admin->topics[i];
        }
    }
    return NULL;
}

static bool read_answer(struct admin *admin, rd_kafka_event_t *event, struct error *err)
{
    size_t count = 0;
    const rd_kafka_ConfigResource_t **found =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(found[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return kafka_error(err, code, rd_kafka_ConfigResource_name(found[i]));
        }
        struct topic_state *state = find_state(admin, rd_kafka_ConfigResource_name(found[i]));
        size_t entries = 0;
        const rd_kafka_ConfigEntry_t **list = rd_kafka_ConfigResource_configs(found[i], &entries);
        forget_overrides(state);
        for (size_t j = 0; j < entries; j++) {
            read_entry(state, list[j]);
        }
    }
    return true;
}

static bool read_configs(struct admin *admin, struct error *err)
{
    rd_kafka_ConfigResource_t *asked[TOPIC_MAX];
    size_t count = 0;
    for (size_t i = 0; i < admin->count; i++) {
        if (admin->topics[i].partitions > 0) {
            asked[count++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, admin->topics[i].name);
        }
    }
    if (count == 0) {
        return true;
    }
    rd_kafka_DescribeConfigs(admin->kafka, asked, count, NULL, admin->queue);
    rd_kafka_ConfigResource_destroy_array(asked, count);
    rd_kafka_event_t *event = await_event(admin, "the topics' settings", err);
    bool ok = event && read_answer(admin, event, err);
    if (event) {
        rd_kafka_event_destroy(event);
    }
    return ok;
}

/* The embedded broker makes the table's topics and has no settings to ask for. */
static bool assume_configs(struct admin *admin)
{
    for (size_t i = 0; i < admin->count; i++) {
        admin->topics[i].retention_ms = admin->topics[i].topic->retention_ms;
        admin->topics[i].max_bytes = admin->topics[i].topic->max_bytes;
    }
    return true;
}

static bool admin_read(struct admin *admin, struct error *err)
{
    bool embedded = conf_bool(admin->conf, CONF_KAFKA_EMBEDDED);
    return read_partitions(admin, err) && (embedded ? assume_configs(admin) : read_configs(admin, err));
}

/* ---- what differs ---- */

static bool retention_differs(const struct topic_state *state)
{
    return state->retention_ms != state->topic->retention_ms;
}

/* Whether records would be lost or refused: the rest is a matter of taste and disk. */
static bool harmful(const struct topic_state *state)
{
    bool short_kept = state->retention_ms >= 0 &&
                      (state->topic->retention_ms < 0 || state->retention_ms < state->topic->retention_ms);
    return state->partitions == 0 || state->compacted || state->max_bytes < state->topic->max_bytes ||
           short_kept;
}

static bool differs(const struct topic_state *state)
{
    return state->partitions == 0 || state->compacted || retention_differs(state) ||
           state->max_bytes != state->topic->max_bytes;
}

static void report_topic(const struct admin *admin, const struct topic_state *state, struct buf *report)
{
    int64_t wanted = conf_int(admin->conf, CONF_KAFKA_PARTITIONS);
    if (state->partitions == 0) {
        buf_printf(report,
            "%s: absent; %" PRId64 " partitions, retention.ms %" PRId64 ", max.message.bytes %d\n",
            state->name, wanted, state->topic->retention_ms, (int)state->topic->max_bytes);
        return;
    }
    if (retention_differs(state)) {
        buf_printf(report, "%s: retention.ms is %" PRId64 ", should be %" PRId64 "\n", state->name,
            state->retention_ms, state->topic->retention_ms);
    }
    if (state->max_bytes != state->topic->max_bytes) {
        buf_printf(report, "%s: max.message.bytes is %" PRId64 ", should be %d\n", state->name,
            state->max_bytes, (int)state->topic->max_bytes);
    }
    if (state->compacted) {
        buf_printf(report, "%s: cleanup.policy has compact, should be delete\n", state->name);
    }
    if (state->partitions != wanted) {
        buf_printf(report,
            "%s: %d partitions, new ones get %" PRId64 "; left as it is (more would break the order "
            "per key)\n",
            state->name, state->partitions, wanted);
    }
}

static void report_all(const struct admin *admin, struct buf *report)
{
    for (size_t i = 0; i < admin->count; i++) {
        report_topic(admin, &admin->topics[i], report);
    }
}

/* ---- making it so ---- */

static void put_number(rd_kafka_ConfigResource_t *resource, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    rd_kafka_ConfigResource_set_config(resource, name, text);
}

static rd_kafka_NewTopic_t *describe_new(const struct admin *admin, const struct topic_state *state)
{
    char text[256];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(state->name, (int)conf_int(admin->conf, CONF_KAFKA_PARTITIONS),
            (int)conf_int(admin->conf, CONF_KAFKA_REPLICATION), text, sizeof(text));
    if (!topic) {
        return NULL;
    }
    char number[24];
    snprintf(number, sizeof(number), "%" PRId64, state->topic->retention_ms);
    rd_kafka_NewTopic_set_config(topic, "retention.ms", number);
    snprintf(number, sizeof(number), "%d", (int)state->topic->max_bytes);
    rd_kafka_NewTopic_set_config(topic, "max.message.bytes", number);
    rd_kafka_NewTopic_set_config(topic, "cleanup.policy", "delete");
    return topic;
}

static bool created(rd_kafka_event_t *event, struct error *err)
{
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            return error_set(err, ERROR_FATAL, "topic_refused", "%s: %s",
                rd_kafka_topic_result_name(results[i]), rd_kafka_err2str(code));
        }
    }
    return true;
}

static bool create_absent(struct admin *admin, struct error *err)
{
    rd_kafka_NewTopic_t *wanted[TOPIC_MAX];
    size_t count = 0;
    for (size_t i = 0; i < admin->count; i++) {
        if (admin->topics[i].partitions > 0) {
            continue;
        }
        wanted[count] = describe_new(admin, &admin->topics[i]);
        if (wanted[count]) {
            count++;
        }
    }
    if (count == 0) {
        return true;
    }
    rd_kafka_CreateTopics(admin->kafka, wanted, count, NULL, admin->queue);
    rd_kafka_NewTopic_destroy_array(wanted, count);
    rd_kafka_event_t *event = await_event(admin, "creating topics", err);
    bool ok = event && created(event, err);
    if (event) {
        rd_kafka_event_destroy(event);
    }
    return ok;
}

static bool ours(const char *name)
{
    return strcmp(name, "retention.ms") == 0 || strcmp(name, "max.message.bytes") == 0 ||
           strcmp(name, "cleanup.policy") == 0;
}

/* The whole of the topic's own settings, ours in place of what was there: a name given twice is refused. */
static rd_kafka_ConfigResource_t *describe_change(const struct topic_state *state)
{
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, state->name);
    for (size_t i = 0; i < state->override_count; i++) {
        if (!ours(state->override_names[i])) {
            rd_kafka_ConfigResource_set_config(resource, state->override_names[i], state->override_values[i]);
        }
    }
    put_number(resource, "retention.ms", state->topic->retention_ms);
    put_number(resource, "max.message.bytes", state->topic->max_bytes);
    rd_kafka_ConfigResource_set_config(resource, "cleanup.policy", "delete");
    return resource;
}

static bool altered(rd_kafka_event_t *event, struct error *err)
{
    size_t count = 0;
    const rd_kafka_ConfigResource_t **results =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        if (rd_kafka_ConfigResource_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return error_set(err, ERROR_FATAL, "topic_refused", "%s: %s",
                rd_kafka_ConfigResource_name(results[i]), rd_kafka_ConfigResource_error_string(results[i]));
        }
    }
    return true;
}

static bool alter_different(struct admin *admin, struct error *err)
{
    rd_kafka_ConfigResource_t *wanted[TOPIC_MAX];
    size_t count = 0;
    for (size_t i = 0; i < admin->count; i++) {
        if (admin->topics[i].partitions > 0 && differs(&admin->topics[i])) {
            wanted[count++] = describe_change(&admin->topics[i]);
        }
    }
    if (count == 0) {
        return true;
    }
    rd_kafka_AlterConfigs(admin->kafka, wanted, count, NULL, admin->queue);
    rd_kafka_ConfigResource_destroy_array(wanted, count);
    rd_kafka_event_t *event = await_event(admin, "altering topics", err);
    bool ok = event && altered(event, err);
    if (event) {
        rd_kafka_event_destroy(event);
    }
    return ok;
}

/* ---- the three commands ---- */

static void report_agreement(const struct admin *admin, struct buf *report, size_t before)
{
    if (report->len == before) {
        buf_printf(report, "%zu topics are as the table says\n", admin->count);
    }
}

bool topics_plan(const struct conf *conf, struct buf *report, struct error *err)
{
    struct admin admin;
    size_t before = report->len;
    bool ok = admin_open(&admin, conf, err) && admin_read(&admin, err);
    if (ok) {
        report_all(&admin, report);
        report_agreement(&admin, report, before);
    }
    admin_close(&admin);
    return ok;
}

bool topics_apply(const struct conf *conf, struct buf *report, struct error *err)
{
    struct admin admin;
    size_t before = report->len;
    bool ok = admin_open(&admin, conf, err) && admin_read(&admin, err);
    if (ok) {
        report_all(&admin, report);
        report_agreement(&admin, report, before);
        ok = create_absent(&admin, err) && alter_different(&admin, err);
    }
    admin_close(&admin);
    return ok;
}

bool topics_check(const struct conf *conf, struct buf *report, struct error *err)
{
    struct admin admin;
    size_t before = report->len;
    bool ok = admin_open(&admin, conf, err) && admin_read(&admin, err);
    if (ok) {
        size_t count = 0;
        for (size_t i = 0; i < admin.count; i++) {
            count += harmful(&admin.topics[i]) ? 1 : 0;
        }
        report_all(&admin, report);
        report_agreement(&admin, report, before);
        if (count > 0) {
            ok = error_set(
                err, ERROR_FATAL, "topics_differ", "%zu topics would lose or refuse records", count);
        }
    }
    admin_close(&admin);
    return ok;
}
