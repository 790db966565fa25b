/* Writing in Confluent's framing with a schema registry's ids, and the settings of both. */
#include "registry_fixture.h"

/* ---- writing ---- */

static bool encode(struct fixture *f, struct buf *out)
{
    struct arena *arena = arena_new(0);
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, arena);

    buf_init(out, MSG_MAX_RECORD);
    event->ticket.subject = "It smokes";
    bool ok = msg_encode(&msg_ticket_event, event, out, &f->err);
    arena_free(arena);
    return ok;
}

static void test_confluent_framing_is_written(void **state)
{
    struct fixture *f = *state;
    struct buf bytes;

    assert_string_equal(msg_content_type(), "application/avro-single-object");
    set(f, "schemas.framing", "confluent");
    open_for(f, answers);
    assert_true(encode(f, &bytes));
    assert_memory_equal(bytes.data, "\0\0\0\0\x1f", 5);
    assert_int_equal(bytes.len, 5 + f->datum.len);
    assert_memory_equal(bytes.data + 5, f->datum.data, f->datum.len);
    assert_string_equal(msg_content_type(), "application/avro");
    assert_int_equal(registered, 0);
    buf_fini(&bytes);
    registry_close();
    assert_true(encode(f, &bytes)); /* single objects again */
    assert_memory_equal(bytes.data, "\xc3\x01", 2);
    buf_fini(&bytes);
    /* A start without the registry: the id from before is written. */
    serve_no_more();
    open_for(f, answers);
    assert_true(encode(f, &bytes));
    assert_memory_equal(bytes.data, "\0\0\0\0\x1f", 5);
    buf_fini(&bytes);
    registry_close();
    serve(f->port);
}

static void test_missing_schema(void **state)
{
    struct fixture *f = *state;
    struct buf report;

    lacks_schemas = true;
    set(f, "schemas.framing", "confluent");
    assert_false(registry_open(f->conf, answers, &f->err));
    assert_string_equal(f->err.code, "schema_unregistered");
    assert_non_null(strstr(f->err.text, "helpdesk.tickets.answered-value"));
    assert_non_null(strstr(f->err.text, "schemas.register"));
    set(f, "schemas.register", "true");
    is_incompatible = true;
    assert_false(registry_open(f->conf, answers, &f->err));
    assert_string_equal(f->err.code, "schema_incompatible");
    assert_int_equal(f->err.disposition, ERROR_FATAL);
    assert_non_null(strstr(f->err.text, "field `x` was cut"));
    assert_int_equal(registered, 0);
    is_incompatible = false;
    open_for(f, answers);
    assert_int_equal(registered, 1);
    registry_close();
    buf_init(&report, 64 * 1024);
    assert_false(registry_report(f->conf, false, &report, &f->err)); /* the server takes tickets only */
    assert_non_null(strstr(buf_text(&report), "helpdesk.tickets.replies-value"));
    assert_non_null(strstr(buf_text(&report), "id 31"));
    assert_string_equal(f->err.code, "schema_refused");
    buf_fini(&report);
}

/* Roles that start together: Apicurio says 409 to all but one. */
static void test_another_registers_the_same(void **state)
{
    struct fixture *f = *state;

    lacks_schemas = raced = true;
    refusing = 1;
    set(f, "schemas.framing", "confluent");
    set(f, "schemas.register", "true");
    open_for(f, answers);
    assert_int_equal(registered, 1);
    registry_close();
    registered = 0;
    raced = false;
    refusing = 3; /* it is not to be seen at once */
    open_for(f, answers);
    assert_int_equal(registered, 1);
    registry_close();
    registered = 0;
    refusing = 1000;
    assert_false(registry_open(f->conf, answers, &f->err));
    assert_string_equal(f->err.code, "schema_incompatible");
    assert_non_null(strstr(f->err.text, "An artifact already exists"));
    assert_int_equal(registered, 0);
}

static void test_writing_waits_for_the_registry(void **state)
{
    struct fixture *f = *state;
    struct buf bytes;

    /* Ids stay with the process, so this is of a type that no other test writes. */
    serve_no_more();
    set(f, "schemas.framing", "confluent");
    open_for(f, (const char *const[]){TOPIC_FEEDBACK, NULL});
    assert_false(health_ok("registry"));
    struct arena *arena = arena_new(0);
    const struct msg_feedback *feedback = msg_new(&msg_feedback, arena);
    buf_init(&bytes, MSG_MAX_RECORD);
    assert_false(msg_encode(&msg_feedback, feedback, &bytes, &f->err));
    assert_int_equal(f->err.disposition, ERROR_RETRY);
    assert_string_equal(f->err.code, "registry_unavailable");
    serve(f->port); /* it refuses a schema that is not a ticket's */
    for (int ms = 0; ms < PATIENCE_MS && f->err.disposition == ERROR_RETRY; ms += 5) {
        usleep(5000);
        assert_false(msg_encode(&msg_feedback, feedback, &bytes, &f->err));
    }
    assert_int_equal(f->err.disposition, ERROR_FATAL);
    assert_non_null(strstr(f->err.text, "not what was expected"));
    assert_int_equal(bytes.len, 0);
    assert_false(health_ok("registry"));
    arena_free(arena);
    registry_close();
}

/* ---- settings ---- */

static void test_wrong_settings(void **state)
{
    static const struct {
        const char *name, *value, *word;
    } cases[] = {
        {"schemas.register", "true", "schemas.framing"},
        {"schemas.registry", "registry:8081", "http"},
        {"schemas.registry", "http://", "http"},
        {"schemas.registry", "http://user:password@registry", "schemas.registry-auth"},
        {"schemas.registry", "http://registry?x=1", "query"},
        {"schemas.registry-auth", ":password", "user:password"},
        {"schemas.registry", "", "schemas.registry"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct conf *whole = f->conf;
        char before[256];
        f->err = (struct error){.disposition = ERROR_NONE};
        int row = strcmp(cases[i].name, "schemas.register") == 0        ? CONF_SCHEMAS_REGISTER
                  : strcmp(cases[i].name, "schemas.registry-auth") == 0 ? CONF_SCHEMAS_REGISTRY_AUTH
                                                                        : CONF_SCHEMAS_REGISTRY;
        snprintf(before, sizeof before, "%s",
            row == CONF_SCHEMAS_REGISTER ? "false" : conf_text(whole, (enum conf_id)row));
        set(f, cases[i].name, cases[i].value);
        assert_false(registry_open(f->conf, nothing, &f->err));
        assert_int_equal(f->err.disposition, ERROR_FATAL);
        if (strstr(f->err.text, cases[i].word) == NULL) {
            fail_msg("%s: %s", cases[i].value, f->err.text);
        }
        set(f, cases[i].name, before);
    }
    open_for(f, nothing);
    registry_close();
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_confluent_framing_is_written),
        TEST(test_missing_schema),
        TEST(test_another_registers_the_same),
        TEST(test_writing_waits_for_the_registry),
        TEST(test_wrong_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
