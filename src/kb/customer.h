/* What is known of a customer: profile, orders, tickets, and how likely he is to leave. */
#ifndef HELPDESK_KB_CUSTOMER_H
#define HELPDESK_KB_CUSTOMER_H

#include "base/arena.h"
#include "base/error.h"
#include "db/db.h"
#include "msg/messages.h"

/* Newest orders shown, newest tickets whose sentiment counts. */
#define CUSTOMER_RECENT_ORDERS 5
#define CUSTOMER_RECENT_TICKETS 20

/* `customer` is in the caller's arena; NULL with `err` NULL: there is no such customer. Loop thread, never
 * inside the call that loads. */
typedef void customer_loaded(void *arg, struct msg_customer_context *customer, const struct error *err);

/* `arena` must live until `done` was called. */
void customer_context_load(struct db *db, const char *tenant, const char *external_id, struct arena *arena,
    customer_loaded *done, void *arg);

/* The score of the contract as a risk. `days_since` counts from the last interaction; negative: there was
 * none. */
enum msg_churn_risk customer_churn_risk(double avg_sentiment, double days_since, enum msg_tier tier);

#endif
