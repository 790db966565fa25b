/* Weighs the words of a query. */
#include "kb/terms.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "model/text.h"

#define UNIT_BYTES 1000 /* of one sentence that are looked at */
#define BODY_BYTES 8000 /* of the whole text */
#define SUBJECT_WEIGHT 2.0
#define QUESTION_WEIGHT 1.5
#define STATEMENT_WEIGHT 0.75
#define STORY_WEIGHT 0.4  /* of a statement beside a question */
#define FOCUS_WORDS 1.5   /* what a question must tell at least to be covered in full */
#define ID_DIGITS 4       /* an unknown word with so many is a number of something, not the point */
#define SOUGHT_TEXTS 4000 /* texts that the sought terms may bring together: what a search costs */
#define SOUGHT_LEAST 2    /* terms that are sought however common they are */
#define UNKNOWN_WEIGHT                                                                                       \
    0.6 /* of a word in a statement that no text has: a name or a slip as likely as the point */

/* Words of tickets that ask nothing: greetings, thanks, wishes, and what every question is made of. Sorted.
 */
static const char *const empty_words[] = {
    "able",
    "actually",
    "advance",
    "advise",
    "afternoon",
    "already",
    "always",
    "anybody",
    "anyone",
    "anything",
    "appreciate",
    "asap",
    "ask",
    "asking",
    "assist",
    "assistance",
    "await",
    "back",
    "beste",
    "bitte",
    "cannot",
    "cant",
    "cheers",
    "come",
    "correct",
    "customer",
    "danke",
    "danken",
    "day",
    "dear",
    "doesnt",
    "don",
    "dont",
    "else",
    "even",
    "evening",
    "ever",
    "everything",
    "explain",
    "find",
    "frage",
    "freundliche",
    "freundlichen",
    "gehen",
    "geht",
    "gern",
    "gerne",
    "get",
    "getting",
    "gibt",
    "give",
    "gladly",
    "go",
    "going",
    "gone",
    "good",
    "got",
    "great",
    "greetings",
    "gruesse",
    "gruss",
    "grussen",
    "gruße",
    "grüße",
    "grüßen",
    "guten",
    "habe",
    "haben",
    "hallo",
    "happen",
    "happened",
    "happens",
    "helfen",
    "hello",
    "help",
    "herren",
    "hey",
    "hi",
    "hilfe",
    "hope",
    "however",
    "hätte",
    "idea",
    "ideas",
    "im",
    "info",
    "information",
    "issue",
    "ive",
    "just",
    "kann",
    "keep",
    "kind",
    "kindly",
    "know",
    "konnen",
    "kontakt",
    "können",
    "könnte",
    "könnten",
    "leider",
    "let",
    "like",
    "look",
    "looking",
    "machen",
    "macht",
    "made",
    "make",
    "many",
    "maybe",
    "mean",
    "means",
    "meine",
    "meiner",
    "mochte",
    "morning",
    "much",
    "möchte",
    "need",
    "needs",
    "never",
    "nice",
    "now",
    "nun",
    "ok",
    "okay",
    "one",
    "perhaps",
    "please",
    "possible",
    "problem",
    "problems",
    "question",
    "questions",
    "quick",
    "quickly",
    "really",
    "reason",
    "regarding",
    "regards",
    "reply",
    "right",
    "said",
    "saw",
    "say",
    "says",
    "schon",
    "see",
    "seem",
    "seems",
    "sehr",
    "seit",
    "show",
    "since",
    "sincerely",
    "sir",
    "someone",
    "something",
    "soon",
    "sorry",
    "still",
    "sure",
    "tag",
    "take",
    "team",
    "tell",
    "thank",
    "thanks",
    "thing",
    "things",
    "think",
    "time",
    "today",
    "told",
    "tried",
    "try",
    "trying",
    "understand",
    "unfortunately",
    "us",
    "use",
    "used",
    "using",
    "very",
    "vielen",
    "want",
    "wanted",
    "wanting",
    "wants",
    "way",
    "well",
    "went",
    "whether",
    "will",
    "wish",
    "wissen",
    "wonder",
    "wondering",
    "work",
    "working",
    "works",
    "would",
    "wüsste",
    "yesterday",
    "yet",
};

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool asks_nothing(const struct text_word *word, const char *folded)
{
    return word->stop || bsearch(&folded, empty_words, sizeof(empty_words) / sizeof(empty_words[0]),
                             sizeof(char *), compare_words);
}

/* A copy in which such words are blanks; everything else stays as it was, so that "LUM-20418" stays one. */
static const char *without_empty_words(struct arena *arena, const char *text, size_t len)
{
    char *copy = arena_strndup(arena, text, len);
    size_t count;
    struct text_word *words = text_words(arena, copy, UNIT_BYTES, &count);
    for (size_t i = 0; i < count; i++) {
        const char *folded =
            utf8_fold(arena, arena_strndup(arena, copy + words[i].start, words[i].end - words[i].start));
        if (asks_nothing(&words[i], folded)) {
            memset(copy + words[i].start, ' ', words[i].end - words[i].start);
        }
    }
    return copy;
}

static bool is_question(const char *text, const struct text_sentence *sentence)
{
    return sentence->end > sentence->start && text[sentence->end - 1] == '?';
}

struct kb_unit *kb_units(struct arena *arena, const char *subject, const char *body, size_t *count)
{
    struct kb_unit *units = arena_array(arena, TERMS_UNITS, sizeof(*units));
    size_t subject_len = utf8_clip(subject, UNIT_BYTES);
    units[0] = (struct kb_unit){without_empty_words(arena, subject, subject_len), SUBJECT_WEIGHT};
    *count = 1;
    const char *text = arena_strndup(arena, body, utf8_clip(body, BODY_BYTES));
    size_t sentences;
    struct text_sentence *found = text_sentences(arena, text, TERMS_UNITS - 1, &sentences);
    bool any_question = false;
    for (size_t i = 0; i < sentences; i++) {
        any_question = any_question || is_question(text, &found[i]);
    }
    for (size_t i = 0; i < sentences; i++) {
        size_t len = found[i].end - found[i].start;
        bool asks = is_question(text, &found[i]);
        const char *sentence = arena_strndup(arena, text + found[i].start, len);
        units[(*count)++] = (struct kb_unit){
            without_empty_words(arena, sentence, utf8_clip(sentence, UNIT_BYTES)),
            asks           ? QUESTION_WEIGHT
            : any_question ? STORY_WEIGHT
                           : STATEMENT_WEIGHT,
        };
    }
    return units;
}

void kb_terms_add(struct arena *arena, struct kb_terms *terms, const char *lexeme, size_t unit, int64_t texts)
{
    for (size_t i = 0; i < terms->count; i++) {
        if (!strcmp(terms->items[i].lexeme, lexeme)) {
            terms->items[i].units |= UINT64_C(1) << unit;
            return;
        }
    }
    if (terms->count == terms->capacity) {
        size_t capacity = terms->capacity ? terms->capacity * 2 : 32;
        struct kb_term *grown = arena_array(arena, capacity, sizeof(*grown));
        if (terms->count) {
            memcpy(grown, terms->items, terms->count * sizeof(*grown));
        }
        terms->items = grown;
        terms->capacity = capacity;
    }
    terms->items[terms->count++] =
        (struct kb_term){.lexeme = arena_strdup(arena, lexeme), .units = UINT64_C(1) << unit, .texts = texts};
}

static int by_weight(const void *a, const void *b)
{
    const struct kb_term *x = a, *y = b;
    if (x->weight != y->weight) {
        return x->weight > y->weight ? -1 : 1;
    }
    return strcmp(x->lexeme, y->lexeme);
}

/* The rarest are sought, as long as they bring no more texts than a search may cost. */
static void choose_sought(struct kb_terms *terms)
{
    int64_t budget = SOUGHT_TEXTS;
    for (size_t chosen = 0; chosen < terms->count; chosen++) {
        struct kb_term *rarest = NULL;
        for (size_t i = 0; i < terms->count; i++) {
            struct kb_term *term = &terms->items[i];
            if (!term->sought && term->texts > 0 && (!rarest || term->texts < rarest->texts)) {
                rarest = term;
            }
        }
        if (!rarest || (chosen >= SOUGHT_LEAST && budget < rarest->texts)) {
            return;
        }
        rarest->sought = true;
        budget -= rarest->texts;
    }
}

/* An order number, a telephone number: what it stands for is not in the texts anyway. */
static bool is_unknown_id(const struct kb_term *term)
{
    int digits = 0;
    for (const char *c = term->lexeme; *c; c++) {
        digits += *c >= '0' && *c <= '9';
    }
    return term->texts == 0 && digits >= ID_DIGITS;
}

static void weigh(
    const struct kb_terms *terms, struct kb_term *term, const struct kb_unit *units, size_t unit_count)
{
    double all = (double)terms->texts, texts = (double)term->texts;
    term->idf = log(1 + (all - texts + 0.5) / (texts + 0.5));
    double most = 0, sum = 0;
    for (size_t u = 0; u < unit_count; u++) {
        double weight = term->units >> u & 1 ? units[u].weight : 0;
        most = weight > most ? weight : most;
        sum += weight;
    }
    if (is_unknown_id(term)) {
        term->idf = 0;
    } else if (texts == 0 && most < QUESTION_WEIGHT) {
        term->idf *= UNKNOWN_WEIGHT;
    }
    term->weight = term->idf * (most + 0.1 * (sum - most)); /* said again: a little more */
}

void kb_terms_weigh(struct kb_terms *terms, const struct kb_unit *units, size_t unit_count)
{
    for (size_t i = 0; i < terms->count; i++) {
        weigh(terms, &terms->items[i], units, unit_count);
    }
    if (terms->count > 1) {
        qsort(terms->items, terms->count, sizeof(*terms->items), by_weight);
    }
    if (terms->count > TERMS_MAX) {
        terms->count = TERMS_MAX;
    }
    choose_sought(terms);
}

double kb_terms_best(const struct kb_terms *terms)
{
    double sum = 0;
    for (size_t i = 0; i < terms->count; i++) {
        sum += terms->items[i].weight * (TERMS_K1 + 1);
    }
    return sum;
}

double kb_terms_coverage(const struct kb_terms *terms, uint64_t matched)
{
    double all = 0, covered = 0;
    for (size_t i = 0; i < terms->count; i++) {
        all += terms->items[i].weight;
        covered += matched >> i & 1 ? terms->items[i].weight : 0;
    }
    return all > 0 ? covered / all : 0;
}

double kb_terms_focus(
    const struct kb_terms *terms, uint64_t matched, const struct kb_unit *units, size_t unit_count)
{
    double least = FOCUS_WORDS * log(1 + (double)terms->texts / 1.5); /* that many words of one text only */
    double best = 0;
    for (size_t u = 0; u < unit_count; u++) {
        if (units[u].weight < QUESTION_WEIGHT) {
            continue;
        }
        double all = 0, covered = 0;
        for (size_t i = 0; i < terms->count; i++) {
            const struct kb_term *term = &terms->items[i];
            if (!(term->units >> u & 1)) {
                continue;
            }
            all += term->idf;
            covered += matched >> i & 1 ? term->idf : 0;
        }
        double share = covered / (all > least ? all : least);
        best = share > best ? share : best;
    }
    return best;
}
