/* CSV of questions and answers: a header names the columns, each row with a question and an answer is a
 * section with the question as its heading. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/records.h"
#include "base/utf8.h"
#include "kb/cut.h"
#include "model/text.h"

enum column { COLUMN_QUESTION, COLUMN_ANSWER, COLUMN_CATEGORY, COLUMN_URL, COLUMN_LOCALE, COLUMNS };

#define NAMES_MAX 40
#define NOWHERE ((size_t)-1)

/* In the order of preference; lower case, without accents, spaces and marks. */
static const char *const names[COLUMNS][NAMES_MAX] = {
    [COLUMN_QUESTION] = {"question", "questions", "questiontext", "q", "frage", "fragen", "pregunta",
        "preguntas", "domanda", "domande", "pergunta", "perguntas", "vraag", "vragen", "fraga", "sporsmal",
        "sporgsmal", "kysymys", "pytanie", "otazka", "kerdes", "intrebare", "soru", "вопрос", "питання",
        "提问", "问题", "問題", "質問", "질문", "faq", "prompt", "query", "title", "titel", "titre", "titulo",
        "titolo", "subject", "heading"},
    [COLUMN_ANSWER] = {"answer", "answers", "answertext", "a", "antwort", "antworten", "respuesta",
        "respuestas", "reponse", "reponses", "risposta", "risposte", "resposta", "respostas", "antwoord",
        "antwoorden", "svar", "vastaus", "odpowiedz", "odpoved", "valasz", "raspuns", "cevap", "yanit",
        "ответ", "відповідь", "回答", "答案", "解答", "답변", "response", "reply", "solution", "losung",
        "content", "inhalt", "text", "body", "description"},
    [COLUMN_CATEGORY] = {"category", "categories", "kategorie", "categoria", "categorie", "kategori",
        "section", "topic", "thema", "tema", "theme", "group", "tags", "tag", "labels", "keywords"},
    [COLUMN_URL] = {"url", "link", "uri", "href", "source", "quelle"},
    [COLUMN_LOCALE] = {"locale", "language", "lang", "sprache", "idioma", "langue", "lingua", "taal"},
};

struct table {
    struct kb_cut *cut;
    struct arena *arena;
    struct records records;
    size_t at[COLUMNS]; /* which field is the column, NOWHERE when none is */
    size_t count;       /* of the header's fields */
    const char *locale; /* of the rows: NULL before the first, "" when they differ */
};

/* ---- the header ---- */

/* "Réponse (texte) " -> "reponsetexte" */
static const char *plain_name(struct arena *arena, const char *name)
{
    const char *plain = text_plain(arena, utf8_fold(arena, name));
    char *out = arena_alloc(arena, strlen(plain) + 1);
    size_t used = 0;
    for (const char *c = plain; *c; c++) {
        if ((*c >= 'a' && *c <= 'z') || (unsigned char)*c >= 0x80) {
            out[used++] = *c;
        }
    }
    out[used] = '\0';
    return out;
}

static size_t find_column(const struct record *header, enum column column)
{
    for (size_t n = 0; n < NAMES_MAX && names[column][n]; n++) {
        for (size_t i = 0; i < header->count; i++) {
            if (!strcmp(header->fields[i], names[column][n])) {
                return i;
            }
        }
    }
    return NOWHERE;
}

static bool bad_row(size_t line, const char *why, struct error *err)
{
    return error_set(err, ERROR_REJECT, "kb_csv", "line %zu of the CSV file: %s", line, why);
}

static bool read_header(struct table *table, struct error *err)
{
    struct record header;
    struct error why = {0};
    enum records_read read = records_fields(&table->records, table->arena, &header, &why);
    if (read == RECORDS_BAD) {
        return bad_row(header.line, why.text, err);
    }
    if (read == RECORDS_END) {
        return error_set(err, ERROR_REJECT, "kb_empty", "the document has no text");
    }
    for (size_t i = 0; i < header.count; i++) {
        header.fields[i] = plain_name(table->arena, header.fields[i]);
    }
    for (enum column column = 0; column < COLUMNS; column++) {
        table->at[column] = find_column(&header, column);
    }
    table->count = header.count;
    if (table->at[COLUMN_QUESTION] != NOWHERE && table->at[COLUMN_ANSWER] != NOWHERE) {
        return true;
    }
    return error_set(err, ERROR_REJECT, "kb_csv_columns",
        "the first line of a CSV file must name a column \"question\" and a column \"answer\" "
        "(\"category\", \"url\" and \"locale\" are optional)");
}

/* ---- rows ---- */

static const char *field_of(const struct table *table, const struct record *row, enum column column)
{
    size_t at = table->at[column];
    return at < row->count ? utf8_trim(table->arena, row->fields[at]) : "";
}

/* Paragraphs are apart by an empty line; other lines are kept as they are. */
static void write_answer(struct kb_cut *cut, struct arena *arena, const char *answer)
{
    struct buf text;
    buf_init(&text, strlen(answer) + 1);
    for (const char *at = answer; *at;) {
        size_t len = strcspn(at, "\n"), end = len;
        while (end > 0 && (at[end - 1] == '\r' || at[end - 1] == ' ')) {
            end--;
        }
        if (end == 0 && text.len) {
            kb_cut_block(cut, KB_BLOCK_TEXT, utf8_trim(arena, buf_text(&text)));
            buf_reset(&text);
        }
        buf_append(&text, at, end);
        at += len;
        if (*at) {
            buf_putc(&text, '\n');
            at++;
        }
    }
    kb_cut_block(cut, KB_BLOCK_TEXT, utf8_trim(arena, buf_text(&text)));
    buf_fini(&text);
}

static void note_locale(struct table *table, const char *locale)
{
    if (*locale) {
        table->locale = !table->locale || !strcmp(table->locale, locale) ? locale : "";
    }
}

static void write_row(struct table *table, const struct record *row)
{
    const char *question = field_of(table, row, COLUMN_QUESTION),
               *answer = field_of(table, row, COLUMN_ANSWER);
    const char *category = field_of(table, row, COLUMN_CATEGORY), *url = field_of(table, row, COLUMN_URL);
    if (!*question || !*answer) {
        return; /* a question that nobody answered yet */
    }
    if (*category) {
        kb_cut_heading(table->cut, 2, category, "");
    }
    kb_cut_heading(table->cut, *category ? 3 : 2, question, NULL);
    write_answer(table->cut, table->arena, answer);
    if (*url && !strstr(answer, url)) {
        kb_cut_block(table->cut, KB_BLOCK_TEXT, url);
    }
    note_locale(table, field_of(table, row, COLUMN_LOCALE));
}

/* Spreadsheets leave out empty fields at the end of a row, or write more of them than the header has. */
static bool fits(const struct table *table, const struct record *row, struct error *err)
{
    for (size_t i = table->count; i < row->count; i++) {
        if (*row->fields[i]) {
            char why[100];
            (void)snprintf(why, sizeof(why), "has %zu fields, the header has %zu", row->count, table->count);
            return bad_row(row->line, why, err);
        }
    }
    return true;
}

static bool read_rows(struct table *table, struct error *err)
{
    for (;;) {
        struct record row;
        struct error why = {0};
        enum records_read read = records_fields(&table->records, table->arena, &row, &why);
        if (read == RECORDS_BAD) {
            return bad_row(row.line, why.text, err);
        }
        if (read == RECORDS_END || !kb_cut_has_room(table->cut)) {
            return true;
        }
        if (!fits(table, &row, err)) {
            return false;
        }
        write_row(table, &row);
    }
}

bool kb_parse_csv(struct kb_cut *cut, struct arena *arena, const char *data, size_t len, struct error *err)
{
    struct table table = {.cut = cut, .arena = arena};
    FILE *stream = fmemopen((void *)data, len, "r"); /* which reads alone does not write */
    if (!stream) {
        return error_set(err, ERROR_REJECT, "kb_damaged", "the CSV file cannot be read");
    }
    records_init(&table.records, stream, records_separator(data, len));
    bool ok = read_header(&table, err) && read_rows(&table, err);
    if (table.locale) {
        kb_cut_locale(cut, table.locale);
    }
    records_fini(&table.records);
    (void)fclose(stream);
    return ok;
}
