/* Notifications of object stores: the examples of each form's documentation, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/json.h"
#include "kb/event.h"

/* docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html, with a key that needs
 * its encoding. */
#define S3_RECORD(name, key)                                                                                 \
    "{\"eventVersion\":\"2.1\",\"eventSource\":\"aws:s3\",\"awsRegion\":\"us-west-2\","                      \
    "\"eventTime\":\"2026-01-02T03:04:05.678Z\",\"eventName\":\"" name "\","                                 \
    "\"userIdentity\":{\"principalId\":\"AIDAJDPLRKLG7UEXAMPLE\"},"                                          \
    "\"requestParameters\":{\"sourceIPAddress\":\"127.0.0.1\"},"                                             \
    "\"s3\":{\"s3SchemaVersion\":\"1.0\",\"configurationId\":\"testConfigRule\","                            \
    "\"bucket\":{\"name\":\"amzn-s3-demo-bucket\",\"arn\":\"arn:aws:s3:::amzn-s3-demo-bucket\"},"            \
    "\"object\":{\"key\":\"" key "\",\"size\":1024,\"eTag\":\"d41d8cd98f00b204e9800998ecf8427e\","           \
    "\"versionId\":\"096fKKXTRTtl3on89fVO.nfljtsv6qko\",\"sequencer\":\"0055AED6DCD90281E5\"}}}"
#define S3_EVENT "{\"Records\":[" S3_RECORD("ObjectCreated:Put", "red%2Fflower+b%C3%A4r.md") "]}"

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

static struct kb_events parsed(struct arena *arena, const char *text)
{
    struct kb_events events;
    struct error err = {0};
    bool ok = kb_events_parse(arena, text, strlen(text), &events, &err);
    assert_string_equal(err.text, "");
    assert_true(ok);
    return events;
}

static void refused(struct arena *arena, const char *text, const char *why)
{
    struct kb_events events;
    struct error err = {0};
    assert_false(kb_events_parse(arena, text, strlen(text), &events, &err));
    assert_int_equal(err.disposition, ERROR_REJECT);
    assert_string_equal(err.code, "kb_event");
    assert_string_equal(err.text, why);
}

static void check_s3(const struct kb_events *events)
{
    assert_int_equal(events->count, 2); /* the key as it is meant, and as it is written */
    assert_true(strchr(events->items[1].key, '%'));
    assert_string_equal(events->items[0].bucket, "amzn-s3-demo-bucket");
    assert_string_equal(events->items[0].key, "red/flower b\xc3\xa4r.md");
    assert_string_equal(events->items[0].sequencer, "0055AED6DCD90281E5");
    assert_int_equal(events->items[0].wall_ms, 1767323045678);
    assert_false(events->items[0].removed);
}

/* `text` as a JSON string. */
static const char *quoted(struct arena *arena, const char *text)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    json_put_string(&out, text);
    const char *copy = arena_strdup(arena, buf_text(&out));
    buf_fini(&out);
    return copy;
}

static void test_s3(void **state)
{
    struct kb_events events = parsed(*state, S3_EVENT);
    check_s3(&events);
    events = parsed(
        *state, "{\"Records\":[" S3_RECORD("ObjectRemoved:DeleteMarkerCreated", "a%2Bb") "," S3_RECORD(
                    "ObjectTagging:Put", "c") "," S3_RECORD("s3:LifecycleExpiration:Delete", "d") "]}");
    assert_int_equal(events.count, 3);
    assert_int_equal(events.ignored, 1);
    assert_true(events.items[0].removed && events.items[2].removed);
    assert_string_equal(events.items[0].key, "a+b");
    assert_string_equal(events.items[1].key, "a%2Bb");
    events = parsed(*state, "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\",\"Bucket\":\"b\"}");
    assert_true(events.count == 0 && events.ignored == 1);
}

/* Which objects a record tells of: the key as S3 encodes it, and as others write it where that is another
 * one. A letter with its accent in one character or two is two keys, as it is in a bucket. What a key may be
 * is not judged here: kb-sync leaves out those that no source can have. */
static void test_keys(void **state)
{
    static const struct {
        const char *sent, *meant;
        int count;
    } cases[] = {
        {"a.md", "a.md", 1},
        {"a+b.md", "a b.md", 2},
        {"a%20b.md", "a b.md", 2},
        {"a b.md", "a b.md", 1},
        {"a%2Bb.md", "a+b.md", 2},
        {"a%2520b.md", "a%20b.md", 2},
        {"caf%C3%A9.md", "caf\xc3\xa9.md", 2},
        {"cafe%CC%81.md", "cafe\xcc\x81.md", 2},
        {"caf\xc3\xa9.md", "caf\xc3\xa9.md", 1},
        {"cafe\xcc\x81.md", "cafe\xcc\x81.md", 1},
        {"../../etc/passwd.md", "../../etc/passwd.md", 1},
        {"%2E%2E%2Fx.md", "../x.md", 2},
        {"a%0Ab.md", "a\nb.md", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kb_events events = parsed(*state,
            arena_printf(*state,
                "{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"b\"},"
                "\"object\":{\"key\":\"%s\"}}}]}",
                cases[i].sent));
        assert_int_equal(events.count, cases[i].count);
        assert_string_equal(events.items[0].key, cases[i].meant);
        if (cases[i].count == 2) {
            assert_string_equal(events.items[1].key, cases[i].sent);
        }
    }
}

static void test_minio(void **state)
{
    struct kb_events events = parsed(*state,
        "{\"EventName\":\"s3:ObjectCreated:Put\",\"Key\":\"amzn-s3-demo-bucket/red/flower "
        "bär.md\",\"Records\":[" S3_RECORD("s3:ObjectCreated:Put", "red%2Fflower+b%C3%A4r.md") "]}");
    check_s3(&events);
}

/* docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html */
static void test_event_bridge(void **state)
{
#define BRIDGE(type)                                                                                         \
    "{\"version\":\"0\",\"id\":\"17793124-05d4-b198-2fde-7ededc63b103\",\"detail-type\":\"" type "\","       \
    "\"source\":\"aws.s3\",\"account\":\"111122223333\",\"time\":\"2021-11-12T00:00:00Z\","                  \
    "\"detail\":{\"version\":\"0\",\"bucket\":{\"name\":\"amzn-s3-demo-bucket1\"},"                          \
    "\"object\":{\"key\":\"a+b%20c\",\"size\":5,\"etag\":\"\\\"b1946ac92492d2347c6235b4d2611184\\\"\","      \
    "\"sequencer\":\"617f08299329d189\"},\"reason\":\"PutObject\"}}"
    struct kb_events events = parsed(*state, BRIDGE("Object Created"));
    assert_int_equal(events.count, 1);
    assert_string_equal(events.items[0].key, "a+b%20c");
    assert_int_equal(events.items[0].wall_ms, 1636675200000);
    assert_true(parsed(*state, BRIDGE("Object Deleted")).items[0].removed);
    assert_int_equal(parsed(*state, BRIDGE("Object Tags Added")).ignored, 1);
}

static void test_envelopes(void **state)
{
    struct arena *arena = *state;
    const char *sns = arena_printf(arena,
        "{\"Type\":\"Notification\",\"MessageId\":\"1\",\"TopicArn\":\"arn:aws:sns:eu-central-1:1:kb\","
        "\"Message\":%s}",
        quoted(arena, S3_EVENT));
    struct kb_events events = parsed(arena, sns);
    check_s3(&events);
    events = parsed(
        arena, arena_printf(arena, "{\"Messages\":[{\"MessageId\":\"1\",\"Body\":%s}]}", quoted(arena, sns)));
    check_s3(&events);
    events = parsed(arena, arena_printf(arena, "{\"MessageId\":\"1\",\"Body\":%s}", quoted(arena, S3_EVENT)));
    check_s3(&events);
    events = parsed(
        arena, arena_printf(arena, "{\"Records\":[{\"messageId\":\"1\",\"body\":%s}]}", quoted(arena, sns)));
    check_s3(&events);
    events =
        parsed(arena, arena_printf(arena, "{\"Records\":[{\"EventSource\":\"aws:sns\",\"Sns\":%s}]}", sns));
    check_s3(&events);
    events = parsed(arena,
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"aws:s3.us-west-2.amzn-s3-demo-bucket\","
        "\"type\":\"com.amazonaws.s3.ObjectCreated:Put\",\"data\":" S3_RECORD(
            "ObjectCreated:Put", "red/flower+b%C3%A4r.md") "}");
    check_s3(&events);
    events = parsed(arena, "[" S3_EVENT "," S3_EVENT "]");
    assert_int_equal(events.count, 4);
    events = parsed(arena, "{\"Type\":\"SubscriptionConfirmation\",\"Token\":\"t\",\"TopicArn\":\"arn:aws:"
                           "sns:eu-central-1:1:kb\"}");
    assert_string_equal(events.confirm, "arn:aws:sns:eu-central-1:1:kb");
    assert_string_equal(events.confirm_region, "eu-central-1");
    assert_string_equal(events.confirm_token, "t");
    assert_int_equal(events.count, 0);
}

static void test_refused(void **state)
{
    struct arena *arena = *state;
    refused(arena, "{", "the notification must be JSON: not valid JSON at byte 1: a string is expected");
    refused(arena, "7", "the notification must be a JSON object");
    refused(arena, "{\"a\":1}",
        "the notification must have one of the members Records (S3), detail-type (EventBridge), specversion "
        "(CloudEvents), TopicArn (SNS), Messages or Body (SQS)");
    refused(arena, "{\"Records\":[{\"s3\":{}}]}",
        "Records[0].eventName must be a text such as ObjectCreated:Put");
    refused(arena, "{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"s3\":{}}]}",
        "Records[0].s3.bucket.name must be the name of a bucket");
    refused(arena,
        "{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"a/b\"}}}]}",
        "Records[0].s3.bucket.name must be the name of a bucket");
    refused(arena,
        "{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"b\"},\"object\":{"
        "\"key\":\"\"}}}]}",
        "Records[0].s3.object.key must be an object's key of 1 to 1024 bytes of UTF-8");
    static const char *const keys[] = {"a%", "a%0", "a%zz", "a%00", "a%FF"}; /* no encoding: as they are */
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct kb_events events = parsed(arena,
            arena_printf(arena,
                "{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"b\"},"
                "\"object\":{\"key\":\"%s\"}}}]}",
                keys[i]));
        assert_int_equal(events.count, 1);
        assert_string_equal(events.items[0].key, keys[i]);
    }
    refused(arena, "{\"TopicArn\":\"t\",\"Type\":\"Notification\",\"Message\":\"x\"}",
        "Message must hold a notification in JSON: not valid JSON at byte 0: a value is expected");
    refused(arena, "{\"TopicArn\":\"t\",\"Type\":\"X\"}",
        "Type must be Notification, SubscriptionConfirmation or UnsubscribeConfirmation");
    static const char *const topics[] = {"", "t", "arn:aws:sqs:eu-central-1:1:kb", "arn:aws:sns::1:kb",
        "arn:aws:sns:eu-central-1:1", "arn:aws:sns:eu-central-1:1:kb:x",
        "arn:aws:sns:eu-central-1:1:", "arn:aws:sns:evil.example/:1:kb", "arn:aws:sns:a@b:1:kb",
        "arn:aws:sns:eu-central-1:1:k b"};
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        refused(arena,
            arena_printf(arena, "{\"TopicArn\":\"%s\",\"Type\":\"SubscriptionConfirmation\",\"Token\":\"t\"}",
                topics[i]),
            "TopicArn must be the ARN of a topic of SNS");
    }
    refused(arena, "{\"TopicArn\":\"arn:aws:sns:eu-central-1:1:kb\",\"Type\":\"SubscriptionConfirmation\"}",
        "Token must be a text of 1 to 1024 bytes");
    refused(arena, "[[[[[[[[[]]]]]]]]]", "[0][0][0][0][0][0][0] lies in too many envelopes");
}

static void test_bounds(void **state)
{
    struct buf text;
    struct kb_events events;
    struct error err = {0};
    buf_init(&text, 1 << 20);
    buf_puts(&text, "{\"Records\":[");
    for (int i = 0; i <= KB_EVENTS_MAX; i++) {
        buf_puts(&text, i ? "," : "");
        buf_puts(&text, S3_RECORD("ObjectCreated:Put", "k"));
    }
    buf_puts(&text, "]}");
    assert_false(kb_events_parse(*state, buf_text(&text), text.len, &events, &err));
    assert_string_equal(
        err.text, "Records[1000].s3.object is one event more than the 1000 that a notification may hold");
    assert_int_equal(events.count, KB_EVENTS_MAX);
    buf_fini(&text);
}

static void test_sequencers(void **state)
{
    (void)state;
    assert_true(kb_sequencer_compare("0055AED6DCD90281E5", "55aed6dcd90281e5") == 0);
    assert_true(kb_sequencer_compare("0055AED6DCD90281E5", "0055AED6DCD90281E6") < 0);
    assert_true(kb_sequencer_compare("1", "0F") < 0);
    assert_true(kb_sequencer_compare("10", "0F") > 0);
    assert_true(kb_sequencer_compare("", "00") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_s3, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_minio, setup, teardown),
        cmocka_unit_test_setup_teardown(test_event_bridge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_envelopes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test(test_sequencers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
