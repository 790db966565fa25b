/* Answers for a terminal: everything shown, nothing hostile obeyed, no line too wide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "cmd/answer_view.h"

#define OUT_MAX ((size_t)1 << 20)

static const char answer_text[] =
    "{\"ticket_id\":\"t-1\",\"classification\":{\"category\":\"technical\",\"priority\":\"critical\","
    "\"department\":\"Device Support\",\"sentiment\":\"negative\",\"confidence\":0.8734,"
    "\"reasoning_snippet\":\"hub, offline\"},"
    "\"context\":{\"context_package\":["
    "{\"source_id\":\"kb/a\",\"excerpt\":\"x\",\"citation_uri\":\"https://kb.example/a\",\"score\":0.913,"
    "\"type\":\"kb\",\"title\":\"Hub offline\"},"
    "{\"source_id\":\"order/"
    "7\",\"excerpt\":\"x\",\"citation_uri\":\"\",\"score\":0.5,\"type\":\"order\",\"title\":\"\"}],"
    "\"aggregate_confidence\":0.82},"
    "\"generation\":{\"primary_draft\":{\"text\":\"Hello,\\n\\nhold the button of the hub for ten seconds "
    "[1] and "
    "then choose the network again in the app; your order [2] is on its "
    "way.\",\"citations\":[\"kb/a\",\"order/7\","
    "\"gone\"],\"confidence\":0.81,\"safety_flags\":[\"overpromise\",\"pii_detected\"],\"ready\":false,"
    "\"not_ready_because\":[\"a flag needs a "
    "person\"],\"flag_details\":[{\"flag\":\"overpromise\",\"rule\":\"r\","
    "\"start\":0,\"end\":1,\"why\":\"promises a date\"}]},"
    "\"alternative_draft\":{\"text\":\"Someone will "
    "call.\",\"citations\":[],\"confidence\":0.5,\"safety_flags\":[],"
    "\"ready\":true},\"suggested_next_steps\":[\"Check the firmware\"]},"
    "\"next_actions\":[\"Send draft to agent queue for review\"],"
    "\"trace\":{\"classification_latency_ms\":1.234,\"retrieval_latency_ms\":20,\"generation_latency_ms\":"
    "null,"
    "\"total_latency_ms\":41.71,\"state\":\"completed_with_flags\",\"correlation_id\":\"c-1\"},"
    "\"provenance\":{\"retrieval\":{\"model\":\"fts\",\"cache_hit\":true,\"input_tokens\":1200,\"output_"
    "tokens\":"
    "80,\"cost_usd\":0.00321,\"degraded\":[\"no customer data\"]}}}";

static char *render(const char *json, bool colour, int width, bool *shown)
{
    struct buf out;
    buf_init(&out, OUT_MAX);
    struct term term = {.out = &out, .colour = colour, .width = width};
    cJSON *answer = json_parse(json, strlen(json), NULL);
    assert_non_null(answer);
    *shown = answer_view(&term, answer);
    cJSON_Delete(answer);
    buf_putc(&out, '\0');
    return out.data;
}

static void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("no \"%s\" in:\n%s", part, text);
    }
}

static void shows_all_of_an_answer(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "category        technical\n",
        "priority        critical\n",
        "sentiment       negative\n",
        "department      Device Support  confidence 87 %\n",
        "because         hub, offline\n",
        "knowledge       2 items  relevance 82 %\n",
        "Draft  not ready to send  confidence 81 %\n  │ Hello,\n  │ \n  │ hold the button",
        "  [1] Hub offline  kb  0.91\n      https://kb.example/a\n",
        "  [2] order/7  order  0.50\n",
        "  [3] gone\n",
        "  ! overpromise: promises a date\n  ! pii_detected\n  - a flag needs a person\n",
        "Alternative draft  ready to send  confidence 50 %\n  │ Someone will call.\n",
        "Suggested steps\n  - Check the firmware\n",
        "Next actions\n  - Send draft to agent queue for review\n",
        "  classification  █",
        " 1.23 ms\n",
        ("  retrieval       ████████████████████████    20.0 ms  fts (cached)\n"
         "    1200 tokens read, 80 written, 0.0032 USD\n  ! no customer data\n"),
        "  generation      not done\n",
        " 41.7 ms\n",
        "state           completed_with_flags\n",
        "ticket          t-1\n",
        "run             c-1\n",
    };
    bool shown;
    char *text = render(answer_text, false, 80, &shown);
    assert_true(shown);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        assert_holds(text, parts[i]);
    }
    assert_null(strchr(text, '\x1b'));
    free(text);
    text = render(answer_text, true, 80, &shown);
    assert_holds(text, "\x1b[36m[1]\x1b[0m");
    assert_holds(text, "\x1b[31mcritical\x1b[0m");
    free(text);
}

static void keeps_to_the_width(void **state)
{
    (void)state;
    for (int width = 40; width <= 100; width += 7) {
        bool shown;
        char *text = render(answer_text, false, width, &shown);
        for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
            *end = '\0';
            if (strncmp(line, "  │ ", strlen("  │ ")) == 0 && term_columns(line, strlen(line)) > width) {
                fail_msg("wider than %d: %s", width, line);
            }
        }
        free(text);
    }
}

static char *wrap(int width, const char *text)
{
    struct buf out;
    buf_init(&out, OUT_MAX);
    struct term term = {.out = &out, .width = width};
    term_wrap(&term, TERM_PLAIN, "* ", "  ", text);
    return out.data;
}

static void wraps_by_columns(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wrapped;
    } cases[] = {
        {"", "* \n"},
        {"one two three four", "* one two\n  three\n  four\n"},
        {"a\n\nb\n", "* a\n  \n  b\n"},
        {"abcdefghijklmnop", "* abcdefgh\n  ijklmnop\n"},
        {"ab abcdefghijkl", "* ab\n  abcdefgh\n  ijkl\n"},
        {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac",
            "* \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\n  \xe6\x9c\xac\n"},
        {"\xc3\xa4\xc3\xb6 \xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6",
            "* \xc3\xa4\xc3\xb6 \xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\n"},
        {"  - item that goes on", "*   - item\n  that\n  goes on\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *wrapped = wrap(10, cases[i].text);
        assert_string_equal(wrapped, cases[i].wrapped);
        free(wrapped);
    }
}

static void obeys_nothing_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *text, *clean;
    } cases[] = {
        {"plain \xc3\xa4", "plain \xc3\xa4"},
        {"a\x1b[31mred\x1b[0m", "ared"},
        {"a\x1b]0;title\x07z", "a]0;titlez"},
        {"a\x1b[", "a"},
        {"a\x1b", "a"},
        {"a\x1b[12;34Hb\x1b[2Jc", "abc"},
        {"a\rb\bc\x7f", "abc"},
        {"tab\there", "tab here"},
        {"c1 \xc2\x9b"
         "31m",
            "c1 31m"},
        {"rtl \xe2\x80\xae"
         "evil\xe2\x81\xa6",
            "rtl evil"},
        {"wide \xe2\x80\x8b\xef\xbb\xbf", "wide "},
        {"bad \xff\xc3", "bad ??"},
        {"line\nend", "line\nend"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;
        buf_init(&out, OUT_MAX);
        term_clean(&out, cases[i].text);
        assert_string_equal(buf_text(&out), cases[i].clean);
        buf_fini(&out);
    }
    static const char evil[] =
        "{\"ticket_id\":\"t\\u001b[2J\\n1\",\"classification\":{\"category\":\"\\u001b]0;x\\u0007\","
        "\"department\":\"\\u202egnp\",\"priority\":5,\"sentiment\":null},"
        "\"generation\":{\"primary_draft\":{\"text\":\"a\\u001b[31mb\\r\\u009b1m\",\"citations\":["
        "\"\\u001bc\",7,{}],"
        "\"safety_flags\":[\"\\u001b[1m\",null],\"ready\":\"yes\"},\"alternative_draft\":[]},"
        "\"next_actions\":{\"a\":1},\"trace\":{\"classification_latency_ms\":-1e300,\"retrieval_latency_ms\":"
        "1e300,"
        "\"generation_latency_ms\":\"x\",\"state\":\"\\b\"}}";
    bool shown;
    char *text = render(evil, false, 80, &shown);
    assert_true(shown);
    for (const char *c = text; *c; c++) {
        assert_true(*c == '\n' || (unsigned char)*c >= ' ');
    }
    assert_null(strstr(text, "\xc2\x9b"));
    assert_null(strstr(text, "\xe2\x80\xae"));
    assert_holds(text, "ticket          t 1\n");
    free(text);
}

static void refuses_what_is_no_answer(void **state)
{
    (void)state;
    static const char *const others[] = {"{}", "[]", "7", "null", "{\"trace\":1,\"classification\":[]}"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        bool shown;
        char *text = render(others[i], false, 80, &shown);
        assert_false(shown);
        assert_string_equal(text, "");
        free(text);
    }
}

static void shows_problems(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, OUT_MAX);
    struct term term = {.out = &out, .width = 80};
    static const char problem[] =
        "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"The \\u001b[1mticket is not "
        "valid.\",\"correlation_id\":"
        "\"c-9\",\"errors\":[{\"pointer\":\"/subject\",\"detail\":\"must not be blank\"},{}]}";
    cJSON *body = json_parse(problem, strlen(problem), NULL);
    answer_view_problem(&term, 400, body, "");
    assert_string_equal(buf_text(&out),
        "400 Bad Request\n  The ticket is not valid.\n  - /subject: must not be blank\n"
        "  - /: not valid\n  correlation id c-9\n");
    cJSON_Delete(body);
    buf_reset(&out);
    answer_view_problem(&term, 502, NULL, "c-8");
    assert_string_equal(buf_text(&out), "502 error\n  correlation id c-8\n");
    buf_fini(&out);
}

static void tells_where_to_look_later(void **state)
{
    (void)state;
    static const struct {
        const char *location, *holds, *holds_not;
    } cases[] = {
        {"/tickets/t%201?run=c-1", "curl 'http://h:1/tickets/t%201?run=c-1'\n", "http://h:1http"},
        {"http://other/tickets/1", "curl 'http://other/tickets/1'\n", "http://h:1"},
        {"/x'; rm -rf ~'", "Accepted", "curl"},
        {"", "curl 'http://h:1/tickets/t?run=c'\n", "''"},
    };
    static const char accepted[] = "{\"ticket_id\":\"t\",\"correlation_id\":\"c\",\"status\":\"processing\","
                                   "\"location\":\"/tickets/t?run=c\"}";
    cJSON *body = json_parse(accepted, strlen(accepted), NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;
        buf_init(&out, OUT_MAX);
        struct term term = {.out = &out, .width = 80};
        answer_view_accepted(&term, body, "http://h:1", cases[i].location);
        assert_holds(buf_text(&out), cases[i].holds);
        assert_null(strstr(buf_text(&out), cases[i].holds_not));
        assert_holds(buf_text(&out), "run             c\n");
        buf_fini(&out);
    }
    cJSON_Delete(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_all_of_an_answer),
        cmocka_unit_test(keeps_to_the_width),
        cmocka_unit_test(wraps_by_columns),
        cmocka_unit_test(obeys_nothing_hostile),
        cmocka_unit_test(refuses_what_is_no_answer),
        cmocka_unit_test(shows_problems),
        cmocka_unit_test(tells_where_to_look_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
