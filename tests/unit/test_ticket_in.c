/* Bodies to tickets and feedback: what is taken, what is refused, and where the mistake is said to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "gateway/feedback_in.h"
#include "gateway/ticket_in.h"
#include "stages/ticket_check.h"

static const struct ticket_in_rules no_rules;
static const struct ticket_in_rules intake = {.intake = true};
static const struct ticket_in_rules answer = {
    .takes_sonnet = true, .takes_classification = true, .needs_classification = true, .needs_context = true};

static struct arena *arena;
static struct field_errors errors;
static struct ticket_in in;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static bool read_body(const char *body, const struct ticket_in_rules *rules)
{
    field_errors_init(&errors, arena);
    return ticket_in_read(arena, body, strlen(body), rules, &in, &errors);
}

static bool has_error(const char *pointer)
{
    for (size_t i = 0; i < errors.count; i++) {
        if (strcmp(errors.list[i].pointer, pointer) == 0) {
            assert_true(strlen(errors.list[i].detail) > 0);
            return true;
        }
    }
    return false;
}

/* A valid body with one more member. */
static const char *with(const char *member)
{
    return arena_printf(
        arena, "{\"title\":\"T\",\"description\":\"D\",\"customer_external_id\":\"c1\",%s}", member);
}

static void check_refused_by(const struct ticket_in_rules *rules, const char *member, const char *pointer)
{
    if (read_body(with(member), rules) || errors.count != 1 || !has_error(pointer)) {
        fail_msg("%s: expected one error at %s, got %zu, first at %s", member, pointer, errors.count,
            errors.count > 0 ? errors.list[0].pointer : "-");
    }
}

static void check_refused(const char *member, const char *pointer)
{
    check_refused_by(&no_rules, member, pointer);
}

static void test_smallest_ticket(void **state)
{
    (void)state;
    assert_true(
        read_body("{\"title\":\"T\",\"description\":\"D\",\"customer_external_id\":\"c1\"}", &no_rules));
    assert_string_equal(in.ticket.subject, "T");
    assert_string_equal(in.ticket.description, "D");
    assert_string_equal(in.ticket.customer_external_id, "c1");
    assert_string_equal(in.ticket.channel, "email");
    assert_string_equal(in.ticket.metadata, "{}");
    assert_null(in.ticket.ticket_id);
    assert_null(in.ticket.locale);
    assert_null(in.warning);
    assert_false(in.ticket.has_created_at || in.ticket.has_priority || in.ticket.auto_generated);
    assert_int_equal(strlen(in.content_hash), 64);
}

static void test_whole_ticket_in_a_wrapper(void **state)
{
    (void)state;
    assert_true(read_body(
        "{\"ticket\":{\"ticket_id\":\"t-1\",\"external_ticket_id\":\"e-1\",\"subject\":\"S\",\"title\":\"S\","
        "\"description\":\" D "
        "\",\"customer_external_id\":\"c1\",\"channel\":\"web_chat\",\"priority\":\"high\","
        "\"locale\":\"de-AT\",\"metadata\": { \"b\":1.0,  \"a\":[1e2] "
        "},\"created_at\":\"2026-11-22T10:00:00+01:00\","
        "\"messages\":[{\"role\":\"agent\",\"text\":\"hello\",\"at\":\"2026-11-22T09:00:00Z\"},"
        "{\"role\":\"customer\",\"text\":\"hm\"}],\"auto_generated\":true},\"use_sonnet\":true}",
        &(struct ticket_in_rules){.intake = true, .takes_sonnet = true}));
    assert_string_equal(in.ticket.ticket_id, "t-1");
    assert_string_equal(in.ticket.subject, "S");
    assert_string_equal(in.ticket.description, " D ");
    assert_string_equal(in.ticket.metadata, "{ \"b\":1.0,  \"a\":[1e2] }");
    assert_int_equal(in.ticket.priority, MSG_PRIORITY_HIGH);
    assert_true(in.ticket.created_at == 1795338000000);
    assert_int_equal(in.ticket.messages_count, 2);
    assert_int_equal(in.ticket.messages[0].role, MSG_ROLE_AGENT);
    assert_true(in.ticket.messages[0].at == 1795338000000);
    assert_false(in.ticket.messages[1].has_at);
    assert_true(in.ticket.auto_generated && in.use_sonnet);
    assert_null(in.warning);
}

static void test_every_mistake_at_once(void **state)
{
    (void)state;
    assert_false(read_body("{\"ticket\":{\"ticket_id\":7,\"title\":\" "
                           "\\u00a0\\t\",\"priority\":\"urgent\",\"created_at\":\"yesterday\"}}",
        &intake));
    const char *const pointers[] = {"/ticket/ticket_id", "/ticket/external_ticket_id", "/ticket/title",
        "/ticket/description", "/ticket/customer_external_id", "/ticket/priority", "/ticket/created_at"};
    for (size_t i = 0; i < 7; i++) {
        assert_true(has_error(pointers[i]));
    }
    assert_int_equal(errors.count, 7);
}

static void test_single_mistakes(void **state)
{
    (void)state;
    check_refused("\"ticket_id\":\"\"", "/ticket_id");
    check_refused("\"ticket_id\":\"a/b\"", "/ticket_id");
    check_refused("\"ticket_id\":\"a\\u0007\"", "/ticket_id");
    check_refused("\"ticket_id\":\"a\\u0085\"", "/ticket_id");
    check_refused("\"ticket_id\":\"classify\"", "/ticket_id");
    check_refused("\"ticket_id\":\"auto-orchestrate\"", "/ticket_id");
    check_refused("\"ticket_id\":\"..\"", "/ticket_id");
    check_refused("\"ticket_id\":[]", "/ticket_id");
    check_refused("\"subject\":\"other\"", "/subject");
    check_refused("\"channel\":\"two words\"", "/channel");
    check_refused("\"channel\":\"\"", "/channel");
    check_refused("\"priority_hints\":[\"high\"]", "/priority_hints");
    check_refused("\"priority\":\"low\",\"priority_hints\":\"high\"", "/priority_hints");
    check_refused("\"locale\":\"en_US\"", "/locale");
    check_refused("\"locale\":\"-\"", "/locale");
    check_refused("\"locale\":\"en-\"", "/locale");
    check_refused("\"metadata\":[]", "/metadata");
    check_refused("\"metadata\":\"{}\"", "/metadata");
    check_refused("\"created_at\":\"2026-11-22\"", "/created_at");
    check_refused("\"created_at\":1", "/created_at");
    check_refused("\"messages\":{}", "/messages");
    check_refused("\"messages\":[1]", "/messages/0");
    check_refused("\"messages\":[{\"role\":\"customer\",\"text\":\"x\"},{\"role\":\"bot\",\"text\":\"x\"}]",
        "/messages/1/role");
    check_refused("\"messages\":[{\"role\":\"agent\",\"text\":\" \"}]", "/messages/0/text");
    check_refused("\"auto_generated\":1", "/auto_generated");
    check_refused("\"external_ticket_id\":\"\"", "/external_ticket_id");
}

static void test_id_lengths(void **state)
{
    (void)state;
    char id[300] = "";
    for (int i = 0; i < 128; i++) {
        memcpy(id + 2 * i, "\xc3\xa9", 2); /* a character of two bytes */
    }
    assert_true(ticket_id_valid(id));
    id[256] = 'x';
    id[257] = '\0';
    assert_false(ticket_id_valid(id));
    assert_false(ticket_id_valid("  "));
    assert_true(ticket_id_valid("T 1?#%"));
}

static void test_not_an_object(void **state)
{
    (void)state;
    const char *const bodies[] = {
        "[]", "\"x\"", "{", "{\"a\":1,}", "{\"title\":\"\xff\"}", "{\"a\":1,\"a\":2}", "null"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_false(read_body(bodies[i], &no_rules));
        assert_true(has_error(""));
    }
    assert_false(read_body("{\"ticket\":[]}", &no_rules));
    assert_true(has_error("/ticket"));
}

static void test_nulls_are_absent(void **state)
{
    (void)state;
    assert_true(read_body(
        with("\"ticket_id\":null,\"priority\":null,\"metadata\":null,\"messages\":null,\"locale\":null"),
        &no_rules));
    assert_null(in.ticket.ticket_id);
    assert_string_equal(in.ticket.metadata, "{}");
    assert_false(read_body("{\"title\":null,\"description\":null,\"customer_external_id\":null}", &no_rules));
    assert_int_equal(errors.count, 3);
}

static void test_unknown_members_are_named(void **state)
{
    (void)state;
    assert_true(
        read_body(with("\"mood\":1,\"use_sonnet\":true,\"x\\r\\nSet-Cookie: a\":2,\"a/b~c\":3"), &no_rules));
    assert_non_null(strstr(in.warning, "/mood"));
    assert_non_null(strstr(in.warning, "/use_sonnet"));
    assert_non_null(strstr(in.warning, "/a~1b~0c"));
    assert_null(strpbrk(in.warning, "\r\n"));
    assert_false(in.use_sonnet);
    assert_true(read_body("{\"ticket\":{\"title\":\"T\",\"description\":\"D\",\"customer_external_id\":\"c\","
                          "\"z\":0},\"title\":\"stray\"}",
        &no_rules));
    assert_non_null(strstr(in.warning, "/ticket/z"));
    assert_non_null(strstr(in.warning, "/title"));
}

static void test_warning_is_bounded(void **state)
{
    (void)state;
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_puts(&body, "{\"title\":\"T\",\"description\":\"D\",\"customer_external_id\":\"c\"");
    for (int i = 0; i < 500; i++) {
        buf_printf(&body, ",\"%0200d\":1", i);
    }
    buf_putc(&body, '}');
    assert_true(read_body(buf_text(&body), &no_rules));
    assert_true(strlen(in.warning) < 2000);
    assert_non_null(strstr(in.warning, "and 484 more"));
    buf_fini(&body);
}

static void hash_of(const char *body, char out[HASH_HEX_SIZE])
{
    assert_true(read_body(body, &(struct ticket_in_rules){.takes_sonnet = true}));
    memcpy(out, in.content_hash, HASH_HEX_SIZE);
}

static void test_content_hash(void **state)
{
    (void)state;
    char first[HASH_HEX_SIZE], other[HASH_HEX_SIZE];
    hash_of(with("\"ticket_id\":\"1\",\"locale\":\"de\""), first);
    hash_of("{ \"ticket\" : "
            "{\"locale\":\"de\",\"customer_external_id\":\"c1\",\"subject\":\"\\u0054\",\"description\":"
            "\"D\",\"channel\":\"email\"}}",
        other);
    assert_string_equal(first, other); /* order, spelling, wrapper and id do not count */
    const char *const changes[] = {"\"locale\":\"en\"", "\"locale\":\"de\",\"metadata\":{\"a\":1}",
        "\"locale\":\"de\",\"use_sonnet\":true", "\"locale\":\"de\",\"priority\":\"critical\"",
        "\"locale\":\"de\",\"messages\":[{\"role\":\"agent\",\"text\":\"x\"}]"};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        hash_of(with(changes[i]), other);
        assert_string_not_equal(first, other);
    }
}

#define CLASSIFICATION                                                                                       \
    "\"classification\":{\"category\":\"billing\",\"priority\":\"low\",\"department\":\"finance\","          \
    "\"sentiment\":\"neutral\",\"confidence\":0.5}"

static void test_question_with_context(void **state)
{
    (void)state;
    assert_true(
        read_body(with(CLASSIFICATION
                      ",\"context\":{\"context_package\":[{\"source_id\":\"s\",\"excerpt\":\"e\","
                      "\"citation_uri\":null,\"score\":1,\"type\":\"kb\"}],\"aggregate_confidence\":0.9}"),
            &answer));
    assert_string_equal(in.classification->category, "billing");
    assert_int_equal(in.classification->priority, MSG_PRIORITY_LOW);
    assert_string_equal(in.classification->reasoning_snippet, "");
    assert_int_equal(in.context->items_count, 1);
    assert_string_equal(in.context->items[0].citation_uri, "");
    assert_true(in.context->items[0].score == 1.0 && in.context->aggregate_confidence == 0.9);
    assert_null(in.warning);
}

/* A record that would be too large is refused here, where the field can be named. */
static void test_context_is_bounded(void **state)
{
    (void)state;
    struct buf body;
    static char text[100 * 1024];
    memset(text, 'x', sizeof text - 1);
    for (int with_title = 0; with_title < 2; with_title++) {
        buf_init(&body, 1024 * 1024);
        buf_printf(&body,
            CLASSIFICATION ",\"context\":{\"context_package\":[{\"source_id\":\"s\",\"excerpt\":\"%s\","
                           "\"title\":\"%s\",\"score\":1,\"type\":\"kb\"}],\"aggregate_confidence\":0.9}",
            text, with_title ? text + 70 * 1024 : "");
        assert_int_equal(read_body(with(buf_text(&body)), &answer), !with_title);
        assert_int_equal(has_error("/context/context_package"), with_title);
        buf_fini(&body);
    }
    check_refused_by(&answer,
        CLASSIFICATION ",\"auto_generated\":true,\"context\":{\"context_package\":[],"
                       "\"aggregate_confidence\":0.9}",
        "/auto_generated");
}

static void test_question_mistakes(void **state)
{
    (void)state;
    assert_false(read_body(with("\"use_sonnet\":\"yes\""), &answer));
    assert_true(has_error("/classification") && has_error("/context") && has_error("/use_sonnet"));
    assert_false(read_body(with("\"classification\":{\"confidence\":2},\"context\":{\"context_package\":[{"
                                "\"type\":\"web\",\"score\":-1}]}"),
        &answer));
    const char *const pointers[] = {"/classification/category", "/classification/priority",
        "/classification/department", "/classification/sentiment", "/classification/confidence",
        "/context/context_package/0/source_id", "/context/context_package/0/excerpt",
        "/context/context_package/0/type", "/context/context_package/0/score",
        "/context/aggregate_confidence"};
    for (size_t i = 0; i < sizeof pointers / sizeof pointers[0]; i++) {
        if (!has_error(pointers[i])) {
            fail_msg("no error at %s", pointers[i]);
        }
    }
}

static void test_many_mistakes_are_bounded(void **state)
{
    (void)state;
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_puts(&body, "{\"messages\":[");
    for (int i = 0; i < 1000; i++) {
        buf_puts(&body, i == 0 ? "1" : ",1");
    }
    buf_puts(&body, "]}");
    assert_false(read_body(buf_text(&body), &no_rules));
    assert_int_equal(errors.count, FIELD_ERRORS_MAX);
    buf_fini(&body);
}

static bool read_feedback(const char *body, struct msg_feedback *feedback)
{
    const char *warning;
    memset(feedback, 0, sizeof *feedback);
    field_errors_init(&errors, arena);
    return feedback_in_read(arena, body, strlen(body), feedback, &warning, &errors);
}

static void test_feedback(void **state)
{
    (void)state;
    struct msg_feedback f;
    assert_true(read_feedback(
        "{\"rating\":5,\"draft\":\"primary\",\"outcome\":\"edited\",\"ticket_status\":\"resolved\","
        "\"corrected\":{\"category\":\"billing\",\"priority\":\"low\",\"sentiment\":\"negative\"},\"csat\":1,"
        "\"final_text\":\"x\",\"comment\":\"y\",\"agent\":\"z\"}",
        &f));
    assert_true(f.has_rating && f.rating == 5 && f.has_csat && f.csat == 1);
    assert_int_equal(f.outcome, MSG_OUTCOME_EDITED);
    assert_int_equal(f.ticket_status, MSG_TICKET_STATUS_RESOLVED);
    assert_string_equal(f.corrected_priority, "low");
    assert_null(f.corrected_department);
    assert_false(read_feedback("{}", &f));
    assert_true(has_error(""));
    assert_false(read_feedback(
        "{\"rating\":0,\"csat\":2.5,\"draft\":\"third\",\"corrected\":{\"priority\":\"x\"},\"comment\":1}",
        &f));
    assert_true(has_error("/rating") && has_error("/csat") && has_error("/draft") &&
                has_error("/corrected/priority") && has_error("/comment"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_smallest_ticket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_ticket_in_a_wrapper, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_mistake_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_single_mistakes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_id_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_an_object, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nulls_are_absent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_members_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(test_warning_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_content_hash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_question_with_context, setup, teardown),
        cmocka_unit_test_setup_teardown(test_context_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_question_mistakes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_mistakes_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_feedback, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
