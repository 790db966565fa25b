/* Wakes librdkafka with a request whenever half a queue was taken. */
#include "bus/refill.h"

#include <stdint.h>
#include <stdio.h>

#define OBEYS_BACKOFF 0x020200ff /* the first version that knows fetch.queue.backoff.ms */
#define ASK_TIMEOUT_MS 500

static void ask(struct background_call *call)
{
    struct refill *refill = (struct refill *)call;
    int64_t end;
    /* The answer is of no interest, and an error only means that there is nothing to fetch from. */
    kafka_offset(refill->kafka, refill->topic, refill->partition, RD_KAFKA_OFFSET_END, ASK_TIMEOUT_MS, &end);
}

static void asked(struct background_call *call)
{
    ((struct refill *)call)->asking = false;
}

void refill_init(struct refill *refill, const struct kafka_client *client, size_t queue_bytes)
{
    *refill = (struct refill){.call = {.work = ask, .done = asked, .drop = asked},
        .background = client->background,
        .kafka = client->kafka,
        .after = rd_kafka_version() < OBEYS_BACKOFF ? queue_bytes / 2 : SIZE_MAX};
}

void refill_note(struct refill *refill, const char *topic, int32_t partition, size_t bytes, size_t *taken)
{
    *taken += bytes;
    if (*taken < refill->after || refill->asking) {
        return;
    }
    *taken = 0;
    refill->asking = true;
    refill->partition = partition;
    snprintf(refill->topic, sizeof(refill->topic), "%s", topic);
    background_submit(refill->background, &refill->call);
}
