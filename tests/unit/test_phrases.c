/* What is left of an answer without its frame, and texts without marks of citations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "model/phrases.h"

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

#define BODY(text, expected) assert_string_equal(phrases_body(arena, text), expected)
#define UNMARKED(text, expected) assert_string_equal(phrases_unmark(arena, text), expected)

static void test_marks(void **state)
{
    (void)state;
    UNMARKED("", "");
    UNMARKED("[1]", "");
    UNMARKED("Press reset [1]. Wait [12] [2]. Done? [999]", "Press reset. Wait. Done?");
    UNMARKED("Press reset.[1][2] Wait.", "Press reset. Wait.");
    UNMARKED("[1] Press.\n[2]  Wait.\n- hold [3]\n", "Press.\nWait.\n- hold\n");
    UNMARKED(
        "items[0] and f()[1] stay, [a] [] [1234] [ 1] [1", "items[0] and f()[1] stay, [a] [] [1234] [ 1] [1");
    UNMARKED("größe[1] [2]", "größe[1]");
}

static void test_drafts_of_ours(void **state)
{
    (void)state;
    const char *const locales[] = {"en", "de"};
    for (size_t i = 0; i < 2; i++) {
        const struct phrases *p = phrases_for(locales[i]);
        const struct phrases_frame *frame = phrases_frame_for(locales[i]);
        const char *hello = frame->greeting_without_name;
        BODY(arena_printf(arena,
                 "%s\n\n%s %s\n\n%s: Order A-1 of 2026-11-09: sent, 5 EUR [1].\n\n%s\n\n"
                 "The money goes back [2]. It takes 3 days [2].\n- Cards: 5 days [2].\n\n%s\n"
                 "Hold the button [3].\n\n%s\n\n%s\n",
                 i == 0 ? "Hello Maria Jensen," : "Guten Tag Maria Jensen,", p->thanks, p->sorry, p->order,
                 p->from_base, p->from_case, p->more, frame->signature),
            "The money goes back. It takes 3 days.\n- Cards: 5 days.\n\nHold the button.");
        BODY(arena_printf(arena, "%s\n\n%s\n\n%s %s\n\n%s\n", hello, p->thanks, p->handover, p->rest,
                 frame->signature),
            "");
        BODY(arena_printf(arena, "%s\n\n%s\n\n%s\n\n%s\n", hello, p->thanks, p->ask, frame->signature), "");
    }
    const char *long_name =
        "Anna-Maria O'Neil y de la Cruz von und zu Hohenfels-Langenburg und Sayn-Wittgenstein";
    BODY(arena_printf(arena, "Hello %.80s,\n\nPress reset [1].\n", long_name), "Press reset.");
}

static void test_frames(void **state)
{
    (void)state;
    const char *const locales[] = {"en-GB", "de", "fr", "es", "it", "nl", "pt-BR"};
    for (size_t i = 0; i < sizeof locales / sizeof locales[0]; i++) {
        const struct phrases_frame *frame = phrases_frame_for(locales[i]);
        assert_non_null(frame);
        const char *hello = frame->greeting_without_name;
        int before_slot = (int)(strstr(frame->greeting, "{name}") - frame->greeting);
        const char *named = arena_printf(arena, "%.*sMaria,", before_slot, frame->greeting);
        BODY(arena_printf(arena, "%s\n\nReset it.\n\n%s\n", hello, frame->signature), "Reset it.");
        BODY(arena_printf(arena, "%s\n\nReset it.\n\n%s\n", named, frame->signature), "Reset it.");
    }
    assert_null(phrases_frame_for("ja"));
    const char *written =
        "Dear Maria,\n\nThank you for your message. Hold it [1].\n- About your order: x [2]\n\n"
        "Best regards,\nThe team\n";
    assert_string_equal(phrases_unframe(arena, written),
        "Thank you for your message. Hold it [1].\n- About your order: x [2]");
    assert_string_equal(
        phrases_unframe(arena, "About your order: sent [1].\n"), "About your order: sent [1].");
    assert_string_equal(phrases_unframe(arena, "Hello,"), "");
}

static void test_letters_of_agents(void **state)
{
    (void)state;
    BODY("Hold the button for ten seconds.", "Hold the button for ten seconds.");
    BODY("Dear Ms. Jensen,\r\n\r\nhold the button [1].\r\n\r\n\r\nThen press reset.\r\n\r\nBest "
         "regards,\r\nTom "
         "Miller\r\nAcme Ltd.\r\n+1 555 0100\r\n",
        "hold the button.\n\nThen press reset.");
    BODY("Hi Maria, please hold the button.\nThanks for waiting.\nCheers, Tom",
        "please hold the button.\nThanks for waiting.");
    BODY("Hello!\nHold it.\n-- \nTom", "Hold it.");
    BODY("Hallo Frau Müller\n\nBitte neu starten.\n\nViele Grüße aus Berlin\nTom", "Bitte neu starten.");
    BODY(
        "Sehr geehrte Damen und Herren,\nbitte neu starten.\nMIT FREUNDLICHEN GRÜSSEN\n\nTom Müller\nSupport",
        "bitte neu starten.");
    BODY("Dear Ann", "");
    BODY("", "");
    BODY("\n \n", "");
}

static void test_what_only_looks_like_a_frame(void **state)
{
    (void)state;
    const char *const kept[] = {"Hello is the first screen. Press next.",
        "Regards to the cable: it must be plugged in before anything else is done here.",
        ("Kind regards\nis what the button says. Press it for ten seconds until the lamp at the back is "
         "green."),
        "Hi the reset button is on the left side, hold it.", "Liebe zum Detail ist das eine:\nneu starten."};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        BODY(kept[i], kept[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drafts_of_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_letters_of_agents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_only_looks_like_a_frame, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
