/* What STS and Secrets Manager answer, where they are asked, and the connection string that a secret becomes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include "aws/answer.h"
#include "aws/credentials.h"
#include "aws/endpoint.h"
#include "aws/secret.h"
#include "db/db_login.h"

/* The documented example's shape. */
#define STS_ANSWER(inside)                                                                                   \
    "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n"              \
    "  <AssumeRoleWithWebIdentityResult>\n    <Provider>www.amazon.com</Provider>\n"                         \
    "    <Credentials>" inside "</Credentials>\n  </AssumeRoleWithWebIdentityResult>\n"                      \
    "  <ResponseMetadata><RequestId>ad4156e9</RequestId></ResponseMetadata>\n"                               \
    "</AssumeRoleWithWebIdentityResponse>"
#define KEYS "<SessionToken>AQo+/=</SessionToken><SecretAccessKey>wJalr&amp;x</SecretAccessKey>"
#define EXPIRES "<Expiration>2099-10-24T23:00:23Z</Expiration>"
#define KEY_ID "<AccessKeyId>ASIAX</AccessKeyId>"

static void sts_answers_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *body, *wrong; /* NULL: nothing is */
    } cases[] = {
        {STS_ANSWER(KEYS EXPIRES KEY_ID), NULL},
        {"<?xml version=\"1.0\" encoding=\"UTF-8\"?>" STS_ANSWER(KEY_ID KEYS EXPIRES), NULL},
        {STS_ANSWER(KEYS EXPIRES), "AccessKeyId is missing"},
        {STS_ANSWER(KEY_ID EXPIRES), "SecretAccessKey is missing"},
        {STS_ANSWER(KEY_ID KEYS), "Expiration is missing"},
        {STS_ANSWER(KEY_ID KEYS "<Expiration>soon</Expiration>"), "not a date"},
        {STS_ANSWER(KEY_ID KEYS "<Expiration>2001-01-01T00:00:00Z</Expiration>"), "expired at 2001"},
        {STS_ANSWER("<AccessKeyId/>" KEYS EXPIRES), "access key id is not"},
        {"{\"AssumeRoleWithWebIdentityResponse\":{}}", "not XML"},
        {"", "not XML"},
        {"<a><b></a>", "not XML"},
        {"<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>" STS_ANSWER(
             "<AccessKeyId>&e;</AccessKeyId>" KEYS EXPIRES),
            "not XML"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_new(0);
        struct aws_found found;
        struct error err = {0};
        bool ok = aws_answer_sts(arena, cases[i].body, strlen(cases[i].body), &found, &err);
        if (cases[i].wrong) {
            assert_false(ok);
            assert_int_equal(err.disposition, ERROR_RETRY);
            assert_non_null(strstr(err.text, cases[i].wrong));
        } else {
            assert_true(ok);
            assert_string_equal(found.access_key_id, "ASIAX");
            assert_string_equal(found.secret_access_key, "wJalr&x");
            assert_string_equal(found.session_token, "AQo+/=");
            assert_int_equal(found.expires_ms, 4096566023000LL);
        }
        arena_free(arena);
    }
}

static void secrets_are_texts(void **state)
{
    (void)state;
    static const struct {
        const char *body, *text, *wrong;
    } cases[] = {
        {"{\"Name\":\"n\",\"SecretString\":\"{\\\"a\\\":1}\"}", "{\"a\":1}", NULL},
        {"{\"SecretBinary\":\"aHVzaA==\"}", NULL, "SecretString is missing"},
        {"{\"SecretString\":{\"password\":\"hush\"}}", NULL, "SecretString is not a string"},
        {"{\"SecretString\":\"hush", NULL, "not JSON"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_new(0);
        const char *text = NULL;
        struct error err = {0};
        bool ok = aws_answer_secret(arena, cases[i].body, strlen(cases[i].body), &text, &err);
        assert_int_equal(ok, cases[i].text != NULL);
        if (ok) {
            assert_string_equal(text, cases[i].text);
        } else {
            assert_non_null(strstr(err.text, cases[i].wrong));
            assert_null(strstr(err.text, "hush"));
        }
        arena_free(arena);
    }
}

static void errors_are_called_by_their_code_alone(void **state)
{
    (void)state;
    static const char xml[] =
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>"
        "<Code>InvalidIdentityToken</Code><Message>the token is eyJ...</Message></Error></ErrorResponse>";
    char code[AWS_CODE_SIZE];
    aws_answer_code_xml(xml, sizeof(xml) - 1, code);
    assert_string_equal(code, "InvalidIdentityToken");
    aws_answer_code_xml("nonsense", 8, code);
    assert_string_equal(code, "");
    static const char json[] =
        "{\"__type\":\"com.amazonaws.secretsmanager#ResourceNotFoundException:x\",\"Message\":\"m\"}";
    aws_answer_code_json(json, sizeof(json) - 1, code);
    assert_string_equal(code, "ResourceNotFoundException");
    static const char evil[] = "{\"code\":\"\\u001b[2J\"}";
    aws_answer_code_json(evil, sizeof(evil) - 1, code);
    assert_string_equal(code, "");
}

static void endpoints_are_the_regions_or_named(void **state)
{
    (void)state;
    static const struct {
        const char *own, *all, *region;
        const char *url, *host, *path; /* NULL: refused */
    } cases[] = {
        {"", "", "eu-west-1", "https://secretsmanager.eu-west-1.amazonaws.com/",
            "secretsmanager.eu-west-1.amazonaws.com", "/"},
        {"", "", "cn-north-1", "https://secretsmanager.cn-north-1.amazonaws.com.cn/",
            "secretsmanager.cn-north-1.amazonaws.com.cn", "/"},
        {"", "", "", "https://secretsmanager.amazonaws.com/", "secretsmanager.amazonaws.com", "/"},
        {"https://vpce-1.example.com", "http://other", "eu-west-1", "https://vpce-1.example.com/",
            "vpce-1.example.com", "/"},
        {"", "http://127.0.0.1:4566", "eu-west-1", "http://127.0.0.1:4566/", "127.0.0.1:4566", "/"},
        {"http://h:1/a/b", "", "x", "http://h:1/a/b/", "h:1", "/a/b/"},
        {"http://h:1/a/", "", "x", "http://h:1/a/", "h:1", "/a/"},
        {"h:1", "", "x", NULL, NULL, NULL},
        {"http://u:p@h/", "", "x", NULL, NULL, NULL},
        {"http://h/?a=b", "", "x", NULL, NULL, NULL},
        {"http://", "", "x", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_new(0);
        struct aws_endpoint endpoint;
        struct error err = {0};
        setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", cases[i].own, 1);
        setenv("AWS_ENDPOINT_URL", cases[i].all, 1);
        bool ok =
            aws_endpoint_find(arena, "SECRETS_MANAGER", "secretsmanager", cases[i].region, &endpoint, &err);
        assert_int_equal(ok, cases[i].url != NULL);
        if (ok) {
            assert_string_equal(endpoint.url, cases[i].url);
            assert_string_equal(endpoint.host, cases[i].host);
            assert_string_equal(endpoint.path, cases[i].path);
        } else {
            assert_int_equal(err.disposition, ERROR_FATAL);
            assert_non_null(strstr(err.text, "AWS_ENDPOINT_URL_SECRETS_MANAGER"));
        }
        arena_free(arena);
    }
}

static void a_secret_is_named_by_its_arn(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "prod/db",
        "arn:aws:secretsmanager:eu-west-1:1:secret:", "arn:aws:s3:eu-west-1:1:secret:x",
        "arn:aws:secretsmanager::1:secret:x", "arn:aws:secretsmanager:eu.evil/:1:secret:x",
        "arn:aws:secretsmanager:eu-west-1:1:parameter:x", "arn:aws:secretsmanager:eu-west-1:1:secret:x y"};
    struct loop *loop = loop_new(0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct error err = {0};
        assert_null(aws_secret_new(loop, wrong[i], &err));
        assert_string_equal(err.code, "aws_secret_arn");
        assert_int_equal(err.disposition, ERROR_FATAL);
    }
    struct aws_secret *secret =
        aws_secret_new(loop, "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:prod/db-AbCdEf", NULL);
    assert_non_null(secret);
    aws_secret_free(secret);
    loop_free(loop);
}

static void the_region_is_the_environments_or_the_profiles(void **state)
{
    (void)state;
    char region[64];
    setenv("HOME", "/nowhere", 1);
    unsetenv("AWS_CONFIG_FILE");
    unsetenv("AWS_PROFILE");
    unsetenv("AWS_REGION");
    setenv("AWS_DEFAULT_REGION", "us-east-2", 1);
    aws_region(region, sizeof(region));
    assert_string_equal(region, "us-east-2");
    setenv("AWS_REGION", "eu-central-1", 1);
    aws_region(region, sizeof(region));
    assert_string_equal(region, "eu-central-1");
    setenv("AWS_REGION", "evil.example.com/", 1);
    aws_region(region, sizeof(region));
    assert_string_equal(region, "");
    unsetenv("AWS_REGION");
    unsetenv("AWS_DEFAULT_REGION");
    aws_region(region, sizeof(region));
    assert_string_equal(region, "");
}

/* libpq reads it back. */
static void expect_parameter(const char *url, const char *name, const char *value)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    assert_non_null(options);
    for (const PQconninfoOption *option = options; option->keyword; option++) {
        if (strcmp(option->keyword, name) == 0) {
            assert_string_equal(option->val ? option->val : "-", value);
        }
    }
    PQconninfoFree(options);
}

static void a_secret_becomes_a_connection_string(void **state)
{
    (void)state;
    static const char full[] =
        "{\"username\":\"admin\",\"password\":\"p@ss:/?#[]&= '\\\"\\\\%\\u00e9://\",\"engine\":\"postgres\","
        "\"host\":\"db.abc.eu-west-1.rds.amazonaws.com\",\"port\":5433,\"dbname\":\"helpdesk\"}";
    struct arena *arena = arena_new(0);
    struct error err = {0};
    const char *url = db_login_url(arena, "", full, sizeof(full) - 1, &err);
    assert_non_null(url);
    expect_parameter(url, "user", "admin");
    expect_parameter(url, "password", "p@ss:/?#[]&= '\"\\%\xc3\xa9://");
    expect_parameter(url, "host", "db.abc.eu-west-1.rds.amazonaws.com");
    expect_parameter(url, "port", "5433");
    expect_parameter(url, "dbname", "helpdesk");
    /* a secret that RDS manages has these two alone: the rest is the settings' */
    static const char two[] = "{\"username\":\"admin\",\"password\":\"x\"}";
    url = db_login_url(arena, "postgresql://old:pw@h:6000/base?sslmode=verify-full&application_name=a%20b",
        two, sizeof(two) - 1, &err);
    assert_non_null(url);
    expect_parameter(url, "user", "admin");
    expect_parameter(url, "password", "x");
    expect_parameter(url, "host", "h");
    expect_parameter(url, "port", "6000");
    expect_parameter(url, "dbname", "base");
    expect_parameter(url, "sslmode", "verify-full");
    expect_parameter(url, "application_name", "a b");
    url = db_login_url(arena, "hostaddr=10.0.0.1 dbname=base", full, sizeof(full) - 1, &err);
    assert_non_null(url);
    expect_parameter(url, "hostaddr", "-");
    arena_free(arena);
}

static void a_wrong_secret_is_refused_and_not_shown(void **state)
{
    (void)state;
    static const struct {
        const char *secret, *named;
    } cases[] = {
        {"hush", "JSON object"},
        {"[\"hush\"]", "JSON object"},
        {"{\"password\":\"hush\",\"host\":\"h\"}", "username is missing"},
        {"{\"username\":\"u\",\"host\":\"h\"}", "password is missing"},
        {"{\"username\":\"u\",\"password\":\"\",\"host\":\"h\"}", "password is not"},
        {"{\"username\":\"u\",\"password\":7,\"host\":\"h\"}", "password is not"},
        {"{\"username\":\"u\",\"password\":\"hush\"}", "host is missing"},
        {"{\"username\":\"u\",\"password\":\"hush\",\"host\":\"h\",\"port\":\"hush\"}", "port is not"},
        {"{\"username\":\"u\",\"password\":\"hush\",\"host\":\"h\",\"port\":70000}", "port is not"},
        {"{\"username\":\"u\",\"password\":\"hush\",\"host\":\"h\",\"port\":54.5}", "port is not"},
        {"{\"username\":\"u\",\"password\":\"hush\",\"host\":\"h\",\"engine\":\"mysql\"}",
            "engine is not postgres"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_new(0);
        struct error err = {0};
        assert_null(db_login_url(arena, "", cases[i].secret, strlen(cases[i].secret), &err));
        assert_int_equal(err.disposition, ERROR_FATAL);
        assert_string_equal(err.code, "db_secret");
        if (!strstr(err.text, cases[i].named) || strstr(err.text, "hush")) {
            fail_msg("case %zu says: %s", i, err.text);
        }
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sts_answers_are_read),
        cmocka_unit_test(secrets_are_texts),
        cmocka_unit_test(errors_are_called_by_their_code_alone),
        cmocka_unit_test(endpoints_are_the_regions_or_named),
        cmocka_unit_test(a_secret_is_named_by_its_arn),
        cmocka_unit_test(the_region_is_the_environments_or_the_profiles),
        cmocka_unit_test(a_secret_becomes_a_connection_string),
        cmocka_unit_test(a_wrong_secret_is_refused_and_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
