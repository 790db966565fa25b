/* Compares each sentence of a draft with the excerpts it cites. */
#include "guard/grounded.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/utf8.h"

#define MAX_SENTENCES 400
#define MAX_WORDS 20000
#define MAX_SENTENCE_WORDS 500
#define SUPPORT 0.7          /* share of a cited sentence's words that its sources must have */
#define COURTESY_SUPPORT 0.8 /* of one without a source: courtesy, or the ticket's own words */
#define MIN_WORDS 3
#define MAX_MARKERS 8
#define WHY_WORDS "no cited source says this"
#define WHY_NUMBER "a number that no cited source has"
#define WHY_MARKER "cites a source that is not there"
#define WHY_NEGATION "the source says the opposite"

/* Words of greetings, thanks, excuses and handing over; stems are made from them. */
static const char courtesy_words[] = "thank thanks message question request contacting reaching writing "
                                     "patience sorry apologise apologize trouble trouble had "
                                     "inconvenience understand frustrating help helps helped helping happy "
                                     "glad please let know further questions reply answer "
                                     "answers respond colleague colleagues team specialist support look "
                                     "looks looking personally pass passing hand handing "
                                     "forward forwarded found find reliable pages help case similar kind "
                                     "regards best sincerely hello dear good morning afternoon "
                                     "here say says about order your attached details information steps "
                                     "following below try anything else nothing need moment "
                                     "now expected happened instead error number did what any have "
                                     "vielen dank nachricht frage anfrage anliegen geduld entschuldigung "
                                     "entschuldigen unannehmlichkeiten leid tut tun verstehen "
                                     "hilfe hilft helfen geholfen gern gerne bitte melden weitere fragen "
                                     "antwort antworten kollegin kollege kollegen team "
                                     "spezialisten ansehen sieht gebe weiter weitergeben gefunden "
                                     "verlassliche hilfeseiten steht fall ahnlichen diese freundlichen "
                                     "grussen grusse guten tag hallo sehr geehrte geehrter bestellung "
                                     "deshalb vorerst nichts weiter falls dann schreiben getan "
                                     "erwartet stattdessen passiert bestellnummer fehlermeldung personlich "
                                     "kummert sich unseren support mussen sowie zur";

/* One sentence of a source. */
struct said {
    const struct text_word *words;
    size_t count;
    bool negated;
};

struct source {
    struct text_set *stems; /* NULL until first needed */
    struct said *said;
    size_t said_count;
    size_t negated_count; /* of what is said */
};

struct sources {
    struct arena *arena;
    const struct msg_context *context;
    const struct text_set *courtesy;
    struct text_set *own;     /* words of the ticket's subject and the customer's name: courtesy, too */
    struct source *items;     /* per context item */
    struct text_set *allowed; /* numbers of the ticket and the greeting */
};

/* A draft that is being checked. */
struct check {
    struct sources *sources;
    const struct msg_draft *draft;
    struct span_list *out;
};

static void add_words(struct text_set *set, const struct text_word *words, size_t count)
{
    for (size_t i = 0; i < count && i < MAX_WORDS; i++) {
        text_set_add(set, words[i].stem);
        text_set_add(set, words[i].plain);
    }
}

/* The same for all drafts: made once, for good. Nobody reads where it lies but who looks for leaks. */
static pthread_once_t courtesy_once = PTHREAD_ONCE_INIT;
static struct arena *courtesy_arena __attribute__((used));
static struct text_set *courtesy;

static void make_courtesy(void)
{
    courtesy_arena = arena_new(0);
    size_t count;
    struct text_word *words = text_words(courtesy_arena, courtesy_words, MAX_WORDS, &count);
    courtesy = text_set_new(courtesy_arena, count * 2);
    add_words(courtesy, words, count);
}

static bool is_courtesy(const struct sources *sources, const char *stem)
{
    return text_set_has(sources->courtesy, stem) || text_set_has(sources->own, stem);
}

static bool is_negation(const char *plain)
{
    static const char *const words[] = {
        "not", "no", "never", "cannot", "none", "nicht", "kein", "keine", "keinen", "keiner", "nie"};
    if (plain[0] != 'n' && plain[0] != 'c' && plain[0] != 'k') { /* most words */
        return false;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(plain, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_negation(const struct text_word *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_negation(words[i].plain)) {
            return true;
        }
    }
    return false;
}

/* Reads the sentences of an item whose excerpt begins at `at` of the text that was cut into `words`. A
 * sentence's words are some of these: none goes over its end. */
static void read_said(struct arena *arena, const struct msg_context_item *item, size_t at,
    const struct text_word *words, size_t count, struct source *source)
{
    struct text_sentence *list = text_sentences(arena, item->excerpt, MAX_SENTENCES, &source->said_count);
    source->said = arena_array(arena, source->said_count, sizeof *source->said);
    size_t first = 0, end;
    for (size_t i = 0; i < source->said_count; i++, first = end) {
        struct said *said = &source->said[i];
        while (first < count && words[first].start < at + list[i].start) {
            first++;
        }
        for (end = first; end < count && words[end].start < at + list[i].end;) {
            end++;
        }
        said->words = words + first;
        said->count = end - first < MAX_SENTENCE_WORDS ? end - first : MAX_SENTENCE_WORDS;
        said->negated = has_negation(said->words, said->count);
        source->negated_count += said->negated;
    }
}

static const struct source *read_source(struct sources *sources, size_t index)
{
    const struct msg_context_item *item = &sources->context->items[index];
    struct source *source = &sources->items[index];
    struct arena *arena = sources->arena;
    if (source->stems != NULL) {
        return source;
    }
    size_t count;
    /* The title of a past ticket is what a customer wrote: nobody answers for it. */
    const char *title = item->type == MSG_ITEM_TYPE_TICKET ? "" : item->title;
    const char *text = arena_printf(arena, "%s\n%s", title, item->excerpt);
    struct text_word *words = text_words(arena, text, SIZE_MAX, &count);
    source->stems = text_set_new(arena, count * 2);
    add_words(source->stems, words, count);
    read_said(arena, item, strlen(title) + 1, words, count, source);
    return source;
}

/* Index of the context item that marker `n` names, or -1. */
static int cited_item(const struct check *check, size_t n)
{
    const struct msg_context *context = check->sources->context;
    if (n == 0 || n > check->draft->citations_count || context == NULL) {
        return -1;
    }
    for (size_t i = 0; i < context->items_count; i++) {
        if (strcmp(context->items[i].source_id, check->draft->citations[n - 1]) == 0) {
            return (int)i;
        }
    }
    return -1;
}

struct sentence {
    size_t start;
    size_t end;
    char *text; /* without its markers */
    int items[MAX_MARKERS];
    size_t item_count;
    bool bad_marker;
};

/* Takes the markers out of the sentence and looks them up. */
static void read_markers(const struct check *check, struct sentence *out)
{
    size_t len = 0;
    const char *text = check->draft->text;
    out->text = arena_alloc(check->out->arena, out->end - out->start + 1);
    for (size_t i = out->start; i < out->end; i++) {
        size_t n = 0, j = i + 1;
        while (text[i] == '[' && j < out->end && text[j] >= '0' && text[j] <= '9' && j - i <= 3) {
            n = n * 10 + (size_t)(text[j++] - '0');
        }
        if (text[i] != '[' || j == i + 1 || j >= out->end || text[j] != ']') {
            out->text[len++] = text[i];
            continue;
        }
        int item = cited_item(check, n);
        out->bad_marker = out->bad_marker || item < 0;
        if (item >= 0 && out->item_count < MAX_MARKERS) {
            out->items[out->item_count++] = item;
        }
        i = j;
    }
}

static bool has_stem(struct sources *sources, const struct sentence *sentence, const char *stem)
{
    for (size_t i = 0; i < sentence->item_count; i++) {
        if (text_set_has(read_source(sources, (size_t)sentence->items[i])->stems, stem)) {
            return true;
        }
    }
    return false;
}

static bool has_digit(const char *word)
{
    return strpbrk(word, "0123456789") != NULL;
}

static double overlap(const struct text_set *own, size_t own_count, const struct said *said)
{
    size_t shared = 0;
    for (size_t w = 0; w < said->count; w++) {
        shared += text_set_has(own, said->words[w].stem);
    }
    return (double)shared / (double)(said->count + own_count - (shared < own_count ? shared : own_count) + 1);
}

/* Whether any source of the sentence says "not" where it does not, or the other way round. */
static bool may_differ(const struct check *check, const struct sentence *sentence, bool negated)
{
    size_t differing = 0;
    for (size_t i = 0; i < sentence->item_count; i++) {
        const struct source *source = read_source(check->sources, (size_t)sentence->items[i]);
        differing += negated ? source->said_count - source->negated_count : source->negated_count;
    }
    return differing > 0;
}

/* Whether the source's sentence that this one repeats says "not" where this one does not, or the other way
 * round. */
static bool negation_differs(
    const struct check *check, const struct sentence *sentence, const struct text_word *words, size_t count)
{
    bool negated = has_negation(words, count);
    if (!may_differ(check, sentence, negated)) {
        return false;
    }
    struct text_set *own = text_set_new(check->out->arena, count);
    for (size_t i = 0; i < count; i++) {
        text_set_add(own, words[i].stem);
    }
    const struct said *nearest = NULL;
    double best = 0.5;
    for (size_t s = 0; s < sentence->item_count; s++) {
        const struct source *source = read_source(check->sources, (size_t)sentence->items[s]);
        for (size_t i = 0; i < source->said_count; i++) {
            double shared = overlap(own, count, &source->said[i]);
            if (shared > best) {
                best = shared;
                nearest = &source->said[i];
            }
        }
    }
    return nearest != NULL && nearest->negated != negated;
}

static void check_cited(const struct check *check, const struct sentence *sentence)
{
    size_t count, content = 0, supported = 0;
    struct sources *sources = check->sources;
    struct text_word *words = text_words(check->out->arena, sentence->text, MAX_WORDS, &count);
    for (size_t i = 0; i < count; i++) {
        bool number = has_digit(words[i].plain);
        if (words[i].stop && !number) {
            continue;
        }
        bool found =
            has_stem(sources, sentence, words[i].stem) || has_stem(sources, sentence, words[i].plain);
        if (number && !found && !text_set_has(sources->allowed, words[i].plain)) {
            span_add(check->out, sentence->start, sentence->end, "grounded.number", WHY_NUMBER);
            return;
        }
        content++;
        supported += found || is_courtesy(sources, words[i].stem);
    }
    if (content >= MIN_WORDS && (double)supported < SUPPORT * (double)content) {
        span_add(check->out, sentence->start, sentence->end, "grounded.words", WHY_WORDS);
    } else if (negation_differs(check, sentence, words, count)) {
        span_add(check->out, sentence->start, sentence->end, "grounded.negation", WHY_NEGATION);
    }
}

static void check_uncited(const struct check *check, const struct sentence *sentence)
{
    size_t count, content = 0, supported = 0;
    const struct sources *sources = check->sources;
    struct text_word *words = text_words(check->out->arena, sentence->text, MAX_WORDS, &count);
    for (size_t i = 0; i < count; i++) {
        if (has_digit(words[i].plain) && !text_set_has(sources->allowed, words[i].plain)) {
            span_add(check->out, sentence->start, sentence->end, "grounded.number", WHY_NUMBER);
            return;
        }
        if (!words[i].stop) {
            content++;
            supported += is_courtesy(sources, words[i].stem);
        }
    }
    if (content >= MIN_WORDS && (double)supported < COURTESY_SUPPORT * (double)content) {
        span_add(check->out, sentence->start, sentence->end, "grounded.uncited",
            "says something without naming a source");
    }
}

struct sources *sources_new(
    struct arena *arena, const struct msg_ticket *ticket, const struct msg_context *context)
{
    struct sources *sources = ARENA_NEW(arena, struct sources);
    const struct msg_customer_context *customer = context != NULL ? context->customer : NULL;
    size_t subject = strlen(ticket->subject), name = customer != NULL ? strlen(customer->name) : 0;
    pthread_once(&courtesy_once, make_courtesy);
    sources->arena = arena;
    sources->context = context;
    sources->courtesy = courtesy;
    sources->own = text_set_new(arena, subject + name + 2); /* a word has two forms and a blank */
    sources->allowed = text_set_new(arena, subject + strlen(ticket->description) + 2);
    size_t count;
    struct text_word *words = text_words(arena, ticket->subject, MAX_WORDS, &count);
    add_words(sources->own, words, count);
    add_words(sources->allowed, words, count);
    words = text_words(arena, ticket->description, MAX_WORDS, &count);
    add_words(sources->allowed, words, count);
    if (customer != NULL) {
        words = text_words(arena, customer->name, MAX_WORDS, &count);
        add_words(sources->own, words, count);
    }
    if (context != NULL) {
        sources->items = arena_array(arena, context->items_count, sizeof *sources->items);
    }
    return sources;
}

void grounded_check(struct span_list *out, struct sources *sources, const struct msg_draft *draft)
{
    const struct check check = {.sources = sources, .draft = draft, .out = out};
    size_t count;
    struct text_sentence *sentences = text_sentences(out->arena, draft->text, MAX_SENTENCES, &count);
    for (size_t i = 0; i < count; i++) {
        struct sentence sentence = {.start = sentences[i].start, .end = sentences[i].end};
        read_markers(&check, &sentence);
        if (sentence.bad_marker) {
            span_add(out, sentence.start, sentence.end, "grounded.marker", WHY_MARKER);
        } else if (sentence.item_count > 0) {
            check_cited(&check, &sentence);
        } else {
            check_uncited(&check, &sentence);
        }
    }
}
