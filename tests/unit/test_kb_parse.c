/* Documents cut into passages: structure kept, anchors right, hostile input bounded. */
#include "kb_parse_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "kb/section.h"

static void markdown_keeps_headings_and_anchors(void **state)
{
    (void)state;
    assert_true(parse("a.md", "# The Title\n\n" WORDS "\n\n## First *part*!\n\n" WORDS
                              "\n\n### Deep\n\n" WORDS "\n\n## First part\n\n" WORDS "\n"));
    assert_string_equal(document.title, "The Title");
    assert_int_equal(document.passage_count, 4);
    assert_string_equal(document.passages[0].heading_path, "");
    assert_string_equal(document.passages[0].anchor, "the-title");
    assert_string_equal(document.passages[1].heading_path, "First part!");
    assert_string_equal(document.passages[1].anchor, "first-part");
    assert_string_equal(document.passages[2].heading_path, "First part! > Deep");
    assert_string_equal(document.passages[3].anchor, "first-part-1");
}

static void a_short_introduction_joins_its_first_section(void **state)
{
    (void)state;
    assert_true(parse("a.md", "# T\n\nShort.\n\n## S\n\nMore text here.\n\n## R\n\nThe rest.\n"));
    assert_int_equal(document.passage_count, 2);
    assert_string_equal(document.passages[0].heading_path, "S");
    assert_string_equal(document.passages[0].text, "Short.\n\nMore text here.");
    assert_string_equal(document.passages[1].text, "The rest.");
}

static void markdown_lists_tables_and_code(void **state)
{
    (void)state;
    assert_true(parse("a.md", "1. one\n2. two\n   - inner `x`\n\n| A | B |\n|---|---|\n| 1 | 2 |\n| 3 | "
                              "|\n\n```\ncode\n  here\n```\n"));
    assert_int_equal(document.passage_count, 1);
    assert_string_equal(
        document.passages[0].text, "1. one\n2. two\n  - inner x\n\nA: 1; B: 2\nA: 3\n\ncode\n  here");
}

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

static void html_reads_the_main_part(void **state)
{
    (void)state;
    assert_true(parse("a.html",
        "<html lang='de-AT'><head><title>Seite</title><script>evil()</script></head><body><nav>menu</nav>"
        "<main><h1>Seite</h1><h2 id='x y'>Teil &amp; mehr</h2><p>Erster  Absatz<br>neu.</p>"
        "<ol><li>eins<li>zwei<ul><li>innen</ul></ol><table><tr><th>A</th><th>B</th></tr><tr><td>1</td>"
        "<td>2</td></tr></table><p hidden>geheim</p></main><footer>fuss</footer></body></html>"));
    assert_string_equal(document.title, "Seite");
    assert_string_equal(document.locale, "de-AT");
    assert_int_equal(document.passage_count, 1);
    assert_string_equal(document.passages[0].heading_path, "Teil & mehr");
    assert_string_equal(document.passages[0].anchor, "x y");
    assert_string_equal(
        document.passages[0].text, "Erster Absatz neu.\n\n1. eins\n2. zwei\n  - innen\n\nA: 1; B: 2");
    assert_string_equal(kb_fragment(arena, document.passages[0].anchor), "x%20y");
}

static void hidden_html_is_not_read(void **state)
{
    (void)state;
    static const char *const hidden[] = {"<p hidden>%s</p>", "<div><p hidden=until-found>%s</div>",
        "<p style='color:red; Display : none'>%s</p>", "<p style='DISPLAY:none!important'>%s</p>",
        "<p style='visibility: hidden'>%s</p>", "<p style='opacity:0;top:0'>%s</p>",
        "<p style='font-size: 0px'>%s</p>", "<p aria-hidden=true>%s</p>", "<template><p>%s</p></template>",
        "<noscript>%s</noscript>", "<dialog>%s</dialog>", "<!-- %s -->", "<h2><span hidden>%s</span></h2>",
        "<table><tr><td hidden>%s</td></tr><tr hidden><td>%s</td></tr></table>",
        "<ul><li style='display:none'>%s</li></ul>"};
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        char page[512], *at = page;
        at += snprintf(at, sizeof(page), "<p>Seen.</p>");
        for (const char *c = hidden[i]; *c; c++) { /* a format that is no literal */
            bool word = !strncmp(c, "%s", 2);
            at += snprintf(at, sizeof(page) - (size_t)(at - page), word ? "Secret rules" : "%c", *c);
            c += word;
        }
        assert_true(parse("a.html", page));
        for (size_t k = 0; k < document.passage_count; k++) {
            if (strstr(document.passages[k].text, "Secret") ||
                strstr(document.passages[k].heading_path, "Secret")) {
                fail_msg("%s is read", page);
            }
        }
    }
    assert_true(
        parse("a.html", "<p style='opacity:0.9; display:none-such'>Seen.</p><dialog open>Too.</dialog>"));
    assert_string_equal(document.passages[0].text, "Seen.\n\nToo.");
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

static void plain_text_finds_titles_and_sections(void **state)
{
    (void)state;
    assert_true(parse("guides/some_notes.txt",
        "The title\n\nFirst line\nsecond line. And " WORDS
        "\n\nA heading\nThis line is longer than the heading above it.\n- item one\n- item two\n"));
    assert_string_equal(document.title, "The title");
    assert_int_equal(document.passage_count, 2);
    assert_string_equal(document.passages[1].heading_path, "A heading");
    assert_string_equal(document.passages[1].anchor, "");
    assert_string_equal(
        document.passages[1].text, "This line is longer than the heading above it.\n- item one\n- item two");
}

static void the_file_name_is_the_last_title(void **state)
{
    (void)state;
    assert_true(parse("de/erste-schritte_im_haus.md", "Nur ein Text.\n"));
    assert_string_equal(document.title, "erste schritte im haus");
    assert_string_equal(document.locale, "de");
}

static void the_language_is_detected_when_nobody_says_it(void **state)
{
    (void)state;
    assert_true(parse("x.md",
        "Wir schicken Ihnen das Paket, sobald die Zahlung bei uns angekommen ist, und Sie erhalten eine "
        "Nachricht mit dem Link zur Sendung.\n"));
    assert_string_equal(document.locale, "de");
    assert_string_equal(kb_text_config("de-CH"), "german");
    assert_string_equal(kb_text_config("en"), "english");
    assert_string_equal(kb_text_config("deu"), "simple");
    assert_string_equal(kb_text_config(""), "simple");
}

/* Number `number` of 1000 sentences, of eight words. */
static void put_sentence(struct buf *out, int number)
{
    buf_printf(out, "Sentence %d says what is to be done. ", number);
}

static void long_text_is_cut_between_sentences(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_puts(&text, "## One\n\n");
    for (int i = 0; i < 100; i++) {
        put_sentence(&text, i);
    }
    buf_puts(&text, "\n\n## Two\n\nAnother section begins here.\n");
    assert_true(parse("a.md", buf_text(&text)));
    assert_int_equal(document.passage_count, 4);
    for (int i = 0; i < 3; i++) {
        const struct kb_passage *passage = &document.passages[i];
        size_t len = strlen(passage->text), tokens = section_tokens(passage->text, len);
        assert_true(tokens >= 200 && tokens <= 350);
        assert_int_equal(passage->text[len - 1], '.');
        assert_string_equal(passage->anchor, "one");
    }
    /* Each goes on with the last sentence of the one before; nothing is lost between them. */
    for (int i = 1; i < 3; i++) {
        const char *before = document.passages[i - 1].text, *after = document.passages[i].text;
        const char *last = before + strlen(before) - strlen("Sentence 00 says what is to be done.");
        assert_memory_equal(after, last, strlen(last));
        const char *behind = section_behind(before, after);
        assert_int_equal(
            strtol(behind + strlen("Sentence "), NULL, 10), 1 + strtol(last + strlen("Sentence "), NULL, 10));
    }
    assert_string_equal(document.passages[3].text, "Another section begins here.");
    assert_string_equal(document.passages[3].anchor, "two");
    assert_string_equal(
        section_behind(document.passages[2].text, document.passages[3].text), document.passages[3].text);
    buf_fini(&text);
}

static void a_long_list_keeps_what_introduces_it(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 30; i++) {
        put_sentence(&text, i);
    }
    buf_puts(&text, "\n\nNow do this:\n\n");
    for (int i = 0; i < 60; i++) {
        buf_printf(&text, "- step %d of all\n", i);
    }
    assert_true(parse("a.md", buf_text(&text)));
    assert_int_equal(document.passage_count, 2);
    const char *list = document.passages[1].text, *intro = "Now do this:\n\n- step 0 of all\n";
    assert_memory_equal(list, intro, strlen(intro));
    assert_non_null(strstr(list, "- step 59 of all"));
    buf_fini(&text);
}

static void a_list_stays_whole_and_text_without_spaces_is_cut(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 100; i++) {
        buf_puts(&text, "- four words an item\n");
    }
    assert_true(parse("a.md", buf_text(&text)));
    assert_int_equal(document.passage_count, 1);
    buf_reset(&text);
    for (int i = 0; i < 20000; i++) {
        buf_puts(&text, "\xc3\xbc");
    }
    assert_true(parse("a.md", buf_text(&text)));
    assert_true(document.passage_count > 10);
    for (size_t i = 0; i < document.passage_count; i++) {
        assert_true(utf8_valid(document.passages[i].text, strlen(document.passages[i].text)));
    }
    buf_fini(&text);
}

static void repeat(struct buf *out, const char *text, int times)
{
    for (int i = 0; i < times; i++) {
        buf_puts(out, text);
    }
}

static void hostile_documents_are_refused_in_bounds(void **state)
{
    (void)state;
    assert_false(parse("a.md", " \n\n"));
    assert_string_equal(error.code, "kb_empty");
    assert_false(parse("a.png", "text"));
    assert_string_equal(error.code, "kb_format");
    struct buf text;
    buf_init(&text, 8 << 20);
    repeat(&text, "<div>", 5000);
    buf_puts(&text, "deep");
    assert_false(parse("a.html", buf_text(&text)));
    assert_string_equal(error.code, "kb_too_complex");
    buf_reset(&text);
    repeat(&text, "# h\n\n" WORDS "\n\n", KB_MAX_PASSAGES + 1);
    assert_false(parse("a.md", buf_text(&text)));
    assert_string_equal(error.code, "kb_too_complex");
    buf_reset(&text);
    repeat(&text, "|a very long label of a column, as long as it may be, and more", 60);
    buf_puts(&text, "\n");
    repeat(&text, "|-", 60);
    for (int i = 0; i < 5000; i++) {
        buf_puts(&text, "\n");
        repeat(&text, "|x", 60);
    }
    assert_false(parse("a.md", buf_text(&text)));
    assert_string_equal(error.code, "kb_too_complex");
    buf_reset(&text);
    repeat(&text, ">", 100000);
    repeat(&text, "- ", 100000);
    repeat(&text, "[", 100000);
    (void)parse("a.md", buf_text(&text));
    buf_fini(&text);
}

static void citations_are_encoded(void **state)
{
    (void)state;
    assert_string_equal(kb_uri(arena, "https://x.example/help", "default", "a b/\xc3\xbc?.md"),
        "https://x.example/help/a%20b/%C3%BC%3F.md");
    assert_string_equal(kb_uri(arena, "", "my source", "a.md"), "kb://my%20source/a.md");
    assert_string_equal(kb_fragment(arena, "how-long"), "how-long");
}

/* Many elements side by side, more than are read, and as many that are never closed. */
static void endless_html_is_bounded(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 8 << 20);
    repeat(&text, "<i>x</i>", 150000);
    assert_true(parse("a.html", buf_text(&text)));
    assert_true(document.passage_count <= KB_MAX_PASSAGES);
    repeat(&text, "<i>x</i>", 150000);
    assert_false(parse("a.html", buf_text(&text)));
    assert_string_equal(error.code, "kb_too_complex");
    buf_reset(&text);
    repeat(&text, "<b>x", 500000);
    assert_false(parse("a.html", buf_text(&text)));
    assert_string_equal(error.code, "kb_too_complex");
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markdown_keeps_headings_and_anchors),
        cmocka_unit_test(a_short_introduction_joins_its_first_section),
        cmocka_unit_test(markdown_lists_tables_and_code),
        cmocka_unit_test(front_matter_names_title_and_locale),
        cmocka_unit_test(a_document_says_that_it_is_withdrawn),
        cmocka_unit_test(robots_are_told_that_a_page_is_withdrawn),
        cmocka_unit_test(a_document_says_when_it_expires),
        cmocka_unit_test(html_reads_the_main_part),
        cmocka_unit_test(hidden_html_is_not_read),
        cmocka_unit_test(html_in_another_encoding_becomes_utf8),
        cmocka_unit_test(every_encoding_becomes_utf8),
        cmocka_unit_test(what_cannot_be_decoded_names_the_encoding),
        cmocka_unit_test(endless_html_is_bounded),
        cmocka_unit_test(plain_text_finds_titles_and_sections),
        cmocka_unit_test(the_file_name_is_the_last_title),
        cmocka_unit_test(the_language_is_detected_when_nobody_says_it),
        cmocka_unit_test(long_text_is_cut_between_sentences),
        cmocka_unit_test(a_long_list_keeps_what_introduces_it),
        cmocka_unit_test(a_list_stays_whole_and_text_without_spaces_is_cut),
        cmocka_unit_test(hostile_documents_are_refused_in_bounds),
        cmocka_unit_test(citations_are_encoded),
    };
    return cmocka_run_group_tests_name("kb_parse", tests, setup, teardown);
}
