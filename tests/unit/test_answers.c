/* Shared answers: who does the work and who waits, what is kept, and what is whose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/metrics.h"
#include "model/answers.h"
#include "model/classify_driver.h"
#include "model/draft_driver.h"

#define KEEP_MS 1000

/* ---- drafts ---- */

#define HELD_MAX 100

/* The model behind the cache: it answers when the test says so. */
static struct {
    struct draft_request requests[HELD_MAX];
    draft_done *done[HELD_MAX];
    void *args[HELD_MAX];
    int asked;
    int answered;
    bool freed;
} inner;

struct outcome {
    struct arena *arena;
    struct draft_request request;
    int calls;
    bool cache_hit;
    bool failed;
    double confidence;
    int64_t tokens;
    char text[64];
};

static void inner_start(void *state, const struct draft_request *request, draft_done *done, void *arg)
{
    (void)state;
    inner.requests[inner.asked] = *request;
    inner.done[inner.asked] = done;
    inner.args[inner.asked++] = arg;
}

static void inner_free(void *state)
{
    (void)state;
    while (inner.answered < inner.asked) {
        struct error err;
        int at = inner.answered++;
        error_set(&err, ERROR_RETRY, "model_stopped", "the process stops");
        inner.done[at](inner.args[at], NULL, &err);
    }
    inner.freed = true;
}

static const char *late = "no time left for the model";

enum said { GOOD, DEGRADED, FAILED, NAMES_TICKET };

/* Answers the oldest request that has no answer. */
static void answer(enum said said)
{
    int at = inner.answered++;
    struct arena *arena = inner.requests[at].arena;
    struct draft_result *result = ARENA_NEW(arena, struct draft_result);
    struct error err;
    result->generation.primary_draft.text =
        arena_printf(arena, said == NAMES_TICKET ? "As to T-1001, draft %d" : "Draft %d", at);
    result->generation.primary_draft.confidence = 0.8;
    result->model = "m";
    result->prompt_version = "p";
    result->input_tokens = 100;
    result->output_tokens = 10;
    result->degraded = &late;
    result->degraded_count = said == DEGRADED;
    error_set(&err, ERROR_RETRY, "model_unavailable", "the server is away");
    inner.done[at](inner.args[at], said == FAILED ? NULL : result, said == FAILED ? &err : NULL);
}

struct fixture {
    struct loop *loop;
    struct draft_model *model;
    struct msg_ticket *ticket;
    struct msg_context *context;
    struct msg_classification *classification;
    struct arena *arena;
};

static struct msg_context_item page = {.source_id = "kb/a.md#1",
    .excerpt = "It takes 3 days.",
    .citation_uri = "",
    .title = "",
    .locale = "en",
    .type = MSG_ITEM_TYPE_KB};

static int setup(void **state)
{
    static const struct draft_driver driver = {.start = inner_start, .free = inner_free};
    const struct cache_limits limits = {.entries = 100, .bytes = 1 << 20, .keep_ms = KEEP_MS};
    struct fixture *f = calloc(1, sizeof(*f));
    memset(&inner, 0, sizeof(inner));
    f->loop = loop_new(0);
    f->arena = arena_new(0);
    f->model = draft_cached_new(f->loop, draft_model_new(&driver, NULL), "scope", &limits, 0);
    f->ticket = msg_new(&msg_ticket, f->arena);
    f->ticket->ticket_id = "T-1001";
    f->ticket->subject = "Refund";
    f->ticket->description = "How long does it take?";
    f->ticket->customer_external_id = "C-1";
    f->ticket->locale = "en";
    f->classification = msg_new(&msg_classification, f->arena);
    f->context = msg_new(&msg_context, f->arena);
    f->context->items = arena_array(f->arena, 3, sizeof(page));
    f->context->items[0] = page;
    f->context->items_count = 1;
    f->context->aggregate_confidence = 0.9;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    draft_free(f->model);
    loop_free(f->loop);
    arena_free(f->arena);
    free(f);
    return 0;
}

static void keep(void *arg, const struct draft_result *result, const struct error *err)
{
    struct outcome *outcome = arg;
    outcome->calls++;
    outcome->failed = err != NULL;
    if (result) {
        outcome->cache_hit = result->cache_hit;
        outcome->confidence = result->generation.primary_draft.confidence;
        outcome->tokens = result->input_tokens + result->output_tokens;
        snprintf(outcome->text, sizeof(outcome->text), "%s", result->generation.primary_draft.text);
        if (result->cache_hit) {
            assert_string_equal(result->model, "m");
            assert_int_equal(result->degraded_count, 0);
        }
    }
    arena_free(outcome->arena); /* as the job's: nothing of it may be needed any more */
}

/* Asks for a draft of the fixture's ticket as it is now; the request keeps a copy of it. */
static void ask_for(struct fixture *f, struct outcome *outcome, int64_t wait_ms)
{
    *outcome = (struct outcome){.arena = arena_new(0)};
    outcome->request = (struct draft_request){.arena = outcome->arena,
        .tenant = "default",
        .ticket = msg_copy(&msg_ticket, outcome->arena, f->ticket),
        .classification = msg_copy(&msg_classification, outcome->arena, f->classification),
        .context = msg_copy(&msg_context, outcome->arena, f->context),
        .kb_revision = 7,
        .escalate_below = 0.6,
        .deadline_mono_ms = wait_ms ? clock_mono_ms() + wait_ms : INT64_MAX};
    draft_start(f->model, &outcome->request, keep, outcome);
}

static void ask(struct fixture *f, struct outcome *outcome)
{
    ask_for(f, outcome, 0);
}

/* Asks, and has the model answer if it is asked; whether it was. */
static bool costs(struct fixture *f)
{
    struct outcome outcome;
    int before = inner.asked;
    ask(f, &outcome);
    if (inner.asked > before) {
        answer(GOOD);
    }
    assert_int_equal(outcome.calls, 1);
    assert_false(outcome.failed);
    return inner.asked > before;
}

static void same_questions_are_asked_once(void **state)
{
    struct fixture *f = *state;
    struct outcome first, again;
    ask(f, &first);
    answer(GOOD);
    assert_false(first.cache_hit);
    assert_int_equal(first.tokens, 110);
    f->ticket->ticket_id = "T-2002";
    f->ticket->customer_external_id = "C-2";
    f->ticket->subject = "  REFUND ";
    f->ticket->description = "how\tlong does\nit  take?\xC2\xA0";
    f->context->aggregate_confidence = 0.7;
    ask(f, &again);
    assert_int_equal(inner.asked, 1);
    assert_true(again.cache_hit);
    assert_int_equal(again.tokens, 0);
    assert_string_equal(again.text, "Draft 0");
    assert_true(first.confidence == 0.8 && again.confidence == 0.7); /* no surer than what was found for it */
}

static void what_differs_is_asked_anew(void **state)
{
    struct fixture *f = *state;
    assert_true(costs(f));
    assert_false(costs(f));
    f->ticket->description = "How long does it not take?";
    assert_true(costs(f));
    f->ticket->description = "How long does it take?";
    f->ticket->locale = "de";
    assert_true(costs(f));
    f->ticket->locale = "en";
    f->classification->category = "billing";
    assert_true(costs(f));
    f->classification->category = "";
    f->context->items[0].excerpt = "It takes 4 days.";
    assert_true(costs(f));
    f->context->items[0] = page;
    f->context->items[1] = page;
    f->context->items[1].source_id = "kb/b.md#1";
    f->context->items_count = 2;
    assert_true(costs(f));
    f->context->items[0].source_id = "kb/b.md#1"; /* the same two the other way round */
    f->context->items[1].source_id = "kb/a.md#1";
    assert_true(costs(f));
    f->context->items[0] = page;
    f->context->items_count = 1;
    f->context->aggregate_confidence = 0.5; /* too little to go by */
    assert_true(costs(f));
    f->context->aggregate_confidence = 0.9;
    f->ticket->subject = "Refundhow";
    assert_true(costs(f));
    f->ticket->subject = "Refund";
    assert_false(costs(f));
}

static void requests_of_other_scopes_are_asked_anew(void **state)
{
    struct fixture *f = *state;
    struct outcome outcome;
    assert_true(costs(f));
    for (int i = 0; i < 5; i++) {
        outcome = (struct outcome){.arena = arena_new(0)};
        outcome.request = (struct draft_request){.arena = outcome.arena,
            .tenant = i == 0 ? "acme" : "default",
            .ticket = f->ticket,
            .classification = f->classification,
            .context = f->context,
            .kb_revision = i == 1 ? 8 : 7,
            .tone = i == 2 ? "dry" : NULL,
            .strong = i == 3,
            .personal = i == 4,
            .escalate_below = 0.6,
            .deadline_mono_ms = INT64_MAX};
        draft_start(f->model, &outcome.request, keep, &outcome);
        assert_int_equal(inner.asked, i + 2);
        answer(GOOD);
        assert_int_equal(outcome.calls, 1);
    }
}

/* With `change` in it, a draft is the customer's own: asked anew for another, kept for the same. */
static void check_personal(struct fixture *f, const char *what)
{
    f->ticket->customer_external_id = "C-1";
    if (!costs(f)) {
        fail_msg("%s: the customer got what was made without it", what);
    }
    f->ticket->customer_external_id = "C-2";
    if (!costs(f)) {
        fail_msg("%s: another customer got the draft", what);
    }
    if (costs(f)) {
        fail_msg("%s: the same customer did not", what);
    }
    f->ticket->customer_external_id = "";
    assert_true(costs(f) && costs(f)); /* whose it is, nobody can tell */
}

static void a_customers_own_stays_theirs(void **state)
{
    static const enum msg_item_type types[] = {MSG_ITEM_TYPE_ORDER, MSG_ITEM_TYPE_TICKET};
    static struct msg_message said = {.role = MSG_ROLE_AGENT, .text = "Your card ends in 1234."};
    struct fixture *f = *state;
    assert_true(costs(f));
    f->context->items[1] = page;
    f->context->items_count = 2;
    for (size_t i = 0; i < 2; i++) {
        f->context->items[1].type = types[i];
        check_personal(f, msg_item_type_name(types[i]));
    }
    f->context->items_count = 1;
    f->context->customer = msg_new(&msg_customer_context, f->arena);
    check_personal(f, "customer");
    f->context->customer = NULL;
    f->ticket->messages = &said;
    f->ticket->messages_count = 1;
    check_personal(f, "conversation");
    f->ticket->messages_count = 0;
    f->ticket->customer_external_id = "C-3";
    assert_false(costs(f));
    f->context->items[0].type = MSG_ITEM_TYPE_RULE; /* is everybody's */
    f->ticket->customer_external_id = "C-1";
    assert_true(costs(f));
    f->ticket->customer_external_id = "C-2";
    assert_false(costs(f));
}

/* Two customers' drafts do not wait for each other either. */
static void a_customers_own_is_not_waited_for(void **state)
{
    struct fixture *f = *state;
    struct outcome outcomes[3];
    f->context->items[0].type = MSG_ITEM_TYPE_ORDER;
    for (int i = 0; i < 3; i++) {
        f->ticket->customer_external_id = i == 0 ? "C-1" : "C-2";
        ask(f, &outcomes[i]);
    }
    assert_int_equal(inner.asked, 2);
    answer(GOOD);
    answer(GOOD);
    assert_string_equal(outcomes[0].text, "Draft 0");
    assert_string_equal(outcomes[1].text, "Draft 1");
    assert_string_equal(outcomes[2].text, "Draft 1");
}

static void what_is_not_good_is_not_kept(void **state)
{
    struct fixture *f = *state;
    struct outcome outcome;
    const enum said bad[] = {DEGRADED, FAILED, NAMES_TICKET};
    for (int i = 0; i < 3; i++) {
        ask(f, &outcome);
        assert_int_equal(inner.asked, i + 1);
        answer(bad[i]);
        assert_int_equal(outcome.calls, 1);
        assert_int_equal(outcome.failed, bad[i] == FAILED);
    }
    assert_true(costs(f));
    assert_false(costs(f));
    const struct draft_request request = {.arena = f->arena,
        .tenant = "default",
        .ticket = f->ticket,
        .classification = f->classification,
        .context = f->context,
        .kb_revision = 7,
        .escalate_below = 0.6};
    draft_unfit(f->model, &request);
    assert_true(costs(f));
}

/* ---- one does the work ---- */

static void one_of_many_asks(void **state)
{
    struct fixture *f = *state;
    struct outcome outcomes[50];
    struct metric *joined = metrics_counter("helpdesk_cache_joined_total", "", "cache=\"draft\"");
    double before = metric_value(joined);
    for (int i = 0; i < 50; i++) {
        f->ticket->customer_external_id = i % 2 ? "C-1" : "C-2";
        ask(f, &outcomes[i]);
    }
    assert_int_equal(inner.asked, 1);
    assert_true(metric_value(joined) == before + 49);
    answer(GOOD);
    assert_int_equal(inner.asked, 1);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        assert_string_equal(outcomes[i].text, "Draft 0");
        assert_int_equal(outcomes[i].cache_hit, i > 0);
        assert_int_equal(outcomes[i].tokens, i > 0 ? 0 : 110);
    }
}

/* Each who waited asks as they would have alone, and the first good answer is kept. */
static void after_a_failure_each_asks_alone(void **state)
{
    struct fixture *f = *state;
    const enum said bad[] = {FAILED, DEGRADED, NAMES_TICKET};
    for (int i = 0; i < 3; i++) {
        struct outcome outcomes[3];
        int before = inner.asked;
        f->ticket->description = arena_printf(f->arena, "Question %d", i);
        for (int k = 0; k < 3; k++) {
            ask(f, &outcomes[k]);
        }
        answer(bad[i]);
        assert_int_equal(inner.asked, before + 3);
        assert_int_equal(outcomes[0].failed, bad[i] == FAILED);
        answer(GOOD);
        answer(FAILED);
        assert_false(outcomes[1].failed);
        assert_int_equal(outcomes[1].tokens, 110);
        assert_true(outcomes[2].failed);
        assert_false(costs(f));
    }
}

static void stop(void *arg)
{
    loop_stop(arg, 0);
}

static void run_for(struct loop *loop, int64_t ms)
{
    struct loop_timer *timer = loop_timer_new(loop, stop, loop);
    loop_timer_arm(timer, ms);
    loop_run(loop);
    loop_timer_free(timer);
}

static void who_cannot_wait_leaves_alone(void **state)
{
    struct fixture *f = *state;
    struct outcome patient, hurried, waiting;
    ask(f, &patient);
    ask_for(f, &hurried, DRAFT_RESERVE_MS + 20);
    ask(f, &waiting);
    assert_int_equal(inner.asked, 1);
    run_for(f->loop, 100);
    assert_int_equal(inner.asked, 2); /* the model behind says that no time is left, or has the answer */
    assert_int_equal(hurried.calls + patient.calls + waiting.calls, 0);
    answer(GOOD);
    assert_int_equal(patient.calls + waiting.calls, 2);
    assert_string_equal(waiting.text, "Draft 0");
    assert_int_equal(hurried.calls, 0);
    answer(DEGRADED);
    assert_int_equal(hurried.calls, 1);
    assert_string_equal(hurried.text, "Draft 1");
    assert_false(costs(f));
}

static void closing_ends_all(void **state)
{
    struct fixture *f = *state;
    struct outcome outcomes[3];
    ask(f, &outcomes[0]);
    ask(f, &outcomes[1]);
    ask_for(f, &outcomes[2], 60000);
    draft_free(f->model);
    f->model = NULL;
    assert_true(inner.freed);
    assert_int_equal(inner.asked, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        assert_true(outcomes[i].failed);
    }
}

/* Who waits is told inside of who asked: asking anew from there finds the answer. */
static void keep_and_ask(void *arg, const struct draft_result *result, const struct error *err)
{
    void **both = arg;
    assert_null(err);
    assert_non_null(result);
    ask(both[0], both[1]);
}

static void asking_from_an_answer_is_fine(void **state)
{
    struct fixture *f = *state;
    struct outcome first, inside;
    void *both[2] = {f, &inside};
    ask(f, &first);
    const struct draft_request request = {.arena = f->arena,
        .tenant = "default",
        .ticket = f->ticket,
        .classification = f->classification,
        .context = f->context,
        .kb_revision = 7,
        .escalate_below = 0.6,
        .deadline_mono_ms = INT64_MAX};
    draft_start(f->model, &request, keep_and_ask, both);
    answer(GOOD);
    assert_int_equal(inner.asked, 1);
    assert_int_equal(inside.calls, 1);
    assert_true(inside.cache_hit);
}

/* ---- classifications ---- */

static int64_t classify_tokens;
static int classified;

static void classify_inner_start(
    void *state, const struct classify_request *request, classify_done *done, void *arg)
{
    (void)state;
    struct classify_result result = {
        .classification = *(struct msg_classification *)msg_new(&msg_classification, request->arena),
        .model = "m",
        .prompt_version = "",
        .policy_version = "",
        .output_tokens = classify_tokens};
    classified++;
    done(arg, &result, NULL);
}

static void classify_inner_free(void *state)
{
    (void)state;
}

static void keep_classification(void *arg, const struct classify_result *result, const struct error *err)
{
    assert_null(err);
    *(bool *)arg = result->cache_hit;
    assert_int_equal(result->output_tokens, result->cache_hit ? 0 : classify_tokens);
}

static bool classify_hits(struct fixture *f, struct classify_model *model, const char *tenant)
{
    bool hit;
    const struct classify_request request = {
        .arena = f->arena, .tenant = tenant, .ticket = f->ticket, .deadline_mono_ms = INT64_MAX};
    classify_start(model, &request, keep_classification, &hit);
    return hit;
}

static void only_paid_classifications_are_kept(void **state)
{
    static const struct classify_driver driver = {.start = classify_inner_start, .free = classify_inner_free};
    static struct msg_message said = {.role = MSG_ROLE_CUSTOMER, .text = "I am Anna."};
    const struct cache_limits limits = {.entries = 100, .bytes = 1 << 20, .keep_ms = KEEP_MS};
    struct fixture *f = *state;
    struct classify_model *model =
        classify_cached_new(f->loop, classify_model_new(&driver, NULL), "", &limits);
    struct metric *misses = metrics_counter("helpdesk_cache_misses_total", "", "cache=\"classification\"");
    double before = metric_value(misses);
    classify_tokens = 0; /* the local model was sure */
    assert_false(classify_hits(f, model, "default"));
    assert_false(classify_hits(f, model, "default"));
    assert_true(metric_value(misses) == before);
    classify_tokens = 5;
    assert_false(classify_hits(f, model, "default"));
    f->ticket->customer_external_id = "C-2";
    assert_true(classify_hits(f, model, "default"));
    assert_true(metric_value(misses) == before + 1);
    assert_false(classify_hits(f, model, "acme"));
    f->ticket->messages = &said;
    f->ticket->messages_count = 1;
    assert_false(classify_hits(f, model, "default"));
    assert_true(classify_hits(f, model, "default"));
    f->ticket->customer_external_id = "C-1";
    assert_false(classify_hits(f, model, "default"));
    f->ticket->messages_count = 0;
    classify_free(model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(same_questions_are_asked_once),
        TEST(what_differs_is_asked_anew),
        TEST(requests_of_other_scopes_are_asked_anew),
        TEST(a_customers_own_stays_theirs),
        TEST(a_customers_own_is_not_waited_for),
        TEST(what_is_not_good_is_not_kept),
        TEST(one_of_many_asks),
        TEST(after_a_failure_each_asks_alone),
        TEST(who_cannot_wait_leaves_alone),
        TEST(closing_ends_all),
        TEST(asking_from_an_answer_is_fine),
        TEST(only_paid_classifications_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
