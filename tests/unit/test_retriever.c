/* The retriever on the sample knowledge base: what is found, how sure it is, whose orders are shown, and what
 * it does without a database. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "blob/blob.h"
#include "kb/sync.h"
#include "pg_testdb.h"
#include "stages/retriever_items.h"
#include "stages/stage.h"

static struct pg_testdb testdb;
static struct loop *loop;
static struct db *db;
static struct conf *conf;
static struct arena *arena;
static void *state;

static struct msg_ticket_event *answered;
static struct error error;

static void on_synced(
    void *arg, const struct kb_sync_counts *counts, const char *why, const struct error *err)
{
    (void)arg;
    assert_null(err);
    assert_string_equal(why, "");
    assert_true(counts->changed >= 34);
    assert_int_equal(counts->failed, 0);
    loop_stop(loop, 0);
}

static void load_samples(void)
{
    struct error err;
    const struct blob_place place = {.name = "default", .place = SOURCE_DIR "/deploy/sample/kb"};
    struct blob_source *source = blob_open(loop, &place, &err);
    assert_non_null(source);
    struct kb_sync_env env = {.loop = loop,
        .db = db,
        .source = source,
        .tenant = "default",
        .rules = {.public_url = "https://help.example/", .locale = ""},
        .parser = kb_parser_new("/proc/self/exe", (size_t)512 << 20, 10000),
        .max_document = 1 << 20};
    kb_sync_run(&env, &(struct kb_sync_request){.done = on_synced});
    (void)loop_run(loop);
    blob_close(source);
    kb_parser_free(env.parser);
    pg_testdb_script(&testdb,
        "INSERT INTO customers (tenant, external_id, customer_id, name, email, tier) VALUES "
        "('default', 'C-1', 'id-1', 'Ann', 'ann@example.com', 'standard'), "
        "('default', 'C-2', 'id-2', 'Bob', 'bob@example.com', 'enterprise');"
        "INSERT INTO orders (tenant, order_id, customer_external_id, status, total, ordered_at, summary) "
        "VALUES "
        "('default', 'LUM-1001', 'C-1', 'shipped', 10, '2026-01-01', '1 hub'), "
        "('default', 'LUM-1002', 'C-1', 'delivered', 20, '2026-02-01', '2 bulbs'), "
        "('default', 'LUM-2001', 'C-2', 'processing', 30, '2026-03-01', '3 plugs'), "
        "('other', 'LUM-3001', 'C-1', 'shipped', 30, '2026-03-01', 'of another tenant');"
        "INSERT INTO resolutions (tenant, ticket_id, subject, problem, answer, locale, config, accepted_at, "
        "tsv) "
        "SELECT tenant, id, 'Meter shows negative power', 'My energy meter shows minus 400 W.', 'Tap "
        "Invert.', 'en', "
        "'english', now(), to_tsvector('english', 'Meter shows negative power My energy meter shows minus "
        "400 W') "
        "FROM (VALUES ('default', 'T-1'), ('other', 'T-2')) AS t (tenant, id);");
}

static int setup_all(void **unused)
{
    (void)unused;
    struct error err;
    struct buf problems;
    buf_init(&problems, 4096);
    pg_testdb_create(&testdb, true);
    loop = loop_new(2);
    db = db_new(loop, &(struct db_options){.url = testdb.url, .connections = 4, .query_timeout_ms = 20000});
    conf = conf_load(NULL, &problems);
    assert_non_null(conf);
    arena = arena_new(0);
    load_samples();
    state = retriever_step.open(&(struct stage_env){.loop = loop, .conf = conf, .db = db}, &err);
    assert_non_null(state);
    buf_fini(&problems);
    return 0;
}

static int teardown_all(void **unused)
{
    (void)unused;
    retriever_step.close(state);
    db_free(db);
    conf_free(conf);
    arena_free(arena);
    loop_free(loop);
    pg_testdb_drop(&testdb);
    return 0;
}

static void on_answered(void *arg, struct msg_ticket_event *event, const struct error *err)
{
    (void)arg;
    answered = event;
    error = err != NULL ? *err : (struct error){0};
    loop_stop(loop, 0);
}

static struct msg_ticket_event *event_of(const char *subject, const char *description, const char *customer)
{
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, arena);
    event->ticket.subject = subject;
    event->ticket.description = description;
    event->ticket.customer_external_id = customer;
    return event;
}

static struct msg_context *retrieve(struct msg_ticket_event *event)
{
    ticket_step_try(&retriever_step, state, arena, event, on_answered, NULL);
    (void)loop_run(loop);
    assert_int_equal(error.disposition, ERROR_NONE);
    assert_non_null(answered->context);
    return answered->context;
}

static const struct msg_context_item *first_of(const struct msg_context *context, enum msg_item_type type)
{
    for (size_t i = 0; i < context->items_count; i++) {
        if (context->items[i].type == type) {
            return &context->items[i];
        }
    }
    return NULL;
}

static size_t count_of(const struct msg_context *context, enum msg_item_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < context->items_count; i++) {
        count += context->items[i].type == type;
    }
    return count;
}

/* What a help centre answers, with the document that does, and what it does not. */
struct asked {
    const char *subject;
    const char *description;
    const char *document; /* NULL: nothing answers it */
};

static const struct asked questions[] = {
    {"How do I reset the hub to factory settings?",
        "I am giving my hub to my brother. How do I do a factory reset of the hub, and can I restore a "
        "backup on another hub "
        "later?",
        "hub/factory-reset.md"},
    {"Erstattung dauert zu lange",
        "Guten Tag, ich habe die drei Steckdosen vor einer Woche zur\xc3\xbc"
        "ckgeschickt. Wie lange dauert die Erstattung auf meine Kreditkarte, nachdem das Paket im Lager "
        "angekommen ist? Vielen "
        "Dank!",
        "de/erstattung.md"},
    {"Bulb is not found when pairing",
        "The app does not find my new bulb when I try to pair it. How do I reset the bulb so that it can be "
        "paired?",
        "devices/pair-bulbs.md"},
    {"forgot my password",
        "Hi, I forgot my password and cannot sign in any more. The reset email does not arrive.",
        "account/reset-password.md"},
    {"Charged twice",
        "Hello team, I see the same order twice on my statement. Were you charging me twice? Please give one "
        "amount back. Best "
        "regards, Maria Jensen",
        "billing/refunds.md"},
    {"Lost phone, two-step codes",
        "I lost my phone and with it the authenticator app. I don't have the recovery codes either. How do I "
        "get into my account?",
        "account/two-step-verification.md"},
    {"Error E30", "My hub shows E30 since yesterday, the update fails every night. What can I do?",
        "hub/firmware-updates.md"},
    {"Cancel Plus", "I want to cancel my Plus subscription that I bought through Google Play. How?",
        "billing/cancel-subscription.md"},
    {"Delivery to Switzerland", "How long does delivery to Switzerland take and what does shipping cost?",
        "shipping/delivery-times.md"},
    {"Parcel marked delivered",
        "The tracking says delivered yesterday but I have nothing. My neighbours do not have it.",
        "shipping/track-order.md"},
    {"Alexa", "Alexa says device is not responding for my living room lamp. Any idea?",
        "devices/voice-assistants.html"},
    {"warranty of the meter", "How long is the warranty on the energy meter? An electrician installed it.",
        "legal/warranty.html"},
    {"Hub einrichten",
        "Ich habe einen neuen Router. Wie bringe ich den Hub in das neue WLAN, ohne alle Ger\xc3\xa4te neu "
        "zu verbinden?",
        "de/hub-einrichten.md"},
    {"API rate limit", "We get status 429 from your API. How many requests per minute may a Pro home send?",
        "legal/api-limits.txt"},
    {"Lampe flackert", "Meine neue Lampe flackert, wenn ich den Dimmer in der Wand benutze. Woran liegt das?",
        "de/lampen-verbinden.md"},
    {"Invoice with VAT number",
        "We need the VAT number of our company on the invoice of last week. Can you change it?",
        "billing/invoices.md"},
    {"export data and delete account",
        "Please tell me how to delete my account and whether I can download my data before.",
        "account/delete-account.md"},
    {"Order still processing - this is unacceptable",
        "Our order LUM-2001 has been stuck in Processing for two weeks and nobody answers. The hotel opens "
        "on Friday! This is the "
        "second time a delivery from you goes wrong. Why has the order not shipped yet, and when does it "
        "leave the warehouse? If "
        "this is not solved today we will take our business elsewhere.",
        "shipping/delivery-times.md"},
    {"Sponsoring our football club",
        "Would your marketing team like to sponsor the jerseys of our youth football club next season? We "
        "play in the regional "
        "league and expect 400 spectators a match.",
        NULL},
    {"Job application",
        "I am a software engineer with ten years of experience in Berlin. Do you have open positions, and "
        "where do I send my CV?",
        NULL},
    {"Swimming pool pump",
        "Does the hub control my swimming pool pump with the Hayward protocol over RS-485?", NULL},
    {"Wedding photos", "Could you recommend a photographer for our wedding in June?", NULL},
    {"Bluetooth speaker sound",
        "The speaker has no sound when I play music from my laptop over Bluetooth. Which codec does it "
        "support?",
        NULL},
    {"Kaffeemaschine entkalken",
        "Wie entkalke ich meine Kaffeemaschine, und welches Entkalkungsmittel empfehlen Sie?", NULL},
    {"Investor relations", "Please send me the annual report and the dates of the next shareholder meeting.",
        NULL},
    {"Airport lounge", "Does my credit card give me access to the airport lounge in Frankfurt?", NULL},
    {"Print a QR sticker on t-shirts",
        "We would like to print your logo on 200 t-shirts for a trade fair. Who gives the permission for the "
        "brand?",
        NULL},
    {"Garage door", "Can Lumio open my garage door when I come home?", NULL},
    {"Doorbell camera", "How do I connect a doorbell camera to the hub?", NULL},
    {"Z-Wave", "Does the hub support Z-Wave locks?", NULL},
};

static void confidence_tells_answerable_from_not(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        const struct asked *asked = &questions[i];
        const struct msg_context *context = retrieve(event_of(asked->subject, asked->description, "C-9"));
        double confidence = context->aggregate_confidence;
        if (asked->document == NULL) {
            if (confidence >= 0.5) {
                fail_msg("\"%s\" is not answered, but the confidence is %.2f", asked->subject, confidence);
            }
            continue;
        }
        const struct msg_context_item *best = first_of(context, MSG_ITEM_TYPE_KB);
        if (best == NULL || strstr(best->source_id, asked->document) == NULL || confidence <= 0.75) {
            fail_msg("\"%s\": %s, confidence %.2f", asked->subject, best ? best->source_id : "nothing",
                confidence);
        }
    }
}

static void items_are_ordered_and_can_be_opened(void **unused)
{
    (void)unused;
    const struct msg_context *context =
        retrieve(event_of("Delivery to Switzerland", "How long does delivery to Switzerland take?", "C-1"));
    for (size_t i = 0; i < context->items_count; i++) {
        assert_true(context->items[i].score >= 0 && context->items[i].score <= 1);
        assert_true(i == 0 || context->items[i].score <= context->items[i - 1].score);
    }
    const struct msg_context_item *best = first_of(context, MSG_ITEM_TYPE_KB);
    assert_non_null(best);
    assert_string_equal(
        best->citation_uri, "https://help.example/shipping/delivery-times.md#how-long-it-takes");
    assert_string_equal(best->title, "Delivery times and shipping cost > How long it takes");
    assert_string_equal(best->locale, "en");
    const struct msg_step_trace *trace = &answered->steps[answered->steps_count - 1];
    assert_string_equal(trace->model, "postgresql-fts/1");
    assert_true(trace->has_kb_revision && trace->kb_revision > 0);
    assert_int_equal(trace->degraded_count, 0);
}

static void orders_are_the_customers_own(void **unused)
{
    (void)unused;
    const struct msg_context *context =
        retrieve(event_of("Where is my order lum-1001?", "And what about LUM-2001 and LUM-3001?", "C-1"));
    assert_int_equal(context->customer_state, MSG_CUSTOMER_STATE_READY);
    assert_string_equal(context->customer->name, "Ann");
    assert_int_equal(count_of(context, MSG_ITEM_TYPE_ORDER), 2);
    const struct msg_context_item *order = first_of(context, MSG_ITEM_TYPE_ORDER);
    assert_string_equal(order->source_id, "order/LUM-1001");
    assert_true(order->score > 0.9);
    for (size_t i = 0; i < context->items_count; i++) {
        assert_null(strstr(context->items[i].excerpt, "LUM-2001"));
        assert_null(strstr(context->items[i].excerpt, "another tenant"));
    }
}

static void an_unknown_customer_is_said(void **unused)
{
    (void)unused;
    const struct msg_context *context = retrieve(event_of("Hello", "Where is my parcel?", "nobody"));
    assert_int_equal(context->customer_state, MSG_CUSTOMER_STATE_UNKNOWN_CUSTOMER);
    assert_null(context->customer);
    assert_int_equal(count_of(context, MSG_ITEM_TYPE_ORDER), 0);
}

static void the_rule_follows_priority_and_tier(void **unused)
{
    (void)unused;
    struct msg_ticket_event *event = event_of("Order late", "Where is it?", "C-2");
    event->classification = msg_new(&msg_classification, arena);
    event->classification->category = "shipping";
    event->classification->priority = MSG_PRIORITY_CRITICAL;
    event->classification->department = "Logistics";
    event->classification->confidence = 0.9;
    const struct msg_context_item *rule = first_of(retrieve(event), MSG_ITEM_TYPE_RULE);
    assert_non_null(rule);
    assert_string_equal(rule->source_id, "rule/sla/critical");
    assert_string_equal(rule->excerpt, "Priority critical: first response within 1 h, resolution within 4 h. "
                                       "Expedite: enterprise customer.");
    rule = first_of(retrieve(event_of("Order late", "Where is it?", "C-1")), MSG_ITEM_TYPE_RULE);
    assert_string_equal(rule->excerpt, "Priority medium: first response within 1 d, resolution within 2 d.");
}

static void accepted_answers_are_found_within_the_tenant(void **unused)
{
    (void)unused;
    const struct msg_context *context =
        retrieve(event_of("Negative power", "My energy meter shows minus 300 W power.", "C-1"));
    assert_int_equal(count_of(context, MSG_ITEM_TYPE_TICKET), 1);
    const struct msg_context_item *ticket = first_of(context, MSG_ITEM_TYPE_TICKET);
    assert_string_equal(ticket->source_id, "ticket/T-1");
    assert_string_equal(ticket->excerpt, "Tap Invert.");
    struct msg_ticket_event *own =
        event_of("Negative power", "My energy meter shows minus 300 W power.", "C-1");
    own->ticket.ticket_id = "T-1";
    assert_int_equal(count_of(retrieve(own), MSG_ITEM_TYPE_TICKET), 0);
    struct msg_ticket_event *other =
        event_of("Negative power", "My energy meter shows minus 300 W power.", "C-1");
    other->tenant = "other";
    context = retrieve(other);
    assert_int_equal(count_of(context, MSG_ITEM_TYPE_KB), 0);
    assert_string_equal(first_of(context, MSG_ITEM_TYPE_TICKET)->source_id, "ticket/T-2");
}

static void hostile_text_is_only_text(void **unused)
{
    (void)unused;
    const struct msg_context *context =
        retrieve(event_of("'); DROP TABLE kb_passages; --", "\\' & | ! :* <-> \"\\\\\" {}, NULL", "'"));
    assert_true(context->aggregate_confidence < 0.6);
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 20000; i++) {
        buf_printf(&text, "refund%d? ", i);
    }
    (void)retrieve(event_of("refund", buf_text(&text), "C-1"));
    buf_fini(&text);
}

static void what_neighbours_share_is_shown_once(void **unused)
{
    (void)unused;
    struct arena *scratch = arena_new(0);
    struct kb_hit hits[] = {
        {.source_id = "default/a.md#3", .text = "It ends here for good.\n\nThe third.", .score = 0.9},
        {.source_id = "default/a.md#2", .text = "The second. It ends here for good.", .score = 0.8},
        {.source_id = "default/b.md#3", .text = "It ends here for good.\n\nOther.", .score = 0.7},
    };
    struct item_list list =
        items_from_hits(scratch, &(struct kb_search_result){.hits = hits, .count = 3, .confidence = 1});
    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[0].excerpt, "The third.");
    assert_string_equal(list.items[1].excerpt, hits[1].text);
    assert_string_equal(list.items[2].excerpt, hits[2].text);
    arena_free(scratch);
}

static void excerpts_stay_in_their_budget(void **unused)
{
    (void)unused;
    struct error err;
    assert_true(conf_set(conf, "retriever.excerpt-bytes", "1024", &err));
    void *normal = state;
    state = retriever_step.open(&(struct stage_env){.loop = loop, .conf = conf, .db = db}, &err);
    const struct msg_context *context = retrieve(event_of(
        "Refund windows", "What is the refund window for a hub, and how long does a refund take?", "C-1"));
    size_t bytes = 0;
    for (size_t i = 0; i < context->items_count; i++) {
        bytes += strlen(context->items[i].excerpt);
    }
    assert_true(bytes > 300 && bytes <= 1024);
    retriever_step.close(state);
    state = normal;
}

static void on_finished(struct ticket_job *job, const struct error *err)
{
    on_answered(NULL, job->event, err);
}

/* Nothing listens there. */
static void without_a_database(struct ticket_job *job)
{
    struct error err;
    struct db *away =
        db_new(loop, &(struct db_options){
                         .url = "postgresql://127.0.0.1:1/none", .connections = 1, .query_timeout_ms = 500});
    void *lonely = retriever_step.open(&(struct stage_env){.loop = loop, .conf = conf, .db = away}, &err);
    job->arena = arena;
    job->event = event_of("a", "b", "C-1");
    job->trace = msg_new(&msg_step_trace, arena);
    job->finished = on_finished;
    retriever_step.process(job, lonely);
    (void)loop_run(loop);
    retriever_step.close(lonely);
    db_free(away);
}

static void the_engine_tries_again_while_there_is_time(void **unused)
{
    (void)unused;
    without_a_database(&(struct ticket_job){.deadline_mono_ms = INT64_MAX});
    assert_int_equal(error.disposition, ERROR_RETRY);
}

static void at_the_deadline_it_says_what_is_missing(void **unused)
{
    (void)unused;
    struct ticket_job job = {.deadline_mono_ms = clock_mono_ms() + 100};
    without_a_database(&job);
    assert_int_equal(error.disposition, ERROR_NONE);
    assert_int_equal(answered->context->items_count, 0);
    assert_int_equal(answered->context->customer_state, MSG_CUSTOMER_STATE_UNAVAILABLE);
    assert_int_equal(job.trace->degraded_count, 4);
    assert_string_equal(job.trace->degraded[0], "database unavailable: no knowledge base");
}

/* The database refuses at once, long before its own time-out and the end of the reserve. */
static void within_the_reserve_a_refusal_is_no_reason_to_wait(void **unused)
{
    (void)unused;
    struct ticket_job job = {.deadline_mono_ms = clock_mono_ms() + ENGINE_RESERVE_MS};
    int64_t started = clock_mono_ms();
    without_a_database(&job);
    assert_int_equal(error.disposition, ERROR_NONE);
    assert_int_equal(job.trace->degraded_count, 4);
    assert_true(clock_mono_ms() - started < ENGINE_RESERVE_MS / 2); /* before its timer */
    job.deadline_mono_ms = clock_mono_ms() + 10 * ENGINE_RESERVE_MS;
    without_a_database(&job);
    assert_int_equal(error.disposition, ERROR_RETRY);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], KB_PARSER_COMMAND)) { /* started by the test itself */
        return kb_parser_serve(argc - 1, argv + 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(confidence_tells_answerable_from_not),
        cmocka_unit_test(items_are_ordered_and_can_be_opened),
        cmocka_unit_test(orders_are_the_customers_own),
        cmocka_unit_test(an_unknown_customer_is_said),
        cmocka_unit_test(the_rule_follows_priority_and_tier),
        cmocka_unit_test(accepted_answers_are_found_within_the_tenant),
        cmocka_unit_test(hostile_text_is_only_text),
        cmocka_unit_test(what_neighbours_share_is_shown_once),
        cmocka_unit_test(excerpts_stay_in_their_budget),
        cmocka_unit_test(the_engine_tries_again_while_there_is_time),
        cmocka_unit_test(at_the_deadline_it_says_what_is_missing),
        cmocka_unit_test(within_the_reserve_a_refusal_is_no_reason_to_wait),
    };
    return cmocka_run_group_tests_name("retriever", tests, setup_all, teardown_all);
}
