/* Routes, percent-decoding and queries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "http/router.h"
#include "http/uri.h"

static void handle(struct http_request *request, void *arg)
{
    (void)request;
    (void)arg;
}

static const struct http_route routes[] = {
    {"POST", "/tickets", handle},
    {"GET", "/tickets/{ticket_id}", handle},
    {"POST", "/tickets/classify", handle},
    {"POST", "/tickets/{ticket_id}/feedback", handle},
    {"GET", "/tickets/{id}/context", handle},
    {"DELETE", "/tickets/{ticket}", handle},
    {"GET", "/a/{x}/c", handle},
    {"GET", "/a/b/{y}", handle},
    {"GET", "/", handle},
    {NULL, NULL, NULL},
};

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

static void finds_routes(void **state)
{
    static const struct {
        const char *method, *path;
        int status;
        const char *expected; /* the pattern, or the Allow header of a 405 */
    } cases[] = {
        {"POST", "/tickets", 200, "/tickets"},
        {"GET", "/", 200, "/"},
        {"HEAD", "/", 200, "/"},
        {"GET", "/tickets/7", 200, "/tickets/{ticket_id}"},
        {"HEAD", "/tickets/7", 200, "/tickets/{ticket_id}"},
        {"DELETE", "/tickets/7", 200, "/tickets/{ticket}"},
        {"POST", "/tickets/classify", 200, "/tickets/classify"},
        {"POST", "/tickets/cl%61ssify", 200, "/tickets/classify"},
        {"POST", "/tickets/7/feedback", 200, "/tickets/{ticket_id}/feedback"},
        {"GET", "/tickets/7/context", 200, "/tickets/{id}/context"},
        {"GET", "/a/b/c", 200, "/a/b/{y}"},
        {"GET", "/a/z/c", 200, "/a/{x}/c"},
        {"GET", "/tickets", 405, "POST"},
        {"GET", "/tickets/classify", 405, "POST"},
        {"POST", "/tickets/7", 405, "GET, HEAD, DELETE"},
        {"get", "/tickets/7", 405, "GET, HEAD, DELETE"},
        {"GET", "/ticket", 404, NULL},
        {"GET", "/tickets/", 404, NULL},
        {"POST", "/tickets//feedback", 404, NULL},
        {"POST", "/tickets/7/feedback/", 404, NULL},
        {"GET", "//", 404, NULL},
        {"OPTIONS", "*", 404, NULL},
        {"GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18", 404, NULL},
        {"GET", "/tickets/%", 400, NULL},
        {"GET", "/tickets/%4", 400, NULL},
        {"GET", "/tickets/%zz", 400, NULL},
        {"GET", "/tickets/a%00b", 400, NULL},
        {"GET", "/tickets/%ff", 400, NULL},
        {"GET", "/tickets/%c0%af", 400, NULL},
        {"GET", "/nowhere/%ff", 400, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_match match;
        http_router_match(routes, cases[i].method, cases[i].path, *state, &match);
        if (match.status != cases[i].status) {
            fail_msg("%s %s: %d", cases[i].method, cases[i].path, match.status);
        }
        if (match.status == 200) {
            assert_string_equal(match.route->pattern, cases[i].expected);
        } else {
            assert_null(match.route);
        }
        if (match.status == 405) {
            assert_string_equal(match.allow, cases[i].expected);
        }
    }
}

static void decodes_parameters(void **state)
{
    struct http_match match;
    http_router_match(routes, "POST", "/tickets/a%2Fb%20%C3%A4+c/feedback", *state, &match);
    assert_int_equal(match.status, 200);
    assert_string_equal(http_match_param(&match, "ticket_id"), "a/b \xc3\xa4+c");
    assert_null(http_match_param(&match, "ticket"));
    assert_null(http_match_param(&match, "ticket_id2"));
    assert_null(http_match_param(&match, "feedback"));
    assert_null(http_match_param(&match, ""));
    http_router_match(routes, "GET", "/a/b/..", *state, &match);
    assert_string_equal(http_match_param(&match, "y"), "..");
}

static void parses_queries(void **state)
{
    struct uri_pair *pairs;
    size_t count;
    assert_true(uri_parse_query(*state, "a=1&&b=x+y%26z&c&=e&d=1=2&", &pairs, &count));
    static const struct uri_pair expected[] = {
        {"a", "1"}, {"b", "x y&z"}, {"c", ""}, {"", "e"}, {"d", "1=2"}};
    assert_int_equal(count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(pairs[i].name, expected[i].name);
        assert_string_equal(pairs[i].value, expected[i].value);
    }
    assert_true(uri_parse_query(*state, "", &pairs, &count));
    assert_int_equal(count, 0);
    static const char *const bad[] = {"a=%", "a=%1", "%gg=1", "a=%00", "a=%ff", "a=1&b=%E4"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(uri_parse_query(*state, bad[i], &pairs, &count));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_routes, setup, teardown),
        cmocka_unit_test_setup_teardown(decodes_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(parses_queries, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
