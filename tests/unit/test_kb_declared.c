/* What documents say of themselves: front matter, robots, encodings. */
#include "kb_parse_fixture.h"

#include <stdio.h>

#include "base/utf8.h"

static const char *withdrawn_of(const char *key, const char *text)
{
    assert_true(parse(key, text));
    assert_int_equal(document.passage_count > 0, !*document.withdrawn);
    return document.withdrawn;
}

static void a_document_says_that_it_is_withdrawn(void **state)
{
    (void)state;
    static const struct {
        const char *matter, *why;
    } cases[] = {
        {"title: T\nstatus: draft", "its status is draft"},
        {"status: 'Withdrawn'", "its status is Withdrawn"},
        {"status: archived # since May", "its status is archived"},
        {"draft: true", "it is a draft"},
        {"Draft: yes\r", "it is a draft"},
        {"\"published\": false", "it is not published"},
        {"published: Off", "it is not published"},
        {"status: published", ""},
        {"draft: false", ""},
        {"published: true", ""},
        {"draft:", ""},
        {"review:\n  status: draft\n  published: false", ""}, /* of another member */
        {"# draft: true", ""},
        {"drafts: true", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[300];
        (void)snprintf(text, sizeof(text), "---\n%s\n---\nSome words.\n", cases[i].matter);
        assert_string_equal(withdrawn_of("a.md", text), cases[i].why);
    }
    assert_string_equal(withdrawn_of("a.md", "--- \ndraft: true\n...\n"), "it is a draft"); /* empty, too */
    assert_string_equal(withdrawn_of("a.md", "Words.\n\n---\ndraft: true\n---\n"), "");
    assert_string_equal(withdrawn_of("a.txt", "---\ndraft: true\n---\nWords.\n"), "");
}

static void front_matter_in_toml(void **state)
{
    (void)state;
    assert_string_equal(withdrawn_of("a.md", "+++\ndraft = true\n+++\nWords.\n"), "it is a draft");
    assert_string_equal(withdrawn_of("a.md", "+++\nstatus = 'archived' # since May\n+++\nWords.\n"),
        "its status is archived");
    assert_string_equal(
        withdrawn_of("a.md", "+++\ntitle = \"My: page\"\nlang = \"de\"\nexpiryDate = 2026-11-30"
                             "\n+++\n# Heading\n\nWords.\n"),
        "");
    assert_string_equal(document.title, "My: page");
    assert_string_equal(document.locale, "de");
    assert_int_equal(document.expires_ms, 1795996800000);
    assert_string_equal(withdrawn_of("a.md", "+++\ndraft: true\n+++\nWords.\n"), "");
    assert_string_equal(withdrawn_of("a.md", "---\ndraft = true\n---\nWords.\n"), "");
}

static void front_matter_below_empty_lines(void **state)
{
    (void)state;
    assert_string_equal(
        withdrawn_of("a.md", "\n \n---\nstatus: draft\n---\nWords.\n"), "its status is draft");
    assert_string_equal(withdrawn_of("a.md", "\n---\n\nBetween rules.\n\n---\nWords.\n"), "");
    assert_non_null(strstr(document.passages[0].text, "Between rules."));
    assert_string_equal(withdrawn_of("a.md", "\n---\nWords."), "");
}

static void front_matter_without_an_end_shows_nothing_that_was_to_be_hidden(void **state)
{
    (void)state;
    static const char *const wrong[] = {"---\nstatus: draft\n# Heading\n\nWords.\n",
        "---\ntitle: T\nexpires: 2026-11-30\n\nWords.\n", "\n---\nDraft: true",
        "+++\ndraft = true\n---\nWords.\n"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(parse("a.md", wrong[i]));
        assert_string_equal(error.code, "kb_front_matter");
        assert_non_null(strstr(error.text, "has no end"));
    }
    assert_string_equal(withdrawn_of("a.md", "---\nNote: words below a rule.\n\nstatus: draft\n"), "");
    assert_non_null(strstr(document.passages[0].text, "Note: words"));
}

static void robots_are_told_that_a_page_is_withdrawn(void **state)
{
    (void)state;
    static const struct {
        const char *meta;
        bool withdrawn;
    } cases[] = {
        {"name=\"robots\" content=\"noindex\"", true},
        {"NAME='Robots' CONTENT=' nofollow, NOINDEX'", true},
        {"name=robots content=none", true},
        {"name=robots content=\"index, follow\"", false},
        {"name=robots content=noindexing", false},
        {"name=robots", false},
        {"name=googlebot content=noindex", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[300];
        (void)snprintf(text, sizeof(text),
            "<html><head><meta charset=utf-8><meta %s></head><p>Some words.</p>", cases[i].meta);
        assert_int_equal(*withdrawn_of("a.html", text) != '\0', cases[i].withdrawn);
    }
}

static void a_document_says_when_it_expires(void **state)
{
    (void)state;
    static const struct {
        const char *matter;
        int64_t ms;
    } cases[] = {
        {"expires: 2026-11-30", 1795996800000},
        {"expiryDate: 2026-11-30T00:00:00+01:00", 1795993200000},
        {"expirydate: \"2026-11-30T01:00:00Z\" # then", 1796000400000},
        {"expires: 2026-11-30 01:00:00", 1796000400000},
        {"expires: 2026-11-30 01:00:00 +0100", 1795996800000},
        {"expires: 2026-11-30 01:00:00.5 -01:00", 1796004000500},
        {"expires: 2027-01-01\nexpiryDate: 2026-11-30", 1795996800000},
        {"expires: never", 0},
        {"expires:", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[300];
        (void)snprintf(text, sizeof(text), "---\n%s\n---\nSome words.\n", cases[i].matter);
        assert_string_equal(withdrawn_of("a.md", text), ""); /* the clock is not the parser's */
        assert_int_equal(document.expires_ms, cases[i].ms);
    }
    static const char *const wrong[] = {
        "30.11.2026", "2026-13-01", "tomorrow", "2026-11-30 +", "2026-11-30 12:00:00 +1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[300];
        (void)snprintf(text, sizeof(text), "---\nexpires: %s\n---\nSome words.\n", wrong[i]);
        assert_false(parse("a.md", text));
        assert_string_equal(error.code, "kb_front_matter");
        assert_non_null(strstr(error.text, wrong[i]));
    }
}

static void front_matter_names_title_and_locale(void **state)
{
    (void)state;
    assert_true(parse("a.md", "---\ntitle: \"My page\"\nlocale: pt_BR\nother\n---\n# Heading\n\nText.\n"));
    assert_string_equal(document.title, "My page");
    assert_string_equal(document.locale, "pt-BR");
    assert_string_equal(document.passages[0].heading_path, "Heading");
    assert_null(strstr(document.passages[0].text, "locale"));
}

static void html_in_another_encoding_becomes_utf8(void **state)
{
    (void)state;
    const char *page = "<html><head><meta charset='iso-8859-1'><title>T</title></head><body><p>Gr\xfc\xdf"
                       "e aus K\xf6ln</p></body></html>";
    assert_true(parse("a.html", page));
    assert_string_equal(document.passages[0].text, "Gr\xc3\xbc\xc3\x9f"
                                                   "e aus K\xc3\xb6ln");
}

static bool parse_bytes(const char *key, const char *bytes, size_t len)
{
    error = (struct error){0};
    return kb_parse(arena, key, "", bytes, len, &document, &error);
}

#define GERMAN_UTF8 "Gr\u00f6\u00dfe und Gew\u00e4hr \u2013 10 \u20ac."
#define GERMAN_1252                                                                                          \
    "Gr\xf6\xdf"                                                                                             \
    "e und Gew\xe4hr \x96 10 \x80."

static void every_encoding_becomes_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *key, *bytes;
        size_t len;
        const char *text;
    } cases[] = {
#define CASE(KEY, BYTES, TEXT) {KEY, BYTES, sizeof(BYTES) - 1, TEXT}
        CASE("a.txt", GERMAN_1252, GERMAN_UTF8),
        CASE("a.md", "\xef\xbb\xbf" GERMAN_UTF8, GERMAN_UTF8),
        CASE("a.txt", "\xff\xfeG\0r\0\xf6\0\xdf\0e\0.\0", "Gr\u00f6\u00dfe."),
        CASE("a.md", "\xfe\xff\0G\0r\0\xf6\0\xdf\0e\0.", "Gr\u00f6\u00dfe."),
        CASE("a.txt", "\xff\xfe\0\0G\0\0\0\xf6\0\0\0.\0\0\0", "G\u00f6."),
        CASE("a.txt", "H\0e\0l\0l\0o\0 \0t\0h\0e\0r\0e\0.\0", "Hello there."),
        CASE("a.html",
            "<html><head><meta http-equiv=Content-Type content='text/html; charset=ISO-8859-2'>"
            "<body>\xb6liwka i \xbf\xf3\xb3w.",
            "\u015bliwka i \u017c\u00f3\u0142w."),
        CASE("a.xhtml", "<?xml version='1.0' encoding='iso-8859-15'?><html><body>10 \xa4</body></html>",
            "10 \u20ac"),
        /* "The order is in the account. Please check." */
        CASE("a.txt",
            "\x92\x8d\x95\xb6\x82\xcd\x83\x41\x83\x4a\x83\x45\x83\x93\x83\x67\x82\xc5\x82\xb2"
            "\x8a\x6d\x94\x46\x82\xad\x82\xbe\x82\xb3\x82\xa2\x81\x42",
            "\u6ce8\u6587\u306f\u30a2\u30ab\u30a6\u30f3\u30c8\u3067\u3054\u78ba\u8a8d\u304f\u3060\u3055\u3044"
            "\u3002"),
        CASE("a.csv",
            "Frage;Antwort\r\n\xdc"
            "ber?;Gew\xe4hr f\xfcr alles.\r\n",
            "Gew\u00e4hr f\u00fcr alles."),
#undef CASE
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (!parse_bytes(cases[i].key, cases[i].bytes, cases[i].len)) {
            fail_msg("case %zu: %s", i, error.text);
        }
        assert_int_equal(document.passage_count, 1);
        assert_string_equal(document.passages[0].text, cases[i].text);
    }
}

static void what_cannot_be_decoded_names_the_encoding(void **state)
{
    (void)state;
    static const struct {
        const char *key, *bytes;
        size_t len;
        const char *why;
    } cases[] = {
#define CASE(KEY, BYTES, WHY) {KEY, BYTES, sizeof(BYTES) - 1, WHY}
        CASE("a.md", "\u00fcber \u00e4 \u00f6 \u00fc \u00df \xff",
            "the document is not valid UTF-8 (at byte 18)"),
        CASE("a.md",
            "\xef\xbb\xbf"
            "cut \xc3",
            "the document is not valid UTF-8 (at byte 7)"),
        CASE("a.txt", "\xff\xfeG\0r", "the document is not valid UTF-16LE (at byte 4)"),
        CASE("a.txt", "\xfe\xff\xdc\x00\0a", "the document is not valid UTF-16BE (at byte 2)"),
        CASE("a.html", "<meta charset=euc-jp><p>\xff\xff", "the document is not valid EUC-JP (at byte 24)"),
        CASE("a.txt", "\x80\0\x01\x02\xff\xfe\x80\x81\x03",
            "the document is in no encoding that is known: it is not UTF-8 and looks like no other"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_false(parse_bytes(cases[i].key, cases[i].bytes, cases[i].len));
        assert_string_equal(error.code, "kb_encoding");
        assert_string_equal(error.text, cases[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_says_that_it_is_withdrawn),
        cmocka_unit_test(robots_are_told_that_a_page_is_withdrawn),
        cmocka_unit_test(a_document_says_when_it_expires),
        cmocka_unit_test(front_matter_names_title_and_locale),
        cmocka_unit_test(front_matter_in_toml),
        cmocka_unit_test(front_matter_below_empty_lines),
        cmocka_unit_test(front_matter_without_an_end_shows_nothing_that_was_to_be_hidden),
        cmocka_unit_test(html_in_another_encoding_becomes_utf8),
        cmocka_unit_test(every_encoding_becomes_utf8),
        cmocka_unit_test(what_cannot_be_decoded_names_the_encoding),
    };
    return cmocka_run_group_tests_name("kb_declared", tests, setup, teardown);
}
