/* The frame of an answer in English and German: written around quotes, and taken off an answer that is kept.
 */
#include "model/phrases.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "model/language.h"
#include "model/text.h"

#define LINE_WORDS 12      /* of a line, as many as tell what it is */
#define GREETING_BYTES 160 /* a name has at most 80 */
#define GREETING_WORDS 5   /* of one that nothing sets off from what follows */
#define CLOSING_WORDS 3    /* after it on its line: a name */
#define SIGNATURE_LINES 6
#define SIGNATURE_BYTES 80
#define SIGNATURE_WORDS 8

static const struct phrases all[] = {
    {
        .language = "en",
        .thanks = "Thank you for your message.",
        .sorry = "I am sorry for the trouble you have had.",
        .from_base = "Here is what our help pages say about your question:",
        .from_case = "In a similar case this answer helped:",
        .order = "About your order",
        .more =
            "If this does not help, please reply to this message and a colleague will look at it with you.",
        .handover = "I have not found a reliable answer to your question in our help pages, so I am handing "
                    "your message to a "
                    "colleague who will look at it personally.",
        .rest = "You do not need to do anything else for now.",
        .ask = "I am handing your message to a colleague. To help them, please reply with what you did, what "
               "you expected, "
               "what happened instead, and any order number or error message you have.",
    },
    {
        .language = "de",
        .thanks = "vielen Dank für Ihre Nachricht.",
        .sorry = "Die Unannehmlichkeiten tun mir leid.",
        .from_base = "Das steht in unseren Hilfeseiten zu Ihrer Frage:",
        .from_case = "In einem ähnlichen Fall hat diese Antwort geholfen:",
        .order = "Zu Ihrer Bestellung",
        .more = "Falls das nicht hilft, antworten Sie bitte auf diese Nachricht; dann sieht es sich eine "
                "Kollegin oder ein "
                "Kollege mit Ihnen an.",
        .handover = "In unseren Hilfeseiten habe ich keine verlässliche Antwort auf Ihre Frage gefunden, "
                    "deshalb gebe ich Ihre "
                    "Nachricht an eine Kollegin oder einen Kollegen weiter.",
        .rest = "Sie müssen vorerst nichts weiter tun.",
        .ask = "Ich gebe Ihre Nachricht an eine Kollegin oder einen Kollegen weiter. Zur Hilfe schreiben Sie "
               "uns bitte, was Sie "
               "getan und erwartet haben, was stattdessen passiert ist, und eine Bestellnummer oder "
               "Fehlermeldung, falls Sie eine haben.",
    },
};

static const struct phrases_frame frames[] = {
    {"en", "Hello {name},", "Hello,", "Kind regards\nYour support team"},
    {"de", "Guten Tag {name},", "Guten Tag,", "Mit freundlichen Grüßen\nIhr Support-Team"},
    {"fr", "Bonjour {name},", "Bonjour,", "Cordialement\nVotre équipe d'assistance"},
    {"es", "Hola {name},", "Hola,", "Un cordial saludo\nSu equipo de soporte"},
    {"it", "Buongiorno {name},", "Buongiorno,", "Cordiali saluti\nIl team di assistenza"},
    {"nl", "Hallo {name},", "Hallo,", "Met vriendelijke groet\nUw supportteam"},
    {"pt", "Olá {name},", "Olá,", "Atenciosamente\nSuporte ao cliente"},
};

const struct phrases_frame *phrases_frame_for(const char *locale)
{
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        if (language_same(locale, frames[i].language)) {
            return &frames[i];
        }
    }
    return NULL;
}

const struct phrases *phrases_for(const char *locale)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (language_same(locale, all[i].language)) {
            return &all[i];
        }
    }
    return &all[0];
}

/* ---- what an answer says, without its frame ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Bytes of a mark such as "[12]" at `text`, 0 when there is none. */
static size_t mark_length(const char *text)
{
    size_t digits = text[0] == '[' ? strspn(text + 1, "0123456789") : 0;
    return digits >= 1 && digits <= 3 && text[digits + 1] == ']' ? digits + 2 : 0;
}

static bool ends_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0x80 || c == '_' || c == ')' || c == ']';
}

char *phrases_unmark(struct arena *arena, const char *text)
{
    char *out = arena_alloc(arena, strlen(text) + 1);
    size_t len = 0;
    bool marked = false; /* what was read last is a mark */
    for (size_t i = 0; text[i] != 0;) {
        size_t mark = mark_length(text + i);
        if (mark > 0 && (marked || i == 0 || !ends_word(text[i - 1]))) {
            while (len > 0 && is_blank(out[len - 1])) {
                len--;
            }
            i += mark;
            marked = true;
            continue;
        }
        bool opens = marked && is_blank(text[i]) && (len == 0 || out[len - 1] == '\n');
        if (!opens) {
            out[len++] = text[i];
            marked = false;
        }
        i++;
    }
    out[len] = 0;
    return out;
}

/* Takes every `phrase` out of `text`, with the blanks after it. */
static void cut_phrase(char *text, const char *phrase)
{
    char *out = text;
    const char *from = text, *at;
    while ((at = strcasestr(from, phrase)) != NULL) {
        memmove(out, from, (size_t)(at - from));
        out += at - from;
        from = at + strlen(phrase);
        from += strspn(from, " \t");
    }
    memmove(out, from, strlen(from) + 1);
}

static void cut_fixed_sentences(char *text)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct phrases *p = &all[i];
        const char *const fixed[] = {
            p->thanks, p->sorry, p->from_base, p->from_case, p->more, p->handover, p->rest, p->ask};
        for (size_t j = 0; j < sizeof fixed / sizeof fixed[0]; j++) {
            cut_phrase(text, fixed[j]);
        }
    }
}

struct line {
    const char *text; /* without white space at its ends */
    size_t len;
    struct text_word *words; /* the first of them */
    size_t word_count;
};

static struct line *split_lines(struct arena *arena, const char *text, size_t *count)
{
    size_t most = 1;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++) {
        most++;
    }
    struct line *lines = arena_array(arena, most, sizeof *lines);
    *count = 0;
    for (const char *from = text, *end; from != NULL; from = *end != 0 ? end + 1 : NULL) {
        end = strchrnul(from, '\n');
        const char *last = end;
        for (; from < last && is_blank(*from); from++) {
        }
        for (; last > from && is_blank(last[-1]); last--) {
        }
        struct line *line = &lines[(*count)++];
        line->len = (size_t)(last - from);
        line->text = arena_strndup(arena, from, line->len);
        line->words = text_words(arena, line->text, LINE_WORDS, &line->word_count);
    }
    return lines;
}

/* How many words of `phrase` (in plain form) the line starts with, 0 unless all. */
static size_t starts_with(const struct line *line, const char *phrase)
{
    size_t count = 0;
    while (*phrase != 0) {
        size_t len = strcspn(phrase, " ");
        if (count == line->word_count || strlen(line->words[count].plain) != len ||
            memcmp(line->words[count].plain, phrase, len) != 0) {
            return 0;
        }
        count++;
        phrase += len + (phrase[len] == ' ');
    }
    return count;
}

static size_t starts_with_any(const struct line *line, const char *const *list)
{
    size_t best = 0;
    for (; *list != NULL; list++) {
        size_t words = starts_with(line, *list);
        best = words > best ? words : best;
    }
    return best;
}

/* Bytes of the greeting that the line starts with: the whole line, or what stands before a comma or "!". */
static size_t greeting_length(const struct line *line)
{
    static const char *const greetings[] = {"hello", "hi", "hey", "dear", "good day", "good morning",
        "good afternoon", "good evening", "guten tag", "guten morgen", "guten abend", "hallo", "moin",
        "servus", "gruss gott", "liebe", "lieber", "sehr geehrte", "sehr geehrter", "bonjour", "hola",
        "buongiorno", "ola", NULL};
    if (starts_with_any(line, greetings) == 0) {
        return 0;
    }
    size_t len = strcspn(line->text, ",!"), words = 0;
    while (words < line->word_count && line->words[words].end <= len) {
        words++;
    }
    if (len + 1 == line->len) {
        return len < GREETING_BYTES ? line->len : 0;
    }
    bool sentence = len == line->len && strchr(".:?", line->text[len - 1]) != NULL;
    return words > GREETING_WORDS || sentence ? 0 : len < line->len ? len + 1 : len;
}

static bool is_closing(const struct line *line)
{
    static const char *const closings[] = {"kind regards", "best regards", "warm regards", "regards",
        "kindest regards", "with kind regards", "with best regards", "best wishes", "all the best",
        "sincerely", "yours sincerely", "yours faithfully", "yours truly", "sincerely yours", "cheers",
        "mit freundlichen grussen", "mit freundlichen gruessen", "mit freundlichem gruss",
        "mit besten grussen", "mit besten gruessen", "freundliche grusse", "freundliche gruesse",
        "viele grusse", "viele gruesse", "beste grusse", "beste gruesse", "liebe grusse", "liebe gruesse",
        "herzliche grusse", "herzliche gruesse", "schone grusse", "gruss", "grusse", "gruesse", "mfg",
        "cordialement", "un cordial saludo", "cordiali saluti", "met vriendelijke groet", "atenciosamente",
        NULL};
    size_t words = starts_with_any(line, closings);
    return strcmp(line->text, "--") == 0 || (words > 0 && line->word_count <= words + CLOSING_WORDS);
}

/* Whether nothing but a signature stands in the lines. */
static bool is_signature(const struct line *lines, size_t count)
{
    size_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        filled += lines[i].len > 0;
        if (filled > SIGNATURE_LINES || lines[i].len > SIGNATURE_BYTES ||
            lines[i].word_count > SIGNATURE_WORDS) {
            return false;
        }
    }
    return true;
}

/* Facts of an order: "About your order: ...". */
static bool is_order(const struct line *line)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        size_t len = strlen(all[i].order);
        if (strncmp(line->text, all[i].order, len) == 0 && line->text[len] == ':') {
            return true;
        }
    }
    return false;
}

static char *join_lines(struct arena *arena, const struct line *lines, size_t count, size_t size)
{
    char *out = arena_alloc(arena, size);
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        bool empty = lines[i].len == 0;
        if (empty && (len < 2 || out[len - 2] == '\n')) {
            continue;
        }
        memcpy(out + len, lines[i].text, lines[i].len);
        len += lines[i].len;
        out[len++] = '\n';
    }
    while (len > 0 && out[len - 1] == '\n') {
        len--;
    }
    out[len] = 0;
    return out;
}

/* Takes greeting, closing and signature off: `*count` lines are left from the one that is returned. */
static struct line *cut_frame(struct line *lines, size_t *count)
{
    size_t first = 0;
    while (first < *count && lines[first].len == 0) {
        first++;
    }
    if (first < *count) {
        struct line *line = &lines[first];
        size_t greeting = greeting_length(line);
        greeting += strspn(line->text + greeting, " \t");
        line->text += greeting;
        line->len -= greeting;
    }
    for (size_t i = first; i < *count; i++) {
        if (is_closing(&lines[i]) && is_signature(lines + i + 1, *count - i - 1)) {
            *count = i;
        }
    }
    *count -= first;
    return lines + first;
}

char *phrases_unframe(struct arena *arena, const char *text)
{
    struct arena *scratch = arena_new(0);
    size_t count;
    struct line *lines = split_lines(scratch, text, &count);
    lines = cut_frame(lines, &count);
    char *body = join_lines(arena, lines, count, strlen(text) + 2);
    arena_free(scratch);
    return body;
}

char *phrases_body(struct arena *arena, const char *text)
{
    struct arena *scratch = arena_new(0);
    char *copy = phrases_unmark(scratch, text);
    size_t size = strlen(copy) + 2, count, kept = 0;
    cut_fixed_sentences(copy);
    struct line *lines = split_lines(scratch, copy, &count);
    lines = cut_frame(lines, &count);
    for (size_t i = 0; i < count; i++) {
        if (!is_order(&lines[i])) {
            lines[kept++] = lines[i];
        }
    }
    char *body = join_lines(arena, lines, kept, size);
    arena_free(scratch);
    return body;
}
