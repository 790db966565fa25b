/* Signature Version 4 against AWS's published suite, and against botocore, request by request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/json.h"
#include "aws/sigv4.h"

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int64_t time_of(const char *text)
{
    int64_t wall_ms = 0;
    assert_true(clock_parse(text, &wall_ms));
    return wall_ms;
}

/* From the "aws-sig-v4-test-suite": all are signed by its one key, at one time. */
static void agrees_with_the_published_suite(void **state)
{
    (void)state;
    static const struct sigv4_credentials credentials = {
        "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL};
    static const struct {
        const char *method, *path, *query;
        struct sigv4_header header;
        const char *signature;
    } cases[] = {
        {"GET", "/", "", {0}, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"GET", "/example/..", "", {0}, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"GET", "//", "", {0}, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"POST", "/", "", {0}, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"GET", "/", "Param2=value2&Param1=value1", {0},
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        {"GET", "/\xe1\x88\xb4", "", {0}, "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
        {"GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "", {0},
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
        {"POST", "/", "", {"My-Header1", "value1"},
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_new(0);
        const struct sigv4_header headers[] = {{"Host", "example.amazonaws.com"}, cases[i].header};
        const struct sigv4_request request = {.method = cases[i].method,
            .path = cases[i].path,
            .query = cases[i].query,
            .headers = headers,
            .header_count = cases[i].header.name ? 2 : 1,
            .payload_hash = EMPTY_HASH,
            .region = "us-east-1",
            .service = "service",
            .wall_ms = time_of("2015-08-30T12:36:00Z")};
        struct sigv4_signature signature;
        assert_true(sigv4_sign(arena, &credentials, &request, &signature));
        const char *got = strstr(signature.authorization, "Signature=");
        if (!got || strcmp(got + strlen("Signature="), cases[i].signature) != 0)
            fail_msg("%s %s?%s: %s", cases[i].method, cases[i].path, cases[i].query, signature.authorization);
        assert_string_equal(signature.date, "X-Amz-Date: 20150830T123600Z");
        assert_null(signature.security_token);
        arena_free(arena);
    }
}

static cJSON *signed_by_botocore(void)
{
    char out[] = "/tmp/hd-sigv4-XXXXXX";
    char python[] = "/usr/bin/python3", script[] = SOURCE_DIR "/tests/unit/sigv4_peer.py";
    char *argv[] = {python, script, NULL};
    posix_spawn_file_actions_t actions;
    extern char **environ;
    pid_t child;
    int status, fd = mkstemp(out);
    assert_true(fd >= 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    assert_int_equal(posix_spawn(&child, argv[0], &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    off_t len = lseek(fd, 0, SEEK_END);
    char *text = malloc((size_t)len);
    assert_int_equal(pread(fd, text, (size_t)len, 0), len);
    close(fd);
    unlink(out);
    struct error err = {0};
    cJSON *json = json_parse(text, (size_t)len, &err);
    assert_string_equal(err.text, "");
    free(text);
    return json;
}

static void agrees_with_botocore(void **state)
{
    (void)state;
    cJSON *cases = signed_by_botocore(), *one;
    assert_true(cJSON_GetArraySize(cases) == 400);
    cJSON_ArrayForEach(one, cases)
    {
        struct arena *arena = arena_new(0);
        bool s3 = json_bool(one, "s3", false);
        const struct sigv4_credentials credentials = {
            json_str(one, "key"), json_str(one, "secret"), json_str(one, "token")};
        const struct sigv4_header headers[] = {{"Host", "host.example.com"},
            {"Content-Type", "application/json; a=  b"}, {"X-Amz-Content-SHA256", json_str(one, "payload")}};
        const struct sigv4_request request = {.method = json_str(one, "method"),
            .path = json_str(one, "path"),
            .query = json_str(one, "query"),
            .headers = headers,
            .header_count = s3 ? 3 : 2,
            .payload_hash = json_str(one, "payload"),
            .region = "eu-west-1",
            .service = json_str(one, "service"),
            .wall_ms = time_of("2026-11-22T10:00:00Z"),
            .path_as_sent = s3};
        struct sigv4_signature signature;
        assert_true(sigv4_sign(arena, &credentials, &request, &signature));
        if (strcmp(signature.authorization, json_str(one, "authorization")) != 0)
            fail_msg("%s %s?%s\n%s\n%s", request.method, request.path, request.query, signature.authorization,
                json_str(one, "authorization"));
        arena_free(arena);
    }
    cJSON_Delete(cases);
}

static void refuses_what_is_too_much(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    char query[2 * (SIGV4_QUERY_MAX + 1) + 1] = "";
    for (size_t i = 0; i < SIGV4_QUERY_MAX + 1; i++)
        memcpy(query + 2 * i, "a&", 3);
    const struct sigv4_credentials credentials = {"a", "b", NULL};
    struct sigv4_request request = {.method = "GET",
        .path = "/",
        .query = query,
        .payload_hash = EMPTY_HASH,
        .region = "r",
        .service = "s"};
    struct sigv4_signature signature;
    assert_false(sigv4_sign(arena, &credentials, &request, &signature));
    request.query = NULL;
    request.header_count = SIGV4_HEADERS_MAX + 1;
    assert_false(sigv4_sign(arena, &credentials, &request, &signature));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_published_suite),
        cmocka_unit_test(agrees_with_botocore),
        cmocka_unit_test(refuses_what_is_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
