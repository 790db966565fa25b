/* The table of topics. */
#include "bus/topics.h"

#include <string.h>

#define FOREVER                                                                                              \
    INT64_C(-1) /* a letter keeps the time of its record, so age says nothing: it goes when it is handled */
#define MINUTE INT64_C(60000)
#define DAY (24 * 60 * MINUTE)
#define KIB 1024
#define MIB (1024 * KIB)

const struct bus_topic bus_topics[] = {
    {TOPIC_SUBMITTED, 3 * DAY, MIB},
    {TOPIC_CLASSIFIED, 3 * DAY, MIB},
    {TOPIC_ENRICHED, 3 * DAY, MIB},
    {TOPIC_ANSWERED, 7 * DAY, MIB},
    {TOPIC_REPLIES, 10 * MINUTE, MIB},
    {TOPIC_FEEDBACK, 7 * DAY, 256 * KIB},
    {TOPIC_KB_NOTIFICATIONS, 7 * DAY, 256 * KIB},
    {"classifier.dead", FOREVER, 2 * MIB},
    {"retriever.dead", FOREVER, 2 * MIB},
    {"generator.dead", FOREVER, 2 * MIB},
    {"kb-sync.dead", FOREVER, 2 * MIB},
    {"logger.dead", FOREVER, 2 * MIB},
    {NULL, 0, 0},
};

const struct bus_topic *bus_topic_find(const char *name)
{
    for (const struct bus_topic *topic = bus_topics; topic->name; topic++) {
        if (strcmp(topic->name, name) == 0) {
            return topic;
        }
    }
    return NULL;
}
