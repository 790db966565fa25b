/* Records to answers: every shape of the contract, from whole and from partial records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "gateway/answer_out.h"
#include "msg/codec.h"

static struct arena *arena;
static struct sla_table sla;

static const char whole[] = "{\"ticket\":{\"ticket_id\":\"t/"
                            "1\",\"subject\":\"S\",\"description\":\"D\",\"customer_external_id\":\"c\"},"
                            "\"event_id\":\"e\",\"correlation_id\":\"0190a000-0000-7000-8000-000000000001\","
                            "\"received_at\":1763805600123,"
                            "\"state\":\"completed_with_flags\","
                            "\"classification\":{\"category\":\"billing\",\"priority\":\"high\","
                            "\"department\":\"finance\",\"sentiment\":\"negative\","
                            "\"confidence\":0.8125,\"reasoning_snippet\":\"refund\"},"
                            "\"context\":{\"items\":[{\"source_id\":\"kb:1\",\"excerpt\":\"quote \\\" and "
                            "\\n\",\"citation_uri\":\"https://x/1\",\"score\":0.5,"
                            "\"type\":\"kb\",\"title\":\"Refunds\",\"locale\":\"en\",\"metadata\":\"{"
                            "\\\"title\\\":\\\"no\\\",\\\"p\\\":\\\"h\\\"}\"},{\"source_id\":\"order:"
                            "9\",\"excerpt\":\"o\",\"score\":0.25,\"type\":\"order\"}],"
                            "\"aggregate_confidence\":0.5,\"customer_state\":\"ready\",\"customer\":{"
                            "\"customer_id\":\"1\",\"external_id\":\"c\",\"name\":\"N\","
                            "\"email\":\"n@example.com\",\"tier\":\"enterprise\",\"lifetime_value\":10000.5,"
                            "\"total_orders\":7,\"recent_orders\":"
                            "[{\"order_id\":\"9\",\"status\":\"sent\",\"total\":1.5,\"ordered_at\":"
                            "1763805600000}],\"open_tickets\":1,\"avg_sentiment\":-0.5,"
                            "\"is_high_value\":true,\"churn_risk\":\"high\"}},"
                            "\"generation\":{\"primary_draft\":{\"text\":\"Hello\",\"citations\":[\"kb:1\"],"
                            "\"confidence\":0.7,\"safety_flags\":[\"overpromise\"],"
                            "\"ready\":false,\"not_ready_because\":[\"flag\"],\"flag_details\":[{\"flag\":"
                            "\"overpromise\",\"rule\":\"r\",\"start\":0,\"end\":5,\"why\":\"w\"}]},"
                            "\"suggested_next_steps\":[\"step\"],\"guardrail_triggered\":true},"
                            "\"steps\":[{\"step\":\"classify\",\"event_id\":\"a\",\"started_at\":1,\"latency_"
                            "ms\":1.5,\"model\":\"rules\"},"
                            "{\"step\":\"retrieve\",\"event_id\":\"b\",\"started_at\":2,\"latency_ms\":2.25,"
                            "\"model\":\"fts\",\"kb_revision\":12},"
                            "{\"step\":\"generate\",\"event_id\":\"c\",\"started_at\":3,\"latency_ms\":3,"
                            "\"model\":\"m\",\"degraded\":[\"no model\"],"
                            "\"input_tokens\":100,\"cost_usd\":0.25,\"cache_hit\":true}]}";

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    sla_defaults(&sla);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct msg_ticket_event *event_of(const char *text)
{
    struct error err = {0};
    cJSON *json = json_parse(text, strlen(text), &err);
    assert_non_null(json);
    struct msg_ticket_event *event = msg_from_json(&msg_ticket_event, arena, json, &err);
    cJSON_Delete(json);
    if (event == NULL) {
        fail_msg("%s", err.text);
    }
    return event;
}

static cJSON *render(enum answer_shape shape, const struct msg_ticket_event *event)
{
    struct buf out;
    struct error err = {0};
    struct answer_facts facts = {
        .arena = arena, .event = event, .sla = &sla, .total_ms = 12.3456, .processing_ms = 4};
    buf_init(&out, ANSWER_MAX_BYTES);
    assert_true(answer_complete(shape, event));
    answer_render(&out, shape, &facts);
    cJSON *json = json_parse(buf_text(&out), out.len, &err);
    assert_non_null(json);
    buf_fini(&out);
    return json;
}

static const cJSON *at(const cJSON *json, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(json, name);
    if (member == NULL) {
        fail_msg("no member %s", name);
    }
    return member;
}

static void check_text(const cJSON *json, const char *name, const char *value)
{
    assert_true(cJSON_IsString(at(json, name)));
    assert_string_equal(at(json, name)->valuestring, value);
}

static void check_number(const cJSON *json, const char *name, double value)
{
    assert_true(cJSON_IsNumber(at(json, name)));
    assert_true(at(json, name)->valuedouble == value);
}

static void test_classification(void **state)
{
    (void)state;
    cJSON *json = render(ANSWER_CLASSIFICATION, event_of(whole));
    check_text(json, "category", "billing");
    check_text(json, "priority", "high");
    check_text(json, "department", "finance");
    check_text(json, "sentiment", "negative");
    check_number(json, "confidence", 0.8125);
    check_text(json, "reasoning_snippet", "refund");
    check_text(at(at(json, "provenance"), "classification"), "model", "rules");
    cJSON_Delete(json);
}

static void test_retrieval(void **state)
{
    (void)state;
    cJSON *json = render(ANSWER_RETRIEVAL, event_of(whole));
    const cJSON *item = cJSON_GetArrayItem(at(json, "context_package"), 0);
    check_text(item, "source_id", "kb:1");
    check_text(item, "excerpt", "quote \" and \n");
    check_text(item, "citation_uri", "https://x/1");
    check_number(item, "score", 0.5);
    check_text(item, "type", "kb");
    check_text(at(item, "metadata"), "p", "h");
    assert_int_equal(
        cJSON_GetArraySize(at(cJSON_GetArrayItem(at(json, "context_package"), 1), "metadata")), 0);
    check_number(json, "aggregate_confidence", 0.5);
    cJSON_Delete(json);
}

static void test_generation(void **state)
{
    (void)state;
    cJSON *json = render(ANSWER_GENERATION, event_of(whole));
    const cJSON *draft = at(json, "primary_draft");
    check_text(draft, "text", "Hello");
    assert_string_equal(cJSON_GetArrayItem(at(draft, "citations"), 0)->valuestring, "kb:1");
    assert_string_equal(cJSON_GetArrayItem(at(draft, "safety_flags"), 0)->valuestring, "overpromise");
    assert_true(cJSON_IsFalse(at(draft, "ready")));
    assert_string_equal(cJSON_GetArrayItem(at(draft, "not_ready_because"), 0)->valuestring, "flag");
    const cJSON *detail = cJSON_GetArrayItem(at(draft, "flag_details"), 0);
    check_text(detail, "flag", "overpromise");
    check_text(detail, "rule", "r");
    check_number(detail, "start", 0);
    check_number(detail, "end", 5);
    check_text(detail, "why", "w");
    assert_true(cJSON_IsNull(at(json, "alternative_draft")));
    assert_string_equal(cJSON_GetArrayItem(at(json, "suggested_next_steps"), 0)->valuestring, "step");
    assert_true(cJSON_IsTrue(at(json, "guardrail_triggered")));
    const cJSON *made = at(at(json, "provenance"), "generation");
    assert_string_equal(cJSON_GetArrayItem(at(made, "degraded"), 0)->valuestring, "no model");
    check_number(made, "input_tokens", 100);
    check_number(made, "cost_usd", 0.25);
    assert_true(cJSON_IsTrue(at(made, "cache_hit")));
    assert_string_equal(at(made, "cache")->valuestring, "exact");
    cJSON_Delete(json);
}

static void test_orchestration(void **state)
{
    (void)state;
    cJSON *json = render(ANSWER_ORCHESTRATION, event_of(whole));
    check_text(json, "ticket_id", "t/1");
    check_text(at(json, "classification"), "category", "billing");
    check_number(at(json, "context"), "aggregate_confidence", 0.5);
    check_text(at(at(json, "generation"), "primary_draft"), "text", "Hello");
    const cJSON *trace = at(json, "trace");
    check_number(trace, "classification_latency_ms", 1.5);
    check_number(trace, "retrieval_latency_ms", 2.25);
    check_number(trace, "generation_latency_ms", 3);
    check_number(trace, "total_latency_ms", 12.346);
    check_text(trace, "state", "completed_with_flags");
    check_text(trace, "started_at", "2025-11-22T10:00:00.123Z");
    check_text(trace, "correlation_id", "0190a000-0000-7000-8000-000000000001");
    check_number(at(at(json, "provenance"), "retrieval"), "kb_revision", 12);
    const cJSON *actions = at(json, "next_actions");
    assert_int_equal(cJSON_GetArraySize(actions), 4);
    assert_string_equal(cJSON_GetArrayItem(actions, 0)->valuestring, "Send draft to agent queue for review");
    assert_non_null(strstr(cJSON_GetArrayItem(actions, 1)->valuestring, "L2"));
    assert_non_null(strstr(cJSON_GetArrayItem(actions, 2)->valuestring, "within 4 h, resolution within 1 d"));
    assert_non_null(strstr(cJSON_GetArrayItem(actions, 3)->valuestring, "Expedite"));
    cJSON_Delete(json);
}

static void test_parts_that_were_not_made(void **state)
{
    (void)state;
    struct msg_ticket_event *event = event_of(whole);
    event->ticket.auto_generated = true;
    event->generation = NULL;
    event->steps_count = 1;
    cJSON *json = render(ANSWER_ORCHESTRATION, event);
    assert_true(cJSON_IsNull(at(json, "generation")));
    assert_true(cJSON_IsNull(at(at(json, "trace"), "generation_latency_ms")));
    assert_null(cJSON_GetObjectItem(at(json, "provenance"), "generation"));
    assert_int_equal(cJSON_GetArraySize(at(json, "next_actions")), 1);
    assert_null(strstr(cJSON_GetArrayItem(at(json, "next_actions"), 0)->valuestring, "Send draft"));
    assert_false(answer_complete(ANSWER_GENERATION, event));
    cJSON_Delete(json);
}

static void test_intake(void **state)
{
    (void)state;
    cJSON *json = render(ANSWER_INTAKE, event_of(whole));
    check_text(json, "ticket_id", "t/1");
    check_text(json, "status", "accepted");
    check_text(json, "context_state", "ready");
    check_number(json, "processing_time_ms", 4);
    check_text(json, "correlation_id", "0190a000-0000-7000-8000-000000000001");
    const cJSON *customer = at(json, "customer_context");
    check_text(customer, "tier", "enterprise");
    check_number(customer, "lifetime_value", 10000.5);
    check_text(customer, "churn_risk", "high");
    assert_true(cJSON_IsNull(at(customer, "company")));
    assert_true(cJSON_IsNull(at(customer, "last_interaction")));
    const cJSON *order = cJSON_GetArrayItem(at(customer, "recent_orders"), 0);
    check_text(order, "ordered_at", "2025-11-22T10:00:00.000Z");
    check_text(order, "currency", "USD");
    assert_int_equal(cJSON_GetArraySize(at(json, "kb_suggestions")), 1); /* of type kb only */
    const cJSON *suggestion = cJSON_GetArrayItem(at(json, "kb_suggestions"), 0);
    check_text(suggestion, "content", "quote \" and \n");
    check_text(suggestion, "source", "kb:1");
    check_number(suggestion, "score", 0.5);
    check_text(at(suggestion, "metadata"), "citation_uri", "https://x/1");
    check_text(at(suggestion, "metadata"), "title", "Refunds");
    check_text(at(suggestion, "metadata"), "p", "h");
    cJSON_Delete(json);
}

/* Whoever wrote the record: what is no object is none. */
static void test_metadata_that_is_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "[1]", "{\"a\":", "\"x\""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct msg_ticket_event *event = event_of(whole);
        event->context->items[0].metadata = wrong[i];
        cJSON *json = render(ANSWER_RETRIEVAL, event);
        const cJSON *metadata = at(cJSON_GetArrayItem(at(json, "context_package"), 0), "metadata");
        assert_true(cJSON_IsObject(metadata));
        assert_int_equal(cJSON_GetArraySize(metadata), 0);
        cJSON_Delete(json);
    }
}

static void test_pending_and_processing(void **state)
{
    (void)state;
    struct buf out;
    struct error err = {0};
    buf_init(&out, ANSWER_MAX_BYTES);
    answer_render_pending(&out, "t", "c", 2000);
    cJSON *json = json_parse(buf_text(&out), out.len, &err);
    check_text(json, "context_state", "pending");
    assert_true(cJSON_IsNull(at(json, "customer_context")));
    assert_int_equal(cJSON_GetArraySize(at(json, "kb_suggestions")), 0);
    cJSON_Delete(json);
    buf_reset(&out);
    const char *location = answer_location(arena, "a b?#%\xc3\xa9", "c");
    assert_string_equal(location, "/tickets/a%20b%3F%23%25%C3%A9?run=c");
    answer_render_processing(&out, "t", "c", location);
    json = json_parse(buf_text(&out), out.len, &err);
    check_text(json, "status", "processing");
    check_text(json, "location", location);
    cJSON_Delete(json);
    buf_fini(&out);
}

static void test_service_levels(void **state)
{
    (void)state;
    struct msg_customer_context customer = {.tier = MSG_TIER_PREMIUM};
    static const int32_t minutes[MSG_PRIORITY_COUNT][2] = {
        {60, 240}, {240, 1440}, {1440, 2880}, {2880, 7200}};
    for (unsigned i = 0; i < MSG_PRIORITY_COUNT; i++) {
        struct sla_rule rule = sla_find(&sla, (enum msg_priority)i, &customer);
        assert_int_equal(rule.response_minutes, minutes[i][0]);
        assert_int_equal(rule.resolution_minutes, minutes[i][1]);
    }
    sla_set(&sla, "low", "premium", 90, 100);
    sla_set(&sla, "nonsense", "premium", 1, 1);
    assert_int_equal(sla_find(&sla, MSG_PRIORITY_LOW, &customer).response_minutes, 90);
    assert_int_equal(sla_find(&sla, MSG_PRIORITY_LOW, NULL).response_minutes, 2880);
    assert_string_equal(sla_span(arena, 90), "90 min");
    assert_string_equal(sla_span(arena, 7200), "5 d");
    assert_string_equal(sla_span(arena, 60), "1 h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_classification, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retrieval, setup, teardown),
        cmocka_unit_test_setup_teardown(test_generation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_orchestration, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts_that_were_not_made, setup, teardown),
        cmocka_unit_test_setup_teardown(test_intake, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metadata_that_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pending_and_processing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_service_levels, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
