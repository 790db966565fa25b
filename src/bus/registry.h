/* The schema registry of the setting schemas.registry, Confluent's or one that speaks its API: fetches the
 * schemas of ids that publishers use, and finds or registers our own when schemas.framing is confluent.
 *
 * A thread of its own asks, one thing at a time and at most 100 a second, so that neither the loop nor a
 * decode ever waits, and a publisher of made-up ids cannot flood the registry. Subjects are named by
 * Confluent's TopicNameStrategy: "<topic>-value". What is known survives the registry's absence, and with
 * run.dir a restart. */
#ifndef HELPDESK_BUS_REGISTRY_H
#define HELPDESK_BUS_REGISTRY_H

#include <stdbool.h>
#include "base/buf.h"
#include "base/error.h"
#include "conf/conf.h"

/* Before the first msg_encode and msg_decode of a role: `topics` are the logical names it produces to
 * (NULL-terminated), of which those that are no Avro topic are passed over. Nothing happens without
 * schemas.registry. With Confluent's framing the ids of our schemas are looked for (and registered with
 * schemas.register) at once; when the registry is away and they are not known from before, encoding fails
 * with ERROR_RETRY "registry_unavailable" until it is back (health part "registry").
 *
 * One registry per process: another call adds topics, and keeps the first call's settings. False: ERROR_FATAL
 * "setting_conflict", "setting_invalid", "schema_unregistered", "schema_incompatible", "schema_refused". Any
 * thread; blocks, for seconds at most. */
bool registry_open(const struct conf *conf, const char *const *topics, struct error *err);
/* Ends what registry_open began, once for each that succeeded; what was learned stays known. After the last
 * decode. */
void registry_close(void);

/* For commands: what the registry has of our schemas, a line for each subject; with `add` those that are not
 * there are registered. False: ERROR_FATAL, or ERROR_RETRY when it does not answer. That one is missing is an
 * error only when it is written and its role would not register it. Blocks. */
bool registry_report(const struct conf *conf, bool add, struct buf *report, struct error *err);

#endif
