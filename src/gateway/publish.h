/* Records of the gateway on their way to Kafka. */
#ifndef HELPDESK_GATEWAY_PUBLISH_H
#define HELPDESK_GATEWAY_PUBLISH_H

#include "gateway/internal.h"
#include "msg/codec.h"

/* False: the record is not valid, or larger than the topic takes (ERROR_REJECT "record_too_large"); then
 * `done` is not called. Else it is called when the broker has the record, or never will. */

/* A ticket's record, to the topic of its plan's first step. */
bool publish_event(struct gateway *gateway, const struct msg_ticket_event *event, bus_delivered *done,
    void *arg, struct error *err);

/* A record of another topic; `key` is that of the record, `correlation_id` a header. */
bool publish_record(struct gateway *gateway, const char *topic, const struct msg_type *type,
    const void *record, const char *key, const char *correlation_id, bus_delivered *done, void *arg,
    struct error *err);

#endif
