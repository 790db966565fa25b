/* Our schemas under the registry's subjects. Private to src/bus. */
#ifndef HELPDESK_BUS_REGISTRY_SUBJECT_H
#define HELPDESK_BUS_REGISTRY_SUBJECT_H

#include "bus/registry_cache.h"
#include "bus/registry_call.h"

#define REGISTRY_SUBJECTS 7
#define SUBJECT_NAME_SIZE 260

struct msg_type;

struct registry_subject {
    const char *topic; /* logical */
    const struct msg_type *type;
};
/* Every topic of ours whose records are Avro. The stages' dead letters hold what came, framed as it came. */
extern const struct registry_subject registry_subjects[REGISTRY_SUBJECTS];

/* The subject of a topic (TopicNameStrategy). */
void registry_subject_name(
    const struct conf *conf, const struct registry_subject *subject, char name[SUBJECT_NAME_SIZE]);

/* The id of our current schema under the subject, registering it first when it is not there and `add` says
 * so. What the registry has by that id is learned, kept, and compared with ours. Any thread; blocks.
 * ERROR_FATAL "schema_unregistered" and what the calls of registry_call.h say. */
bool registry_subject_find(const struct registry_server *server, const struct registry_cache *cache,
    const char *name, const struct msg_type *type, bool add, uint32_t *id, struct error *err);

/* Learns and keeps the schema of an id that is not known. Errors of registry_fetch_schema and msg_learn_id.
 */
bool registry_learn(
    const struct registry_server *server, const struct registry_cache *cache, uint32_t id, struct error *err);

#endif
