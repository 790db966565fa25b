/* Which questions may have one answer, and how those that were answered are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "model/alike.h"
#include "model/alike_text.h"

#define SIMILARITY 0.95

struct pair {
    const char *a, *b;
};

static void expect(const char *locale, const struct pair *pairs, size_t count, bool same)
{
    for (size_t i = 0; i < count; i++) {
        if (alike_texts(locale, pairs[i].a, pairs[i].b) != same ||
            alike_texts(locale, pairs[i].b, pairs[i].a) != same) {
            fail_msg("%s: \"%s\", \"%s\"", same ? "not the same" : "the same", pairs[i].a, pairs[i].b);
        }
    }
}

#define EXPECT(locale, pairs, same) expect(locale, pairs, sizeof(pairs) / sizeof((pairs)[0]), same)

static void what_says_the_same_passes(void **state)
{
    (void)state;
    static const struct pair english[] = {
        {"Password\nHow do I reset my password?", "Password\nHow can I reset my password please?"},
        {"Password\nHow do I reset my password?", "password\nhow do i reset the password"},
        {"Hub\nHello, I wonder how the hub is reset.",
            "Hub\nHi there, can you tell me how the hub is reset?"},
        {"Refund\nIt isn't there. How long does it take?",
            "Refund\nIt is not there. How long does that take?"},
        {"Bulb\nMy bulb shows error E-17, what is it?", "Bulb\nThe bulb shows error E-17. What's that?"},
    };
    static const struct pair german[] = {{"Passwort\nWie setze ich mein Passwort zurück?",
        "Passwort\nWie kann ich das Passwort zurück setzen?"}};
    EXPECT("en", english, true);
    EXPECT("de", german, true);
}

static void what_vectors_do_not_tell_is_told(void **state)
{
    (void)state;
    static const struct pair english[] = {
        /* numbers, amounts, versions, ids */
        {"Order\nWhere is my order 1234 now?", "Order\nWhere is my order 1243 now?"},
        {"Price\nIs the price $50 for that?", "Price\nIs the price $60 for that?"},
        {"Price\nIs the price $50 for that?", "Price\nIs the price \u20ac50 for that?"},
        {"App\nDoes it run on version 2.1?", "App\nDoes it run on version 2.10?"},
        {"App\nDoes it run on version 2.1?", "App\nDoes it run on version 1.2?"},
        {"App\nDoes it run on that version?", "App\nDoes it run on that version 2?"},
        {"Bulb\nThe bulb shows error E-17, why?", "Bulb\nThe bulb shows error F-17, why?"},
        {"Bulbs\nCan I pair two bulbs with it?", "Bulbs\nCan I pair three bulbs with it?"},
        {"Change\nMove it from 5 to 7 please", "Change\nMove it from 7 to 5 please"},
        /* negation */
        {"Light\nThe light does turn on.", "Light\nThe light does not turn on."},
        {"Light\nThe light will turn on.", "Light\nThe light won't turn on."},
        {"Fee\nIs there a fee for that?", "Fee\nIs there no fee for that?"},
        {"Hub\nDoes it work with a hub?", "Hub\nDoes it work without a hub?"},
        /* opposites */
        {"Alerts\nHow do I turn on the alerts?", "Alerts\nHow do I turn off the alerts?"},
        {"Door\nHow do I lock the door?", "Door\nHow do I unlock the door?"},
        {"Mail\nHow do I subscribe to the mail?", "Mail\nHow do I unsubscribe from the mail?"},
        {"Rule\nHow do I prioritise the rule?", "Rule\nHow do I deprioritise the rule?"},
        {"Order\nCan I cancel the order before it ships?", "Order\nCan I cancel the order after it ships?"},
        {"Order\nHow do I cancel the order?", "Order\nHow do I change the order?"},
        {"Plan\nI pay monthly for the plan.", "Plan\nI pay yearly for the plan."},
        {"Refund\nWhen is the refund there?", "Refund\nWhy is the refund there?"},
        /* names, and who is what */
        {"Setup\nHow do I connect it to Alexa there?", "Setup\nHow do I connect it to Siri there?"},
        {"Setup\nHow do I use the USB port?", "Setup\nHow do I use the LAN port?"},
        {"Mail\nIs it sent to ann@example.org?", "Mail\nIs it sent to ann#example.org?"},
        {"Plan\nHow do I move from basic to premium?", "Plan\nHow do I move from premium to basic?"},
    };
    static const struct pair german[] = {
        {"Licht\nWie schalte ich das Licht an?", "Licht\nWie schalte ich das Licht aus?"},
        {"Licht\nDas Licht geht an.", "Licht\nDas Licht geht nicht an."},
        {"Hilfe\nWie richte ich die Lampe ein?", "Hilfe\nWie richte ich die Kamera ein?"},
        {"Rechnung\nKann ich bis 10. Mai zahlen?", "Rechnung\nKann ich bis 11. Mai zahlen?"},
    };
    EXPECT("en", english, false);
    EXPECT("de", german, false);
}

static void other_languages_are_left_alone(void **state)
{
    (void)state;
    static const struct pair polish[] = {{"Jak to zrobi\u0107", "Jak to zrobi\u0107"}};
    EXPECT("pl", polish, false);
    static const struct pair mixed[] = {{"Password\nHow do I reset the password of this?",
        "Passwort\nWie kann ich das Passwort zur\u00fccksetzen?"}};
    EXPECT("en", mixed, false);
}

static void only_short_texts_are_compared(void **state)
{
    (void)state;
    char most[ALIKE_TEXT_MAX];
    memset(most, 'a', sizeof(most));
    most[ALIKE_TEXT_MAX - 2] = '\0';
    struct msg_ticket ticket = {.subject = "S", .description = most};
    struct arena *arena = arena_new(0);
    const char *text = alike_text(arena, &ticket);
    assert_non_null(text);
    assert_int_equal(strlen(text), ALIKE_TEXT_MAX);
    ticket.subject = "SS";
    assert_null(alike_text(arena, &ticket));
    arena_free(arena);
}

static void what_one_alone_said_is_not_repeated(void **state)
{
    (void)state;
    struct msg_context_item item = {.title = "Shipping", .excerpt = "We ship within Germany."};
    const struct msg_context found = {.items = &item, .items_count = 1};
    const char *ours = "do you ship to me";
    assert_true(alike_repeats("Yes, to Hamburg.", "do you ship to me in hamburg", ours, &found));
    assert_false(alike_repeats("Yes, we ship.", "do you ship to me in hamburg", ours, &found));
    assert_false(alike_repeats("Within Germany.", "do you ship to me in germany", ours, &found));
    assert_false(alike_repeats("To me, yes.", ours, ours, &found));
}

/* ---- the questions that were answered ---- */

static const int8_t codes[3][2] = {{100, 0}, {99, 10}, {0, 100}}; /* the first two are similar */

static struct alike_question question(int group, int vector, const char *text)
{
    struct alike_question made = {
        .text = text, .locale = "en", .vector = {.codes = codes[vector], .dimension = 2, .scale = 0.01F}};
    made.group.bytes[0] = (unsigned char)group;
    return made;
}

static void put(struct alike *alike, const struct alike_question *asked, int answer, int64_t now_ms)
{
    struct cache_key key = {{0}};
    key.bytes[1] = (unsigned char)answer;
    alike_put(alike, asked, &key, now_ms);
}

static struct alike_entry *next_of(
    struct alike *alike, const struct alike_question *asked, const struct alike_entry *after, int64_t now_ms)
{
    size_t texts = 100;
    return alike_next(alike, asked, after, now_ms, &texts);
}

static int first(struct alike *alike, const struct alike_question *asked, int64_t now_ms)
{
    const struct alike_entry *entry = next_of(alike, asked, NULL, now_ms);
    return entry ? alike_answer(entry)->bytes[1] : 0;
}

#define HOW "Hub\nHow do I reset the hub?"
#define HOW_TOO "Hub\nHow can I reset the hub please?"

static void finds_what_is_alike(void **state)
{
    (void)state;
    const struct cache_limits limits = {.entries = 10, .bytes = 10000, .keep_ms = 1000};
    struct alike *alike = alike_new(&limits, SIMILARITY);
    struct alike_question how = question(1, 0, HOW), too = question(1, 1, HOW_TOO);
    assert_int_equal(first(alike, &how, 0), 0);
    put(alike, &how, 7, 0);
    assert_int_equal(first(alike, &too, 0), 7);
    struct alike_question group = question(2, 1, HOW_TOO), far = question(1, 2, HOW_TOO),
                          other = question(1, 0, "Hub\nHow do I reset the hub 2?"), longer = too;
    longer.vector.dimension = 1;
    assert_int_equal(first(alike, &group, 0), 0);
    assert_int_equal(first(alike, &far, 0), 0);
    assert_int_equal(first(alike, &other, 0), 0);
    assert_int_equal(first(alike, &longer, 0), 0);
    put(alike, &too, 8, 500);
    assert_int_equal(first(alike, &how, 500), 8); /* the newest first */
    struct alike_entry *entry = next_of(alike, &how, NULL, 500), *next = next_of(alike, &how, entry, 500);
    assert_string_equal(alike_asked(entry), HOW_TOO);
    assert_string_equal(alike_asked(next), HOW);
    assert_null(next_of(alike, &how, next, 500));
    assert_null(next_of(alike, &how, entry, 1000)); /* too old */
    size_t texts = 1;
    assert_ptr_equal(alike_next(alike, &how, NULL, 500, &texts), entry);
    assert_null(alike_next(alike, &how, entry, 500, &texts)); /* no more are compared */
    alike_drop(alike, entry);
    assert_int_equal(first(alike, &how, 999), 7);
    assert_int_equal(first(alike, &how, 1000), 0);
    alike_free(alike);
}

static void old_ones_make_room(void **state)
{
    (void)state;
    const struct cache_limits few = {.entries = 3, .bytes = 100000, .keep_ms = 1000};
    const struct cache_limits small = {.entries = 100, .bytes = 500, .keep_ms = 1000};
    struct alike *alike = alike_new(&few, SIMILARITY), *narrow = alike_new(&small, SIMILARITY);
    for (int i = 1; i <= 20; i++) {
        struct alike_question how = question(i, 0, HOW);
        put(alike, &how, i, i);
        put(narrow, &how, i, i);
        assert_true(alike_bytes(narrow) <= 500);
    }
    for (int i = 1; i <= 20; i++) {
        struct alike_question how = question(i, 0, HOW);
        assert_int_equal(first(alike, &how, 20), i > 17 ? i : 0);
    }
    struct alike_question last = question(20, 0, HOW), before = question(18, 0, HOW);
    assert_int_equal(first(narrow, &last, 20), 20);
    put(alike, &last, 21, 1018); /* what is too old goes with it */
    assert_int_equal(first(alike, &before, 20), 0);
    alike_free(alike);
    alike_free(narrow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_says_the_same_passes),
        cmocka_unit_test(what_vectors_do_not_tell_is_told),
        cmocka_unit_test(other_languages_are_left_alone),
        cmocka_unit_test(only_short_texts_are_compared),
        cmocka_unit_test(what_one_alone_said_is_not_repeated),
        cmocka_unit_test(finds_what_is_alike),
        cmocka_unit_test(old_ones_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
