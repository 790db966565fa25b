/* Older and newer writers: their bytes, made by an independent implementation, are read with our tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "avro_peer.h"
#include "msg/codec.h"
#include "msg/fingerprint.h"

static uint64_t fingerprint_of_file(const char *path)
{
    cJSON *schema = peer_read_json(path);
    struct buf canonical;

    buf_init(&canonical, 1 << 20);
    assert_true(fingerprint_canonical(schema, &canonical));
    uint64_t fingerprint = fingerprint_crc64(canonical.data, canonical.len);
    buf_fini(&canonical);
    cJSON_Delete(schema);
    return fingerprint;
}

static struct msg_ticket_event *decode(struct arena *arena, struct buf *bytes, struct error *err)
{
    struct msg_ticket_event *event = msg_decode(&msg_ticket_event, arena, bytes->data, bytes->len, err);

    buf_fini(bytes);
    return event;
}

static cJSON *member(cJSON *object, const char *path)
{
    char name[40];

    for (size_t len; *path != '\0'; path += len + (path[len] == '.')) {
        len = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)len, path);
        object = *name >= '0' && *name <= '9' ? cJSON_GetArrayItem(object, *name - '0')
                                              : cJSON_GetObjectItemCaseSensitive(object, name);
        assert_non_null(object);
    }
    return object;
}

static void replace_text(cJSON *object, const char *path, const char *name, const char *text)
{
    cJSON_ReplaceItemInObjectCaseSensitive(member(object, path), name, cJSON_CreateString(text));
}

/* What the newer writer has and we do not know. */
static cJSON *newer_event(void)
{
    cJSON *json = peer_read_json(SOURCE_DIR "/tests/data/event_full.json");
    static const char *const drafts[] = {"generation.primary_draft", "generation.alternative_draft"};

    for (size_t i = 0; i < 2; i++) {
        cJSON *tone = cJSON_AddObjectToObject(member(json, drafts[i]), "tone");
        cJSON_AddNumberToObject(tone, "warmth", 0.5);
        cJSON *word = cJSON_CreateObject();
        cJSON_AddStringToObject(word, "$bytes", "warm\xc3\xbf");
        cJSON_AddItemToArray(cJSON_AddArrayToObject(tone, "words"), word);
    }
    cJSON_AddItemToObject(json, "again", cJSON_Duplicate(member(json, "generation.primary_draft.tone"), 1));
    cJSON_AddStringToObject(cJSON_AddObjectToObject(member(json, "ticket"), "digest"), "$bytes", "1234");
    cJSON *spam = cJSON_AddArrayToObject(member(json, "ticket"), "spam_score");
    cJSON_AddItemToArray(spam, cJSON_CreateString("low"));
    for (int i = 0; i < 2; i++) {
        static const char *const steps[] = {"steps.0", "steps.1"};
        cJSON_SetNumberValue(member(member(json, steps[i]), "latency_ms"), 17);
    }
    return json;
}

static void test_older_writer(void **state)
{
    cJSON *json = peer_read_json(SOURCE_DIR "/tests/data/event_full.json");
    struct buf bytes = peer_encode(PEER_HISTORY, fingerprint_of_file(PEER_HISTORY), json);
    struct error err = {.disposition = ERROR_NONE};
    struct msg_ticket_event *event = decode(*state, &bytes, &err);

    assert_string_equal(err.text, "");
    assert_string_equal(event->ticket.ticket_id, "T-1001");
    assert_string_equal(event->tenant, "acme");
    assert_int_equal(event->state, MSG_STATE_COMPLETED_WITH_FLAGS);
    assert_int_equal(event->steps[0].kb_revision, 4503599627370497);
    /* Not known to that writer: defaults. */
    assert_false(event->caller_context);
    assert_false(event->ticket.auto_generated);
    assert_int_equal(event->generation->primary_draft.flag_details_count, 0);
    assert_string_equal(event->context->items[0].title, "");
    assert_string_equal(event->context->items[0].metadata, "{}");
    assert_true(event->steps[0].cost_usd == 0);
    assert_false(event->failure->has_step);
    assert_int_equal(event->steps[0].attempts, 1);
    assert_int_equal(event->steps[0].errors_count, 0);
}

/* The version before this one: its workers may still be at work beside ours. */
static void test_previous_writer(void **state)
{
    static const char path[] = SOURCE_DIR "/schemas/avro/history/ticket_event.3.avsc";
    cJSON *json = peer_read_json(SOURCE_DIR "/tests/data/event_full.json");
    cJSON *expected = peer_read_json(SOURCE_DIR "/tests/data/event_full.json");
    struct buf bytes = peer_encode(path, fingerprint_of_file(path), json);
    struct error err = {.disposition = ERROR_NONE};
    struct msg_ticket_event *event = decode(*state, &bytes, &err);

    assert_string_equal(err.text, "");
    replace_text(expected, "context.items.0", "metadata", "{}");
    cJSON *ours = msg_to_json(&msg_ticket_event, event);
    peer_assert_same(ours, expected);
    cJSON_Delete(ours);
    cJSON_Delete(expected);
}

static void test_older_reader(void **state)
{
    cJSON *json = peer_read_json(SOURCE_DIR "/tests/data/event_full.json"), *seen;
    struct msg_ticket_event *event = msg_from_json(&msg_ticket_event, *state, json, NULL);
    struct buf bytes;

    buf_init(&bytes, MSG_MAX_RECORD);
    assert_true(msg_encode(&msg_ticket_event, event, &bytes, NULL));
    struct buf out = peer_run("decode", PEER_SCHEMA, PEER_HISTORY, bytes.data + 10, bytes.len - 10);
    seen = json_parse(out.data, out.len, NULL);
    peer_assert_same(member(seen, "ticket.subject"), member(json, "ticket.subject"));
    peer_assert_same(member(seen, "context.customer"), member(json, "context.customer"));
    assert_null(cJSON_GetObjectItem(seen, "caller_context"));
    buf_fini(&out);
    buf_fini(&bytes);
    cJSON_Delete(seen);
    cJSON_Delete(json);
}

static void test_newer_writer(void **state)
{
    cJSON *json = newer_event(), *expected = peer_read_json(SOURCE_DIR "/tests/data/event_full.json");
    struct error err = {.disposition = ERROR_NONE};

    cJSON_SetNumberValue(member(expected, "steps.0.latency_ms"), 17);
    cJSON_SetNumberValue(member(expected, "steps.1.latency_ms"), 17);
    struct buf bytes = peer_encode(PEER_NEXT, fingerprint_of_file(PEER_NEXT), json);
    struct msg_ticket_event *event = decode(*state, &bytes, &err);
    assert_string_equal(err.text, "");
    cJSON *ours = msg_to_json(&msg_ticket_event, event);
    peer_assert_same(ours, expected);
    cJSON_Delete(ours);
    cJSON_Delete(expected);
}

static void test_unknown_symbol_with_default(void **state)
{
    cJSON *json = newer_event();
    struct error err = {.disposition = ERROR_NONE};

    replace_text(json, "classification", "sentiment", "mixed");
    struct buf bytes = peer_encode(PEER_NEXT, fingerprint_of_file(PEER_NEXT), json);
    struct msg_ticket_event *event = decode(*state, &bytes, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(event->classification->sentiment, MSG_SENTIMENT_NEUTRAL);
}

static void test_unknown_symbol_without_default(void **state)
{
    cJSON *json = newer_event();
    struct error err = {.disposition = ERROR_NONE};

    cJSON_ReplaceItemInArray(
        member(json, "generation.primary_draft.safety_flags"), 1, cJSON_CreateString("off_topic"));
    struct buf bytes = peer_encode(PEER_NEXT, fingerprint_of_file(PEER_NEXT), json);
    assert_null(decode(*state, &bytes, &err));
    assert_int_equal(err.disposition, ERROR_REJECT);
    assert_string_equal(err.code, "record_malformed");
    assert_string_equal(
        err.text, "generation.primary_draft.safety_flags[1]: a symbol that is not known here");
}

static void test_null_where_ours_is_not(void **state)
{
    cJSON *json = newer_event();
    struct error err = {.disposition = ERROR_NONE};

    cJSON_ReplaceItemInObject(member(json, "classification"), "reasoning_snippet", cJSON_CreateNull());
    struct buf bytes = peer_encode(PEER_NEXT, fingerprint_of_file(PEER_NEXT), json);
    assert_null(decode(*state, &bytes, &err));
    assert_string_equal(err.text, "classification.reasoning_snippet: null");
}

static void test_confluent_framing(void **state)
{
    cJSON *json = peer_read_json(SOURCE_DIR "/tests/data/event_full.json");
    char *text = cJSON_PrintUnformatted(json);
    struct buf datum = peer_run("encode", PEER_HISTORY, NULL, text, strlen(text)), framed;
    struct error err = {.disposition = ERROR_NONE};

    buf_init(&framed, MSG_MAX_RECORD);
    assert_null(msg_decode(&msg_ticket_event, *state, "\0\0\0\0\7", 5, &err));
    assert_string_equal(err.code, "record_malformed"); /* pinned by the settings; an empty datum */
    buf_append(&framed, "\0\0\1\2\3", 5);
    buf_append(&framed, datum.data, datum.len);
    assert_null(msg_decode(&msg_ticket_event, *state, framed.data, framed.len, &err));
    assert_string_equal(err.code, "schema_unknown");
    assert_false(msg_pin_confluent_id(0x010203, "no_such_schema", &err));
    assert_true(msg_pin_confluent_id(0x010203, "TicketEvent", NULL));
    assert_true(msg_pin_confluent_id(0x010203, "ticket_event.1", NULL));
    struct msg_ticket_event *event = msg_decode(&msg_ticket_event, *state, framed.data, framed.len, NULL);
    assert_non_null(event);
    assert_string_equal(event->tenant, "acme");
    assert_null(msg_decode(&msg_feedback, *state, framed.data, framed.len, &err));
    assert_string_equal(err.text, "the record: a TicketEvent, not a Feedback");
    buf_fini(&framed);
    buf_fini(&datum);
    cJSON_free(text);
    cJSON_Delete(json);
}

/* ---- schemas that must not be loaded ---- */

static void refused(const char *text, size_t len, const char *why)
{
    char folder[] = "/tmp/hd-schemas-XXXXXX", path[64];
    struct error err = {.disposition = ERROR_NONE};

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/bad.avsc", folder);
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
    assert_false(msg_load_schemas(folder, &err));
    assert_int_equal(err.disposition, ERROR_FATAL);
    if (strstr(err.text, why) == NULL) {
        assert_string_equal(err.text, why);
    }
    unlink(path);
    rmdir(folder);
}

static void field_refused(const char *type, const char *why)
{
    char text[2048];

    snprintf(text, sizeof text,
        "{\"type\":\"record\",\"name\":\"TicketEvent\",\"fields\":[{\"name\":\"f\",\"type\":%s}]}", type);
    refused(text, strlen(text), why);
}

static void test_unsafe_schemas(void **state)
{
    (void)state;
    field_refused("{\"type\":\"array\",\"items\":\"null\"}", "items take no bytes");
    field_refused(
        "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"E\",\"fields\":[]}}", "bad: ");
    field_refused("{\"type\":\"fixed\",\"name\":\"F\",\"size\":-5}", "size of a fixed");
    field_refused("{\"type\":\"fixed\",\"name\":\"F\",\"size\":0}", "size of a fixed");
    field_refused("{\"type\":\"fixed\",\"name\":\"F\",\"size\":1e18}", "size of a fixed");
    field_refused("{\"type\":\"map\",\"values\":\"int\"}", "map");
    field_refused("[\"null\",\"TicketEvent\"]", "holds itself");
    field_refused("{\"type\":\"array\",\"items\":\"TicketEvent\"}", "holds itself");
    field_refused("\"Unheard\"", "bad: ");
    field_refused("[\"null\",{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[]}]", "bad: ");
    field_refused("[]", "bad: ");
    refused("\"string\"", 8, "not a record");
    refused("{", 1, "bad: ");
    refused("{\"type\":\"record\"}", 17, "missing");
}

static void test_deep_schema(void **state)
{
    static const char head[] = "{\"type\":\"array\",\"items\":";
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 5000; i++) {
        buf_puts(&text, head);
    }
    buf_puts(&text, "\"int\"");
    for (int i = 0; i < 5000; i++) {
        buf_putc(&text, '}');
    }
    refused(text.data, text.len, "bad: ");
    for (int i = 0; i < 10000; i++) {
        buf_puts(&text, head);
    }
    refused(text.data, text.len, "");
    buf_fini(&text);
}

/* A few names that stand for 2^30 fields, and names that nest 40 deep. */
static void test_schema_that_unfolds(void **state)
{
    struct buf text;

    (void)state;
    for (int fields = 1; fields <= 2; fields++) {
        buf_init(&text, 1 << 20);
        buf_puts(&text,
            "{\"type\":\"record\",\"name\":\"TicketEvent\",\"fields\":[{\"name\":\"f0\",\"type\":"
            "{\"type\":\"record\",\"name\":\"R0\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}}");
        for (int i = 1; i < 40; i++) {
            buf_printf(&text,
                ",{\"name\":\"f%d\",\"type\":{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[", i, i);
            for (int k = 0; k < fields; k++) {
                buf_printf(&text, "%s{\"name\":\"x%d\",\"type\":\"R%d\"}", k > 0 ? "," : "", k, i - 1);
            }
            buf_puts(&text, "]}}");
        }
        buf_puts(&text, "]}");
        refused(text.data, text.len, fields == 1 ? "too deep" : "too many types");
        buf_fini(&text);
    }
}

static void test_missing_folder(void **state)
{
    struct error err;

    (void)state;
    assert_false(msg_load_schemas("/nonexistent", &err));
    assert_string_equal(err.code, "schema_unreadable");
}

/* As a role does it at its start; what is wrong in the settings stops it there. */
static int load(void **state)
{
    static const char *const wrong_ids[] = {
        "TicketEvent", "x=TicketEvent", "-1=TicketEvent", "5000000000=Feedback", "7=Unheard"};
    struct error err = {.disposition = ERROR_NONE};
    struct buf problems;
    bool ok = true;

    (void)state;
    buf_init(&problems, 4096);
    struct conf *conf = conf_load(NULL, &problems);
    buf_fini(&problems);
    for (size_t i = 0; i < sizeof wrong_ids / sizeof *wrong_ids; i++) {
        conf_set(conf, "schemas.confluent-ids", wrong_ids[i], NULL);
        ok = ok && !msg_setup(conf, &err) && err.disposition == ERROR_FATAL;
    }
    conf_set(conf, "schemas.folder", SOURCE_DIR "/tests/data/schemas", NULL);
    conf_set(conf, "schemas.confluent-ids", "7=TicketEvent,8=ticket_event.next", NULL);
    err = (struct error){.disposition = ERROR_NONE};
    ok = ok && msg_setup(conf, &err) && msg_setup(conf, NULL);
    if (err.disposition != ERROR_NONE) {
        print_error("%s\n", err.text);
    }
    conf_free(conf);
    return ok ? 0 : -1;
}

static int setup(void **state)
{
    *state = arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_older_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_previous_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_symbol_with_default, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_symbol_without_default, setup, teardown),
        cmocka_unit_test_setup_teardown(test_null_where_ours_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_confluent_framing, setup, teardown),
        cmocka_unit_test(test_unsafe_schemas),
        cmocka_unit_test(test_deep_schema),
        cmocka_unit_test(test_schema_that_unfolds),
        cmocka_unit_test(test_missing_folder),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
