/* Formats that hold their text in containers: rows, pages, archives. */
#include "kb_parse_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <zip.h>
#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"

static void csv_rows_are_questions_with_answers(void **state)
{
    (void)state;
    assert_true(
        parse("faq.csv", "\xef\xbb\xbf"
                         "Id;Frage;Antwort;Kategorie;Sprache\r\n"
                         "1;\"Wie; warum \"\"so\"\"?\";\"Erster Absatz.\r\n\r\nZweiter.\";Versand;de-AT\r\n"
                         "2;Noch offen?;;Versand;de-AT\r\n"
                         "\r\n"
                         "3;Wann?;Morgen.\r\n"
                         "4;Wann?;Abends.;;de-AT;\r\n"));
    assert_string_equal(document.title, "faq");
    assert_string_equal(document.locale, "de-AT");
    assert_int_equal(document.passage_count, 3);
    assert_string_equal(document.passages[0].heading_path, "Versand > Wie; warum \"so\"?");
    assert_string_equal(document.passages[0].anchor, "wie-warum-so");
    assert_string_equal(document.passages[0].text, "Erster Absatz.\n\nZweiter.");
    assert_string_equal(document.passages[1].heading_path, "Wann?");
    assert_string_equal(document.passages[1].anchor, "wann");
    assert_string_equal(document.passages[1].text, "Morgen.");
    assert_string_equal(document.passages[2].anchor, "wann-1");
    assert_true(parse("a.csv", "R\u00e9ponse\tQuestion\tURL\nOui, a, b.\tPeut-on?\thttps://x.example/y\n"));
    assert_string_equal(document.passages[0].heading_path, "Peut-on?");
    assert_string_equal(document.passages[0].text, "Oui, a, b.\n\nhttps://x.example/y");
    assert_true(parse("a.csv", "Title,Q,A,lang\nx,One?,1.,en\nx,Deux?,2.,fr\n"));
    assert_string_equal(document.passages[1].heading_path, "Deux?");
    assert_string_not_equal(document.locale, "fr");
}

static void csv_that_cannot_be_read_says_where(void **state)
{
    (void)state;
    assert_false(parse("a.csv", "name,price\nx,1\n"));
    assert_string_equal(error.code, "kb_csv_columns");
    assert_non_null(strstr(error.text, "\"question\""));
    assert_non_null(strstr(error.text, "\"answer\""));
    assert_false(parse("a.csv", "q,a\none?,1.\ntwo?,2.,three\n"));
    assert_string_equal(error.text, "line 3 of the CSV file: has 3 fields, the header has 2");
    assert_false(parse("a.csv", "q,a\none?,\"1.\n"));
    assert_string_equal(error.text, "line 2 of the CSV file: a quoted field is not closed");
    assert_false(parse("a.csv", "q,a\none?,\n"));
    assert_string_equal(error.code, "kb_empty");
    assert_false(parse("a.csv", "\n\n"));
    assert_string_equal(error.code, "kb_empty");
}

#define PDF_LINE(SIZE, Y, TEXT) "BT /F " SIZE " Tf 50 " Y " Td (" TEXT ") Tj ET "

/* A document of two pages with these contents; static. */
static char *pdf_of(const char *first, const char *second)
{
    static char text[4096];
    (void)snprintf(text, sizeof(text),
        "%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        "2 0 obj<</Type/Pages/Kids[3 0 R 5 0 R]/Count 2>>endobj\n"
        "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9000 800]/Resources<</Font<</F 7 0 R>>>>/Contents 4 0 "
        "R>>endobj\n4 0 obj<</Length %zu>>stream\n%s\nendstream endobj\n"
        "5 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9000 800]/Resources<</Font<</F 7 0 R>>>>/Contents 6 0 "
        "R>>endobj\n6 0 obj<</Length %zu>>stream\n%s\nendstream endobj\n"
        "7 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
        "trailer<</Root 1 0 R>>\n%%%%EOF\n",
        strlen(first), first, strlen(second), second);
    return text;
}

static void pdf_pages_have_anchors(void **state)
{
    (void)state;
    char *text = pdf_of(PDF_LINE("12", "700", WORDS), PDF_LINE("12", "700", "The second page"));
    assert_true(parse("guide.pdf", text));
    assert_string_equal(document.title, "guide");
    assert_int_equal(document.passage_count, 2);
    assert_string_equal(document.passages[0].anchor, "page=1");
    assert_string_equal(document.passages[1].anchor, "page=2");
    assert_string_equal(document.passages[1].text, "The second page");
    assert_string_equal(kb_fragment(arena, "page=2"), "page=2");
    text[60] = '\0';
    assert_false(parse("guide.pdf", text));
    assert_string_equal(error.code, "kb_damaged");
}

static void larger_lines_of_a_pdf_are_headings(void **state)
{
    (void)state;
    assert_true(parse(
        "a.pdf", pdf_of(PDF_LINE("20", "700", "Setting up") PDF_LINE("12", "660", WORDS) PDF_LINE("14", "620",
                            "Where to") PDF_LINE("14", "600", "put it") PDF_LINE("12", "560", WORDS),
                     PDF_LINE("20", "700", "A page of") PDF_LINE("14", "660", "large letters"))));
    assert_int_equal(document.passage_count, 3);
    assert_string_equal(document.passages[0].heading_path, "Setting up");
    assert_string_equal(document.passages[0].text, WORDS);
    assert_string_equal(document.passages[1].heading_path, "Setting up > Where to put it");
    assert_string_equal(document.passages[1].text, WORDS);
    assert_string_equal(document.passages[1].anchor, "page=1");
    assert_string_equal(document.passages[2].text, "A page of\nlarge letters");
    assert_string_equal(document.passages[2].anchor, "page=2");
}

static void hostile_pdf_is_refused(void **state)
{
    (void)state;
    struct buf bytes;
    buf_init(&bytes, 4096);
    assert_null(file_read(SOURCE_DIR "/tests/data/encrypted.pdf", &bytes));
    error = (struct error){0};
    assert_false(kb_parse(arena, "a.pdf", "", bytes.data, bytes.len, &document, &error));
    buf_fini(&bytes);
    assert_string_equal(error.code, "kb_protected");
    assert_string_equal(error.text, "the PDF is encrypted: it opens with a password only");
    assert_false(parse("a.pdf", /* pages that hold each other, and say that they are many */
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        "2 0 obj<</Type/Pages/Kids[6 0 R]/Count 5000>>endobj\n"
        "6 0 obj<</Type/Pages/Parent 2 0 R/Kids[2 0 R]/Count 5000>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"));
    assert_string_equal(error.code, "kb_empty");
    assert_false(
        parse("a.pdf", pdf_of("/X Do q q q q BT (", "Q Q ET"))); /* ends in the middle of everything */
    assert_string_equal(error.code, "kb_empty");
}

/* A Word document of these parts; the bytes are in the arena. */
static const char *docx_of(const char *body, size_t *len)
{
    static const char styles[] =
        "<w:styles xmlns:w='w'><w:style w:styleId='berschrift1'><w:name w:val='heading 1'/></w:style>"
        "</w:styles>";
    static const char core[] = "<c:core xmlns:c='c' xmlns:d='d'><d:title>Manual</d:title></c:core>";
    const struct {
        const char *name, *text;
    } parts[] = {{"docProps/core.xml", core}, {"word/styles.xml", styles}, {"word/document.xml", body}};
    zip_source_t *target = zip_source_buffer_create(NULL, 0, 0, NULL);
    zip_t *archive = zip_open_from_source(target, ZIP_TRUNCATE, NULL);
    assert_non_null(archive);
    zip_source_keep(target);
    for (size_t i = 0; i < 3; i++) {
        zip_source_t *part = zip_source_buffer(archive, parts[i].text, strlen(parts[i].text), 0);
        assert_true(zip_file_add(archive, parts[i].name, part, 0) >= 0);
    }
    assert_int_equal(zip_close(archive), 0);
    zip_stat_t stat;
    assert_int_equal(zip_source_stat(target, &stat), 0);
    char *bytes = arena_alloc(arena, stat.size + 1);
    assert_int_equal(zip_source_open(target), 0);
    *len = (size_t)zip_source_read(target, bytes, stat.size);
    (void)zip_source_close(target);
    zip_source_free(target);
    return bytes;
}

static bool parse_docx(const char *body)
{
    size_t len = 0;
    const char *bytes = docx_of(body, &len);
    error = (struct error){0};
    return kb_parse(arena, "a.docx", "", bytes, len, &document, &error);
}

#define DOCX_P(PROPERTIES, TEXT) "<w:p><w:pPr>" PROPERTIES "</w:pPr><w:r><w:t>" TEXT "</w:t></w:r></w:p>"

static void docx_keeps_structure(void **state)
{
    (void)state;
    assert_true(parse_docx("<w:document xmlns:w='w'><w:body>" DOCX_P(
        "<w:pStyle w:val='berschrift1'/>", "Setup") DOCX_P("", "Do &amp; wait.") DOCX_P("<w:numPr/>", "one")
            DOCX_P("<w:numPr/>", "two") "<w:tbl><w:tr><w:tc>" DOCX_P("", "A") "</w:tc><w:tc>" DOCX_P(
                "", "B") "</w:tc></w:tr></w:tbl></w:body></w:document>"));
    assert_string_equal(document.title, "Manual");
    assert_int_equal(document.passage_count, 1);
    assert_string_equal(document.passages[0].heading_path, "Setup");
    assert_string_equal(document.passages[0].text, "Do & wait.\n\n- one\n- two\n\nA ; B");
}

/* Bytes 24 to 27 of an entry of the archive's directory: how long the part is said to be when it is unpacked.
 */
static bool parse_docx_said_to_be(unsigned long size)
{
    size_t len = 0;
    const char *made = docx_of("<w:document xmlns:w='w'>" DOCX_P("", "text") "</w:document>", &len);
    char *bytes = memcpy(arena_alloc(arena, len), made, len);
    char *entry = bytes + len - 4;
    while (entry > bytes && memcmp(entry, "PK\1\2", 4) != 0) { /* the last one is that of the text */
        entry--;
    }
    for (int i = 0; i < 4; i++) {
        entry[24 + i] = (char)(size >> 8 * i & 0xff);
    }
    error = (struct error){0};
    return kb_parse(arena, "a.docx", "", bytes, len, &document, &error);
}

static void an_archive_that_lies_is_refused(void **state)
{
    (void)state;
    static const unsigned long sizes[] = {0, 10, 1000, 10000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_false(parse_docx_said_to_be(sizes[i]));
        assert_string_equal(error.code, "kb_damaged");
    }
    assert_false(parse_docx_said_to_be(0xfffffff0UL));
    assert_string_equal(error.code, "kb_too_large");
}

static void hostile_docx_is_refused(void **state)
{
    (void)state;
    assert_false(parse_docx("<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
                            "<w:document xmlns:w='w'>" DOCX_P("", "&x;") "</w:document>"));
    assert_string_equal(error.code, "kb_damaged");
    size_t bomb = (size_t)60 << 20;
    char *spaces = xmalloc(bomb + 1);
    memset(spaces, ' ', bomb);
    spaces[bomb] = '\0';
    assert_false(parse_docx(spaces));
    assert_string_equal(error.code, "kb_too_large");
    free(spaces);
    assert_false(parse("a.docx", "PK\x03\x04 cut off"));
    assert_string_equal(error.code, "kb_damaged");
    assert_false(parse("a.docx", "\xd0\xcf\x11\xe0 encrypted"));
    assert_string_equal(error.code, "kb_protected");
    assert_false(parse("a.pdf", "# Markdown\n\ntext"));
    assert_string_equal(error.code, "kb_wrong_type");
    assert_false(parse("a.md", "%PDF-1.4"));
    assert_string_equal(error.code, "kb_wrong_type");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_rows_are_questions_with_answers),
        cmocka_unit_test(csv_that_cannot_be_read_says_where),
        cmocka_unit_test(pdf_pages_have_anchors),
        cmocka_unit_test(larger_lines_of_a_pdf_are_headings),
        cmocka_unit_test(hostile_pdf_is_refused),
        cmocka_unit_test(docx_keeps_structure),
        cmocka_unit_test(an_archive_that_lies_is_refused),
        cmocka_unit_test(hostile_docx_is_refused),
    };
    return cmocka_run_group_tests_name("kb_parse_container", tests, setup, teardown);
}
