/* The table of topics (name, key, retention, size), and bringing a cluster to it. */
#ifndef HELPDESK_BUS_TOPICS_H
#define HELPDESK_BUS_TOPICS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/error.h"
#include "conf/conf.h"

#define TOPIC_SUBMITTED "tickets.submitted"
#define TOPIC_CLASSIFIED "tickets.classified"
#define TOPIC_ENRICHED "tickets.enriched"
#define TOPIC_ANSWERED "tickets.answered"
#define TOPIC_REPLIES "tickets.replies"
#define TOPIC_FEEDBACK "tickets.feedback"
#define TOPIC_KB_NOTIFICATIONS "kb.notifications"
/* and "<stage>.dead" for classifier, retriever, generator, kb-sync, logger */

struct bus_topic {
    const char *name;     /* logical */
    int64_t retention_ms; /* -1: until they are removed */
    int32_t max_bytes;
};
extern const struct bus_topic bus_topics[];               /* ends with a NULL name */
const struct bus_topic *bus_topic_find(const char *name); /* NULL when unknown */

/* What differs between the cluster and the table, a line each; plan changes nothing, apply creates and
 * alters, check fails (ERROR_FATAL) when anything differs that would lose or refuse records. Block; for
 * commands. */
bool topics_plan(const struct conf *conf, struct buf *report, struct error *err);
bool topics_apply(const struct conf *conf, struct buf *report, struct error *err);
bool topics_check(const struct conf *conf, struct buf *report, struct error *err);

#endif
