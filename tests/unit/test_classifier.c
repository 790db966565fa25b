/* The classify step with the offline model: categories, priority, sentiment, honesty, and the taxonomy file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model/taxonomy.h"
#include "stages/stage.h"

struct fixture {
    struct conf *conf;
    void *state;
    struct arena *arena;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct buf problems;
    struct error err = {0};
    buf_init(&problems, 65536);
    clearenv(); /* settings of whoever runs the tests */
    f->conf = conf_load(NULL, &problems);
    if (f->conf == NULL) {
        fail_msg("%s", buf_text(&problems));
    }
    buf_fini(&problems);
    const struct stage_env env = {.conf = f->conf};
    f->state = classifier_step.open(&env, &err);
    if (f->state == NULL) {
        fail_msg("%s", err.text);
    }
    f->arena = arena_new(0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    classifier_step.close(f->state);
    conf_free(f->conf);
    arena_free(f->arena);
    free(f);
    return 0;
}

static void keep(void *arg, struct msg_ticket_event *event, const struct error *err)
{
    if (err != NULL) {
        fail_msg("%s", err->text);
    }
    *(struct msg_ticket_event **)arg = event;
}

static struct msg_ticket_event *ask(
    struct fixture *f, const char *subject, const char *description, const char *hint)
{
    struct msg_ticket_event *event = msg_new(&msg_ticket_event, f->arena), *done = NULL;
    event->ticket.subject = subject;
    event->ticket.description = description;
    event->ticket.customer_external_id = "C-1";
    event->ticket.has_priority = hint != NULL && msg_priority_parse(hint, &event->ticket.priority);
    ticket_step_try(&classifier_step, f->state, f->arena, event, keep, &done);
    assert_non_null(done);
    assert_non_null(done->classification);
    return done;
}

static void test_categories(void **state)
{
    static const struct {
        const char *subject, *text, *category;
    } cases[] = {
        {"Charged twice", "My credit card was charged twice for the invoice of October.", "billing"},
        {"Refund", "I returned the plug. When do I get my money back?", "billing"},
        {"Cancel subscription", "Please tell me how to cancel my subscription before renewal.", "billing"},
        {"App crashes", "The app crashes with error code 500 after the last update.", "technical"},
        {"Webhook", "Our API integration times out, the endpoint returns HTTP 500.", "technical"},
        {"Hub offline", "The hub lost its wifi connection and does not reconnect after a restart.",
            "technical"},
        {"Cannot log in", "I forgot my password and the reset link never comes.", "account"},
        {"Two-factor", "I got a new phone and the authenticator codes are gone.", "account"},
        {"Delete my account", "Please delete my account and my personal data under GDPR.", "account"},
        {"Where is my order", "The tracking number has not moved for a week, the parcel is lost?",
            "shipping"},
        {"Arrived damaged", "The package arrived damaged, the courier left it in the rain.", "shipping"},
        {"Doppelt abgebucht", "Der Betrag wurde doppelt von meiner Kreditkarte abgebucht.", "billing"},
        {"Passwort vergessen", "Ich kann mich nicht anmelden, das Zurücksetzen geht nicht.", "account"},
        {"Lieferung", "Mein Paket ist nicht angekommen, die Sendungsnummer zeigt nichts.", "shipping"},
        {"Fehlermeldung", "Die App stürzt ab und zeigt eine Fehlermeldung.", "technical"},
        {"Football club", "Would you like to sponsor our charity match?", "other"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct msg_classification *got = ask(f, cases[i].subject, cases[i].text, NULL)->classification;
        if (strcmp(got->category, cases[i].category) != 0) {
            fail_msg("%s: %s (%s), expected %s", cases[i].subject, got->category, got->reasoning_snippet,
                cases[i].category);
        }
        assert_true(got->confidence > 0 && got->confidence <= 1);
        assert_true(got->reasoning_snippet[0] != 0);
    }
}

static void test_honest_confidence(void **state)
{
    struct fixture *f = *state;
    const struct msg_classification *none =
        ask(f, "Hello", "Could somebody write to me?", NULL)->classification;
    assert_string_equal(none->category, "other");
    assert_true(none->confidence < 0.5);
    double weak = ask(f, "Question", "It is about the amount.", NULL)->classification->confidence;
    double strong =
        ask(f, "Charged twice", "The invoice was paid twice, I want a refund to my credit card.", NULL)
            ->classification->confidence;
    double torn = ask(f, "Password and invoice", "I cannot log in with my password to pay the invoice.", NULL)
                      ->classification->confidence;
    assert_true(weak < 0.55);
    assert_true(strong > 0.85);
    assert_true(torn < strong);
}

static void test_sentiment(void **state)
{
    static const struct {
        const char *text;
        enum msg_sentiment sentiment;
    } cases[] = {
        {"This is unacceptable. I am really disappointed and angry.", MSG_SENTIMENT_NEGATIVE},
        {"Worst support ever!!! Nobody answers, this is ridiculous", MSG_SENTIMENT_NEGATIVE},
        {"Ich bin sehr enttäuscht, das ist eine Frechheit.", MSG_SENTIMENT_NEGATIVE},
        {"I love the app, great work, thank you so much!", MSG_SENTIMENT_POSITIVE},
        {"Super Service, ich bin begeistert, vielen Dank!", MSG_SENTIMENT_POSITIVE},
        {"How do I change the delivery address?", MSG_SENTIMENT_NEUTRAL},
        {"The hub shows error E12.", MSG_SENTIMENT_NEUTRAL},
        {"I am not happy with this and it does not work good at all", MSG_SENTIMENT_NEGATIVE},
        {"Guten Tag, wie lange dauert die Lieferung? Vielen Dank", MSG_SENTIMENT_NEUTRAL},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct msg_classification *got = ask(f, "Question", cases[i].text, NULL)->classification;
        if (got->sentiment != cases[i].sentiment) {
            fail_msg(
                "%s: %s (%s)", cases[i].text, msg_sentiment_name(got->sentiment), got->reasoning_snippet);
        }
    }
}

static void test_priority(void **state)
{
    static const struct {
        const char *text;
        enum msg_priority priority;
    } cases[] = {
        {"Production is down, all our users cannot log in.", MSG_PRIORITY_CRITICAL},
        {"We think our account was hacked and data was exposed, security breach!", MSG_PRIORITY_CRITICAL},
        {"Der Shop ist komplett ausgefallen.", MSG_PRIORITY_CRITICAL},
        {"This is urgent, we need it by tomorrow.", MSG_PRIORITY_HIGH},
        {"Das ist dringend, bitte sofort melden.", MSG_PRIORITY_HIGH},
        {"How do I change my address?", MSG_PRIORITY_MEDIUM},
        {"No rush, just wondering whether blue is available.", MSG_PRIORITY_LOW},
        {"Nicht dringend: es wäre schön, wenn es ein dunkles Design gäbe.", MSG_PRIORITY_LOW},
        {"This is not urgent.", MSG_PRIORITY_LOW},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct msg_classification *got = ask(f, "Request", cases[i].text, NULL)->classification;
        if (got->priority != cases[i].priority) {
            fail_msg("%s: %s (%s)", cases[i].text, msg_priority_name(got->priority), got->reasoning_snippet);
        }
    }
}

static void test_hint(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "Question", "How do I change my address?", "high")->classification->priority,
        MSG_PRIORITY_HIGH);
    assert_int_equal(
        ask(f, "Question", "This is urgent.", "low")->classification->priority, MSG_PRIORITY_LOW);
    /* surer than classifier.hint-override */
    assert_int_equal(ask(f, "Outage", "Complete outage: production is down for everyone, data breach.", "low")
                         ->classification->priority,
        MSG_PRIORITY_CRITICAL);
}

static void test_provenance(void **state)
{
    struct fixture *f = *state;
    struct msg_ticket_event *event = ask(f, "Rechnung", "Wo finde ich meine Rechnung?", NULL);
    assert_int_equal(event->steps_count, 1);
    assert_int_equal(strncmp(event->steps[0].model, "local/", 6), 0);
    assert_int_equal(strlen(event->steps[0].policy_version), 36);
    assert_int_equal(event->steps[0].step, MSG_STEP_CLASSIFY);
    assert_int_equal(event->state, MSG_STATE_CLASSIFIED);
    assert_string_equal(event->ticket.locale, "de");
    assert_string_equal(event->classification->department, "Finance");
}

static void test_hostile(void **state)
{
    struct fixture *f = *state;
    size_t size = 200000;
    char *text = malloc(size + 1);
    for (size_t i = 0; i < size; i++) {
        text[i] = "refund! urgent? nicht \xC3\xA4 "[i % 23];
    }
    text[size - size % 23] = 0;
    assert_non_null(ask(f, "a", text, NULL)->classification);
    memset(text, '!', size);
    text[size] = 0;
    assert_string_equal(ask(f, "a", text, NULL)->classification->category, "other");
    free(text);
}

/* ---- the taxonomy file ---- */

static void assert_refused(const char *json, const char *expected)
{
    struct error err = {0};
    struct taxonomy *taxonomy = taxonomy_parse(json, strlen(json), &err);
    assert_null(taxonomy);
    assert_int_equal(err.disposition, ERROR_FATAL);
    if (strstr(err.text, expected) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, expected);
    }
}

static void test_taxonomy_errors(void **state)
{
    (void)state;
    assert_refused("[", "taxonomy");
    assert_refused("{}", "categories");
    assert_refused("{\"fallback\":\"x\",\"categories\":[]}", "categories");
    assert_refused("{\"fallback\":\"x\",\"categories\":[{}]}", "categories[0].category");
    assert_refused("{\"fallback\":\"x\",\"categories\":[{\"category\":\"a\"}]}", "categories[0].department");
    assert_refused("{\"fallback\":\"x\",\"categories\":[{\"category\":\"a\",\"department\":\"d\","
                   "\"description\":\"t\"}]}",
        "fallback");
    assert_refused(
        "{\"fallback\":\"a\",\"categories\":[{\"category\":\"a\",\"department\":\"d\",\"description\":\"t\","
        "\"keywords\":{\"en\":{\"refund\":0}}}]}",
        "categories[0].keywords.en[\"refund\"]");
    assert_refused(
        "{\"fallback\":\"a\",\"categories\":[{\"category\":\"a\",\"department\":\"d\",\"description\":\"t\","
        "\"keywords\":{\"en\":{\"!!\":1}}}]}",
        "one to six words");
    assert_refused(
        "{\"fallback\":\"a\",\"categories\":[{\"category\":\"a\",\"department\":\"d\",\"description\":\"t\","
        "\"keywords\":{\"en\":{\"a*\":1}}}]}",
        "three letters");
    assert_refused(
        "{\"fallback\":\"a\",\"categories\":[{\"category\":\"a\",\"department\":\"d\",\"description\":\"t\"},"
        "{\"category\":\"a\",\"department\":\"d\",\"description\":\"t\"}]}",
        "named before");
    struct error err = {0};
    assert_null(taxonomy_load("/nowhere/taxonomy.json", &err));
    assert_string_equal(err.code, "taxonomy_unreadable");
}

static void test_own_taxonomy(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/taxonomyXXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    fputs("{\"fallback\":\"rest\",\"categories\":[{\"category\":\"rest\",\"department\":\"D\","
          "\"description\":\"all\"},"
          "{\"category\":\"garden\",\"department\":\"Plants\",\"description\":\"g\",\"keywords\":{\"en\":{\"*"
          "tree\":5,\"lawn mow*\":5}}}]}",
        file);
    fclose(file);
    struct error err = {0};
    assert_true(conf_set(f->conf, "classifier.taxonomy", path, &err));
    const struct stage_env env = {.conf = f->conf};
    classifier_step.close(f->state);
    f->state = classifier_step.open(&env, &err);
    remove(path);
    assert_non_null(f->state);
    assert_string_equal(ask(f, "My appletree", "is ill", NULL)->classification->category, "garden");
    assert_string_equal(ask(f, "Help", "with lawn mowing", NULL)->classification->department, "Plants");
    assert_string_equal(ask(f, "Help", "the lawn is wet, mow it", NULL)->classification->category, "rest");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_categories, setup, teardown),
        cmocka_unit_test_setup_teardown(test_honest_confidence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sentiment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_priority, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_provenance, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
        cmocka_unit_test(test_taxonomy_errors),
        cmocka_unit_test_setup_teardown(test_own_taxonomy, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
