/* Budgets of models: what is asked of the ledger in the database, and when. */
#include "model/budget.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/health.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/metrics.h"

#define HEALTH "budget"
#define ASK_PATIENCE_MS 2000 /* for the database to grant a call; at most half of the call's time */
#define WAIT_MOST_MS 10000   /* for what others have reserved; at most a quarter of the call's time */
#define WAIT_SHARE 4
#define WAIT_TURN_MS 250        /* between two looks, and half as much again by chance */
#define SETTLE_PATIENCE_MS 1000 /* of the answer that waits for the ledger */
#define SETTLE_AGAIN_MS 5000
#define SETTLE_TRIES 5
#define KEEP_MORE_MS 120000 /* of a reservation beyond its call: for all these tries */
#define DAY_MS 86400000

enum hold_state {
    HOLD_FREE,      /* needs no reservation */
    HOLD_ASKING,    /* the database is asked */
    HOLD_WAITING,   /* for what others have reserved */
    HOLD_GRANTED,   /* the call may be under way */
    HOLD_SETTLING,  /* it is over */
    HOLD_ABANDONED, /* nobody waits for the database's answer any more */
};

struct budget_hold {
    LIST_ENTRY(budget_hold) link;
    struct budget *budget;
    enum hold_state state;
    bool querying; /* a query's callback will come */
    bool reserved; /* the ledger has it under `id` */
    char id[UUID_TEXT_SIZE];
    char *tenant, *model, *stage;
    struct budget_call call; /* its texts are those three */
    int64_t wait_until_ms;   /* monotonic */
    struct budget_spent spent;
    int tries; /* to settle */
    struct loop_timer *timer;
    budget_done *done;
    void (*settled)(void *arg);
    void *arg;
};

struct budget_tenant {
    LIST_ENTRY(budget_tenant) link;
    char *name;
    char used_up_on[16]; /* the day; "": it is not */
    struct metric *left_usd, *left_tokens;
};

struct budget {
    struct loop *loop;
    struct db *db;
    struct budget_limits usd, tokens;
    LIST_HEAD(, budget_hold) holds;
    LIST_HEAD(, budget_tenant) tenants;
    int tenant_count;
    struct loop_timer *midnight;
    bool closing; /* the last hold frees it */
};

/* What the ledger says of a tenant's day. */
struct standing {
    const char *day;
    double spent_usd, held_usd;
    int64_t spent_tokens, held_tokens;
};

/* ---- lifecycle ---- */

bool budget_limits_of(
    const struct conf *conf, struct budget_limits *usd, struct budget_limits *tokens, struct error *err)
{
    if (!budget_limits_parse(
            conf_name(CONF_BUDGET_USD_PER_DAY), conf_text(conf, CONF_BUDGET_USD_PER_DAY), false, usd, err)) {
        return false;
    }
    if (!budget_limits_parse(conf_name(CONF_BUDGET_TOKENS_PER_DAY),
            conf_text(conf, CONF_BUDGET_TOKENS_PER_DAY), true, tokens, err)) {
        budget_limits_fini(usd);
        return false;
    }
    return true;
}

static void on_midnight(void *arg);

struct budget *budget_new(struct loop *loop, struct db *db, const struct conf *conf, struct error *err)
{
    struct budget_limits usd, tokens;
    if (!budget_limits_of(conf, &usd, &tokens, err)) {
        return NULL;
    }
    struct budget *budget = xcalloc(1, sizeof(*budget));
    *budget = (struct budget){.loop = loop, .db = db, .usd = usd, .tokens = tokens};
    budget->midnight = loop_timer_new(loop, on_midnight, budget);
    return budget;
}

static void budget_destroy(struct budget *budget)
{
    struct budget_tenant *tenant;
    while ((tenant = LIST_FIRST(&budget->tenants))) {
        LIST_REMOVE(tenant, link);
        free(tenant->name);
        free(tenant);
    }
    budget_limits_fini(&budget->usd);
    budget_limits_fini(&budget->tokens);
    free(budget);
}

static void hold_free(struct budget_hold *hold)
{
    struct budget *budget = hold->budget;
    LIST_REMOVE(hold, link);
    loop_timer_free(hold->timer);
    free(hold->tenant);
    free(hold->model);
    free(hold->stage);
    free(hold);
    if (budget->closing && LIST_EMPTY(&budget->holds)) {
        budget_destroy(budget);
    }
}

void budget_free(struct budget *budget)
{
    if (!budget) {
        return;
    }
    loop_timer_free(budget->midnight);
    struct budget_hold *hold = LIST_FIRST(&budget->holds), *next;
    for (; hold; hold = next) {
        next = LIST_NEXT(hold, link);
        if (!hold->querying) {
            hold_free(hold); /* waits for another try to settle */
        }
    }
    if (LIST_EMPTY(&budget->holds)) {
        budget_destroy(budget);
    } else {
        budget->closing = true;
    }
}

/* ---- what is known of tenants ---- */

/* tenant="NAME"; a name may hold what must be escaped. */
static void label_of(const char *name, char *out, size_t size)
{
    size_t len = (size_t)snprintf(out, size, "tenant=\"");
    for (; *name && len + 4 < size; name++) {
        if (*name == '"' || *name == '\\') {
            out[len++] = '\\';
        }
        out[len++] = *name;
    }
    snprintf(out + len, size - len, "\"");
}

/* NULL: there are too many. */
static struct budget_tenant *tenant_of(struct budget *budget, const char *name)
{
    struct budget_tenant *tenant;
    LIST_FOREACH(tenant, &budget->tenants, link)
    {
        if (strcmp(tenant->name, name) == 0) {
            return tenant;
        }
    }
    if (budget->tenant_count == BUDGET_SEEN_MAX) {
        return NULL;
    }
    char labels[2 * BUDGET_TENANT_MAX + 16];
    label_of(name, labels, sizeof(labels));
    budget->tenant_count++;
    tenant = xcalloc(1, sizeof(*tenant));
    tenant->name = xstrdup(name);
    tenant->left_usd =
        metrics_gauge("helpdesk_budget_left_usd", "What a tenant may still spend on models today", labels);
    if (budget_limit_of(&budget->tokens, name) > 0) {
        tenant->left_tokens = metrics_gauge(
            "helpdesk_budget_left_tokens", "Tokens that a tenant's models may still use today", labels);
    }
    LIST_INSERT_HEAD(&budget->tenants, tenant, link);
    return tenant;
}

static double left_of(double limit, double spent, double held)
{
    double left = limit - spent - held;
    return left > 0 ? left : 0;
}

static void show_condition(struct budget *budget)
{
    const struct budget_tenant *tenant;
    char why[200];
    LIST_FOREACH(tenant, &budget->tenants, link)
    {
        if (tenant->used_up_on[0]) {
            snprintf(why, sizeof(why), "the budget of tenant %.*s is used up on %s", BUDGET_TENANT_MAX,
                tenant->name, tenant->used_up_on);
            health_set(HEALTH, false, why);
            return;
        }
    }
    health_set(HEALTH, true, "");
}

/* A new day: nobody has spent anything. */
static void on_midnight(void *arg)
{
    struct budget *budget = arg;
    struct budget_tenant *tenant;
    LIST_FOREACH(tenant, &budget->tenants, link)
    {
        tenant->used_up_on[0] = '\0';
        metric_set(tenant->left_usd, budget_limit_of(&budget->usd, tenant->name));
    }
    show_condition(budget);
}

static struct standing read_standing(const struct db_result *result)
{
    return (struct standing){.day = db_value(result, 0, 1),
        .spent_usd = db_number(result, 0, 2),
        .held_usd = db_number(result, 0, 3),
        .spent_tokens = db_int(result, 0, 4),
        .held_tokens = db_int(result, 0, 5)};
}

static void show_left(struct budget *budget, const char *name, const struct standing *standing)
{
    struct budget_tenant *tenant = tenant_of(budget, name);
    if (!tenant) {
        return;
    }
    metric_set(tenant->left_usd,
        left_of(budget_limit_of(&budget->usd, name), standing->spent_usd, standing->held_usd));
    if (tenant->left_tokens) {
        metric_set(tenant->left_tokens, left_of(budget_limit_of(&budget->tokens, name),
                                            (double)standing->spent_tokens, (double)standing->held_tokens));
    }
}

/* One log line a tenant and day. */
static void note_used_up(struct budget_hold *hold, const struct standing *standing, const struct error *err)
{
    struct budget *budget = hold->budget;
    struct budget_tenant *tenant = tenant_of(budget, hold->tenant);
    char labels[64];
    snprintf(labels, sizeof(labels), "stage=\"%.40s\"", hold->stage);
    metric_add(metrics_counter("helpdesk_budget_used_up_total",
                   "Calls of models that were not made because a tenant's budget is used up", labels),
        1);
    if (!tenant || strcmp(tenant->used_up_on, standing->day) == 0) {
        return;
    }
    snprintf(tenant->used_up_on, sizeof(tenant->used_up_on), "%s", standing->day);
    log_warn("a tenant's budget of the day is used up: local models carry on",
        LOG_STR("tenant", hold->tenant), LOG_STR("day", standing->day), LOG_STR("why", err->text));
    show_condition(budget);
    loop_timer_arm(budget->midnight, DAY_MS - clock_wall_ms() % DAY_MS + 1000);
}

static void note_granted(struct budget_hold *hold)
{
    struct budget_tenant *tenant = tenant_of(hold->budget, hold->tenant);
    if (tenant && tenant->used_up_on[0]) {
        tenant->used_up_on[0] = '\0';
        show_condition(hold->budget);
    }
}

/* ---- settling ---- */

static void tell_settled(struct budget_hold *hold)
{
    void (*settled)(void *arg) = hold->settled;
    hold->settled = NULL;
    if (settled) {
        settled(hold->arg);
    }
}

static void on_settled(void *arg, const struct db_result *result, const struct error *err)
{
    struct budget_hold *hold = arg;
    struct budget *budget = hold->budget;
    hold->querying = false;
    loop_timer_cancel(hold->timer);
    crash_point("budget.settled");
    if (result) {
        const struct standing standing = read_standing(result);
        show_left(budget, hold->tenant, &standing);
    } else if (err->disposition == ERROR_RETRY && hold->reserved && !budget->closing &&
               ++hold->tries < SETTLE_TRIES) {
        tell_settled(hold);
        loop_timer_arm(hold->timer, SETTLE_AGAIN_MS);
        return;
    } else {
        log_warn("what a model's call used is not in the ledger", LOG_STR("code", err->code),
            LOG_INT("reserved", hold->reserved), LOG_STR("error", err->text));
    }
    tell_settled(hold);
    hold_free(hold);
}

static void write_settlement(struct budget_hold *hold)
{
    static const char *const outcomes[] = {"answered", "released", "lost"};
    char input[24], output[24], usd[48];
    snprintf(input, sizeof(input), "%" PRId64, hold->spent.input_tokens);
    snprintf(output, sizeof(output), "%" PRId64, hold->spent.output_tokens);
    snprintf(usd, sizeof(usd), "%.10f", hold->spent.usd);
    const struct db_query query = {
        .sql = "SELECT NULL, on_day, spent_usd, held_usd, spent_tokens, held_tokens FROM cost_settle($1, $2, "
               "$3, $4, $5, $6::bigint, $7::bigint, $8::numeric, NULL)",
        .param_count = 8,
        .params = {hold->tenant, hold->reserved ? hold->id : NULL, hold->model, hold->stage,
            outcomes[hold->spent.outcome], input, output, usd}};
    hold->querying = true;
    db_query(hold->budget->db, &query, on_settled, hold);
}

void budget_settle(
    struct budget_hold *hold, const struct budget_spent *spent, void (*settled)(void *arg), void *arg)
{
    hold->state = HOLD_SETTLING;
    hold->spent = *spent;
    hold->settled = settled;
    hold->arg = arg;
    if (!hold->reserved && spent->outcome != BUDGET_ANSWERED) {
        tell_settled(hold);
        hold_free(hold);
        return;
    }
    write_settlement(hold);
    if (db_up(hold->budget->db)) {
        loop_timer_arm(hold->timer, SETTLE_PATIENCE_MS);
    } else {
        tell_settled(hold);
    }
}

/* ---- reserving ---- */

static void end(struct budget_hold *hold, const struct error *err)
{
    budget_done *done = hold->done;
    void *arg = hold->arg;
    hold_free(hold);
    done(arg, err);
}

static void refuse(struct budget_hold *hold, const struct standing *standing)
{
    const struct budget_call *call = &hold->call;
    double usd = budget_limit_of(&hold->budget->usd, hold->tenant);
    double tokens = budget_limit_of(&hold->budget->tokens, hold->tenant);
    double taken = standing->spent_usd + standing->held_usd;
    struct error err;
    if (call->most_usd > 0 && taken + call->most_usd > usd) {
        error_set(&err, ERROR_REJECT, "budget_used_up",
            "the tenant's budget of the day is used up: %.4f of %.2f USD are spent or reserved, and this "
            "call may cost %.4f",
            taken, usd, call->most_usd);
    } else {
        error_set(&err, ERROR_REJECT, "budget_used_up",
            "the tenant's budget of the day is used up: %" PRId64 " of %.0f tokens are used or reserved, and "
            "this call may use %" PRId64,
            standing->spent_tokens + standing->held_tokens, tokens,
            call->most_input_tokens + call->most_output_tokens);
    }
    note_used_up(hold, standing, &err);
    end(hold, &err);
}

/* The server's own words may name addresses: they are for the log. */
static void fail(struct budget_hold *hold, const struct error *why)
{
    struct error err;
    if (why->disposition == ERROR_FATAL) {
        health_set(HEALTH, false, why->text);
        error_set(&err, ERROR_FATAL, why->code, "the tables of the budgets are missing or others");
    } else if (strcmp(why->code, "db_unavailable") == 0) {
        error_set(&err, why->disposition, why->code, "the database, which keeps the budgets, is away");
    } else {
        error_set(&err, why->disposition, why->code, "the budget could not be looked at");
    }
    log_warn("a model is not asked: its budget cannot be looked at", LOG_STR("code", why->code),
        LOG_STR("error", why->text));
    end(hold, &err);
}

static void on_asked(void *arg, const struct db_result *result, const struct error *err)
{
    struct budget_hold *hold = arg;
    const char *outcome = result ? db_value(result, 0, 0) : "";
    hold->querying = false;
    hold->reserved = strcmp(outcome, "held") == 0;
    if (hold->state == HOLD_ABANDONED) {
        if (hold->reserved && !hold->budget->closing) {
            budget_settle(hold, &(struct budget_spent){.outcome = BUDGET_RELEASED}, NULL, NULL);
        } else {
            hold_free(hold);
        }
        return;
    }
    loop_timer_cancel(hold->timer);
    if (err) {
        fail(hold, err);
        return;
    }
    const struct standing standing = read_standing(result);
    show_left(hold->budget, hold->tenant, &standing);
    if (hold->reserved) {
        crash_point("budget.held");
        hold->state = HOLD_GRANTED;
        note_granted(hold);
        hold->done(hold->arg, NULL);
    } else if (strcmp(outcome, "wait") == 0) {
        hold->state = HOLD_WAITING;
        loop_timer_arm(hold->timer, WAIT_TURN_MS + (int64_t)arc4random_uniform(WAIT_TURN_MS / 2));
    } else {
        refuse(hold, &standing);
    }
}

static void ask(struct budget_hold *hold)
{
    const struct budget_call *call = &hold->call;
    char input[24], output[24], usd[48], usd_limit[48], tokens_limit[48], keep[24];
    snprintf(input, sizeof(input), "%" PRId64, call->most_input_tokens);
    snprintf(output, sizeof(output), "%" PRId64, call->most_output_tokens);
    snprintf(usd, sizeof(usd), "%.10f", call->most_usd);
    snprintf(usd_limit, sizeof(usd_limit), "%.10f", budget_limit_of(&hold->budget->usd, hold->tenant));
    snprintf(
        tokens_limit, sizeof(tokens_limit), "%.0f", budget_limit_of(&hold->budget->tokens, hold->tenant));
    snprintf(keep, sizeof(keep), "%" PRId64, call->timeout_ms + KEEP_MORE_MS);
    const struct db_query query = {
        .sql =
            "SELECT outcome, on_day, spent_usd, held_usd, spent_tokens, held_tokens FROM cost_hold($1, $2, "
            "$3, $4, $5::bigint, $6::bigint, $7::numeric, $8::numeric, $9::bigint, $10::boolean, "
            "$11::bigint * interval '1 ms', NULL)",
        .param_count = 11,
        .params = {hold->tenant, hold->id, hold->model, hold->stage, input, output, usd, usd_limit,
            tokens_limit, clock_mono_ms() < hold->wait_until_ms ? "true" : "false", keep}};
    hold->state = HOLD_ASKING;
    hold->querying = true;
    db_query(hold->budget->db, &query, on_asked, hold);
    loop_timer_arm(
        hold->timer, call->timeout_ms / 2 < ASK_PATIENCE_MS ? call->timeout_ms / 2 : ASK_PATIENCE_MS);
}

/* The database does not answer in time: the call is not made, and a reservation that comes late is given
 * back. */
static void give_up(struct budget_hold *hold)
{
    struct error err;
    budget_done *done = hold->done;
    hold->state = HOLD_ABANDONED;
    error_set(&err, ERROR_RETRY, "db_unavailable", "the database, which keeps the budgets, is away");
    done(hold->arg, &err);
}

static void on_timer(void *arg)
{
    struct budget_hold *hold = arg;
    switch (hold->state) {
    case HOLD_FREE:
        hold->done(hold->arg, NULL);
        return;
    case HOLD_WAITING:
        ask(hold);
        return;
    case HOLD_ASKING:
        give_up(hold);
        return;
    case HOLD_SETTLING:
        if (hold->querying) {
            tell_settled(hold);
        } else {
            write_settlement(hold);
        }
        return;
    case HOLD_GRANTED:
    case HOLD_ABANDONED:
        return;
    }
}

struct budget_hold *budget_reserve(
    struct budget *budget, const struct budget_call *call, budget_done *done, void *arg)
{
    struct budget_hold *hold = xcalloc(1, sizeof(*hold));
    int64_t wait = call->timeout_ms / WAIT_SHARE;
    *hold = (struct budget_hold){.budget = budget,
        .call = *call,
        .tenant = xstrdup(call->tenant),
        .model = xstrdup(call->model),
        .stage = xstrdup(call->stage),
        .wait_until_ms = clock_mono_ms() + (wait < WAIT_MOST_MS ? wait : WAIT_MOST_MS),
        .done = done,
        .arg = arg};
    hold->call.tenant = hold->tenant;
    hold->call.model = hold->model;
    hold->call.stage = hold->stage;
    hold->timer = loop_timer_new(budget->loop, on_timer, hold);
    LIST_INSERT_HEAD(&budget->holds, hold, link);
    uuid_v7(hold->id);
    if (call->most_usd > 0 || budget_limit_of(&budget->tokens, hold->tenant) > 0) {
        ask(hold);
    } else {
        loop_timer_arm(hold->timer, 0);
    }
    return hold;
}

void budget_drop(struct budget_hold *hold)
{
    hold->done = NULL;
    hold->settled = NULL;
    if (hold->state == HOLD_ASKING) {
        loop_timer_cancel(hold->timer);
        hold->state = HOLD_ABANDONED;
    } else if (hold->state != HOLD_SETTLING) {
        hold_free(hold); /* what is reserved expires, and counts as lost then */
    }
}
