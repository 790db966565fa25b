/* Canonical forms and fingerprints against the specification's and other implementations' values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/json.h"
#include "msg/codec.h"
#include "msg/fingerprint.h"

static uint64_t fingerprint_of(const char *json, const char *canonical)
{
    cJSON *schema = json_parse(json, strlen(json), NULL);
    struct buf out;

    assert_non_null(schema);
    buf_init(&out, 4096);
    assert_true(fingerprint_canonical(schema, &out));
    if (canonical != NULL) {
        assert_string_equal(buf_text(&out), canonical);
    }
    uint64_t fingerprint = fingerprint_crc64(buf_text(&out), out.len);
    buf_fini(&out);
    cJSON_Delete(schema);
    return fingerprint;
}

/* From the Avro project's share/test/data/schema-tests.txt and the design's measured values. */
static void test_known_values(void **state)
{
    (void)state;
    assert_int_equal(fingerprint_of("\"null\"", "\"null\""), 0x63dd24e7cc258f8aULL);
    assert_int_equal(fingerprint_of("\"int\"", "\"int\""), 0x7275d51a3f395c8fULL);
    assert_int_equal(fingerprint_of("\"boolean\"", NULL), 0x9f42fc78a4d4f764ULL);
    assert_int_equal(fingerprint_of("\"long\"", NULL), 0xd054e14493f41db7ULL);
    assert_int_equal(fingerprint_of("\"string\"", NULL), 0x8f014872634503c7ULL);
    assert_int_equal(fingerprint_crc64("", 0), 0xc15d213aa4d7a795ULL);
}

static void test_canonical_form(void **state)
{
    (void)state;
    fingerprint_of("{\"type\": \"int\", \"logicalType\": \"date\"}", "\"int\"");
    fingerprint_of("{\"items\": {\"type\":\"null\"}, \"type\":\"array\", \"default\":[]}",
        "{\"type\":\"array\",\"items\":\"null\"}");
    fingerprint_of("{\"values\": \"string\", \"type\":\"map\"}", "{\"type\":\"map\",\"values\":\"string\"}");
    fingerprint_of("[ \"null\", \"int\" , [] ]", "[\"null\",\"int\",[]]");
    fingerprint_of("{\"type\":\"fixed\",\"name\":\"foo\",\"doc\":\"x\",\"size\":15}",
        "{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}");
    fingerprint_of(
        "{\"type\":\"enum\",\"namespace\":\"x.y\",\"name\":\"foo\",\"symbols\":[\"A1\"],\"default\":\"A1\"}",
        "{\"name\":\"x.y.foo\",\"type\":\"enum\",\"symbols\":[\"A1\"]}");
}

static void test_names_take_the_enclosing_namespace(void **state)
{
    (void)state;
    fingerprint_of(
        "{\"name\":\"a.b.Outer\",\"namespace\":\"ignored\",\"doc\":\"d\",\"type\":\"record\",\"fields\":["
        "{\"name\":\"x\",\"default\":null,\"type\":[\"null\",{\"type\":\"enum\",\"name\":\"E\",\"symbols\":["
        "\"S\"]}]},"
        "{\"name\":\"y\",\"order\":\"ignore\",\"type\":{\"type\":\"record\",\"name\":\"In\",\"namespace\":"
        "\"c\","
        "\"fields\":[{\"name\":\"z\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}}]}},"
        "{\"name\":\"w\",\"type\":\"E\"}]}",
        "{\"name\":\"a.b.Outer\",\"type\":\"record\",\"fields\":["
        "{\"name\":\"x\",\"type\":[\"null\",{\"name\":\"a.b.E\",\"type\":\"enum\",\"symbols\":[\"S\"]}]},"
        "{\"name\":\"y\",\"type\":{\"name\":\"c.In\",\"type\":\"record\","
        "\"fields\":[{\"name\":\"z\",\"type\":{\"name\":\"c.F\",\"type\":\"fixed\",\"size\":2}}]}},"
        "{\"name\":\"w\",\"type\":\"a.b.E\"}]}");
}

static void test_no_schema_has_no_form(void **state)
{
    static const char *const broken[] = {"{}", "{\"type\":\"record\"}", "{\"type\":\"array\"}",
        "{\"type\":\"map\"}", "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"f\"}]}",
        "{\"type\":\"enum\",\"name\":\"E\"}", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[1]}",
        "{\"type\":\"fixed\",\"name\":\"F\",\"size\":\"4\"}", "17"};

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        cJSON *schema = json_parse(broken[i], strlen(broken[i]), NULL);
        struct buf out;
        assert_non_null(schema);
        buf_init(&out, 4096);
        assert_false(fingerprint_canonical(schema, &out));
        buf_fini(&out);
        cJSON_Delete(schema);
    }
}

static void test_types_differ(void **state)
{
    (void)state;
    assert_int_not_equal(msg_fingerprint(&msg_ticket_event), msg_fingerprint(&msg_feedback));
    assert_int_not_equal(msg_fingerprint(&msg_feedback), msg_fingerprint(&msg_kb_notification));
    assert_int_equal(msg_fingerprint(&msg_ticket_event), msg_fingerprint(&msg_ticket_event));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_canonical_form),
        cmocka_unit_test(test_names_take_the_enclosing_namespace),
        cmocka_unit_test(test_no_schema_has_no_form),
        cmocka_unit_test(test_types_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
