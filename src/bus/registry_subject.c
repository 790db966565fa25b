/* Finds our schemas in the registry, and registers them. */
#include "bus/registry_subject.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/log.h"
#include "bus/kafka.h"
#include "bus/topics.h"
#include "msg/codec.h"
#include "msg/registry.h"

#define SCHEMA_MAX ((size_t)256 * 1024)
#define ADD_TRIES 10
#define ADD_PAUSE_MS 100

const struct registry_subject registry_subjects[REGISTRY_SUBJECTS] = {
    {TOPIC_SUBMITTED, &msg_ticket_event},
    {TOPIC_CLASSIFIED, &msg_ticket_event},
    {TOPIC_ENRICHED, &msg_ticket_event},
    {TOPIC_ANSWERED, &msg_ticket_event},
    {TOPIC_REPLIES, &msg_ticket_event},
    {TOPIC_FEEDBACK, &msg_feedback},
    {TOPIC_KB_NOTIFICATIONS, &msg_kb_notification},
};

void registry_subject_name(
    const struct conf *conf, const struct registry_subject *subject, char name[SUBJECT_NAME_SIZE])
{
    char topic[KAFKA_NAME_SIZE];

    kafka_topic_name(conf, subject->topic, topic);
    snprintf(name, SUBJECT_NAME_SIZE, "%s-value", topic);
}

bool registry_learn(
    const struct registry_server *server, const struct registry_cache *cache, uint32_t id, struct error *err)
{
    int64_t began = clock_mono_ms();
    struct buf schema;

    if (msg_knows_id(id)) {
        return true;
    }
    buf_init(&schema, SCHEMA_MAX);
    bool ok = registry_fetch_schema(server, id, &schema, err) &&
              msg_learn_id(id, buf_text(&schema), schema.len, err);
    if (ok) {
        registry_cache_keep_schema(cache, id, buf_text(&schema));
        log_info("schema learned from the registry", LOG_INT("id", id), LOG_INT("bytes", schema.len),
            LOG_INT("ms", clock_mono_ms() - began));
    }
    buf_fini(&schema);
    return ok;
}

/* Processes that start together register the same: while one does, a registry may refuse the others, and the
 * next look finds it. What stays refused is refused for good. */
static bool add_schema(const struct registry_server *server, const char *name, const char *schema,
    int64_t *id, struct error *err)
{
    const struct timespec pause = {.tv_nsec = ADD_PAUSE_MS * 1000000L};

    for (int tries = 0; tries < ADD_TRIES; tries++) {
        if (!registry_try_schema(server, name, schema, err)) {
            return false;
        }
        if (registry_add_schema(server, name, schema, id, err)) {
            log_info("schema registered", LOG_STR("subject", name), LOG_INT("id", *id));
            return true;
        }
        if (strcmp(err->code, "schema_incompatible") != 0) {
            return false;
        }
        struct error refusal = *err;
        nanosleep(&pause, NULL);
        if (!registry_find_schema(server, name, schema, id, err)) {
            return false;
        }
        if (*id >= 0) {
            return true;
        }
        *err = refusal;
    }
    return false;
}

bool registry_subject_find(const struct registry_server *server, const struct registry_cache *cache,
    const char *name, const struct msg_type *type, bool add, uint32_t *id, struct error *err)
{
    const char *schema = msg_schema(type);
    int64_t found = -1;

    if (!registry_find_schema(server, name, schema, &found, err)) {
        return false;
    }
    if (found < 0 && !add) {
        return error_set(err, ERROR_FATAL, "schema_unregistered",
            "the registry lacks our current schema under subject %s: set schemas.register=true, or run "
            "`helpdesk schemas register`",
            name);
    }
    if (found < 0 && !add_schema(server, name, schema, &found, err)) {
        return false;
    }
    *id = (uint32_t)found;
    if (!registry_learn(server, cache, *id, err)) {
        if (err != NULL && err->disposition == ERROR_REJECT) {
            err->disposition = ERROR_FATAL;
        }
        return false;
    }
    if (!msg_id_is_current(*id, type)) {
        return error_set(err, ERROR_FATAL, "schema_refused",
            "%s: the registry calls our schema id %" PRIu32 ", but by that id has another", name, *id);
    }
    registry_cache_keep_id(cache, name, msg_fingerprint(type), *id);
    return true;
}
