/* What object stores tell of their objects, in every form in which it travels. Of each event only this
 * counts: which object it is, and how to see that it tells nothing new. What became of the object, the store
 * says itself when it is asked.
 *
 *   S3:           {"Records":[{"eventName":"ObjectCreated:Put","s3":{...}}]}, also of MinIO (Kafka, webhook)
 *                 docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
 *   EventBridge:  {"detail-type":"Object Created","detail":{...}}
 *                 docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
 *   CloudEvents:  {"specversion":"1.0","type":...,"data":{...}} around any of them; its adapter for S3
 * carries one record as data (cloudevents.io, adapters/aws-s3) SNS: {"Type":"Notification","Message":"..."}
 * around any of them, and its confirmations SQS:          {"Messages":[{"Body":"..."}]}, {"Body":"..."}, and
 * as functions get it {"Records":[{"body":"..."}]}
 */
#ifndef HELPDESK_KB_EVENT_H
#define HELPDESK_KB_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/error.h"

#define KB_EVENTS_MAX 1000 /* of one text */

struct kb_event {
    const char *bucket;
    const char *key; /* as the object is called, or may be: where an encoded key could be read as it is, two
                        events tell of it */
    const char *sequencer; /* hexadecimal digits; "": not said */
    bool removed;          /* else written */
    int64_t wall_ms;       /* when it happened; 0: not said */
};

struct kb_events {
    struct kb_event *items;
    size_t count;
    size_t ignored;      /* events that tell nothing of a content: tags, access, a test */
    const char *confirm; /* ARN of an SNS topic that wants its subscription confirmed; NULL: none does */
    const char *confirm_region; /* where it is */
    const char *confirm_token;  /* which shows that we were asked */
};

/* All of `out` is in the arena. False: ERROR_REJECT "kb_event", naming the member and what would be right.
 * Any thread. */
bool kb_events_parse(
    struct arena *arena, const char *text, size_t len, struct kb_events *out, struct error *err);

/* Below, at or above 0: the event of `a` came before, is, or came after that of `b`. Sequencers are numbers
 * of any length; of one object only. */
int kb_sequencer_compare(const char *a, const char *b);

#endif
