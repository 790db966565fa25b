/* Request bodies to records: JSON to struct msg_ticket and the parts of a question, every mistake found at
 * once. Pure: no request, no clock, no database. */
#ifndef HELPDESK_GATEWAY_TICKET_IN_H
#define HELPDESK_GATEWAY_TICKET_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "gateway/field_errors.h"
#include "gateway/hash.h"
#include "msg/messages.h"

/* What an endpoint takes besides the ticket's own members. */
struct ticket_in_rules {
    bool intake;       /* POST /tickets: ticket_id, external_ticket_id and created_at are required */
    bool takes_sonnet; /* use_sonnet */
    bool takes_classification;
    bool needs_classification;
    bool needs_context; /* and takes it */
};

/* Everything in the arena. */
struct ticket_in {
    struct msg_ticket
        ticket; /* ticket_id is NULL and has_created_at false when the body does not give them */
    bool use_sonnet;
    struct msg_classification *classification; /* NULL: not given */
    struct msg_context *context;               /* NULL: not given */
    const char *warning;              /* names the members that were ignored, fit for a header; NULL: none */
    char content_hash[HASH_HEX_SIZE]; /* SHA-256 of what the caller said, ticket_id left out: the same
                                         content, the same hash */
};

/* False: `errors` holds every mistake found. `body` is what `len` bytes of request body are. */
bool ticket_in_read(struct arena *arena, const char *body, size_t len, const struct ticket_in_rules *rules,
    struct ticket_in *in, struct field_errors *errors);

#endif
