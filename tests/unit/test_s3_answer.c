/* What an S3 server lists and how its errors are called; which addresses are in reach. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "blob/s3.h"
#include "http/reach.h"

#define OBJECT(key)                                                                                          \
    "<Contents><Key>" key "</Key><LastModified>2026-11-30T05:27:14.000Z</LastModified>"                      \
    "<ETag>&quot;abc&quot;</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass></Contents>"
#define LIST(content)                                                                                        \
    "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" content    \
    "</ListBucketResult>"

static struct arena *arena;
static struct s3_list list;
static struct error error;

static bool parse(const char *body, const char *prefix)
{
    arena_free(arena);
    arena = arena_new(0);
    error = (struct error){0};
    return s3_answer_list(arena, body, strlen(body), prefix, &list, &error);
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void a_page_is_read(void **state)
{
    (void)state;
    assert_true(parse(LIST("<IsTruncated>true</IsTruncated>" OBJECT("a b+%.md") OBJECT("b/")
                              OBJECT("b/c.md") "<NextContinuationToken>t+/=</NextContinuationToken>"),
        ""));
    assert_int_equal(list.count, 2);
    assert_string_equal(list.objects[0].key, "a b+%.md");
    assert_string_equal(list.objects[0].etag, "abc");
    assert_int_equal(list.objects[0].size, 5);
    assert_true(list.objects[0].modified_ms > 0);
    assert_string_equal(list.next, "t+/=");
}

static void encoded_keys_are_decoded_once(void **state)
{
    (void)state;
    assert_true(parse(LIST(OBJECT("p/a+b%2Bc%25d%C3%A9.md") OBJECT("p/%ff.md") OBJECT("p/%0Ax.md")
                              OBJECT("p/..%2F..%2Fx.md") OBJECT("p/%zz") "<EncodingType>url</EncodingType>"),
        "p/"));
    assert_int_equal(list.count, 3);
    assert_int_equal(list.refused, 2);
    assert_string_equal(list.objects[0].key, "a b+c%d\xc3\xa9.md");
    assert_string_equal(list.objects[1].key, "\nx.md"); /* blob_key_valid is for blob.c to ask */
    assert_string_equal(list.objects[2].key, "../../x.md");
    assert_null(list.next);
}

static void what_is_no_list_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "x", "<ListBucketResult>", "<Error><Code>X</Code></Error>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]>" LIST(""), LIST(OBJECT("q/x")),
        LIST("<Contents><Key>p/a</Key></Contents>"), LIST("<IsTruncated>true</IsTruncated>"),
        LIST("<Contents><Key>p/a</Key><ETag>e</ETag><Size>-1</Size></Contents>"),
        LIST("<Contents><Key>p/a</Key><ETag>e</ETag><LastModified>now</LastModified></Contents>")};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(parse(bad[i], "p/"));
        assert_int_equal(error.disposition, ERROR_RETRY);
        assert_string_equal(error.code, "blob_unavailable");
    }
}

static void errors_are_called_by_their_code(void **state)
{
    (void)state;
    static const struct {
        const char *body, *code;
    } cases[] = {{"<Error><Code>NoSuchKey</Code><Message>m</Message></Error>", "NoSuchKey"},
        {"<Error><Code>No\nSuch</Code></Error>", "No"}, {"<html><Code>x</Code></html>", ""}, {"", ""},
        {"<Error><Other><Code>NoSuchKey</Code></Other></Error>", ""}};
    char code[S3_CODE_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s3_answer_code(cases[i].body, strlen(cases[i].body), code);
        assert_string_equal(code, cases[i].code);
    }
}

static void a_denied_object_is_told_from_trouble_of_ours(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *code;
        bool denied;
    } cases[] = {{403, "AccessDenied", true}, {403, "InvalidObjectState", true}, {403, "", true},
        {403, "Forbidden", true}, {400, "KMS", true}, {400, "InvalidRequest", true},
        {403, "SignatureDoesNotMatch", false}, {403, "InvalidAccessKeyId", false},
        {400, "ExpiredToken", false}, {403, "RequestTimeTooSkewed", false}, {403, "AllAccessDisabled", false},
        {400, "BadRequest", false}, {500, "InternalError", false}, {503, "SlowDown", false},
        {404, "NoSuchBucket", false}, {503, "", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(s3_answer_denies_object(cases[i].status, cases[i].code), cases[i].denied);
    }
}

static bool allows(enum http_reach reach, const char *text)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in4.sin_addr) == 1) {
        return http_reach_allows(reach, (const struct sockaddr *)&in4);
    }
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return http_reach_allows(reach, (const struct sockaddr *)&in6);
}

static void addresses_out_of_reach(void **state)
{
    (void)state;
    static const char *const metadata[] = {"169.254.169.254", "169.254.0.1", "100.100.100.200", "fe80::1",
        "febf::1", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"};
    static const char *const inside[] = {"127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.0.1", "100.64.0.1",
        "::1", "::", "fd12::1", "0.0.0.0"};
    static const char *const outside[] = {
        "52.219.1.1", "172.32.0.1", "100.128.0.1", "11.0.0.1", "2600:1f00::1", "169.253.1.1", "192.169.0.1"};
    for (size_t i = 0; i < sizeof(metadata) / sizeof(metadata[0]); i++) {
        assert_false(allows(HTTP_REACH_NO_METADATA, metadata[i]));
        assert_false(allows(HTTP_REACH_PUBLIC, metadata[i]));
        assert_true(allows(HTTP_REACH_ANY, metadata[i]));
    }
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
        assert_true(allows(HTTP_REACH_NO_METADATA, inside[i]));
        assert_false(allows(HTTP_REACH_PUBLIC, inside[i]));
    }
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        assert_true(allows(HTTP_REACH_PUBLIC, outside[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_denied_object_is_told_from_trouble_of_ours),
        cmocka_unit_test(a_page_is_read),
        cmocka_unit_test(encoded_keys_are_decoded_once),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(errors_are_called_by_their_code),
        cmocka_unit_test(addresses_out_of_reach),
    };
    return cmocka_run_group_tests_name("s3_answer", tests, NULL, teardown);
}
