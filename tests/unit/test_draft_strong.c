/* The stronger model is asked first, and waited for as long as there is time; then the usual one drafts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "http/server.h"
#include "model/chat.h"
#include "model/draft.h"

#define PATIENCE_MS 20000
#define COMPLETION(content)                                                                                  \
    "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"" content                              \
    "\"},\"finish_reason\":\"stop\"}]}"
#define GOOD                                                                                                 \
    COMPLETION("{\\\"answer\\\":\\\"Hello, a colleague writes to you.\\\",\\\"citations\\\":[],"             \
               "\\\"confidence\\\":0.8,\\\"needs_person\\\":true,\\\"next_steps\\\":[]}")

/* What the stronger model says, one after the other, the last for ever; the usual one has a good answer. */
struct said {
    int status;
    const char *body;
    int retry_after_s;
};

struct fixture {
    struct loop *loop;
    struct http_server *server;
    struct arena *arena;
    struct draft_model *model;
    const struct said *says;
    int strong_asked;
    int usual_asked;
    const struct draft_result *result;
    struct error err;
};

static void post_completion(struct http_request *request, void *arg)
{
    struct fixture *f = arg;
    size_t len;
    if (strstr(http_request_body(request, &len), "\"model\":\"usual\"")) {
        f->usual_asked++;
        http_respond_json(request, 200, GOOD);
        return;
    }
    const struct said *said = &f->says[f->strong_asked++];
    if (said->retry_after_s > 0)
        http_response_header(request, "Retry-After", arena_printf(f->arena, "%d", said->retry_after_s));
    http_respond_json(request, said->status, said->body);
}

static int setup(void **state)
{
    static const struct http_route routes[] = {
        {"POST", "/v1/chat/completions", post_completion}, {NULL, NULL, NULL}};
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};
    char url[64];
    f->loop = loop_new(0);
    f->arena = arena_new(0);
    const struct http_server_options options = {.name = "model",
        .host = "127.0.0.1",
        .max_body = (size_t)1 << 20,
        .read_deadline_ms = PATIENCE_MS,
        .routes = routes,
        .arg = f};
    f->server = http_server_new(f->loop, &options, &err);
    assert_non_null(f->server);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1", http_server_port(f->server));
    const struct chat_options usual = {.base_url = url, .api_key = "", .model = "usual", .prices = ""};
    struct chat_options strong = usual;
    strong.model = "stronger";
    f->model = draft_chat_new(f->loop, &usual, &strong, PATIENCE_MS, &err);
    assert_non_null(f->model);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    draft_free(f->model);
    http_server_free(f->server);
    loop_free(f->loop);
    arena_free(f->arena);
    free(f);
    return 0;
}

static void keep(void *arg, const struct draft_result *result, const struct error *err)
{
    struct fixture *f = arg;
    f->result = result;
    f->err = err ? *err : (struct error){0};
    loop_stop(f->loop, 0);
}

/* `within_ms` 0: there is no deadline. */
static void draft(struct fixture *f, const struct said *says, bool strong, int64_t within_ms)
{
    struct msg_ticket *ticket = msg_new(&msg_ticket, f->arena);
    ticket->subject = "Refund";
    ticket->description = "How long does it take?";
    ticket->locale = "en";
    const struct draft_request request = {.arena = f->arena,
        .ticket = ticket,
        .strong = strong,
        .escalate_below = 0.6,
        .deadline_mono_ms = within_ms ? clock_mono_ms() + within_ms : INT64_MAX};
    f->says = says;
    f->strong_asked = f->usual_asked = 0;
    draft_start(f->model, &request, keep, f);
    loop_run(f->loop);
}

static void asks_the_one_that_is_wanted(void **state)
{
    struct fixture *f = *state;
    static const struct said good[] = {{200, GOOD, 0}};
    static const struct said unusable[] = {{200, COMPLETION("{}"), 0}, {200, GOOD, 0}};
    draft(f, good, false, 0);
    assert_int_equal(f->strong_asked, 0);
    assert_string_equal(f->result->model, "usual");
    draft(f, good, true, 0);
    assert_int_equal(f->usual_asked, 0);
    assert_string_equal(f->result->model, "stronger");
    assert_int_equal(f->result->degraded_count, 0);
    draft(f, unusable, true, 0);
    assert_int_equal(f->strong_asked, 2);
    assert_string_equal(f->result->model, "stronger");
    assert_int_equal(f->result->degraded_count, 0);
}

static void assert_stands_in(const struct fixture *f, const char *because)
{
    assert_int_equal(f->strong_asked, 1);
    assert_int_equal(f->usual_asked, 1);
    assert_string_equal(f->result->model, "usual");
    assert_int_equal(f->result->degraded_count, 1);
    assert_non_null(strstr(f->result->degraded[0], "the stronger model could not be asked"));
    assert_non_null(strstr(f->result->degraded[0], because));
}

static void the_usual_one_stands_in(void **state)
{
    struct fixture *f = *state;
    static const struct said refused[] = {{403, "{}", 0}}, away[] = {{503, "{}", 9}};
    draft(f, refused, true, 0);
    assert_stands_in(f, "403");
    draft(f, away, true, 6000);
    assert_stands_in(f, "503");
    draft(f, away, true, 0);
    assert_string_equal(f->err.code, "model_unavailable"); /* there is time to wait for it */
    assert_int_equal(f->usual_asked, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(asks_the_one_that_is_wanted), TEST(the_usual_one_stands_in)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
