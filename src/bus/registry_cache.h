/* What a registry told, kept on disk, so that known ids survive its absence and a restart: one folder per
 * registry, run.dir/schemas/<registry>/, with <id>.avsc and <subject>.id. Private to src/bus. */
#ifndef HELPDESK_BUS_REGISTRY_CACHE_H
#define HELPDESK_BUS_REGISTRY_CACHE_H

#include <stdbool.h>
#include <stdint.h>
#include "conf/conf.h"

#define REGISTRY_CACHE_PATH 1024

struct registry_cache {
    char folder[REGISTRY_CACHE_PATH]; /* "" when nothing is kept: run.dir is not set or not writable */
};

/* Makes the folder. What is wrong is logged, and nothing is kept then. */
void registry_cache_init(struct registry_cache *cache, const struct conf *conf);
/* Teaches the codec (msg_learn_id) all schemas that are kept; a file that is none is left out with a log
 * line. */
void registry_cache_load(const struct registry_cache *cache);
/* Keeps a schema. Any thread, and any process that shares the folder: a file is whole or not there. */
void registry_cache_keep_schema(const struct registry_cache *cache, uint32_t id, const char *json);
/* The id that our schema with `fingerprint` has under the subject. */
void registry_cache_keep_id(
    const struct registry_cache *cache, const char *subject, uint64_t fingerprint, uint32_t id);
bool registry_cache_find_id(
    const struct registry_cache *cache, const char *subject, uint64_t fingerprint, uint32_t *id);

#endif
