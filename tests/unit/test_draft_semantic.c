/* A draft that serves a question in other words: whom, and whom not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/metrics.h"
#include "loop/loop.h"
#include "model/cache.h"
#include "model/draft_driver.h"
#include "model/vector.h"

#define COUNTED(name)                                                                                        \
    metric_value(metrics_counter("helpdesk_cache_" name "_total", "", "cache=\"draft-semantic\""))

/* ---- the model behind it, which answers at once ---- */

static int asked;
static const char *says;  /* NULL: its number */
static const char *cites; /* NULL: nothing */
static bool escalates, degrades;

static void inner_start(void *state, const struct draft_request *request, draft_done *done, void *arg)
{
    (void)state;
    static const char *why = "no time";
    struct arena *arena = request->arena;
    struct draft_result *result = ARENA_NEW(arena, struct draft_result);
    asked++;
    *result = (struct draft_result){
        .model = "m", .prompt_version = "p", .input_tokens = 10, .output_tokens = 1, .escalated = escalates};
    struct msg_draft *draft = &result->generation.primary_draft;
    draft->text = says ? says : arena_printf(arena, "Draft %d", asked);
    draft->confidence = 0.8;
    result->generation.suggested_next_steps = arena_array(arena, 1, sizeof(char *));
    result->generation.suggested_next_steps[0] = "Check the network of this customer";
    result->generation.suggested_next_steps_count = 1;
    draft->citations = arena_array(arena, 1, sizeof(char *));
    draft->citations_count = cites != NULL;
    draft->citations[0] = cites;
    result->degraded = &why;
    result->degraded_count = degrades;
    done(arg, result, NULL);
}

/* ---- who asks ---- */

static const char *const near_ones[] = {"0a00803c7f00", "0a00803c7e08"}, *far_one = "0a00803c007f";

struct fixture {
    struct loop *loop;
    struct draft_model *model;
    struct arena *arena;
    struct msg_ticket *ticket;
    struct msg_classification *classification;
    struct msg_context *context;
    struct msg_question_vector vector;
    struct draft_request request;
    struct draft_request last; /* as it was asked */
};

static struct draft_model *model_new(struct fixture *f, double similarity)
{
    static const struct draft_driver driver = {.start = inner_start};
    const struct cache_limits limits = {.entries = 100, .bytes = 1 << 20, .keep_ms = 60000};
    return draft_cached_new(f->loop, draft_model_new(&driver, NULL), "scope", &limits, similarity);
}

/* The question that was answered. */
static void reset(struct fixture *f)
{
    says = NULL;
    cites = "kb/a.md#1";
    escalates = degrades = false;
    f->ticket = msg_new(&msg_ticket, f->arena);
    f->ticket->ticket_id = "T-1001";
    f->ticket->subject = "Hub";
    f->ticket->description = "How do I reset the hub?";
    f->ticket->customer_external_id = "C-1";
    f->ticket->locale = "en";
    f->classification = msg_new(&msg_classification, f->arena);
    f->classification->category = "technical";
    f->context = msg_new(&msg_context, f->arena);
    f->context->items = arena_array(f->arena, 2, sizeof(struct msg_context_item));
    for (int i = 0; i < 2; i++) {
        f->context->items[i] = (struct msg_context_item){.source_id = i == 0 ? "kb/a.md#1" : "kb/b.md#1",
            .excerpt = "Press it for ten seconds.",
            .citation_uri = "",
            .title = "Reset",
            .locale = "en",
            .type = MSG_ITEM_TYPE_KB};
    }
    f->context->items_count = 2;
    f->context->aggregate_confidence = 0.9;
    f->vector = (struct msg_question_vector){.model = "openai/m/2", .codes = near_ones[0]};
    f->request = (struct draft_request){.tenant = "default",
        .ticket = f->ticket,
        .classification = f->classification,
        .context = f->context,
        .kb_revision = 7,
        .vector = &f->vector,
        .escalate_below = 0.6,
        .deadline_mono_ms = INT64_MAX};
}

/* The same in other words, of somebody else. */
static void reword(struct fixture *f)
{
    f->ticket->ticket_id = "T-2002";
    f->ticket->customer_external_id = "C-2";
    f->ticket->description = "How can I reset the hub please?";
    f->vector.codes = near_ones[1];
    f->context->aggregate_confidence = 0.7;
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->loop = loop_new(0);
    f->arena = arena_new(0);
    f->model = model_new(f, 0.95);
    asked = 0;
    reset(f);
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

struct outcome {
    bool kept, semantic;
    size_t steps;
    double confidence;
    char text[64];
};

static void keep(void *arg, const struct draft_result *result, const struct error *err)
{
    struct outcome *outcome = arg;
    assert_null(err);
    const struct msg_draft *draft = &result->generation.primary_draft;
    outcome->kept = result->cache_hit;
    outcome->semantic = result->semantic;
    outcome->steps = result->generation.suggested_next_steps_count;
    outcome->confidence = draft->confidence;
    snprintf(outcome->text, sizeof(outcome->text), "%s", draft->text);
}

static struct outcome ask(struct fixture *f)
{
    struct outcome outcome = {0};
    f->request.arena = f->arena;
    f->last = f->request;
    draft_start(f->model, &f->last, keep, &outcome);
    return outcome;
}

/* ---- whom it serves ---- */

static void other_words_get_the_same_draft(void **state)
{
    struct fixture *f = *state;
    double hits = COUNTED("hits"), misses = COUNTED("misses");
    assert_false(ask(f).kept);
    reword(f);
    struct outcome other = ask(f);
    assert_true(other.kept && other.semantic && asked == 1);
    assert_string_equal(other.text, "Draft 1");
    assert_int_equal(other.steps, 0);     /* they are about the ticket that they were made for */
    assert_true(other.confidence == 0.7); /* no surer than what was found for it */
    reset(f);
    struct outcome same = ask(f);
    assert_true(same.kept && !same.semantic && same.steps == 1);
    assert_true(COUNTED("hits") == hits + 1 && COUNTED("misses") == misses + 1);
    f->context->items[1].source_id = "kb/c.md#1"; /* of the same words, but found something else besides */
    assert_true(ask(f).semantic);
}

/* Changes the reworded question so that it must be asked anew. */
typedef void change(struct fixture *f);

static void no_vector(struct fixture *f)
{
    f->request.vector = NULL;
}

static void another_models_vector(struct fixture *f)
{
    f->vector.model = "openai/n/2";
}

static void far_vector(struct fixture *f)
{
    f->vector.codes = far_one;
}

static void longer_vector(struct fixture *f)
{
    f->vector.codes = "0a00803c7f0000";
}

static void no_vector_at_all(struct fixture *f)
{
    f->vector.codes = "0a00";
}

static void tenant(struct fixture *f)
{
    f->request.tenant = "acme";
}

static void tone(struct fixture *f)
{
    f->request.tone = "dry";
}

static void strong(struct fixture *f)
{
    f->request.strong = true;
}

static void revision(struct fixture *f)
{
    f->request.kb_revision = 8;
}

static void language(struct fixture *f)
{
    f->ticket->locale = "de";
}

static void channel(struct fixture *f)
{
    f->ticket->channel = "chat";
}

static void category(struct fixture *f)
{
    f->classification->category = "billing";
}

static void no_classification(struct fixture *f)
{
    f->request.classification = NULL;
}

static void little_found(struct fixture *f)
{
    f->context->aggregate_confidence = 0.5;
}

static void nothing_found(struct fixture *f)
{
    f->context->items_count = 0;
}

static void no_context(struct fixture *f)
{
    f->request.context = NULL;
}

static void found_another_first(struct fixture *f)
{
    f->context->items[0].source_id = "kb/c.md#1";
    f->context->items[1].source_id = "kb/a.md#1";
}

static void an_order_was_found(struct fixture *f)
{
    f->context->items[1].type = MSG_ITEM_TYPE_ORDER;
}

static void a_service_level_was_found(struct fixture *f)
{
    f->context->items[1].type = MSG_ITEM_TYPE_RULE;
}

static void a_past_ticket_was_found(struct fixture *f)
{
    f->context->items[1].type = MSG_ITEM_TYPE_TICKET;
}

static void customer_is_known(struct fixture *f)
{
    f->context->customer = msg_new(&msg_customer_context, f->arena);
}

static void callers_context(struct fixture *f)
{
    f->request.personal = true;
}

static void conversation(struct fixture *f)
{
    f->ticket->messages = arena_array(f->arena, 1, sizeof(struct msg_message));
    f->ticket->messages[0] = (struct msg_message){.text = "We have sent it."};
    f->ticket->messages_count = 1;
}

static void another_number(struct fixture *f)
{
    f->ticket->description = "How can I reset the hub 2 please?";
}

static void negation(struct fixture *f)
{
    f->ticket->description = "How can I not reset the hub please?";
}

static void much_text(struct fixture *f)
{
    char *text = arena_array(f->arena, 801, 1);
    memset(text, ' ', 800);
    memcpy(text, f->ticket->description, strlen(f->ticket->description));
    text[799] = '.';
    text[800] = '\0';
    f->ticket->description = text;
}

static void what_differs_is_asked_anew(void **state)
{
    struct fixture *f = *state;
    static change *const changes[] = {no_vector, another_models_vector, far_vector, longer_vector,
        no_vector_at_all, tenant, tone, strong, revision, language, channel, category, no_classification,
        little_found, nothing_found, no_context, found_another_first, an_order_was_found,
        a_service_level_was_found, a_past_ticket_was_found, customer_is_known, callers_context, conversation,
        another_number, negation, much_text};
    assert_false(ask(f).kept);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        int before = asked;
        reset(f);
        degrades = true; /* what these get is not kept */
        reword(f);
        changes[i](f);
        struct outcome outcome = ask(f);
        if (outcome.kept || asked != before + 1) {
            fail_msg("change %zu was not asked anew", i);
        }
    }
    reset(f);
    reword(f);
    assert_true(ask(f).semantic);
}

/* What must not be shared is not, even with one whose question would fit. */
static void drafts_that_serve_nobody_else(void **state)
{
    struct fixture *f = *state;
    static change *const own[] = {an_order_was_found, a_past_ticket_was_found, customer_is_known,
        callers_context, conversation, no_vector};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        reset(f);
        own[i](f);
        (void)ask(f);
        reset(f);
        reword(f);
        degrades = true; /* so that it is not kept itself */
        assert_false(ask(f).kept);
    }
    reset(f);
    f->request.kb_revision = 0; /* not known: nobody can tell whether it is the same */
    (void)ask(f);
    reword(f);
    assert_false(ask(f).kept);
}

static void drafts_that_do_not_fit(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        reset(f);
        f->request.tone = arena_printf(f->arena, "%d", i); /* so that cases do not meet */
        escalates = i == 0;
        degrades = i == 1;
        cites = i == 2 ? NULL : i == 3 ? "kb/b.md#1" : "kb/a.md#1";
        if (i == 4) {
            f->ticket->description = "How do I reset the hub in hamburg?";
            says = "In Hamburg as anywhere.";
        }
        (void)ask(f);
        reword(f);
        degrades = true;
        if (i == 3) {
            f->context->items[1].source_id = "kb/c.md#1"; /* the cited passage was not found for it */
        }
        if (ask(f).kept) {
            fail_msg("case %d was shared", i);
        }
    }
}

static void an_unfit_draft_serves_nobody(void **state)
{
    struct fixture *f = *state;
    (void)ask(f);
    draft_unfit(f->model, &f->last);
    reword(f);
    assert_false(ask(f).kept);
    f->ticket->description = "How could I reset the hub please?";
    assert_true(ask(f).semantic);
    draft_unfit(f->model, &f->last); /* found so with what was found for this one */
    f->ticket->description = "How would I reset the hub please?";
    assert_false(ask(f).kept);
}

static void it_is_off_unless_wanted(void **state)
{
    struct fixture *f = *state;
    draft_free(f->model);
    f->model = model_new(f, 0);
    (void)ask(f);
    reword(f);
    assert_false(ask(f).kept);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(other_words_get_the_same_draft),
        TEST(what_differs_is_asked_anew),
        TEST(drafts_that_serve_nobody_else),
        TEST(drafts_that_do_not_fit),
        TEST(an_unfit_draft_serves_nobody),
        TEST(it_is_off_unless_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
