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
        cmocka_unit_test(html_reads_the_main_part),
        cmocka_unit_test(hidden_html_is_not_read),
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
