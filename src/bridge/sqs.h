/* Requests and answers of Amazon SQS, as JSON. Private to the bridge. Pure functions.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/Welcome.html */
#ifndef HELPDESK_BRIDGE_SQS_H
#define HELPDESK_BRIDGE_SQS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

#define SQS_BATCH 10                             /* the most messages that one call receives or deletes */
#define SQS_WAIT_S 20                            /* the longest that a call waits for the first */
#define SQS_ANSWER_MAX ((size_t)8 * 1024 * 1024) /* 1 MiB of messages, escaped */

struct sqs_message {
    const char *id; /* the same whenever it is received */
    const char *handle;
    const char *body;
    int64_t sent_ms; /* wall time; 0: not said */
};

struct sqs_messages {
    struct sqs_message items[SQS_BATCH];
    size_t count;
};

void sqs_put_receive(struct buf *out, const char *queue_url);
void sqs_put_delete(
    struct buf *out, const char *queue_url, const struct sqs_message *const *messages, size_t count);

/* Texts are in the arena. False: ERROR_RETRY "sqs_answer". */
bool sqs_read_messages(
    struct arena *arena, const char *text, size_t len, struct sqs_messages *out, struct error *err);
/* How many were not deleted. */
bool sqs_read_deleted(const char *text, size_t len, size_t *failed, struct error *err);

/* Region and validity of "https://sqs.REGION.amazonaws.com/ACCOUNT/NAME"; any other host has no region of its
 * own: "". False: ERROR_FATAL "bridge_queue". */
bool sqs_queue_region(const char *queue_url, char *region, size_t size, struct error *err);

#endif
