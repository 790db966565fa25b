/* What an answer depends on, as one digest: two requests with the same get the same answer. */
#ifndef HELPDESK_MODEL_ANSWER_KEY_H
#define HELPDESK_MODEL_ANSWER_KEY_H

#include "base/buf.h"
#include "model/cache.h"
#include "msg/codec.h"

/* Put in everything, always in the same order; parts cannot run into each other. */
struct answer_key {
    struct buf parts;
};

void answer_key_begin(struct answer_key *key);
void answer_key_put(struct answer_key *key, const char *text); /* NULL is a value of its own */
void answer_key_put_int(struct answer_key *key, int64_t number);
/* Subject, description, conversation, channel and language, without differences of case and white space; what
 * names the ticket is left out. With a conversation the customer, too: what was said to one is another's
 * never. */
void answer_key_put_ticket(struct answer_key *key, const struct msg_ticket *ticket);
/* Whether `text` tells which ticket it was made for: it is no answer to another. Ids of one or two characters
 * tell nothing. */
bool answer_names_ticket(const char *text, const struct msg_ticket *ticket);
/* The digest (SHA-256); frees what was put in. False: there was too much to tell. */
bool answer_key_end(struct answer_key *key, struct cache_key *out);

#endif
