/* What tenants may spend on models in a day (UTC), in money and in tokens. The database keeps it
 * (schemas/sql/0006_costs.up.sql), so the limits hold for all processes together: before a call the most it
 * can use is reserved, after it what it did use takes the reservation's place. What was spent stays counted
 * whatever becomes of the ticket; a call of which nobody saw what it used counts as the most it can have
 * used.
 *
 * A call that costs money, or tokens where they are limited, is not made without a reservation: while the
 * database is away it ends with ERROR_RETRY "db_unavailable", as all that waits for the database. Other calls
 * are only recorded, and a database that is away holds them up nowhere.
 *
 * Sets condition "budget" of base/health.h while a tenant's is used up, and gauges
 * helpdesk_budget_left_usd{tenant} and helpdesk_budget_left_tokens{tenant} (of the first BUDGET_SEEN_MAX
 * tenants of a process); counts helpdesk_budget_used_up_total{stage}. Loop thread. */
#ifndef HELPDESK_MODEL_BUDGET_H
#define HELPDESK_MODEL_BUDGET_H

#include "conf/conf.h"
#include "db/db.h"
#include "loop/loop.h"
#include "model/budget_limits.h"

#define BUDGET_SEEN_MAX 100

struct budget;      /* of a process; its calls of any model and stage */
struct budget_hold; /* a call, from budget_reserve until it is settled */

/* The limits in settings budget.usd-per-day and budget.tokens-per-day (0 tokens: no limit). False:
 * ERROR_FATAL "setting_invalid". */
bool budget_limits_of(
    const struct conf *conf, struct budget_limits *usd, struct budget_limits *tokens, struct error *err);

/* `db` is borrowed and freed after it. NULL: the error of budget_limits_of. */
struct budget *budget_new(struct loop *loop, struct db *db, const struct conf *conf, struct error *err);
/* After those who reserve (their calls are settled or dropped). NULL is fine. */
void budget_free(struct budget *budget);

/* Texts are copied. */
struct budget_call {
    const char *tenant, *model;
    const char *stage; /* who asks: "generator" */
    int64_t most_input_tokens, most_output_tokens;
    double most_usd;
    int64_t timeout_ms; /* for the whole call; a part of it may be spent waiting for what others have reserved
                           and may not need */
};

/* `err` NULL: the call may be made. Else it may not, and there is nothing to settle:
 *   ERROR_REJECT "budget_used_up"
 *   ERROR_RETRY  "db_unavailable" and the others of db/db.h
 *   ERROR_FATAL  "db_schema": the migrations have not been run
 * The text may be shown to anybody who may know what the tenant spends. */
typedef void budget_done(void *arg, const struct error *err);

/* `done` is called once, never inside this call, unless the hold is dropped before. */
struct budget_hold *budget_reserve(
    struct budget *budget, const struct budget_call *call, budget_done *done, void *arg);

enum budget_outcome {
    BUDGET_ANSWERED, /* it used `input_tokens` and the rest */
    BUDGET_RELEASED, /* it was not made, or not taken: nothing is spent */
    BUDGET_LOST,     /* nobody saw what it used */
};

struct budget_spent {
    enum budget_outcome outcome;
    int64_t input_tokens, output_tokens;
    double usd;
};

/* Ends a hold whose call was allowed. `settled` comes when the ledger has it, or after a second, or at once
 * (inside this call) while the database is away: it is then written later, if that is within a minute. */
void budget_settle(
    struct budget_hold *hold, const struct budget_spent *spent, void (*settled)(void *arg), void *arg);
/* Instead of waiting for `done` or `settled`, which are not called then: nobody is there any more. A call
 * that was allowed counts as lost. */
void budget_drop(struct budget_hold *hold);

#endif
