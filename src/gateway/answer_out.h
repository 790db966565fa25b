/* A ticket's record as the JSON that each endpoint answers. Pure. */
#ifndef HELPDESK_GATEWAY_ANSWER_OUT_H
#define HELPDESK_GATEWAY_ANSWER_OUT_H

#include "base/arena.h"
#include "base/buf.h"
#include "gateway/sla.h"
#include "msg/messages.h"

#define ANSWER_MAX_BYTES (4 * 1024 * 1024) /* ceiling of an answer's buffer; a record is far smaller */

enum answer_shape {
    ANSWER_INTAKE,         /* POST /tickets */
    ANSWER_CLASSIFICATION, /* POST /tickets/classify */
    ANSWER_RETRIEVAL,      /* POST /tickets/context */
    ANSWER_GENERATION,     /* POST /tickets/respond */
    ANSWER_ORCHESTRATION,  /* POST /tickets/auto-orchestrate */
};

struct answer_facts {
    struct arena *arena; /* scratch */
    const struct msg_ticket_event *event;
    const struct sla_table *sla;
    double total_ms;      /* from the ticket's arrival to now */
    double processing_ms; /* of this request */
};

/* Whether the event holds what the shape is made of. */
bool answer_complete(enum answer_shape shape, const struct msg_ticket_event *event);

void answer_render(struct buf *out, enum answer_shape shape, const struct answer_facts *facts);

/* POST /tickets before any context is there. */
void answer_render_pending(
    struct buf *out, const char *ticket_id, const char *correlation_id, double processing_ms);

/* 202 of any endpoint. */
void answer_render_processing(
    struct buf *out, const char *ticket_id, const char *correlation_id, const char *location);
/* "/tickets/{id}?run={correlation_id}", percent-encoded. */
char *answer_location(struct arena *arena, const char *ticket_id, const char *correlation_id);

void answer_render_customer(struct buf *out, const struct msg_customer_context *customer);

#endif
