/* Confluent's schema ids as a schema registry gives them: what bus/registry.c tells the codec, and how the
 * codec asks. Confluent's wire format: 00, the id in 4 bytes, the datum. */
#ifndef HELPDESK_MSG_REGISTRY_H
#define HELPDESK_MSG_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "msg/messages.h" /* generated */

#define MSG_MAX_IDS 256 /* that a registry may teach one process */

struct msg_type;

/* Who knows the registry. The functions are called on any thread and must not block. */
struct msg_registry {
    void *arg;
    bool confluent; /* records are written in Confluent's framing */
    /* Id `id` is neither pinned nor learned: fills `err` (may be NULL) with what that means for its record,
     * ERROR_RETRY while the schema may still come, else ERROR_REJECT. */
    void (*unknown_id)(void *arg, uint32_t id, struct error *err);
    /* A type that is written has no id yet: fills `err` with why. */
    void (*no_id)(void *arg, struct error *err);
};

/* From now on `registry` is asked; borrowed until this is called with NULL, which no call of the codec may
 * overlap. */
void msg_use_registry(const struct msg_registry *registry);

/* Learns the schema of an id for the life of the process. False: ERROR_REJECT "schema_invalid": it breaks the
 * bounds of msg/avsc.h, is of none of our records, or MSG_MAX_IDS are known. Any thread. */
bool msg_learn_id(uint32_t id, const char *json, size_t len, struct error *err);
bool msg_knows_id(uint32_t id); /* learned, not pinned; any thread */
size_t msg_known_ids(void);     /* how many were learned; any thread */

/* Whether the learned schema of `id` is the current one of `type`: the same fields of the same types. */
bool msg_id_is_current(uint32_t id, const struct msg_type *type);
/* Records of `type` are written with this id in Confluent's framing. Any thread. */
void msg_write_id(const struct msg_type *type, uint32_t id);

#endif
