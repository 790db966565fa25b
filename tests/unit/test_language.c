/* Telling languages apart, and the words, phrases and sentences of texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "model/language.h"
#include "model/phrase.h"
#include "model/text.h"

static void assert_language(const char *expected, const char *text)
{
    struct arena *arena = arena_new(0);
    assert_string_equal(language_detect(arena, text), expected);
    arena_free(arena);
}

static void test_detect(void **state)
{
    (void)state;
    assert_language("en", "My order has not arrived yet. Where is it, and when will I get my money back?");
    assert_language(
        "de", "Guten Tag, wann kommt meine Bestellung? Ich warte seit einer Woche auf das Paket.");
    assert_language("fr", "Bonjour, je n'ai pas reçu ma commande et je voudrais savoir quand elle arrive.");
    assert_language("es", "Hola, no he recibido mi pedido. ¿Cuándo llega? Gracias por su ayuda.");
    assert_language(
        "it", "Buongiorno, non ho ancora ricevuto il mio ordine. Quando arriva? Grazie per l'aiuto.");
    assert_language("nl", "Hallo, ik heb mijn bestelling nog niet ontvangen. Wanneer komt het pakket aan?");
    assert_language("pt", "Olá, ainda não recebi a minha encomenda. Quando é que ela chega? Obrigado.");
    assert_language("en", "Password reset does not work");
    assert_language("de", "Passwort geht nicht");
}

static void test_detect_scripts(void **state)
{
    (void)state;
    assert_language("ja", "パスワードを忘れました。助けてください。");
    assert_language("ru", "Здравствуйте, мой заказ не пришёл");
    assert_language("zh", "我的订单还没有到");
    assert_language("el", "Πού είναι η παραγγελία μου;");
}

static void test_detect_nothing(void **state)
{
    (void)state;
    assert_language("und", "");
    assert_language("und", "LUM-20431");
    assert_language("und", "12345 67890 !!!");
}

static void test_tags(void **state)
{
    (void)state;
    assert_true(language_same("de-AT", "DE"));
    assert_false(language_same("de", "den"));
    assert_true(language_tag_valid("en-US"));
    assert_true(language_tag_valid("zh-Hant-TW"));
    assert_true(language_tag_valid("es-419"));
    assert_false(language_tag_valid(""));
    assert_false(language_tag_valid("e"));
    assert_false(language_tag_valid("en_US"));
    assert_false(language_tag_valid("en-"));
    assert_false(language_tag_valid("../etc"));
    assert_string_equal(language_name("fr-CA"), "French");
    assert_string_equal(language_name("xx"), "xx");
}

static void assert_same_stem(const char *a, const char *b)
{
    struct arena *arena = arena_new(0);
    assert_string_equal(text_stem(arena, text_plain(arena, a)), text_stem(arena, text_plain(arena, b)));
    arena_free(arena);
}

static void test_stems(void **state)
{
    (void)state;
    assert_same_stem("shipping", "shipped");
    assert_same_stem("delivery", "deliveries");
    assert_same_stem("invoice", "invoices");
    assert_same_stem("charge", "charged");
    assert_same_stem("charging", "charged");
    assert_same_stem("addresses", "address");
    assert_same_stem("rechnung", "rechnungen");
    assert_same_stem("passwörter", "passwort");
    assert_same_stem("lampe", "lampen");
}

static void assert_sentences(const char *text, const char *const *expected, size_t expected_count)
{
    struct arena *arena = arena_new(0);
    size_t count;
    struct text_sentence *list = text_sentences(arena, text, 100, &count);
    assert_int_equal(count, expected_count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(
            arena_strndup(arena, text + list[i].start, list[i].end - list[i].start), expected[i]);
    }
    arena_free(arena);
}

static void test_sentences(void **state)
{
    (void)state;
    assert_sentences("Press it. Wait 3.5 s, e.g. on the hub! Done?",
        (const char *const[]){"Press it.", "Wait 3.5 s, e.g. on the hub!", "Done?"}, 3);
    assert_sentences("1. Open Orders.\n2. Tap Return\n- Pick a reason",
        (const char *const[]){"Open Orders.", "Tap Return", "Pick a reason"}, 3);
    assert_sentences("The money goes to the payment\nmethod you used.",
        (const char *const[]){"The money goes to the payment\nmethod you used."}, 1);
    assert_sentences("Das dauert z. B. am 3. Mai bis ca. 5 Tage.",
        (const char *const[]){"Das dauert z. B. am 3. Mai bis ca. 5 Tage."}, 1);
    assert_sentences("これは文です。 次の文。", (const char *const[]){"これは文です。", "次の文。"}, 2);
    assert_sentences("  \n \n", NULL, 0);
}

static void test_words(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    size_t count;
    struct text_word *words = text_words(arena, "Die Rückerstattung für É-12", 10, &count);
    assert_int_equal(count, 5);
    assert_string_equal(words[1].plain, "ruckerstattung");
    assert_true(words[0].stop);
    assert_true(words[2].stop);
    assert_false(words[1].stop);
    assert_string_equal(words[3].plain, "e");
    /* Forms that are longer than the word was, next to one that is not. */
    words = text_words(arena, "Refunds \u0149ext \uFB03x Wait", 10, &count);
    static const char *const plain[] = {"refunds", "\u02BCnext", "ffix", "wait"};
    static const char *const stems[] = {"refund", "\u02BCnext", "ffix", "wait"};
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(words[i].plain, plain[i]);
        assert_string_equal(words[i].stem, stems[i]);
    }
    struct text_set *set = text_set_new(arena, 2);
    text_set_add(set, "a");
    text_set_add(set, "a");
    text_set_add(set, "b");
    assert_int_equal(text_set_count(set), 2);
    assert_true(text_set_has(set, "b"));
    assert_false(text_set_has(set, "c"));
    arena_free(arena);
}

static void test_phrases_found(void **state)
{
    static const struct phrase_rule rules[] = {
        {"prefix", "r*|re*|refund ~1 now", 1}, /* a word may open it in three ways: found once */
        {"short", "i|it am", 1},
        {"optional", "turn it? off", 1},
    };
    static const struct {
        const char *text, *names[3];
        size_t first, last;
    } cases[] = {
        {"Please refund it now, refund now", {"prefix", "prefix"}, 1, 3},
        {"It am I am", {"short", "short"}, 0, 1},
        {"turn it off turn off turning off", {"optional", "optional"}, 0, 2},
        {"ref refunded and then now", {NULL}, 0, 0},
        {"i", {NULL}, 0, 0},
    };
    (void)state;
    struct arena *arena = arena_new(0);
    struct phrase_table *table = phrase_table_new(rules, sizeof rules / sizeof rules[0]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t words, found, expected = 0;
        struct text_word *list = text_words(arena, cases[i].text, 20, &words);
        struct phrase_hit *hits = phrase_find(table, arena, list, words, 20, &found);
        for (; cases[i].names[expected] != NULL; expected++) {
            assert_true(expected < found);
            assert_string_equal(hits[expected].rule->name, cases[i].names[expected]);
        }
        assert_int_equal(found, expected);
        if (found > 0) {
            assert_int_equal(hits[0].first, cases[i].first);
            assert_int_equal(hits[0].last, cases[i].last);
        }
    }
    phrase_table_free(table);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detect),
        cmocka_unit_test(test_detect_scripts),
        cmocka_unit_test(test_detect_nothing),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_stems),
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_phrases_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
