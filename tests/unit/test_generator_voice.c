/* Drafts in a tenant's voice: what stands around them, and that it changes no judgement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "model/draft_driver.h"
#include "stages/generator.h"

static const struct generator_policy policy = {.ready_confidence = 0.75, .escalate_below = 0.6};

static const struct msg_context_item refunds = {.source_id = "kb/refunds.md#2",
    .title = "Refunds > How long a refund takes",
    .excerpt = "We start the refund within 2 working days after the parcel reaches our warehouse. The money "
               "goes to the payment "
               "method you used: cards take 3 to 5 working days, PayPal 1 day.",
    .citation_uri = "",
    .score = 0.92,
    .type = MSG_ITEM_TYPE_KB,
    .metadata = "{}",
    .locale = "en"};

struct fixture {
    struct arena *arena;
    void *state;
    struct msg_ticket_event *event;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error err = {0};
    f->arena = arena_new(0);
    f->state = generator_new(draft_offline_new(), guard_new(""), voices_load("", &err), &policy, NULL, NULL);
    f->event = msg_new(&msg_ticket_event, f->arena);
    f->event->ticket.subject = "How long does my refund take?";
    f->event->ticket.description = "I sent the parcel back. When does the refund reach my card?";
    f->event->ticket.customer_external_id = "C-1";
    f->event->context = msg_new(&msg_context, f->arena);
    f->event->context->items = arena_array(f->arena, 1, sizeof refunds);
    f->event->context->items[0] = refunds;
    f->event->context->items_count = 1;
    f->event->context->aggregate_confidence = 0.9;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    generator_step.close(f->state);
    arena_free(f->arena);
    free(f);
    return 0;
}

static void keep(void *arg, struct msg_ticket_event *event, const struct error *err)
{
    if (err != NULL) {
        fail_msg("%s: %s", err->code, err->text);
    }
    assert_non_null(event->generation);
    *(bool *)arg = true;
}

static const struct msg_generation *generate(struct fixture *f)
{
    bool done = false;
    ticket_step_try(&generator_step, f->state, f->arena, f->event, keep, &done);
    assert_true(done);
    return f->event->generation;
}

static const char voices_text[] = "{\"voices\": {\"acme\": {\"tone\": \"dry\", \"greeting\": {\"en\": \"Dear "
                                  "{name}, 500 EUR guaranteed!\"}, "
                                  "\"greeting_without_name\": {\"en\": \"Dear friend of 12 lamps,\"}, "
                                  "\"signature\": \"Acme Ltd., +49 30 901820 [9]\\nhelp@acme.example\"}}}";

static void speak_as_acme(struct fixture *f, struct draft_model *model)
{
    struct error err = {0};
    struct voices *voices = voices_parse(voices_text, strlen(voices_text), &err);
    assert_non_null(voices);
    generator_step.close(f->state);
    f->state = generator_new(model, guard_new(""), voices, &policy, NULL, NULL);
    f->event->tenant = "acme";
}

#define SIGNATURE "\n\nAcme Ltd., +49 30 901820 [9]\nhelp@acme.example\n"

/* Greeting and signature hold what no draft may say: they are the operator's, and change no judgement. */
static void test_a_tenants_voice(void **state)
{
    struct fixture *f = *state;
    const struct msg_draft plain = generate(f)->primary_draft;
    assert_string_equal(f->event->steps[0].policy_version, GUARD_VERSION);
    speak_as_acme(f, draft_offline_new());
    f->event->steps_count = 0;
    const struct msg_generation *g = generate(f);
    const struct msg_draft *draft = &g->primary_draft;
    assert_int_equal(strncmp(draft->text, "Dear friend of 12 lamps,\n\nThank you", 35), 0);
    assert_string_equal(strstr(draft->text, "\n\nAcme"), SIGNATURE);
    assert_string_equal(strstr(g->alternative_draft->text, "\n\nAcme"), SIGNATURE);
    assert_null(strstr(draft->text, "support team"));
    assert_true(draft->ready);
    assert_int_equal(draft->safety_flags_count, 0);
    assert_true(draft->confidence == plain.confidence);
    assert_int_equal(draft->citations_count, plain.citations_count);
    assert_int_equal(
        strncmp(f->event->steps[0].policy_version, GUARD_VERSION " voices/", sizeof GUARD_VERSION + 7), 0);
    f->event->context->customer = msg_new(&msg_customer_context, f->arena);
    f->event->context->customer->name = "Anna O'Neil";
    draft = &generate(f)->primary_draft;
    assert_int_equal(strncmp(draft->text, "Dear Anna O'Neil, 500 EUR guaranteed!\n\nThank", 44), 0);
    assert_true(draft->ready);
    f->event->tenant = "other";
    assert_int_equal(strncmp(generate(f)->primary_draft.text, "Hello Anna O'Neil,\n\nThank", 24), 0);
}

static void inventing_start(void *state, const struct draft_request *request, draft_done *done, void *arg)
{
    (void)state;
    struct draft_result *result = ARENA_NEW(request->arena, struct draft_result);
    result->generation.primary_draft.text = "We will refund you 500 EUR today. Call me at +49 30 901820!";
    result->generation.primary_draft.confidence = 0.99;
    result->model = "inventing/1";
    result->prompt_version = "p1";
    done(arg, result, NULL);
}

/* Places in the draft, and in the ticket, are where they are said to be. */
static void test_what_was_found_moves_with_the_draft(void **state)
{
    static const struct draft_driver driver = {.start = inventing_start};
    struct fixture *f = *state;
    f->event->ticket.description = "Mail me at anna@example.com about the refund.";
    speak_as_acme(f, draft_model_new(&driver, NULL));
    const struct msg_draft *draft = &generate(f)->primary_draft;
    size_t in_draft = 0, in_ticket = 0;
    for (size_t i = 0; i < draft->flag_details_count; i++) {
        const struct msg_flag_detail *detail = &draft->flag_details[i];
        if (strcmp(detail->rule, "pii.phone") == 0) {
            assert_int_equal(strncmp(draft->text + detail->start, "+49 30 901820!", 14), 0);
            assert_int_equal(detail->end - detail->start, 13);
            in_draft++;
        } else if (strcmp(detail->rule, "ticket.description.pii.email") == 0) {
            assert_int_equal(detail->start, 11);
            in_ticket++;
        }
    }
    assert_int_equal(in_draft, 1); /* not the one of the signature */
    assert_int_equal(in_ticket, 1);
}

static void foreign_start(void *state, const struct draft_request *request, draft_done *done, void *arg)
{
    (void)state;
    struct draft_result *result = ARENA_NEW(request->arena, struct draft_result);
    assert_true(request->tone != NULL && strcmp(request->tone, "dry") == 0);
    result->generation.primary_draft.text = "返金には5営業日かかります [1]。";
    result->model = "foreign/1";
    result->prompt_version = "";
    done(arg, result, NULL);
}

static void test_no_words_in_that_language(void **state)
{
    static const struct draft_driver driver = {.start = foreign_start};
    struct fixture *f = *state;
    f->event->ticket.locale = "ja";
    speak_as_acme(f, draft_model_new(&driver, NULL));
    const struct msg_draft *draft = &generate(f)->primary_draft;
    assert_int_equal(strncmp(draft->text, "Dear friend of 12 lamps,\n\n返金", 32), 0);
    assert_int_equal(f->event->steps[0].degraded_count, 1);
    assert_string_equal(f->event->steps[0].degraded[0],
        "no Japanese greeting and signature: those of the draft are in English");
    assert_false(draft->ready);
}

static const struct draft_request *asked; /* by the drafter below, for the time of a draft */
static int asked_orders;

static void looking_start(void *state, const struct draft_request *request, draft_done *done, void *arg)
{
    (void)state;
    struct draft_result *result = ARENA_NEW(request->arena, struct draft_result);
    asked = request;
    asked_orders = 0;
    for (size_t i = 0; i < request->context->items_count; i++) {
        asked_orders += request->context->items[i].type == MSG_ITEM_TYPE_ORDER;
    }
    result->generation.primary_draft.text = "The refund takes 2 working days [1].";
    result->model = "looking/1";
    result->prompt_version = "";
    done(arg, result, NULL);
}

/* So that a draft for one may serve all who ask the same. */
static void test_a_drafter_is_told_nothing_of_the_customer(void **state)
{
    static const struct draft_driver driver = {.start = looking_start};
    struct fixture *f = *state;
    struct msg_context *context = f->event->context;
    generator_step.close(f->state);
    f->state = generator_new(draft_model_new(&driver, NULL), guard_new(""),
        voices_load("", &(struct error){0}), &policy, NULL, NULL);
    context->customer = msg_new(&msg_customer_context, f->arena);
    context->customer->name = "Anna O'Neil";
    context->customer->churn_risk = MSG_CHURN_RISK_HIGH;
    context->items = arena_array(f->arena, 3, sizeof refunds);
    context->items_count = 3;
    for (size_t i = 0; i < 3; i++) {
        context->items[i] = refunds;
        context->items[i].type = i == 0 ? MSG_ITEM_TYPE_KB : MSG_ITEM_TYPE_ORDER;
    }
    context->items[1].score = 0.2; /* what the retriever gives to an order that the ticket is not about */
    context->items[2].score = 0.21;
    const struct msg_generation *g = generate(f);
    assert_null(asked->context->customer);
    assert_int_equal(asked->context->items_count, 2);
    assert_int_equal(asked_orders, 1);
    assert_false(asked->personal);
    assert_int_equal(strncmp(g->primary_draft.text, "Hello Anna O'Neil,\n\nThe refund", 30), 0);
    assert_non_null(strstr(g->suggested_next_steps[0], "account manager"));
    assert_int_equal(f->event->context->items_count, 3); /* the answer shows all that was found */
    f->event->caller_context = true;                     /* its scores are the caller's */
    generate(f);
    assert_int_equal(asked_orders, 2);
    assert_true(asked->personal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_tenants_voice),
        TEST(test_what_was_found_moves_with_the_draft),
        TEST(test_no_words_in_that_language),
        TEST(test_a_drafter_is_told_nothing_of_the_customer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
