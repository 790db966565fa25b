/* Picks sentences by the words they share with the ticket, rare ones counting more. */
#include "model/quote.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"

#define MAX_TERMS 80
#define MAX_TICKET_WORDS 600
#define MAX_ITEMS 64
#define MAX_SENTENCES 200
#define MAX_SENTENCE_BYTES 500
#define SUBJECT_WEIGHT 1.6
#define TITLE_SHARE 0.5 /* a term in the item's title counts so much of one in its text */
#define MIN_SCORE 0.15
#define BASE_LEAD 0.1 /* a past answer must be so much more relevant than a passage to stand before it */

struct term {
    const char *stem;
    double weight;
};

struct question {
    struct term terms[MAX_TERMS];
    size_t count;
    double known; /* weight of the terms that any item has */
};

static struct term *find_term(struct question *question, const char *stem)
{
    for (size_t i = 0; i < question->count; i++) {
        if (strcmp(question->terms[i].stem, stem) == 0) {
            return &question->terms[i];
        }
    }
    return NULL;
}

static void add_terms(struct arena *arena, struct question *question, const char *text, double weight)
{
    size_t count;
    const char *head = arena_strndup(arena, text, utf8_clip(text, 6000));
    struct text_word *words = text_words(arena, head, MAX_TICKET_WORDS, &count);
    for (size_t i = 0; i < count; i++) {
        bool short_word = words[i].end - words[i].start < 2;
        if (words[i].stop || short_word || question->count == MAX_TERMS ||
            find_term(question, words[i].stem) != NULL) {
            continue;
        }
        question->terms[question->count++] = (struct term){.stem = words[i].stem, .weight = weight};
    }
}

static struct text_set *stems_of(struct arena *arena, const char *text, size_t start, size_t end)
{
    size_t count;
    struct text_word *words =
        text_words(arena, arena_strndup(arena, text + start, end - start), 2000, &count);
    struct text_set *set = text_set_new(arena, count);
    for (size_t i = 0; i < count; i++) {
        text_set_add(set, words[i].stem);
    }
    return set;
}

static bool is_quotable(const struct msg_context_item *item)
{
    return item->type == MSG_ITEM_TYPE_KB || item->type == MSG_ITEM_TYPE_TICKET;
}

/* A term that few items have tells more; one that none has tells nothing. */
static void weigh_terms(struct arena *arena, struct question *question, const struct msg_context *context)
{
    size_t items = 0, seen[MAX_TERMS] = {0};
    for (size_t i = 0; i < context->items_count && items < MAX_ITEMS; i++) {
        const struct msg_context_item *item = &context->items[i];
        if (!is_quotable(item)) {
            continue;
        }
        items++;
        struct text_set *stems = stems_of(arena, item->excerpt, 0, strlen(item->excerpt));
        struct text_set *title = stems_of(arena, item->title, 0, strlen(item->title));
        for (size_t t = 0; t < question->count; t++) {
            const char *stem = question->terms[t].stem;
            seen[t] += text_set_has(stems, stem) || text_set_has(title, stem);
        }
    }
    for (size_t t = 0; t < question->count; t++) {
        double rarity = seen[t] > 0 ? log(1.5 + ((double)items + 1) / ((double)seen[t] + 0.5)) : 0;
        question->terms[t].weight *= rarity;
        question->known += question->terms[t].weight;
    }
}

struct candidate {
    struct text_sentence at;
    double mass;
    struct text_set *stems;
};

static double sentence_mass(
    const struct question *question, const struct text_set *stems, const struct text_set *title)
{
    double mass = 0;
    for (size_t t = 0; t < question->count; t++) {
        const char *stem = question->terms[t].stem;
        double share = text_set_has(stems, stem) ? 1 : text_set_has(title, stem) ? TITLE_SHARE : 0;
        mass += share * question->terms[t].weight;
    }
    return mass;
}

/* A passage is short and about one thing, so a quote runs on from the best sentence; what is left of the room
 * goes to those before it. A table's or a list's lines stand for themselves: from a long one only those that
 * fit are taken. */
static void take_run(const struct candidate *list, size_t count, size_t best, struct quote *quote)
{
    size_t first = best, last = best, bytes = list[best].at.end - list[best].at.start;
    while (last + 1 < count && last - first + 1 < QUOTE_SENTENCES &&
           bytes + list[last + 1].at.end - list[last + 1].at.start <= QUOTE_BYTES) {
        last++;
        bytes += list[last].at.end - list[last].at.start;
    }
    while (first > 0 && last - first + 1 < QUOTE_SENTENCES &&
           bytes + list[first - 1].at.end - list[first - 1].at.start <= QUOTE_BYTES) {
        first--;
        bytes += list[first].at.end - list[first].at.start;
    }
    quote->best = best - first;
    for (size_t i = first; i <= last; i++) {
        quote->sentences[quote->count++] = list[i].at;
    }
}

static void take_matching(const struct candidate *list, size_t count, size_t best, struct quote *quote)
{
    for (size_t i = 0; i < count && quote->count < QUOTE_SENTENCES / 2; i++) {
        if (i == best || list[i].mass > 0.6 * list[best].mass) {
            quote->best = i == best ? quote->count : quote->best;
            quote->sentences[quote->count++] = list[i].at;
        }
    }
}

static bool is_table(const char *text, const struct candidate *list, size_t count)
{
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        rows += memchr(text + list[i].at.start, '|', list[i].at.end - list[i].at.start) != NULL;
    }
    return rows * 2 > count;
}

/* A label alone ("Error codes") or a leftover salutation is no sentence to quote, unless there is nothing
 * else: "3 years." answers a title that asks. */
static bool is_sentence(const char *text, const struct text_sentence *at, size_t all)
{
    size_t blanks = 0;
    for (size_t i = at->start; i < at->end; i++) {
        blanks += text[i] == ' ';
    }
    return (blanks >= 2 || all == 1) && at->end - at->start <= MAX_SENTENCE_BYTES;
}

static struct candidate *list_candidates(
    struct arena *arena, const struct question *question, const struct msg_context_item *item, size_t *count)
{
    size_t all;
    struct text_sentence *sentences = text_sentences(arena, item->excerpt, MAX_SENTENCES, &all);
    struct candidate *list = arena_array(arena, all, sizeof *list);
    struct text_set *title = stems_of(arena, item->title, 0, strlen(item->title));
    *count = 0;
    for (size_t i = 0; i < all; i++) {
        if (is_sentence(item->excerpt, &sentences[i], all)) {
            struct text_set *stems = stems_of(arena, item->excerpt, sentences[i].start, sentences[i].end);
            list[(*count)++] = (struct candidate){sentences[i], sentence_mass(question, stems, title), stems};
        }
    }
    return list;
}

/* How many terms, and how much of the question, the quote and its title speak of. */
static void measure(struct arena *arena, const struct question *question, struct quote *quote, size_t *terms)
{
    const struct msg_context_item *item = quote->item;
    double mass = 0;
    *terms = 0;
    struct text_set *title = stems_of(arena, item->title, 0, strlen(item->title));
    struct text_set *text =
        stems_of(arena, item->excerpt, quote->sentences[0].start, quote->sentences[quote->count - 1].end);
    for (size_t t = 0; t < question->count; t++) {
        const struct term *term = &question->terms[t];
        if (text_set_has(text, term->stem) || text_set_has(title, term->stem)) {
            mass += term->weight;
            (*terms)++;
        }
    }
    double coverage = question->known > 0 ? mass / question->known : 0;
    quote->relevance = 0.6 * item->score + 0.4 * coverage;
}

static bool quote_item(struct arena *arena, const struct question *question,
    const struct msg_context_item *item, struct quote *quote)
{
    size_t count, best = 0, terms;
    struct candidate *list = list_candidates(arena, question, item, &count);
    for (size_t i = 1; i < count; i++) {
        best = list[i].mass > list[best].mass ? i : best;
    }
    if (count == 0 || list[best].mass <= 0) {
        return false;
    }
    *quote = (struct quote){.item = item};
    if (is_table(item->excerpt, list, count)) {
        take_matching(list, count, best, quote);
    } else {
        take_run(list, count, best, quote);
    }
    measure(arena, question, quote, &terms);
    return terms >= (question->count <= 3 ? 1 : 2);
}

/* A passage is kept up to date, a past answer is as old as its ticket: of two that are about as relevant the
 * passage is first. */
static double rank(const struct quote *quote)
{
    return quote->relevance + (quote->item->type == MSG_ITEM_TYPE_KB ? BASE_LEAD : 0);
}

static int by_rank(const void *a, const void *b)
{
    double left = rank(a), right = rank(b);
    return (left < right) - (left > right);
}

struct quote *quote_find(struct arena *arena, const struct msg_ticket *ticket,
    const struct msg_context *context, size_t max, size_t *count)
{
    struct arena *scratch = arena_new(0); /* a quote points into the context only */
    struct question *question = ARENA_NEW(scratch, struct question);
    add_terms(scratch, question, ticket->subject, SUBJECT_WEIGHT);
    for (size_t i = ticket->messages_count; i > 0; i--) {
        if (ticket->messages[i - 1].role == MSG_ROLE_CUSTOMER) {
            add_terms(scratch, question, ticket->messages[i - 1].text, 1);
            break; /* the newest word of the customer */
        }
    }
    add_terms(scratch, question, ticket->description, 1);
    weigh_terms(scratch, question, context);
    struct quote *quotes = arena_array(arena, context->items_count, sizeof *quotes);
    size_t found = 0;
    for (size_t i = 0; i < context->items_count && i < MAX_ITEMS; i++) {
        const struct msg_context_item *item = &context->items[i];
        if (is_quotable(item) && item->score >= MIN_SCORE &&
            quote_item(scratch, question, item, &quotes[found])) {
            found++;
        }
    }
    qsort(quotes, found, sizeof *quotes, by_rank);
    *count = found < max ? found : max;
    arena_free(scratch);
    return quotes;
}
