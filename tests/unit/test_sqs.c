/* What is sent to Amazon SQS, and what it answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "bridge/sqs.h"

#define MESSAGE(id)                                                                                          \
    "{\"MessageId\":\"" id "\",\"ReceiptHandle\":\"h-" id                                                    \
    "\",\"Body\":\"b\",\"Attributes\":{\"SentTimestamp\":\"1767323045678\"}}"

static bool reads(struct arena *arena, const char *text, struct sqs_messages *out)
{
    struct error err = {0};
    bool ok = sqs_read_messages(arena, text, strlen(text), out, &err);
    if (!ok) {
        assert_int_equal(err.disposition, ERROR_RETRY);
        assert_string_equal(err.code, "sqs_answer");
    }
    return ok;
}

static void test_messages(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    struct sqs_messages messages;
    assert_true(reads(arena, "{\"Messages\":[" MESSAGE("1") "," MESSAGE("2") "]}", &messages));
    assert_int_equal(messages.count, 2);
    assert_string_equal(messages.items[1].id, "2");
    assert_string_equal(messages.items[1].handle, "h-2");
    assert_string_equal(messages.items[1].body, "b");
    assert_int_equal(messages.items[1].sent_ms, 1767323045678);
    assert_true(reads(arena, "{}", &messages));
    assert_int_equal(messages.count, 0);
    assert_true(reads(arena,
        "{\"Messages\":[{\"MessageId\":\"1\",\"ReceiptHandle\":\"h\",\"Body\":\"\",\"Attributes\":{"
        "\"SentTimestamp\":\"-1\"}}]}",
        &messages));
    assert_int_equal(messages.items[0].sent_ms, 0);
    static const char *const bad[] = {"", "[]", "{\"Messages\":{}}", "{\"Messages\":[7]}",
        "{\"Messages\":[{\"MessageId\":\"1\",\"ReceiptHandle\":\"h\"}]}",
        "{\"Messages\":[{\"MessageId\":\"\",\"ReceiptHandle\":\"h\",\"Body\":\"b\"}]}",
        "{\"Messages\":[" MESSAGE("1") "," MESSAGE("1") "," MESSAGE("1") "," MESSAGE("1") "," MESSAGE("1") "," MESSAGE(
            "1") "," MESSAGE("1") "," MESSAGE("1") "," MESSAGE("1") "," MESSAGE("1") "," MESSAGE("1") "]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(reads(arena, bad[i], &messages));
    }
    arena_free(arena);
}

static void test_deleting(void **state)
{
    (void)state;
    const struct sqs_message first = {.handle = "a\"b"}, second = {.handle = "c"};
    const struct sqs_message *const both[] = {&first, &second};
    struct error err = {0};
    struct buf out;
    size_t failed;
    buf_init(&out, 4096);
    sqs_put_delete(&out, "https://sqs.eu-central-1.amazonaws.com/1/q", both, 2);
    assert_string_equal(buf_text(&out),
        "{\"QueueUrl\":\"https://sqs.eu-central-1.amazonaws.com/1/q\",\"Entries\":["
        "{\"Id\":\"0\",\"ReceiptHandle\":\"a\\\"b\"},{\"Id\":\"1\",\"ReceiptHandle\":\"c\"}]}");
    buf_fini(&out);
    const char *answer =
        "{\"Successful\":[{\"Id\":\"0\"}],\"Failed\":[{\"Id\":\"1\",\"Code\":\"x\",\"SenderFault\":true}]}";
    assert_true(sqs_read_deleted(answer, strlen(answer), &failed, &err));
    assert_int_equal(failed, 1);
    assert_false(sqs_read_deleted("x", 1, &failed, &err));
}

static void test_queues(void **state)
{
    (void)state;
    char region[64];
    struct error err = {0};
    assert_true(sqs_queue_region("https://sqs.eu-central-1.amazonaws.com/1/q", region, sizeof region, &err));
    assert_string_equal(region, "eu-central-1");
    assert_true(sqs_queue_region("https://sqs.cn-north-1.amazonaws.com.cn/1/q", region, sizeof region, &err));
    assert_string_equal(region, "cn-north-1");
    assert_true(sqs_queue_region("http://127.0.0.1:5000/1/q", region, sizeof region, &err));
    assert_string_equal(region, "");
    static const char *const bad[] = {"", "q", "https://host", "ftp://host/q", "https://ho st/q"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(sqs_queue_region(bad[i], region, sizeof region, &err));
        assert_string_equal(err.code, "bridge_queue");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages), cmocka_unit_test(test_deleting), cmocka_unit_test(test_queues)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
