/* The voices' file: what it must be, whose words are taken, and taking them off again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "model/voice.h"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct voices *parse(const char *json)
{
    struct error err = {0};
    struct voices *voices = voices_parse(json, strlen(json), &err);
    if (voices == NULL) {
        fail_msg("%s", err.text);
    }
    return voices;
}

static void refuse(const char *json, const char *why)
{
    struct error err = {0};
    assert_null(voices_parse(json, strlen(json), &err));
    assert_string_equal(err.code, "voices_invalid");
    assert_int_equal(err.disposition, ERROR_FATAL);
    if (strstr(err.text, why) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", why, err.text);
    }
}

static void test_refusals_name_the_member(void **state)
{
    (void)state;
    refuse("", "voices: ");
    refuse("[]", "voices: the file is an object with voices");
    refuse("{}", "voices: voices: must be an object of tenants");
    refuse("{\"voices\": []}", "voices: voices: must be an object of tenants");
    refuse("{\"voice\": {}}", "voices: voice: the file is an object with voices");
    refuse("{\"voices\": {\"\": {}}}", "is no tenant");
    refuse("{\"voices\": {\"a/b\": {}}}", "voices.a/b: is no tenant");
    refuse("{\"voices\": {\"a\": []}}", "voices.a: a voice is an object with tone");
    refuse("{\"voices\": {\"a\": {\"greting\": \"x\"}}}", "voices.a.greting: a voice is an object with tone");
    refuse("{\"voices\": {\"a\": {\"tone\": 5}}}", "voices.a.tone: must be one line");
    refuse("{\"voices\": {\"a\": {\"tone\": \" \"}}}", "voices.a.tone: must be one line");
    refuse("{\"voices\": {\"a\": {\"tone\": \"a\\nb\"}}}", "voices.a.tone: must be one line");
    refuse("{\"voices\": {\"a\": {\"tone\": {\"en\": \"dry\"}}}}", "voices.a.tone: must be one line");
    refuse("{\"voices\": {\"a\": {\"greeting\": \"Dear {nme},\"}}}", "voices.a.greeting: must be one line");
    refuse("{\"voices\": {\"a\": {\"greeting\": \"{name} {name} dear\"}}}", "{name} may stand in it once");
    refuse("{\"voices\": {\"a\": {\"greeting\": \"{name},\"}}}", "with other words");
    refuse("{\"voices\": {\"a\": {\"greeting\": {\"e\": \"Hi\"}}}}",
        "voices.a.greeting.e: is no language: name it by its BCP 47 tag");
    refuse("{\"voices\": {\"a\": {\"greeting\": {\"de\": \"\"}}}}", "voices.a.greeting.de: must be");
    refuse("{\"voices\": {\"a\": {\"greeting\": \"Dear {name},\"}}}",
        "voices.a.greeting_without_name: is missing");
    refuse("{\"voices\": {\"a\": {\"greeting\": {\"en\": \"Hi\", \"de\": \"Hallo {name}\"}, "
           "\"greeting_without_name\": {\"en\": \"Hi\"}}}}",
        "voices.a.greeting_without_name.de: is missing");
    refuse("{\"voices\": {\"a\": {\"greeting_without_name\": {\"en\": \"Hi\"}}}}",
        "voices.a.greeting.en: is missing");
    refuse("{\"voices\": {\"a\": {\"signature\": \"Bye {name}\"}}}", "voices.a.signature: must be a text");
    refuse("{\"voices\": {\"a\": {\"signature\": \"Bye\\tnow\"}}}", "voices.a.signature: must be a text");
    const char *long_tone = arena_printf(arena, "{\"voices\": {\"a\": {\"tone\": \"%01001d\"}}}", 1);
    refuse(long_tone, "voices.a.tone: must be one line");
    struct error err = {0};
    assert_null(voices_load("/nowhere/voices.json", &err));
    assert_string_equal(err.code, "voices_unreadable");
    assert_string_equal(err.text, "voices: /nowhere/voices.json: No such file or directory");
}

static void greets(const struct voices *voices, const char *tenant, const char *locale, const char *name,
    const char *greeting, const char *signature)
{
    const struct voice_frame frame = voices_frame(arena, voices, tenant, locale, name);
    assert_string_equal(frame.greeting, greeting);
    assert_string_equal(frame.signature, signature);
}

#define OURS_EN "Kind regards\nYour support team"
#define OURS_DE "Mit freundlichen Grüßen\nIhr Support-Team"

static void test_without_a_file(void **state)
{
    (void)state;
    struct error err = {0};
    struct voices *voices = voices_load("", &err);
    assert_non_null(voices);
    assert_string_equal(voices_version(voices), "");
    assert_null(voices_tone(voices, "acme"));
    greets(voices, "acme", "en-GB", "Anna", "Hello Anna,", OURS_EN);
    greets(voices, "acme", "de", NULL, "Guten Tag,", OURS_DE);
    greets(voices, "acme", "fr-CH", "Léa", "Bonjour Léa,", "Cordialement\nVotre équipe d'assistance");
    assert_false(voices_frame(arena, voices, "acme", "pt", NULL).foreign);
    greets(voices, "acme", "ja", "Yuki", "Hello Yuki,", OURS_EN);
    assert_true(voices_frame(arena, voices, "acme", "ja", NULL).foreign);
    voices_free(voices);
}

static const char file[] =
    "{\"note\": \"n\", \"voices\": {"
    "\"*\": {\"tone\": \"dry\", \"signature\": {\"en\": \"Bye\\nAll\", \"ja\": \"All JA\"}},"
    "\"acme\": {\"note\": 1, \"greeting\": {\"en\": \"Dear {name},\", \"de\": \"Servus {name}!\", \"de-CH\": "
    "\"Grüezi\"}, "
    "\"greeting_without_name\": {\"en\": \"Dear customer,\", \"de\": \"Servus!\"}},"
    "\"ahoi\": {\"tone\": \"wet\", \"greeting\": \"Ahoi {name}\", \"greeting_without_name\": \"Ahoi\", "
    "\"signature\": \" The crew \\n\"}}}";

static void test_whose_words(void **state)
{
    (void)state;
    struct voices *voices = parse(file);
    greets(voices, "acme", "en", "Anna", "Dear Anna,", "Bye\nAll");
    greets(voices, "acme", "en-US", NULL, "Dear customer,", "Bye\nAll");
    greets(voices, "acme", "de-AT", "Anna", "Servus Anna!", OURS_DE);
    greets(voices, "acme", "DE-ch", "Anna", "Grüezi", OURS_DE);
    greets(voices, "acme", "de-CH", NULL, "Grüezi", OURS_DE);
    greets(voices, "acme", "ja", "Yuki", "Dear Yuki,", "All JA");
    assert_true(voices_frame(arena, voices, "acme", "ja", NULL).foreign);
    greets(voices, "ahoi", "ja", "Yuki", "Ahoi Yuki", "The crew");
    assert_false(voices_frame(arena, voices, "ahoi", "ja", NULL).foreign);
    greets(voices, "other", "en", "Anna", "Hello Anna,", "Bye\nAll");
    assert_string_equal(voices_tone(voices, "acme"), "dry");
    assert_string_equal(voices_tone(voices, "ahoi"), "wet");
    assert_string_equal(voices_tone(voices, "other"), "dry");
    struct voices *other = parse("{\"voices\": {}}");
    assert_int_equal(strncmp(voices_version(voices), "voices/", 7), 0);
    assert_string_not_equal(voices_version(voices), voices_version(other));
    voices_free(other);
    voices_free(voices);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(voice_name_fits("Anna-Maria O'Neil Jr."));
    assert_true(voice_name_fits("Jörg Łukasz"));
    assert_false(voice_name_fits(""));
    assert_false(voice_name_fits(" "));
    assert_false(voice_name_fits("Ignore <b>this</b>"));
    assert_false(voice_name_fits("anna@example.com"));
    assert_false(voice_name_fits("Anna\nBob"));
    assert_false(voice_name_fits(arena_printf(arena, "%081d", 0)));
}

static void bares(const struct voices *voices, const char *tenant, const char *text, const char *bare)
{
    assert_string_equal(voices_unframe(arena, voices, tenant, text), bare);
}

static void test_taking_it_off(void **state)
{
    (void)state;
    struct voices *voices = parse(file);
    bares(voices, "acme", "Servus Frau Dr. Müller!\n\nNeu starten.\n\nBye\nAll\n", "Neu starten.");
    bares(voices, "acme", "Dear customer,\nreset it.", "reset it.");
    bares(voices, "ahoi", "\n Ahoi Anna\r\n\r\nReset it.\r\n\r\nThe crew\r\n", "Reset it.");
    bares(voices, "ahoi", "Ahoi", "");
    bares(voices, "other", "Servus Anna!\nReset it.\nThe crew", "Servus Anna!\nReset it.\nThe crew");
    bares(voices, "other", "Reset it. Bye\nAll", "Reset it.");
    const char *no_name = arena_printf(arena, "Dear %0200d, reset it.", 0);
    bares(voices, "acme", no_name, no_name);
    bares(voices, "acme", "", "");
    voices_free(voices);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_refusals_name_the_member),
        TEST(test_without_a_file),
        TEST(test_whose_words),
        TEST(test_names),
        TEST(test_taking_it_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
