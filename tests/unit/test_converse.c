/* What Bedrock answers, taken apart; and which tickets the stronger model drafts unasked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "model/chat_driver.h"
#include "model/converse_reply.h"
#include "model/price.h"
#include "stages/strong_for.h"

#define USAGE ",\"usage\":{\"inputTokens\":7,\"outputTokens\":3,\"totalTokens\":10}"
#define RESPONSE(stop, content)                                                                              \
    "{\"stopReason\":\"" stop "\",\"output\":{\"message\":{\"role\":\"assistant\",\"content\":" content      \
    "}}" USAGE "}"
#define TOOL "{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"draft\",\"input\":{\"a\":[1,\"\\u00e9\"]}}}"

static void reads_what_the_model_said(void **state)
{
    (void)state;
    static const struct {
        const char *body, *content;
    } cases[] = {
        {RESPONSE("tool_use", "[" TOOL "]"), "{\"a\":[1,\"\xc3\xa9\"]}"},
        {RESPONSE("tool_use", "[{\"text\":\"Well.\"}," TOOL "]"), "{\"a\":[1,\"\xc3\xa9\"]}"},
        {RESPONSE("end_turn", "[{\"text\":\"{\\\"a\\\":\"},{\"text\":\"1}\"}]"), "{\"a\":1}"},
        {RESPONSE("end_turn", "[{\"reasoningContent\":{}},{\"text\":\"{}\"}]"), "{}"},
        {RESPONSE("end_turn", "[{\"text\":\"\\n```json\\n{\\\"a\\\":1}\\n```\\n\"}]"), "{\"a\":1}\n"},
        {RESPONSE("end_turn", "[{\"text\":\"```\\n{}```\"}]"), "{}"},
        {RESPONSE("end_turn", "[{\"text\":\"``````\"}]"), "``````"},
        {RESPONSE("end_turn", "[{\"text\":\"```{}```\"}]"), "```{}```"},
        {RESPONSE("some_day", "[{\"text\":\"x\"}]"), "x"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_new(0);
        struct chat_reply reply;
        struct error err = {0};
        if (!converse_reply_read(arena, cases[i].body, strlen(cases[i].body), &reply, &err))
            fail_msg("%s: %s", cases[i].body, err.text);
        assert_string_equal(reply.content, cases[i].content);
        assert_int_equal(reply.content_len, strlen(cases[i].content));
        assert_string_equal(reply.model, "");
        assert_int_equal(reply.input_tokens, 7);
        assert_int_equal(reply.output_tokens, 3);
        arena_free(arena);
    }
}

static void refuses_what_is_no_answer(void **state)
{
    (void)state;
    static const struct {
        const char *body, *code, *says;
        int tokens;
    } cases[] = {
        {"", "model_unusable", "not JSON", 0},
        {"{\"stopReason\":", "model_unusable", "not JSON", 0},
        {"[]", "model_unusable", "no Converse response", 0},
        {"{\"output\":{}" USAGE "}", "model_unusable", "no Converse response", 7},
        {"{\"stopReason\":\"end_turn\"" USAGE "}", "model_unusable", "no message", 7},
        {RESPONSE("end_turn", "{}"), "model_unusable", "no message", 7},
        {RESPONSE("end_turn", "[]"), "model_unusable", "empty", 7},
        {RESPONSE("end_turn", "[1,null,{\"text\":5},{\"toolUse\":{\"input\":\"{}\"}}]"), "model_unusable",
            "empty", 7},
        {RESPONSE("end_turn", "[{\"text\":\" \"}]"), "model_unusable", "empty", 7},
        {RESPONSE("max_tokens", "[" TOOL "]"), "model_unusable", "cut off", 7},
        {RESPONSE("model_context_window_exceeded", "[" TOOL "]"), "model_unusable", "cut off", 7},
        {RESPONSE("content_filtered", "[" TOOL "]"), "model_unusable", "filter", 7},
        {RESPONSE("malformed_tool_use", "[" TOOL "]"), "model_unusable", "malformed", 7},
        {RESPONSE("guardrail_intervened", "[{\"text\":\"No.\"}]"), "model_refused", "guardrail", 7},
        {"{\"usage\":{\"inputTokens\":-1,\"outputTokens\":1e300}}", "model_unusable", "no Converse response",
            0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_new(0);
        struct chat_reply reply;
        struct error err = {0};
        assert_false(converse_reply_read(arena, cases[i].body, strlen(cases[i].body), &reply, &err));
        if (strcmp(err.code, cases[i].code) != 0 || !strstr(err.text, cases[i].says))
            fail_msg("%s: %s: %s", cases[i].body, err.code, err.text);
        assert_int_equal(err.disposition, ERROR_REJECT);
        assert_string_equal(reply.content, "");
        assert_int_equal(reply.input_tokens, cases[i].tokens);
        arena_free(arena);
    }
}

static void finds_the_name_of_a_refusal(void **state)
{
    (void)state;
    static const struct {
        const char *header, *body, *type;
    } cases[] = {
        {"ThrottlingException", "", "ThrottlingException"},
        {"ThrottlingException:http://internal.amazon.com/coral/", "{\"__type\":\"Other\"}",
            "ThrottlingException"},
        {"com.amazon.coral.service#ExpiredTokenException", "", "ExpiredTokenException"},
        {"", "{\"__type\":\"com.amazon.coral.service#ExpiredTokenException\"}", "ExpiredTokenException"},
        {"", "{\"code\":\"AccessDeniedException\",\"message\":\"x\"}", "AccessDeniedException"},
        {"a b", "{\"__type\":7,\"code\":\"Some\"}", "Some"},
        {"", "{\"__type\":\"a;b\",\"code\":\"<script>\"}", ""},
        {":x", "<html>", ""},
        {"Exception0123456789012345678901234567890123456789", "", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char type[CHAT_CODE_MAX];
        converse_error_type(cases[i].header, cases[i].body, strlen(cases[i].body), type);
        assert_string_equal(type, cases[i].type);
    }
}

static void has_prices_for_its_own_models(void **state)
{
    (void)state;
    static const struct {
        const char *region, *profile;
    } cases[] = {
        {"us-east-1", "us."}, {"eu-central-1", "eu."}, {"ap-southeast-2", "global."}, {"", "global."}};
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        bool strong = i % 2;
        const char *model = chat_bedrock_model(cases[i / 2].region, strong);
        struct price price;
        struct error err = {0};
        assert_int_equal(strncmp(model, cases[i / 2].profile, strlen(cases[i / 2].profile)), 0);
        assert_non_null(strstr(model, strong ? "sonnet" : "haiku"));
        if (!price_find("", model, "", &price, &err))
            fail_msg("%s", err.text);
        assert_true(price.input > 0 && price.output > price.input);
    }
}

static void knows_when_to_ask_the_stronger_model(void **state)
{
    (void)state;
    struct strong_for rule;
    struct error err = {0};
    struct msg_classification classification = {.priority = MSG_PRIORITY_HIGH};
    struct msg_customer_context customer = {.tier = MSG_TIER_PREMIUM};
    struct msg_context context = {.customer = &customer};
    struct msg_ticket_event event = {.classification = &classification, .context = &context};
    assert_true(strong_for_parse("", &rule, &err));
    assert_false(rule.any || strong_for_fits(&rule, &event));
    assert_true(strong_for_parse("critical,enterprise", &rule, &err));
    assert_true(rule.any);
    assert_false(strong_for_fits(&rule, &event));
    customer.tier = MSG_TIER_ENTERPRISE;
    assert_true(strong_for_fits(&rule, &event));
    context.customer = NULL;
    assert_false(strong_for_fits(&rule, &event));
    event.context = NULL;
    classification.priority = MSG_PRIORITY_CRITICAL;
    assert_true(strong_for_fits(&rule, &event));
    event.classification = NULL;
    event.ticket.priority = MSG_PRIORITY_CRITICAL;
    assert_false(strong_for_fits(&rule, &event));
    event.ticket.has_priority = true;
    assert_true(strong_for_fits(&rule, &event));
    static const char *const wrong[] = {",", "critical,", "critical,,high", "critical, high", "urgent",
        "high,high", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (strong_for_parse(wrong[i], &rule, &err))
            fail_msg("%s is taken", wrong[i]);
        assert_string_equal(err.code, "setting_invalid");
        assert_non_null(strstr(err.text, "generator.strong-for"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_model_said),
        cmocka_unit_test(refuses_what_is_no_answer),
        cmocka_unit_test(finds_the_name_of_a_refusal),
        cmocka_unit_test(has_prices_for_its_own_models),
        cmocka_unit_test(knows_when_to_ask_the_stronger_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
