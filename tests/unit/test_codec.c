/* Records to bytes and back, against an independent implementation, and bytes that mean harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include "avro_peer.h"
#include "msg/codec.h"

#define FULL SOURCE_DIR "/tests/data/event_full.json"

static struct msg_ticket_event *full_event(struct arena *arena)
{
    cJSON *json = peer_read_json(FULL);
    struct error err = {.disposition = ERROR_NONE};
    struct msg_ticket_event *event = msg_from_json(&msg_ticket_event, arena, json, &err);

    assert_string_equal(err.text, "");
    cJSON_Delete(json);
    return event;
}

static struct buf encode(const struct msg_type *type, const void *record)
{
    struct error err = {.disposition = ERROR_NONE};
    struct buf bytes;

    buf_init(&bytes, MSG_MAX_RECORD);
    assert_true(msg_encode(type, record, &bytes, &err));
    return bytes;
}

static void assert_same_record(const struct msg_type *type, const void *record, const cJSON *expected)
{
    cJSON *json = msg_to_json(type, record);

    peer_assert_same(json, expected);
    cJSON_Delete(json);
}

static void assert_refused(
    const struct msg_type *type, const void *record, const char *code, const char *text)
{
    struct error err = {.disposition = ERROR_NONE};
    struct buf bytes;

    buf_init(&bytes, MSG_MAX_RECORD);
    buf_puts(&bytes, "kept");
    assert_false(msg_encode(type, record, &bytes, &err));
    assert_int_equal(err.disposition, ERROR_REJECT);
    assert_string_equal(err.code, code);
    assert_string_equal(err.text, text);
    assert_string_equal(buf_text(&bytes), "kept");
    buf_fini(&bytes);
}

/* ---- good records ---- */

static void test_round_trip(void **state)
{
    cJSON *expected = peer_read_json(FULL);
    struct buf bytes = encode(&msg_ticket_event, full_event(*state));

    assert_memory_equal(bytes.data, "\xc3\x01", 2);
    struct msg_ticket_event *event = msg_decode(&msg_ticket_event, *state, bytes.data, bytes.len, NULL);
    assert_non_null(event);
    assert_same_record(&msg_ticket_event, event, expected);
    struct arena *other = arena_new(0);
    struct msg_ticket_event *copy = msg_copy(&msg_ticket_event, other, event);
    assert_ptr_not_equal(copy->ticket.subject, event->ticket.subject);
    assert_ptr_not_equal(copy->steps, event->steps);
    assert_same_record(&msg_ticket_event, copy, expected);
    arena_free(other);
    buf_fini(&bytes);
    cJSON_Delete(expected);
}

/* What only the way from the retriever to the generator has. */
static void test_a_questions_vector(void **state)
{
    cJSON *json = peer_read_json(FULL);
    cJSON *vector = cJSON_CreateObject(), *step = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "steps"), 0);
    cJSON_AddStringToObject(vector, "model", "openai/small/2");
    cJSON_AddStringToObject(vector, "codes", "0000803c7f81");
    cJSON_ReplaceItemInObject(json, "question_vector", vector);
    cJSON_ReplaceItemInObject(step, "cache_semantic", cJSON_CreateTrue());
    struct buf bytes = encode(&msg_ticket_event, msg_from_json(&msg_ticket_event, *state, json, NULL));
    struct buf out = peer_run("decode", PEER_SCHEMA, NULL, bytes.data + 10, bytes.len - 10);
    cJSON *seen = json_parse(out.data, out.len, NULL);
    peer_assert_same(seen, json);
    struct msg_ticket_event *event = msg_decode(&msg_ticket_event, *state, bytes.data, bytes.len, NULL);
    assert_same_record(&msg_ticket_event, event, json);
    assert_string_equal(event->question_vector->codes, "0000803c7f81");
    cJSON_Delete(seen);
    cJSON_Delete(json);
    buf_fini(&out);
    buf_fini(&bytes);
}

static void test_peer_reads_ours(void **state)
{
    cJSON *expected = peer_read_json(FULL);
    struct buf bytes = encode(&msg_ticket_event, full_event(*state));
    struct buf out = peer_run("decode", PEER_SCHEMA, NULL, bytes.data + 10, bytes.len - 10);
    cJSON *seen = json_parse(out.data, out.len, NULL);

    assert_non_null(seen);
    peer_assert_same(seen, expected);
    cJSON_Delete(seen);
    cJSON_Delete(expected);
    buf_fini(&out);
    buf_fini(&bytes);
}

static void test_we_read_peers(void **state)
{
    cJSON *expected = peer_read_json(FULL);
    struct buf bytes =
        peer_encode(PEER_SCHEMA, msg_fingerprint(&msg_ticket_event), cJSON_Duplicate(expected, 1));
    struct msg_ticket_event *event = msg_decode(&msg_ticket_event, *state, bytes.data, bytes.len, NULL);

    assert_non_null(event);
    assert_same_record(&msg_ticket_event, event, expected);
    cJSON_Delete(expected);
    buf_fini(&bytes);
}

static void test_other_types(void **state)
{
    struct msg_feedback *feedback = msg_new(&msg_feedback, *state);
    struct msg_kb_notification *note = msg_new(&msg_kb_notification, *state);

    feedback->ticket_id = "T-1";
    feedback->has_rating = true;
    feedback->rating = -3;
    feedback->has_outcome = true;
    feedback->outcome = MSG_OUTCOME_REJECTED;
    struct buf bytes = encode(&msg_feedback, feedback);
    struct msg_feedback *seen = msg_decode(&msg_feedback, *state, bytes.data, bytes.len, NULL);
    assert_string_equal(seen->tenant, "default");
    assert_true(seen->has_rating && seen->rating == -3 && !seen->has_csat);
    assert_true(seen->has_outcome && seen->outcome == MSG_OUTCOME_REJECTED);
    assert_null(seen->comment);
    buf_fini(&bytes);

    note->action = MSG_KB_ACTION_REMOVED;
    note->object_key = "a/b.md";
    note->full = true;
    bytes = encode(&msg_kb_notification, note);
    struct msg_kb_notification *other = msg_decode(&msg_kb_notification, *state, bytes.data, bytes.len, NULL);
    assert_int_equal(other->action, MSG_KB_ACTION_REMOVED);
    assert_string_equal(other->object_key, "a/b.md");
    assert_true(other->full && !other->has_requested_at);
    buf_fini(&bytes);
}

static void test_defaults(void **state)
{
    const struct msg_ticket_event *event = msg_new(&msg_ticket_event, *state);
    struct error err = {.disposition = ERROR_NONE};

    assert_string_equal(event->ticket.subject, "");
    assert_string_equal(event->ticket.channel, "email");
    assert_string_equal(event->ticket.metadata, "{}");
    assert_string_equal(event->tenant, "default");
    assert_int_equal(event->kind, MSG_KIND_TICKET);
    assert_null(event->event_id);
    assert_null(event->classification);
    assert_false(event->has_reply_to);
    assert_int_equal(event->plan_count, 0);
    static const char text[] =
        "{\"ticket\":{\"subject\":\"s\",\"description\":\"d\",\"customer_external_id\":\"c\","
        "\"unknown\":1},\"context\":{}}";
    cJSON *json = json_parse(text, strlen(text), &err);
    assert_string_equal(err.text, "");
    event = msg_from_json(&msg_ticket_event, *state, json, &err);
    assert_non_null(event);
    assert_string_equal(event->ticket.channel, "email");
    assert_int_equal(event->context->customer_state, MSG_CUSTOMER_STATE_PENDING);
    cJSON_Delete(json);
}

static void test_names(void **state)
{
    enum msg_priority priority = MSG_PRIORITY_LOW;

    (void)state;
    assert_string_equal(msg_priority_name(MSG_PRIORITY_CRITICAL), "critical");
    assert_null(msg_priority_name((enum msg_priority)99));
    assert_true(msg_priority_parse("high", &priority));
    assert_int_equal(priority, MSG_PRIORITY_HIGH);
    assert_false(msg_priority_parse("High", &priority));
    assert_false(msg_priority_parse(NULL, &priority));
    assert_int_equal(priority, MSG_PRIORITY_HIGH);
}

static void test_bad_json(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"[]", "the record: not an object"},
        {"{}", "ticket_id: missing"},
        {"{\"ticket_id\":null}", "ticket_id: null"},
        {"{\"ticket_id\":7}", "ticket_id: not a string"},
        {"{\"ticket_id\":\"t\",\"rating\":\"5\"}", "rating: not a number"},
        {"{\"ticket_id\":\"t\",\"rating\":2.5}", "rating: not an integer in range"},
        {"{\"ticket_id\":\"t\",\"rating\":3000000000}", "rating: not an integer in range"},
        {"{\"ticket_id\":\"t\",\"received_at\":1e17}", "received_at: not an integer in range"},
        {"{\"ticket_id\":\"t\",\"draft\":\"third\"}", "draft: not a value of its enum"},
        {"{\"ticket_id\":\"t\",\"draft\":1}", "draft: not a value of its enum"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {.disposition = ERROR_NONE};
        cJSON *json = json_parse(cases[i].json, strlen(cases[i].json), NULL);
        assert_null(msg_from_json(&msg_feedback, *state, json, &err));
        assert_int_equal(err.disposition, ERROR_REJECT);
        assert_string_equal(err.code, "record_invalid");
        assert_string_equal(err.text, cases[i].text);
        cJSON_Delete(json);
    }
}

/* ---- what must not be sent ---- */

static void test_invalid_records(void **state)
{
    struct msg_ticket_event *event = full_event(*state);

    event->ticket.subject = NULL;
    assert_refused(&msg_ticket_event, event, "record_invalid", "ticket.subject: missing");
    event->ticket.subject = "\xff";
    assert_refused(&msg_ticket_event, event, "record_invalid", "ticket.subject: not UTF-8");
    event->ticket.subject = "s";
    event->context->items[1].score = NAN;
    assert_refused(&msg_ticket_event, event, "record_invalid", "context.items[1].score: not a finite number");
    event->context->items[1].score = 0;
    event->context->items[0].type = (enum msg_item_type)17;
    assert_refused(
        &msg_ticket_event, event, "record_invalid", "context.items[0].type: not a value of its enum");
    event->context->items[0].type = MSG_ITEM_TYPE_KB;
    event->generation->primary_draft.citations[1] = NULL;
    assert_refused(
        &msg_ticket_event, event, "record_invalid", "generation.primary_draft.citations[1]: missing");
    event->generation->primary_draft.citations = NULL;
    assert_refused(&msg_ticket_event, event, "record_invalid", "generation.primary_draft.citations: missing");
}

static const char *text_of(struct arena *arena, size_t len)
{
    char *text = arena_alloc(arena, len + 1);

    memset(text, 'x', len);
    return text;
}

static void test_budgets(void **state)
{
    struct msg_ticket_event *event = full_event(*state);
    struct msg_feedback *feedback = msg_new(&msg_feedback, *state);

    event->ticket.description = text_of(*state, 256 * 1024);
    assert_refused(&msg_ticket_event, event, "record_too_large", "ticket: larger than 262144 bytes");
    event->ticket.description = text_of(*state, 255 * 1024);
    event->context->items[0].excerpt = text_of(*state, 128 * 1024);
    assert_refused(&msg_ticket_event, event, "record_too_large", "context: larger than 131072 bytes");
    event->context->items[0].excerpt = text_of(*state, 127 * 1024);
    event->generation->primary_draft.text = text_of(*state, 64 * 1024);
    assert_refused(&msg_ticket_event, event, "record_too_large", "generation: larger than 65536 bytes");
    event->generation->primary_draft.text = "";
    event->steps[0].model = text_of(*state, 200 * 1024);
    assert_refused(&msg_ticket_event, event, "record_too_large", "the record: larger than 524288 bytes");
    event->steps[0].model = "";
    struct buf bytes = encode(&msg_ticket_event, event);
    assert_non_null(msg_decode(&msg_ticket_event, *state, bytes.data, bytes.len, NULL));
    buf_fini(&bytes);
    feedback->final_text = text_of(*state, 200 * 1024);
    assert_refused(&msg_feedback, feedback, "record_too_large", "the record: larger than 196608 bytes");
}

static void test_no_room(void **state)
{
    struct error err = {.disposition = ERROR_NONE};
    struct buf bytes;

    buf_init(&bytes, 100);
    assert_false(msg_encode(&msg_ticket_event, full_event(*state), &bytes, &err));
    assert_string_equal(err.code, "record_too_large");
    assert_false(bytes.failed);
    buf_fini(&bytes);
}

/* ---- hostile bytes ---- */

/* A notification byte by byte: action, tenant, source, object_key, job_id, full, requested_at. */
#define NOTE "\x00\x02t\x02s\x02k\x00\x00\x00\x00\x00\x00"

static void *decode_datum(
    struct arena *arena, const struct msg_type *type, const void *datum, size_t len, struct error *err)
{
    uint64_t fingerprint = msg_fingerprint(type);
    struct buf bytes;

    buf_init(&bytes, 2 * MSG_MAX_RECORD);
    buf_append(&bytes, "\xc3\x01", 2);
    for (int i = 0; i < 8; i++) {
        buf_putc(&bytes, (char)(fingerprint >> (8 * i)));
    }
    buf_append(&bytes, datum, len);
    void *record = msg_decode(type, arena, bytes.data, bytes.len, err);
    buf_fini(&bytes);
    return record;
}

static void malformed(
    struct arena *arena, const struct msg_type *type, const void *datum, size_t len, const char *text)
{
    struct error err = {.disposition = ERROR_NONE};

    assert_null(decode_datum(arena, type, datum, len, &err));
    assert_int_equal(err.disposition, ERROR_REJECT);
    assert_string_equal(err.code, "record_malformed");
    assert_string_equal(err.text, text);
}

static void test_hostile_scalars(void **state)
{
#define BAD(bytes, text) malformed(*state, &msg_kb_notification, bytes, sizeof(bytes) - 1, text)
    assert_non_null(decode_datum(*state, &msg_kb_notification, NOTE, sizeof NOTE - 1, NULL));
    BAD("", "action: the record ends inside a number");
    BAD("\x06\x02t\x02s\x02k\x00\x00\x00", "action: an ordinal that its type does not have");
    BAD("\x01\x02t\x02s\x02k\x00\x00\x00", "action: an ordinal that its type does not have");
    BAD("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", "action: a number is longer than 64 bits");
    BAD("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "action: a number is longer than 64 bits");
    BAD("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "action: an ordinal that its type does not have");
    BAD("\x00\x04t", "tenant: its length is not within the record");
    BAD("\x00\x01t", "tenant: its length is not within the record");
    BAD("\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "tenant: its length is not within the record");
    BAD("\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "tenant: its length is not within the record");
    BAD("\x00\x80\x80\x80\x80\x40t",
        "tenant: its length is not within the record"); /* 2^33: reached malloc */
    BAD("\x00\x02\xff\x02s\x02k\x00\x00\x00", "tenant: not UTF-8, or it holds a NUL");
    BAD("\x00\x02\x00\x02s\x02k\x00\x00\x00", "tenant: not UTF-8, or it holds a NUL");
    BAD("\x00\x02t\x02s\x06\xed\xa0\x80\x00\x00\x00", "object_key: not UTF-8, or it holds a NUL");
    BAD("\x00\x02t\x02s\x02k\x04\x00\x00", "job_id: an ordinal that its type does not have");
    BAD("\x00\x02t\x02s\x02k\x01\x00\x00", "job_id: an ordinal that its type does not have");
    BAD("\x00\x02t\x02s\x02k\x00\x02\x00", "full: a boolean is neither 0 nor 1");
    BAD("\x00\x02t\x02s\x02k\x00", "full: its length is not within the record");
    BAD(NOTE "\x00", "the record: bytes are left over after it");
#undef BAD
    /* rating of a feedback: an int that is a long */
    static const char rating[] = "\x02t\x00\x02t\x00\x02\x80\x80\x80\x80\x20";
    malformed(*state, &msg_feedback, rating, sizeof rating - 1, "rating: an int is longer than 32 bits");
}

/* A ticket up to its messages, which the case adds. */
#define TICKET_HEAD "\x00\x00\x02s\x02q\x02k\x02m\x00\x00\x04{}\x00"
#define MESSAGE "\x00\x02x\x00"

static void test_hostile_arrays(void **state)
{
#define BAD(bytes, text)                                                                                     \
    malformed(*state, &msg_ticket_event, TICKET_HEAD bytes, sizeof(TICKET_HEAD bytes) - 1, text)
    BAD("\x80\x80\x80\x80\x08", "ticket.messages: more items than the record has bytes");
    BAD("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ticket.messages: more items than the record has bytes");
    BAD("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
        "ticket.messages: more items than the record has bytes");
    BAD("\x01\x02" MESSAGE "\x00", "ticket.messages: the size of a block is wrong");
    BAD("\x01\x7e" MESSAGE "\x00", "ticket.messages: the size of a block is not within the record");
    BAD("\x01\x01" MESSAGE "\x00", "ticket.messages: the size of a block is not within the record");
    BAD("\x02" MESSAGE, "ticket.messages: the record ends inside a number");
    BAD("\x04" MESSAGE "\x04\x02x\x00", "ticket.messages[1].role: an ordinal that its type does not have");
#undef BAD
    /* Blocks of both forms are fine. */
    static const char good[] =
        TICKET_HEAD "\x02" MESSAGE "\x01\x08" MESSAGE "\x00\x00"
                    "\x00\x00\x02t\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    struct error err = {.disposition = ERROR_NONE};
    struct msg_ticket_event *event = decode_datum(*state, &msg_ticket_event, good, sizeof good - 1, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(event->ticket.messages_count, 2);
    assert_string_equal(event->ticket.messages[1].text, "x");
}

/* 500,000 one-byte items: within the bytes, beyond what a record is for. */
static void test_many_items(void **state)
{
    struct buf datum;

    buf_init(&datum, MSG_MAX_RECORD);
    buf_append(&datum, TICKET_HEAD "\x00\x00\x00\x00\x02t\x00\x00\x00", sizeof TICKET_HEAD + 8);
    buf_append(&datum, "\xc0\x84\x3d", 3);
    for (int i = 0; i < 500000; i++) {
        buf_putc(&datum, 0);
    }
    malformed(*state, &msg_ticket_event, datum.data, datum.len, "plan: too many items");
    buf_fini(&datum);
}

static void test_hostile_number(void **state)
{
    struct msg_ticket_event *event = full_event(*state);
    static const unsigned char one[] = {0, 0, 0, 0, 0, 0, 0xe8, 0x3f},
                               nan_bytes[] = {0, 0, 0, 0, 0, 0, 0xf8, 0x7f};
    struct error err = {.disposition = ERROR_NONE};

    event->classification->confidence = 0.75;
    event->context->aggregate_confidence = 0.5;
    struct buf bytes = encode(&msg_ticket_event, event);
    char *at = memmem(bytes.data, bytes.len, one, sizeof one);
    assert_non_null(at);
    memcpy(at, nan_bytes, sizeof nan_bytes);
    assert_null(msg_decode(&msg_ticket_event, *state, bytes.data, bytes.len, &err));
    assert_string_equal(err.text, "classification.confidence: not a finite number");
    buf_fini(&bytes);
}

static void test_framing(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *code;
    } cases[] = {
        {"", 0, "record_malformed"},
        {"\xc3", 1, "record_malformed"},
        {"\xc3\x01\0\0\0\0\0\0\0", 9, "record_malformed"},
        {"\xc3\x01\1\2\3\4\5\6\7\10", 10, "schema_unknown"},
        {"\xc3\x02\1\2\3\4\5\6\7\10", 10, "record_malformed"},
        {"\0\0\0\0", 4, "record_malformed"},
        {"\0\xff\xff\xff\xff", 5, "schema_unknown"},
        {"{\"ticket\":1}", 12, "record_malformed"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {.disposition = ERROR_NONE};
        assert_null(msg_decode(&msg_feedback, *state, cases[i].bytes, cases[i].len, &err));
        assert_int_equal(err.disposition, ERROR_REJECT);
        assert_string_equal(err.code, cases[i].code);
    }
    struct error err = {.disposition = ERROR_NONE};
    msg_decode(&msg_feedback, *state, "\xc3\x01\1\2\3\4\5\6\7\10", 10, &err);
    assert_string_equal(err.text, "no schema with fingerprint 0807060504030201");
    static char huge[MSG_MAX_RECORD + 1] = "\xc3\x01";
    assert_null(msg_decode(&msg_feedback, *state, huge, sizeof huge, &err));
    assert_string_equal(err.code, "record_too_large");
}

/* Every shorter form of a record is refused, and every changed bit gives a record or an error: nothing else.
 */
static void test_cut_and_changed(void **state)
{
    struct buf bytes = encode(&msg_ticket_event, full_event(*state));

    for (size_t len = 0; len < bytes.len; len++) {
        struct arena *arena = arena_new(0);
        char *cut = malloc(len + 1); /* its end is watched by the sanitizer */
        memcpy(cut, bytes.data, len);
        assert_null(msg_decode(&msg_ticket_event, arena, cut, len, NULL));
        free(cut);
        arena_free(arena);
    }
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        struct arena *arena = arena_new(0);
        struct error err = {.disposition = ERROR_NONE};
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        if (msg_decode(&msg_ticket_event, arena, bytes.data, bytes.len, &err) == NULL) {
            assert_int_equal(err.disposition, ERROR_REJECT);
        }
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        arena_free(arena);
    }
    buf_fini(&bytes);
}

/* Round trips of one thread among others; gives the number of those that went wrong. */
static void *many_round_trips(void *arg)
{
    const struct buf *bytes = arg;
    uintptr_t wrong = 0;

    for (int i = 0; i < 500; i++) {
        struct arena *arena = arena_new(0);
        struct buf again;
        buf_init(&again, MSG_MAX_RECORD);
        const void *record = msg_decode(&msg_ticket_event, arena, bytes->data, bytes->len, NULL);
        if (record == NULL || !msg_encode(&msg_ticket_event, record, &again, NULL) ||
            again.len != bytes->len || memcmp(again.data, bytes->data, bytes->len) != 0) {
            wrong++;
        }
        buf_fini(&again);
        arena_free(arena);
    }
    return (void *)wrong;
}

static void test_threads(void **state)
{
    struct buf bytes = encode(&msg_ticket_event, full_event(*state));
    pthread_t threads[4];
    void *wrong;

    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, many_round_trips, &bytes), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    buf_fini(&bytes);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_a_questions_vector),
        TEST(test_peer_reads_ours),
        TEST(test_we_read_peers),
        TEST(test_other_types),
        TEST(test_defaults),
        TEST(test_names),
        TEST(test_bad_json),
        TEST(test_invalid_records),
        TEST(test_budgets),
        TEST(test_no_room),
        TEST(test_hostile_scalars),
        TEST(test_hostile_arrays),
        TEST(test_many_items),
        TEST(test_hostile_number),
        TEST(test_framing),
        TEST(test_cut_and_changed),
        TEST(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
