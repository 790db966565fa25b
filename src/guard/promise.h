/* Finds promises that a draft must not make: guarantees, a refund for this customer, times for an answer or a
 * repair. What the company's pages say in general ("refunds take 3 days") is no promise; "we will refund you"
 * is one. */
#ifndef HELPDESK_GUARD_PROMISE_H
#define HELPDESK_GUARD_PROMISE_H

#include "guard/span.h"

struct phrase_table *promise_rules_new(void); /* phrase_table_free */
void promise_find(const struct phrase_table *table, const struct reading *reading, struct span_list *out);

#endif
