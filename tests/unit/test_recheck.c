/* Sources that are changed or deleted between the search and the answer: no draft is made of them, none that
 * was made of them goes out, and nothing is asked of the database while nothing has changed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "kb/revision.h"
#include "model/draft_driver.h"
#include "pg_testdb.h"
#include "stages/generator.h"

#define LOOK_MS 5
#define REFUNDS "We start the refund within 2 working days. Cards take 3 to 5 working days."
#define PARCEL "The parcel reaches our warehouse within a week. We start the refund of it then."

static struct pg_testdb testdb;
static struct loop *loop;
static struct db *db;
static struct kb_revisions *revisions; /* to know when the generator knows */
static struct metric *queries, *gone;

static const struct generator_policy policy = {.ready_confidence = 0.75, .escalate_below = 0.6};

/* A model that drafts when the test says so: while it thinks, the base changes. */
struct thinking {
    struct draft_model *offline;
    const char *change; /* SQL, while the first draft is made; NULL: nothing changes */
    int started;
    size_t items[4]; /* of each request */
    const struct draft_request *request;
    draft_done *done;
    void *arg;
    struct loop_timer *timer;
    int64_t until; /* this revision is known */
};

struct fixture {
    struct arena *arena;
    struct thinking *model;
    void *state;
    struct msg_ticket_event *event;
    bool done;
};

/* ---- the base ---- */

static int64_t revision(void)
{
    return strtoll(pg_testdb_value(&testdb,
                       "SELECT coalesce(max(revision), 0) FROM kb_revisions WHERE tenant = 'default'"),
        NULL, 10);
}

static void put(const char *key, const char *text)
{
    char sql[1024];
    (void)snprintf(sql, sizeof(sql),
        "SELECT kb_put_document('default', 'docs', '%s', coalesce((SELECT revision FROM kb_documents WHERE "
        "object_key = '%s'), 0), 'Refunds', 'https://h/%s', 'en', md5('%s'), '', 1, 1, 'ready', '', "
        "'english', "
        "'{\"\"}', '{\"\"}', ARRAY['%s'])",
        key, key, key, text, text);
    pg_testdb_script(&testdb, sql);
}

#define REMOVE(key)                                                                                          \
    "SELECT kb_remove_document('default', 'docs', '" key "', (SELECT revision FROM kb_documents "            \
    "WHERE object_key = '" key "'))"

struct wait {
    struct loop_timer *timer;
    int64_t revision;
};

static void on_answer(void *arg, const struct db_result *result, const struct error *err)
{
    (void)arg;
    (void)result;
    assert_null(err);
    loop_stop(loop, 0);
}

/* With one connection what the generator asked for is there before the answer to this. */
static void on_wait(void *arg)
{
    struct wait *wait = arg;
    if (kb_revisions_of(revisions, "default") == wait->revision) {
        db_query(db, &(struct db_query){.sql = "SELECT 1"}, on_answer, NULL);
    } else {
        loop_timer_arm(wait->timer, LOOK_MS);
    }
}

/* Until the base's present revision is known, here as in the generator. */
static void wait_known(void)
{
    struct wait wait = {.revision = revision()};
    wait.timer = loop_timer_new(loop, on_wait, &wait);
    loop_timer_arm(wait.timer, 0);
    (void)loop_run(loop);
    loop_timer_free(wait.timer);
}

/* ---- the model ---- */

static void on_think(void *arg)
{
    struct thinking *model = arg;
    if (kb_revisions_of(revisions, "default") < model->until) {
        loop_timer_arm(model->timer, LOOK_MS);
        return;
    }
    draft_start(model->offline, model->request, model->done, model->arg);
}

static void think(void *state, const struct draft_request *request, draft_done *done, void *arg)
{
    struct thinking *model = state;
    assert_true(model->started < 4);
    model->items[model->started++] = request->context->items_count;
    model->request = request;
    model->done = done;
    model->arg = arg;
    if (model->started == 1 && model->change) {
        pg_testdb_script(&testdb, model->change);
    }
    model->until = revision();
    loop_timer_arm(model->timer, 0);
}

static void stop_thinking(void *state)
{
    struct thinking *model = state;
    loop_timer_free(model->timer);
    draft_free(model->offline);
    free(model);
}

/* ---- fixtures ---- */

static int setup_all(void **state)
{
    (void)state;
    pg_testdb_create(&testdb, true);
    loop = loop_new(2);
    db = db_new(loop, &(struct db_options){.url = testdb.url, .connections = 1, .query_timeout_ms = 60000});
    revisions = kb_revisions_new(db);
    queries = metrics_counter("helpdesk_db_queries_total", "", NULL);
    gone = metrics_counter("helpdesk_sources_gone_total", "", NULL);
    return 0;
}

static int teardown_all(void **state)
{
    (void)state;
    kb_revisions_free(revisions);
    db_free(db);
    loop_free(loop);
    pg_testdb_drop(&testdb);
    return 0;
}

static void add_item(struct fixture *f, const char *id, const char *excerpt, double score)
{
    struct msg_context *context = f->event->context;
    context->items[context->items_count++] = (struct msg_context_item){.source_id = id,
        .title = "Refunds",
        .excerpt = excerpt,
        .citation_uri = id,
        .score = score,
        .type = MSG_ITEM_TYPE_KB,
        .locale = "en"};
}

/* As the retriever made it of the base as it is now. */
static void found_now(struct fixture *f)
{
    f->event->steps = arena_array(f->arena, 1, sizeof(*f->event->steps));
    f->event->steps[0] = *(struct msg_step_trace *)msg_new(&msg_step_trace, f->arena);
    f->event->steps[0].step = MSG_STEP_RETRIEVE;
    f->event->steps[0].has_kb_revision = true;
    f->event->steps[0].kb_revision = revision();
    f->event->steps[0].started_at = clock_wall_ms();
    f->event->steps_count = 1;
}

static int setup(void **state)
{
    static const struct draft_driver driver = {.start = think, .free = stop_thinking};
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err;
    put("a/refunds.md", REFUNDS);
    put("parcel#1.md", PARCEL);
    f->arena = arena_new(0);
    f->model = calloc(1, sizeof(*f->model));
    f->model->offline = draft_offline_new();
    f->model->timer = loop_timer_new(loop, on_think, f->model);
    f->state = generator_new(
        draft_model_new(&driver, f->model), guard_new(""), voices_load("", &err), &policy, loop, db);
    f->event = msg_new(&msg_ticket_event, f->arena);
    f->event->tenant = "default";
    f->event->ticket.subject = "How long does my refund take?";
    f->event->ticket.description = "I sent the parcel back. When does the refund reach my card?";
    f->event->ticket.customer_external_id = "C-1";
    f->event->context = msg_new(&msg_context, f->arena);
    f->event->context->items = arena_array(f->arena, 4, sizeof(*f->event->context->items));
    f->event->context->aggregate_confidence = 0.92;
    add_item(f, "docs/a/refunds.md#1", REFUNDS, 0.92);
    add_item(f, "docs/parcel#1.md#1", "The parcel reaches our warehouse within a week.", 0.8);
    found_now(f);
    wait_known();
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

static void on_done(void *arg, struct msg_ticket_event *event, const struct error *err)
{
    struct fixture *f = arg;
    assert_null(err);
    assert_ptr_equal(event, f->event);
    f->done = true;
    loop_stop(loop, 0);
}

static void generate(struct fixture *f)
{
    ticket_step_try(&generator_step, f->state, f->arena, f->event, on_done, f);
    while (!f->done) {
        (void)loop_run(loop);
    }
    assert_non_null(f->event->generation);
}

static bool cites(const struct fixture *f, const char *id)
{
    const struct msg_generation *generation = f->event->generation;
    const struct msg_draft *drafts[] = {&generation->primary_draft, generation->alternative_draft};
    for (size_t d = 0; d < 2 && drafts[d]; d++) {
        for (size_t i = 0; i < drafts[d]->citations_count; i++) {
            if (strstr(drafts[d]->citations[i], id)) {
                return true;
            }
        }
    }
    return false;
}

static void assert_left_out(const struct fixture *f, const char *id)
{
    const struct msg_context *context = f->event->context;
    for (size_t i = 0; i < context->items_count; i++) {
        assert_string_not_equal(context->items[i].source_id, id);
    }
    assert_false(cites(f, id));
    assert_false(f->event->generation->primary_draft.ready);
    assert_int_equal(f->event->state, MSG_STATE_DEGRADED);
    const struct msg_step_trace *trace = &f->event->steps[f->event->steps_count - 1];
    assert_int_equal(trace->degraded_count, 1);
    assert_string_equal(
        trace->degraded[0], "sources were changed or deleted after they had been found: they are left out");
}

/* ---- tests ---- */

static void nothing_is_asked_while_nothing_changed(void **state)
{
    struct fixture *f = *state;
    double before = metric_value(queries);
    generate(f);
    assert_true(metric_value(queries) == before);
    assert_true(cites(f, "a/refunds.md"));
    assert_true(f->event->generation->primary_draft.ready);
    assert_int_equal(f->model->started, 1);
}

static void other_changes_do_no_harm(void **state)
{
    struct fixture *f = *state;
    struct msg_context *context = f->event->context;
    for (size_t i = 0; i < context->items_count; i++) { /* as behind what the passage before says already */
        if (!strcmp(context->items[i].excerpt, PARCEL)) {
            context->items[i].excerpt = strstr(PARCEL, "We start");
        }
    }
    f->model->change = "SELECT kb_put_document('default', 'docs', 'new.md', 0, 'New', 'https://h/new', 'en', "
                       "'f', '', 1, 1, 'ready', '', 'english', '{}', '{}', '{}'); " REMOVE("new.md");
    generate(f);
    assert_true(cites(f, "a/refunds.md"));
    assert_true(f->event->generation->primary_draft.ready);
    assert_int_equal(f->model->started, 1);
    assert_int_equal(context->items_count, 2);
}

static void deleted_before_the_draft(void **state)
{
    struct fixture *f = *state;
    double before = metric_value(gone);
    pg_testdb_script(&testdb, REMOVE("a/refunds.md"));
    wait_known();
    generate(f);
    assert_left_out(f, "docs/a/refunds.md#1");
    assert_int_equal(f->model->started, 1);
    assert_int_equal(f->model->items[0], 1);
    assert_true(f->event->context->aggregate_confidence == 0.8);
    assert_true(metric_value(gone) == before + 1);
}

static void deleted_while_the_model_drafts(void **state)
{
    struct fixture *f = *state;
    f->model->change = REMOVE("a/refunds.md");
    generate(f);
    assert_left_out(f, "docs/a/refunds.md#1");
    assert_int_equal(f->model->started, 2);
    assert_int_equal(f->model->items[0], 2);
    assert_int_equal(f->model->items[1], 1);
}

static void changed_while_the_model_drafts(void **state)
{
    struct fixture *f = *state;
    f->model->change =
        "UPDATE kb_passages SET text = 'The parcel is burnt.' WHERE object_key = 'parcel#1.md'; "
        "SELECT kb_next_revision('default')";
    generate(f);
    assert_left_out(f, "docs/parcel#1.md#1");
    assert_true(cites(f, "a/refunds.md"));
    assert_int_equal(f->model->started, 2);
}

static void all_of_them_are_deleted(void **state)
{
    struct fixture *f = *state;
    f->model->change = REMOVE("a/refunds.md") "; " REMOVE("parcel#1.md");
    generate(f);
    assert_left_out(f, "docs/a/refunds.md#1");
    assert_int_equal(f->event->context->items_count, 0);
    assert_true(f->event->context->aggregate_confidence == 0);
    assert_int_equal(f->model->items[1], 0);
}

/* As after a long wait for the model: nothing but time has passed. */
static void found_long_ago(struct fixture *f)
{
    f->event->steps[0].started_at -= 60 * 1000;
}

static void expired_before_the_draft(void **state)
{
    struct fixture *f = *state;
    pg_testdb_script(&testdb,
        "UPDATE kb_documents SET expires_at = now() - interval '1 s' WHERE object_key = 'a/refunds.md'");
    found_long_ago(f);
    generate(f);
    assert_left_out(f, "docs/a/refunds.md#1");
    pg_testdb_script(&testdb, "UPDATE kb_documents SET expires_at = NULL");
}

static void add_answers(struct fixture *f)
{
    static const char answer[] = "Cards take 3 to 5 working days, others 10.";
    pg_testdb_script(&testdb,
        "INSERT INTO resolutions (tenant, ticket_id, subject, problem, answer, category, locale, "
        "accepted_at, "
        "config, tsv) SELECT 'default', id, 's', 'p', 'Cards take 3 to 5 working days, others 10.', '', "
        "'en', "
        "now(), 'english', '' FROM unnest(ARRAY['T-1', 'T-2']) AS id ON CONFLICT DO NOTHING");
    for (int i = 1; i <= 2; i++) {
        add_item(f, arena_printf(f->arena, "ticket/T-%d", i), answer, 0.7);
        f->event->context->items[f->event->context->items_count - 1].type = MSG_ITEM_TYPE_TICKET;
    }
}

static void taken_back_before_the_draft(void **state)
{
    struct fixture *f = *state;
    add_answers(f);
    pg_testdb_script(&testdb, "DELETE FROM resolutions WHERE ticket_id = 'T-1'");
    found_long_ago(f);
    generate(f);
    assert_left_out(f, "ticket/T-1");
    assert_int_equal(f->event->context->items_count, 3);
    assert_string_equal(f->event->context->items[2].source_id, "ticket/T-2");
}

/* What a caller brings is its own: never ready, never looked up. */
static void what_a_caller_brings_is_not_looked_up(void **state)
{
    struct fixture *f = *state;
    f->event->caller_context = true;
    pg_testdb_script(&testdb, REMOVE("a/refunds.md"));
    wait_known();
    double before = metric_value(queries);
    generate(f);
    assert_true(metric_value(queries) == before);
    assert_int_equal(f->event->context->items_count, 2);
}

static void a_database_that_is_away_is_said(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct db *away = db_new(
        loop, &(struct db_options){.url = "host=127.0.0.1 port=1", .connections = 1, .query_timeout_ms = 50});
    struct draft_model *model = draft_offline_new();
    void *state_away = generator_new(model, guard_new(""), voices_load("", &err), &policy, loop, away);
    ticket_step_try(&generator_step, state_away, f->arena, f->event, on_done, f);
    while (!f->done) {
        (void)loop_run(loop);
    }
    const struct msg_draft *draft = &f->event->generation->primary_draft;
    assert_false(draft->ready);
    assert_string_equal(
        draft->not_ready_because[draft->not_ready_because_count - 1], "the result is degraded");
    assert_int_equal(f->event->state, MSG_STATE_DEGRADED);
    generator_step.close(state_away);
    db_free(away);
}

/* ---- the present revision ---- */

static void revisions_survive_a_lost_connection(void **state)
{
    (void)state;
    wait_known();
    assert_int_equal(kb_revisions_of(revisions, "of nobody"), 0);
    pg_testdb_script(&testdb, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                              "WHERE datname = current_database() AND pid <> pg_backend_pid()");
    pg_testdb_script(&testdb, "INSERT INTO kb_revisions (tenant, revision) VALUES ('two words', 6); "
                              "SELECT kb_next_revision('two words'); SELECT kb_next_revision('default')");
    wait_known();
    assert_int_equal(kb_revisions_of(revisions, "two words"), 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_asked_while_nothing_changed),
        TEST(other_changes_do_no_harm),
        TEST(deleted_before_the_draft),
        TEST(deleted_while_the_model_drafts),
        TEST(changed_while_the_model_drafts),
        TEST(all_of_them_are_deleted),
        TEST(expired_before_the_draft),
        TEST(taken_back_before_the_draft),
        TEST(what_a_caller_brings_is_not_looked_up),
        TEST(a_database_that_is_away_is_said),
        TEST(revisions_survive_a_lost_connection),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
