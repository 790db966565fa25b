/* Loads a customer's context in one query. */
#include "kb/customer.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"

#define HIGH_VALUE 10000.0
#define DAY_MS 86400000.0
#define LIMIT_TEXT(n) #n
#define LIMIT_OF(n) LIMIT_TEXT(n)

struct customer_load {
    struct arena *arena;
    customer_loaded *done;
    void *arg;
};

enum { /* columns of the query */
    CUSTOMER_ID,
    EXTERNAL_ID,
    NAME,
    EMAIL,
    COMPANY,
    TIER,
    LIFETIME_VALUE,
    TOTAL_ORDERS,
    RECENT_ORDERS,
    OPEN_TICKETS,
    AVG_SENTIMENT,
    LAST_INTERACTION
};

static const char load_sql[] =
    "SELECT c.customer_id, c.external_id, c.name, c.email, c.company, c.tier, c.lifetime_value, "
    "(SELECT count(*) FROM orders o WHERE o.tenant = c.tenant AND o.customer_external_id = c.external_id), "
    "(SELECT json_agg(json_build_object('order_id', o.order_id, 'status', o.status, 'total', o.total, "
    "'currency', o.currency, 'ordered_at', (extract(epoch FROM o.ordered_at) * 1000)::bigint, 'summary', "
    "o.summary) "
    "ORDER BY o.ordered_at DESC, o.order_id) "
    "FROM (SELECT * FROM orders WHERE tenant = c.tenant AND customer_external_id = c.external_id "
    "ORDER BY ordered_at DESC, order_id LIMIT " LIMIT_OF(
        CUSTOMER_RECENT_ORDERS) ") o), "
                                "(SELECT count(*) FROM tickets t WHERE t.tenant = c.tenant AND "
                                "t.customer_external_id = c.external_id "
                                "AND t.status IN ('open', 'pending')), "
                                "coalesce((SELECT avg(CASE t.sentiment WHEN 'positive' THEN 1.0 WHEN "
                                "'negative' THEN -1.0 ELSE 0.0 END) "
                                "FROM (SELECT sentiment FROM tickets WHERE tenant = c.tenant AND "
                                "customer_external_id = c.external_id "
                                "AND sentiment IS NOT NULL ORDER BY received_at DESC LIMIT " LIMIT_OF(
                                    CUSTOMER_RECENT_TICKETS) ") t), c.avg_sentiment), "
                                                             "(extract(epoch FROM greatest(c.last_contact, "
                                                             "(SELECT max(received_at) FROM tickets t "
                                                             "WHERE t.tenant = c.tenant AND "
                                                             "t.customer_external_id = c.external_id))) * "
                                                             "1000)::bigint "
                                                             "FROM customers c WHERE c.tenant = $1 AND "
                                                             "c.external_id = $2";

enum msg_churn_risk customer_churn_risk(double avg_sentiment, double days_since, enum msg_tier tier)
{
    int score = 0;
    if (avg_sentiment < -0.3) {
        score += 3;
    } else if (avg_sentiment < 0) {
        score += 1;
    }
    if (days_since < 0) {
        score += 2;
    } else if (days_since > 60) {
        score += 3;
    } else if (days_since > 30) {
        score += 1;
    }
    if (tier == MSG_TIER_ENTERPRISE && score > 0) {
        score += 1;
    }
    return score >= 4 ? MSG_CHURN_RISK_HIGH : score >= 2 ? MSG_CHURN_RISK_MEDIUM : MSG_CHURN_RISK_LOW;
}

static const char *text_of(struct arena *arena, const cJSON *object, const char *name)
{
    const char *text = json_str(object, name);
    return arena_strdup(arena, text != NULL ? text : "");
}

static bool read_orders(
    const char *text, struct arena *arena, struct msg_customer_context *customer, struct error *err)
{
    if (text == NULL) {
        return true;
    }
    cJSON *json = json_parse(text, strlen(text), err);
    if (json == NULL) {
        return false;
    }
    customer->recent_orders =
        arena_array(arena, (size_t)cJSON_GetArraySize(json), sizeof *customer->recent_orders);
    const cJSON *object;
    cJSON_ArrayForEach(object, json)
    {
        struct msg_order *order = &customer->recent_orders[customer->recent_orders_count++];
        order->order_id = text_of(arena, object, "order_id");
        order->status = text_of(arena, object, "status");
        order->total = json_num(object, "total", 0);
        order->currency = text_of(arena, object, "currency");
        order->ordered_at = (int64_t)json_num(object, "ordered_at", 0);
        order->summary = text_of(arena, object, "summary");
    }
    cJSON_Delete(json);
    return true;
}

static struct msg_customer_context *read_customer(
    const struct db_result *result, struct arena *arena, struct error *err)
{
    struct msg_customer_context *customer = ARENA_NEW(arena, struct msg_customer_context);
    customer->customer_id = arena_strdup(arena, db_value(result, 0, CUSTOMER_ID));
    customer->external_id = arena_strdup(arena, db_value(result, 0, EXTERNAL_ID));
    customer->name = arena_strdup(arena, db_value(result, 0, NAME));
    customer->email = arena_strdup(arena, db_value(result, 0, EMAIL));
    customer->company = arena_strdup(arena, db_value(result, 0, COMPANY));
    customer->tier = MSG_TIER_STANDARD; /* the column's check allows the enum's symbols only */
    msg_tier_parse(db_value(result, 0, TIER), &customer->tier);
    customer->lifetime_value = db_number(result, 0, LIFETIME_VALUE);
    customer->total_orders = (int32_t)db_int(result, 0, TOTAL_ORDERS);
    customer->open_tickets = (int32_t)db_int(result, 0, OPEN_TICKETS);
    customer->avg_sentiment = db_number(result, 0, AVG_SENTIMENT);
    customer->has_last_interaction = db_value(result, 0, LAST_INTERACTION) != NULL;
    customer->last_interaction = db_int(result, 0, LAST_INTERACTION);
    customer->is_high_value = customer->lifetime_value > HIGH_VALUE;
    double days = -1;
    if (customer->has_last_interaction) {
        double since = (double)(clock_wall_ms() - customer->last_interaction) / DAY_MS;
        days = since > 0 ? since : 0;
    }
    customer->churn_risk = customer_churn_risk(customer->avg_sentiment, days, customer->tier);
    return read_orders(db_value(result, 0, RECENT_ORDERS), arena, customer, err) ? customer : NULL;
}

static void customer_read(void *arg, const struct db_result *result, const struct error *err)
{
    struct customer_load *load = arg;
    struct error wrong = {0};
    struct msg_customer_context *customer = NULL;
    if (err == NULL && db_rows(result) > 0) {
        customer = read_customer(result, load->arena, &wrong);
        err = customer == NULL ? &wrong : NULL;
    }
    load->done(load->arg, customer, err);
    free(load);
}

void customer_context_load(struct db *db, const char *tenant, const char *external_id, struct arena *arena,
    customer_loaded *done, void *arg)
{
    struct customer_load *load = xcalloc(1, sizeof *load);
    load->arena = arena;
    load->done = done;
    load->arg = arg;
    struct db_query query = {.sql = load_sql, .param_count = 2, .params = {tenant, external_id}};
    db_query(db, &query, customer_read, load);
}
