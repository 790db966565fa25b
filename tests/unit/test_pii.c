/* Personal data: every shape with its traps, and what redaction leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "guard/pii.h"
#include "guard/redact.h"

static void assert_redacted(const char *text, const char *expected)
{
    struct arena *arena = arena_new(0);
    assert_string_equal(redact_text(arena, text), expected);
    arena_free(arena);
}

static void assert_untouched(const char *text)
{
    assert_redacted(text, text);
}

static void test_email(void **state)
{
    (void)state;
    assert_redacted("Write to anna.o'neil+shop@mail.example.co.uk.", "Write to [email].");
    assert_redacted("<bob@example.com>, cc:eve@x-y.org", "<[email]>, cc:[email]");
    assert_redacted("jörg@müller.de bitte", "[email] bitte");
    assert_untouched("@anna, meet me @ 5 or at user@localhost");
    assert_untouched("a@b.1 and @@ and x@");
}

static void test_card(void **state)
{
    (void)state;
    assert_redacted("card 4111 1111 1111 1111.", "card [card].");
    assert_redacted("5500-0000-0000-0004 and 378282246310005", "[card] and [card]");
    assert_redacted("4111\u00A01111\u00A01111\u00A01111", "[card]");
    assert_redacted("Card #4111 1111 1111 1111, Visa/4111111111111111", "Card #[card], Visa/[card]");
    assert_untouched("PAY-4111111111111111");
    assert_untouched("card 4111 1111 1111 1112"); /* wrong check digit */
    assert_untouched("order 9911111111111115");   /* no issuer */
    assert_untouched("serial A4111111111111111"); /* part of a longer word */
}

static void test_iban(void **state)
{
    (void)state;
    assert_redacted("IBAN DE89 3704 0044 0532 0130 00, danke", "IBAN [iban], danke");
    assert_redacted("gb29nwbk60161331926819", "[iban]");
    assert_untouched("DE89 3704 0044 0532 0130 01"); /* wrong check digits */
    assert_untouched("DE12345");
    assert_untouched("XX89370400440532013000"); /* no such country */
}

static void test_ssn(void **state)
{
    (void)state;
    assert_redacted("my ssn is 078-05-1120", "my ssn is [ssn]");
    assert_redacted("SSN #078-05-1120", "SSN #[ssn]");
    assert_untouched("order A-078-05-1120");
    assert_untouched("000-12-3456 666-12-3456 912-12-3456 123-00-4567 123-45-0000");
    assert_untouched("part 123-45-6789-1");
}

static void test_ip(void **state)
{
    (void)state;
    assert_redacted("from 192.168.1.20 to 2001:db8::1", "from [ip] to [ip]");
    assert_redacted("http://10.0.0.1/login", "http://[ip]/login");
    assert_untouched("firmware 5.4.1.2 and version 10.0.0.1");
    assert_untouched("999.1.1.1 1.2.3 1.2.3.4.5");
    assert_untouched("at 10:20:30, std::dec, ab::cd");
}

static void test_phone(void **state)
{
    (void)state;
    assert_redacted("call me on +49 30 901820", "call me on [phone]");
    assert_redacted("(212) 555-0187 or 212-555-0187 ext. 12", "[phone] or [phone]");
    assert_redacted("Tel. 030 901820-14", "Tel. [phone]");
    assert_redacted("Telefon: 901820", "Telefon: [phone]");
    assert_redacted("Tel./+49 30 901820", "Tel./[phone]");
    assert_untouched("LUM-20431 and #2024001234 and 2026-11-22 and 22.11.2026 and 01/02/2026");
    assert_untouched("It costs 1250.00 EUR for 12 pieces of 49.90");
    assert_untouched("I called about order 20431877 twice");
    assert_untouched("ports 443 and 8883, from 8:00 to 20:00");
}

static void assert_nameless(const char *name, const char *text, const char *expected)
{
    struct arena *arena = arena_new(0);
    assert_string_equal(redact_name(arena, text, name), expected);
    arena_free(arena);
}

static void test_name(void **state)
{
    (void)state;
    static const char said[] = "Thank you for your patience, Maria Gonzalez. MARIA's hub, Mr Gonzalez' hub.";
    assert_nameless(
        "Maria Gonzalez", said, "Thank you for your patience, [name]. [name]'s hub, Mr [name]' hub.");
    assert_nameless("Ursula von der Leyen",
        "Ursula von der Leyen fragt nach der Rechnung, Frau Von der Leyen",
        "[name] fragt nach der Rechnung, Frau Von der [name]");
    assert_nameless(
        "Will Rose", "Will it work? We will see, a rose.", "[name] it work? We will see, a rose.");
    assert_nameless("Li Wu", "Li Wu, Li and Wu", "[name], Li and Wu");
    assert_nameless("\u738B\u4F1F", "\u738B\u4F1F \u60A8\u597D", "[name] \u60A8\u597D");
    assert_nameless(
        "J\u00F6rg M\u00FCller", "Lieber J\u00D6RG, Herr M\u00FCller", "Lieber [name], Herr [name]");
    assert_nameless("Bo", "Bo, Boat", "Bo, Boat");
    assert_nameless("Mark", "Mark, then mark the box", "[name], then mark the box");
    assert_nameless(NULL, said, said);
    assert_nameless(" - ", said, said);
}

static void test_hostile(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    size_t count;
    char text[70000];
    static const char fill[] = "@:.+(0-1 4\xC3\xFF";
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        text[i] = fill[(i * 7 + i / 13) % (sizeof fill - 1)];
    }
    text[sizeof text - 1] = 0;
    struct pii_span *spans = pii_find(arena, text, &count);
    for (size_t i = 0; i < count; i++) {
        assert_true(spans[i].start < spans[i].end);
        assert_true(i == 0 || spans[i - 1].end <= spans[i].start);
    }
    memset(text, '@', sizeof text - 1);
    pii_find(arena, text, &count);
    assert_int_equal(count, 0);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_email),
        cmocka_unit_test(test_card),
        cmocka_unit_test(test_iban),
        cmocka_unit_test(test_ssn),
        cmocka_unit_test(test_ip),
        cmocka_unit_test(test_phone),
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
