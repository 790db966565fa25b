/* Records to answers: the shapes of the HTTP contract. */
#include "gateway/answer_out.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

#define LOW_CONFIDENCE 0.6 /* below it a person of the second level looks at the ticket */

static cJSON *strings(const char *const *items, size_t count)
{
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(array, cJSON_CreateString(items[i]));
    }
    return array;
}

static void add_time(cJSON *object, const char *name, bool has, int64_t wall_ms)
{
    char text[CLOCK_RFC3339_SIZE];
    if (!has) {
        cJSON_AddNullToObject(object, name);
        return;
    }
    clock_format(wall_ms, text);
    cJSON_AddStringToObject(object, name, text);
}

static void add_text_or_null(cJSON *object, const char *name, const char *text)
{
    if (text == NULL) {
        cJSON_AddNullToObject(object, name);
    } else {
        cJSON_AddStringToObject(object, name, text);
    }
}

/* To the microsecond: what comes below is noise. */
static double rounded(double ms)
{
    return (double)(int64_t)(ms * 1000 + 0.5) / 1000;
}

/* ---- the parts ---- */

static void add_classification(cJSON *object, const struct msg_classification *c)
{
    cJSON_AddStringToObject(object, "category", c->category);
    cJSON_AddStringToObject(object, "priority", msg_priority_name(c->priority));
    cJSON_AddStringToObject(object, "department", c->department);
    cJSON_AddStringToObject(object, "sentiment", msg_sentiment_name(c->sentiment));
    cJSON_AddNumberToObject(object, "confidence", c->confidence);
    cJSON_AddStringToObject(object, "reasoning_snippet", c->reasoning_snippet);
}

/* What the record says, which anyone may have written: an object, or nothing. */
static cJSON *metadata_json(const struct msg_context_item *item)
{
    cJSON *metadata = json_parse(item->metadata, strlen(item->metadata), NULL);
    if (cJSON_IsObject(metadata)) {
        return metadata;
    }
    cJSON_Delete(metadata);
    return cJSON_CreateObject();
}

static cJSON *item_json(const struct msg_context_item *item)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "source_id", item->source_id);
    cJSON_AddStringToObject(object, "excerpt", item->excerpt);
    cJSON_AddStringToObject(object, "citation_uri", item->citation_uri);
    cJSON_AddNumberToObject(object, "score", item->score);
    cJSON_AddStringToObject(object, "type", msg_item_type_name(item->type));
    cJSON_AddStringToObject(object, "title", item->title);
    cJSON_AddStringToObject(object, "locale", item->locale);
    cJSON_AddItemToObject(object, "metadata", metadata_json(item));
    return object;
}

static void add_retrieval(cJSON *object, const struct msg_context *context)
{
    cJSON *items = cJSON_AddArrayToObject(object, "context_package");
    for (size_t i = 0; i < context->items_count; i++) {
        cJSON_AddItemToArray(items, item_json(&context->items[i]));
    }
    cJSON_AddNumberToObject(object, "aggregate_confidence", context->aggregate_confidence);
    cJSON_AddStringToObject(object, "context_state", msg_customer_state_name(context->customer_state));
}

static cJSON *draft_json(const struct msg_draft *draft)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "text", draft->text);
    cJSON_AddItemToObject(
        object, "citations", strings((const char *const *)draft->citations, draft->citations_count));
    cJSON_AddNumberToObject(object, "confidence", draft->confidence);
    cJSON *flags = cJSON_AddArrayToObject(object, "safety_flags");
    for (size_t i = 0; i < draft->safety_flags_count; i++) {
        cJSON_AddItemToArray(flags, cJSON_CreateString(msg_flag_name(draft->safety_flags[i])));
    }
    cJSON_AddBoolToObject(object, "ready", draft->ready);
    cJSON_AddItemToObject(object, "not_ready_because",
        strings((const char *const *)draft->not_ready_because, draft->not_ready_because_count));
    cJSON *details = cJSON_AddArrayToObject(object, "flag_details");
    for (size_t i = 0; i < draft->flag_details_count; i++) {
        const struct msg_flag_detail *detail = &draft->flag_details[i];
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "flag", msg_flag_name(detail->flag));
        cJSON_AddStringToObject(entry, "rule", detail->rule);
        cJSON_AddNumberToObject(entry, "start", detail->start);
        cJSON_AddNumberToObject(entry, "end", detail->end);
        cJSON_AddStringToObject(entry, "why", detail->why);
        cJSON_AddItemToArray(details, entry);
    }
    return object;
}

static void add_generation(cJSON *object, const struct msg_generation *generation)
{
    cJSON_AddItemToObject(object, "primary_draft", draft_json(&generation->primary_draft));
    if (generation->alternative_draft != NULL) {
        cJSON_AddItemToObject(object, "alternative_draft", draft_json(generation->alternative_draft));
    } else {
        cJSON_AddNullToObject(object, "alternative_draft");
    }
    cJSON_AddItemToObject(object, "suggested_next_steps",
        strings(
            (const char *const *)generation->suggested_next_steps, generation->suggested_next_steps_count));
    cJSON_AddBoolToObject(object, "guardrail_triggered", generation->guardrail_triggered);
}

/* ---- provenance and trace ---- */

/* The last trace of a step: a step done again has replaced its result. NULL: the step was not done. */
static const struct msg_step_trace *trace_of(const struct msg_ticket_event *event, enum msg_step step)
{
    for (size_t i = event->steps_count; i > 0; i--) {
        if (event->steps[i - 1].step == step) {
            return &event->steps[i - 1];
        }
    }
    return NULL;
}

static cJSON *provenance_json(const struct msg_step_trace *trace)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "model", trace->model);
    cJSON_AddStringToObject(object, "prompt_version", trace->prompt_version);
    cJSON_AddStringToObject(object, "policy_version", trace->policy_version);
    if (trace->has_kb_revision) {
        cJSON_AddNumberToObject(object, "kb_revision", (double)trace->kb_revision);
    } else {
        cJSON_AddNullToObject(object, "kb_revision");
    }
    cJSON_AddNumberToObject(object, "input_tokens", (double)trace->input_tokens);
    cJSON_AddNumberToObject(object, "output_tokens", (double)trace->output_tokens);
    cJSON_AddNumberToObject(object, "cost_usd", trace->cost_usd);
    cJSON_AddBoolToObject(object, "cache_hit", trace->cache_hit);
    if (trace->cache_hit) {
        cJSON_AddStringToObject(object, "cache", trace->cache_semantic ? "semantic" : "exact");
    } else {
        cJSON_AddNullToObject(object, "cache");
    }
    cJSON_AddItemToObject(
        object, "degraded", strings((const char *const *)trace->degraded, trace->degraded_count));
    return object;
}

static void add_provenance(cJSON *object, const struct msg_ticket_event *event)
{
    static const char *const names[MSG_STEP_COUNT] = {[MSG_STEP_CLASSIFY] = "classification",
        [MSG_STEP_RETRIEVE] = "retrieval",
        [MSG_STEP_GENERATE] = "generation"};
    cJSON *provenance = cJSON_AddObjectToObject(object, "provenance");
    for (unsigned step = 0; step < MSG_STEP_COUNT; step++) {
        const struct msg_step_trace *trace = trace_of(event, (enum msg_step)step);
        if (trace != NULL) {
            cJSON_AddItemToObject(provenance, names[step], provenance_json(trace));
        }
    }
}

static void add_latency(cJSON *object, const char *name, const struct msg_step_trace *trace)
{
    if (trace == NULL) {
        cJSON_AddNullToObject(object, name); /* not done, hence not measured */
    } else {
        cJSON_AddNumberToObject(object, name, rounded(trace->latency_ms));
    }
}

static void add_trace(cJSON *object, const struct answer_facts *facts)
{
    const struct msg_ticket_event *event = facts->event;
    cJSON *trace = cJSON_AddObjectToObject(object, "trace");
    add_latency(trace, "classification_latency_ms", trace_of(event, MSG_STEP_CLASSIFY));
    add_latency(trace, "retrieval_latency_ms", trace_of(event, MSG_STEP_RETRIEVE));
    add_latency(trace, "generation_latency_ms", trace_of(event, MSG_STEP_GENERATE));
    cJSON_AddNumberToObject(trace, "total_latency_ms", rounded(facts->total_ms));
    cJSON_AddStringToObject(trace, "state", msg_state_name(event->state));
    add_time(trace, "started_at", event->has_received_at, event->received_at);
    add_text_or_null(trace, "correlation_id", event->correlation_id);
}

static void add_action(cJSON *actions, const char *text)
{
    cJSON_AddItemToArray(actions, cJSON_CreateString(text));
}

static void add_next_actions(cJSON *object, const struct answer_facts *facts)
{
    const struct msg_ticket_event *event = facts->event;
    const struct msg_customer_context *customer = event->context != NULL ? event->context->customer : NULL;
    cJSON *actions = cJSON_AddArrayToObject(object, "next_actions");
    if (event->ticket.auto_generated) {
        add_action(actions, "No draft: the ticket was generated automatically and is only logged");
        return;
    }
    add_action(actions, event->generation != NULL ? "Send draft to agent queue for review"
                                                  : "Send ticket to agent queue: there is no draft");
    if (event->context != NULL && event->context->aggregate_confidence < LOW_CONFIDENCE) {
        add_action(actions, "Escalate to L2 support: the knowledge found is too weak to rely on");
    }
    if (event->state == MSG_STATE_FALLBACK_GUARDRAIL_FAILURE) {
        add_action(actions, "Have a person write the answer: the draft is only a safe template");
    }
    if (event->classification != NULL) {
        enum msg_priority priority = event->classification->priority;
        struct sla_rule rule = sla_find(facts->sla, priority, customer);
        add_action(
            actions, arena_printf(facts->arena, "SLA (%s): first response within %s, resolution within %s",
                         msg_priority_name(priority), sla_span(facts->arena, rule.response_minutes),
                         sla_span(facts->arena, rule.resolution_minutes)));
    }
    if (customer != NULL && customer->tier == MSG_TIER_ENTERPRISE) {
        add_action(actions, "Expedite: enterprise customer");
    }
}

/* ---- the customer ---- */

static cJSON *customer_json(const struct msg_customer_context *customer)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "customer_id", customer->customer_id);
    cJSON_AddStringToObject(object, "external_id", customer->external_id);
    cJSON_AddStringToObject(object, "name", customer->name);
    cJSON_AddStringToObject(object, "email", customer->email);
    add_text_or_null(object, "company", customer->company);
    cJSON_AddStringToObject(object, "tier", msg_tier_name(customer->tier));
    cJSON_AddNumberToObject(object, "lifetime_value", customer->lifetime_value);
    cJSON_AddNumberToObject(object, "total_orders", customer->total_orders);
    cJSON *orders = cJSON_AddArrayToObject(object, "recent_orders");
    for (size_t i = 0; i < customer->recent_orders_count; i++) {
        const struct msg_order *order = &customer->recent_orders[i];
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "order_id", order->order_id);
        cJSON_AddStringToObject(entry, "status", order->status);
        cJSON_AddNumberToObject(entry, "total", order->total);
        cJSON_AddStringToObject(entry, "currency", order->currency);
        add_time(entry, "ordered_at", true, order->ordered_at);
        cJSON_AddStringToObject(entry, "summary", order->summary);
        cJSON_AddItemToArray(orders, entry);
    }
    cJSON_AddNumberToObject(object, "open_tickets", customer->open_tickets);
    cJSON_AddNumberToObject(object, "avg_sentiment", customer->avg_sentiment);
    add_time(object, "last_interaction", customer->has_last_interaction, customer->last_interaction);
    cJSON_AddBoolToObject(object, "is_high_value", customer->is_high_value);
    cJSON_AddStringToObject(object, "churn_risk", msg_churn_risk_name(customer->churn_risk));
    return object;
}

void answer_render_customer(struct buf *out, const struct msg_customer_context *customer)
{
    json_put_and_delete(out, customer_json(customer));
}

/* ---- the answers ---- */

static void set_text(cJSON *object, const char *name, const char *text)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    cJSON_AddStringToObject(object, name, text);
}

static cJSON *suggestion_json(const struct msg_context_item *item)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "content", item->excerpt);
    cJSON_AddNumberToObject(object, "score", item->score);
    cJSON_AddStringToObject(object, "source", item->source_id);
    cJSON *metadata = metadata_json(item);
    set_text(metadata, "title", item->title);
    set_text(metadata, "citation_uri", item->citation_uri);
    set_text(metadata, "locale", item->locale);
    cJSON_AddItemToObject(object, "metadata", metadata);
    return object;
}

static cJSON *intake_json(const char *ticket_id, const char *correlation_id,
    const struct msg_context *context, double processing_ms)
{
    cJSON *object = cJSON_CreateObject();
    add_text_or_null(object, "ticket_id", ticket_id);
    cJSON_AddStringToObject(object, "status", "accepted");
    if (context != NULL && context->customer != NULL) {
        cJSON_AddItemToObject(object, "customer_context", customer_json(context->customer));
    } else {
        cJSON_AddNullToObject(object, "customer_context");
    }
    enum msg_customer_state state = context != NULL ? context->customer_state : MSG_CUSTOMER_STATE_PENDING;
    cJSON_AddStringToObject(object, "context_state", msg_customer_state_name(state));
    cJSON *suggestions = cJSON_AddArrayToObject(object, "kb_suggestions");
    for (size_t i = 0; context != NULL && i < context->items_count; i++) {
        if (context->items[i].type == MSG_ITEM_TYPE_KB) {
            cJSON_AddItemToArray(suggestions, suggestion_json(&context->items[i]));
        }
    }
    cJSON_AddNumberToObject(object, "processing_time_ms", rounded(processing_ms));
    add_text_or_null(object, "correlation_id", correlation_id);
    return object;
}

/* The part's object, or NULL after adding a null. */
static cJSON *add_part(cJSON *object, const char *name, bool made)
{
    if (made) {
        return cJSON_AddObjectToObject(object, name);
    }
    cJSON_AddNullToObject(object, name);
    return NULL;
}

/* A part that was not made (no draft for an automatic ticket, say) is null. */
static cJSON *orchestration_json(const struct answer_facts *facts)
{
    const struct msg_ticket_event *event = facts->event;
    cJSON *object = cJSON_CreateObject();
    add_text_or_null(object, "ticket_id", event->ticket.ticket_id);
    cJSON *part = add_part(object, "classification", event->classification != NULL);
    if (part != NULL) {
        add_classification(part, event->classification);
    }
    part = add_part(object, "context", event->context != NULL);
    if (part != NULL) {
        add_retrieval(part, event->context);
    }
    part = add_part(object, "generation", event->generation != NULL);
    if (part != NULL) {
        add_generation(part, event->generation);
    }
    add_next_actions(object, facts);
    add_trace(object, facts);
    return object;
}

bool answer_complete(enum answer_shape shape, const struct msg_ticket_event *event)
{
    switch (shape) {
    case ANSWER_CLASSIFICATION:
        return event->classification != NULL;
    case ANSWER_RETRIEVAL:
        return event->context != NULL;
    case ANSWER_GENERATION:
        return event->generation != NULL;
    case ANSWER_INTAKE:
    case ANSWER_ORCHESTRATION:
        return true;
    }
    return false;
}

void answer_render(struct buf *out, enum answer_shape shape, const struct answer_facts *facts)
{
    const struct msg_ticket_event *event = facts->event;
    cJSON *object = NULL;
    switch (shape) {
    case ANSWER_INTAKE:
        object =
            intake_json(event->ticket.ticket_id, event->correlation_id, event->context, facts->processing_ms);
        break;
    case ANSWER_CLASSIFICATION:
        object = cJSON_CreateObject();
        add_classification(object, event->classification);
        break;
    case ANSWER_RETRIEVAL:
        object = cJSON_CreateObject();
        add_retrieval(object, event->context);
        break;
    case ANSWER_GENERATION:
        object = cJSON_CreateObject();
        add_generation(object, event->generation);
        break;
    case ANSWER_ORCHESTRATION:
        object = orchestration_json(facts);
        break;
    }
    add_provenance(object, event);
    json_put_and_delete(out, object);
}

void answer_render_pending(
    struct buf *out, const char *ticket_id, const char *correlation_id, double processing_ms)
{
    json_put_and_delete(out, intake_json(ticket_id, correlation_id, NULL, processing_ms));
}

void answer_render_processing(
    struct buf *out, const char *ticket_id, const char *correlation_id, const char *location)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "ticket_id", ticket_id);
    cJSON_AddStringToObject(object, "correlation_id", correlation_id);
    cJSON_AddStringToObject(object, "status", "processing");
    cJSON_AddStringToObject(object, "location", location);
    json_put_and_delete(out, object);
}

/* Everything but the unreserved characters (RFC 3986 section 2.3) is escaped. */
static void put_escaped(struct buf *out, const char *text)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *text != '\0'; text++) {
        if (strchr(unreserved, *text) != NULL) {
            buf_putc(out, *text);
        } else {
            buf_printf(out, "%%%02X", (unsigned char)*text);
        }
    }
}

char *answer_location(struct arena *arena, const char *ticket_id, const char *correlation_id)
{
    struct buf out;
    buf_init(&out, 8192);
    buf_puts(&out, "/tickets/");
    put_escaped(&out, ticket_id);
    buf_puts(&out, "?run=");
    put_escaped(&out, correlation_id);
    char *text = arena_strdup(arena, buf_text(&out));
    buf_fini(&out);
    return text;
}
