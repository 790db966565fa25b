/* Picks sentences by the words they share with the ticket, rare ones counting more. */
#include "model/quote.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"

#define MAX_TERMS 80
#define MAX_TICKET_WORDS 600
#define MAX_TEXT_WORDS 2000 /* of a text, or a part of it, that terms are looked for among */
#define CHAINS 128          /* of terms, by how they begin */
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
    int next; /* term of the same chain, or -1 */
};

struct question {
    struct term terms[MAX_TERMS];
    size_t count;
    int chains[CHAINS]; /* the newest term of each, or -1 */
    double known;       /* weight of the terms that any item has */
};

/* The terms that a text has. */
struct spoken {
    uint64_t bits[(MAX_TERMS + 63) / 64];
};

struct place {
    size_t start; /* of a word */
    int term;     /* that it is, or -1 */
};

/* An item's words, looked up once for all that is asked of them. */
struct passage {
    const struct msg_context_item *item;
    const struct place *words; /* of the excerpt */
    size_t count;
    struct spoken title;
};

static int *chain_of(struct question *question, const char *stem)
{
    unsigned first = (unsigned char)stem[0], second = first != 0 ? (unsigned char)stem[1] : 0;
    return &question->chains[(first * 31 + second) % CHAINS];
}

static int find_term(struct question *question, const char *stem)
{
    int term = *chain_of(question, stem);
    while (term >= 0 && strcmp(question->terms[term].stem, stem) != 0) {
        term = question->terms[term].next;
    }
    return term;
}

static void add_terms(struct arena *arena, struct question *question, const char *text, double weight)
{
    size_t count;
    const char *head = arena_strndup(arena, text, utf8_clip(text, 6000));
    struct text_word *words = text_words(arena, head, MAX_TICKET_WORDS, &count);
    for (size_t i = 0; i < count; i++) {
        bool short_word = words[i].end - words[i].start < 2;
        if (words[i].stop || short_word || question->count == MAX_TERMS ||
            find_term(question, words[i].stem) >= 0) {
            continue;
        }
        int *chain = chain_of(question, words[i].stem);
        question->terms[question->count] =
            (struct term){.stem = words[i].stem, .weight = weight, .next = *chain};
        *chain = (int)question->count++;
    }
}

static struct question *ask(struct arena *arena, const struct msg_ticket *ticket)
{
    struct question *question = ARENA_NEW(arena, struct question);
    for (size_t i = 0; i < CHAINS; i++) {
        question->chains[i] = -1;
    }
    add_terms(arena, question, ticket->subject, SUBJECT_WEIGHT);
    for (size_t i = ticket->messages_count; i > 0; i--) {
        if (ticket->messages[i - 1].role == MSG_ROLE_CUSTOMER) {
            add_terms(arena, question, ticket->messages[i - 1].text, 1);
            break; /* the newest word of the customer */
        }
    }
    add_terms(arena, question, ticket->description, 1);
    return question;
}

static struct place *find_places(
    struct arena *arena, struct question *question, const char *text, size_t *count)
{
    struct arena *scratch = arena_new(0);
    struct text_word *words = text_words(scratch, text, SIZE_MAX, count);
    struct place *places = arena_array(arena, *count, sizeof *places);
    for (size_t i = 0; i < *count; i++) {
        places[i] = (struct place){words[i].start, find_term(question, words[i].stem)};
    }
    arena_free(scratch);
    return places;
}

static size_t first_from(const struct place *places, size_t count, size_t start)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (places[middle].start < start) {
            low = middle + 1;
        } else {
            count = middle;
        }
    }
    return low;
}

/* The terms between two bytes of a text. */
static struct spoken terms_between(const struct place *places, size_t count, size_t start, size_t end)
{
    struct spoken spoken = {{0}};
    size_t first = first_from(places, count, start);
    for (size_t i = first; i < count && i - first < MAX_TEXT_WORDS && places[i].start < end; i++) {
        if (places[i].term >= 0) {
            spoken.bits[places[i].term / 64] |= UINT64_C(1) << (places[i].term % 64);
        }
    }
    return spoken;
}

static bool speaks_of(const struct spoken *spoken, size_t term)
{
    return (spoken->bits[term / 64] >> (term % 64) & 1) != 0;
}

static void read_passage(struct arena *arena, struct question *question, const struct msg_context_item *item,
    struct passage *passage)
{
    size_t count;
    const struct place *title = find_places(arena, question, item->title, &count);
    passage->item = item;
    passage->title = terms_between(title, count, 0, SIZE_MAX);
    passage->words = find_places(arena, question, item->excerpt, &passage->count);
}

static bool is_quotable(const struct msg_context_item *item)
{
    return item->type == MSG_ITEM_TYPE_KB || item->type == MSG_ITEM_TYPE_TICKET;
}

/* A term that few items have tells more; one that none has tells nothing. */
static void weigh_terms(struct question *question, const struct passage *passages, size_t count)
{
    size_t seen[MAX_TERMS] = {0};
    for (size_t i = 0; i < count; i++) {
        const struct passage *passage = &passages[i];
        struct spoken excerpt = terms_between(passage->words, passage->count, 0, SIZE_MAX);
        for (size_t t = 0; t < question->count; t++) {
            seen[t] += speaks_of(&excerpt, t) || speaks_of(&passage->title, t);
        }
    }
    for (size_t t = 0; t < question->count; t++) {
        double rarity = seen[t] > 0 ? log(1.5 + ((double)count + 1) / ((double)seen[t] + 0.5)) : 0;
        question->terms[t].weight *= rarity;
        question->known += question->terms[t].weight;
    }
}

struct candidate {
    struct text_sentence at;
    double mass;
};

static double sentence_mass(
    const struct question *question, const struct passage *passage, const struct text_sentence *at)
{
    double mass = 0;
    struct spoken sentence = terms_between(passage->words, passage->count, at->start, at->end);
    for (size_t t = 0; t < question->count; t++) {
        double share = speaks_of(&sentence, t) ? 1 : speaks_of(&passage->title, t) ? TITLE_SHARE : 0;
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
    struct arena *arena, const struct question *question, const struct passage *passage, size_t *count)
{
    size_t all;
    const char *excerpt = passage->item->excerpt;
    struct text_sentence *sentences = text_sentences(arena, excerpt, MAX_SENTENCES, &all);
    struct candidate *list = arena_array(arena, all, sizeof *list);
    *count = 0;
    for (size_t i = 0; i < all; i++) {
        if (is_sentence(excerpt, &sentences[i], all)) {
            double mass = sentence_mass(question, passage, &sentences[i]);
            list[(*count)++] = (struct candidate){sentences[i], mass};
        }
    }
    return list;
}

/* How many terms, and how much of the question, the quote and its title speak of. */
static void measure(
    const struct question *question, const struct passage *passage, struct quote *quote, size_t *terms)
{
    double mass = 0;
    *terms = 0;
    struct spoken text = terms_between(
        passage->words, passage->count, quote->sentences[0].start, quote->sentences[quote->count - 1].end);
    for (size_t t = 0; t < question->count; t++) {
        if (speaks_of(&text, t) || speaks_of(&passage->title, t)) {
            mass += question->terms[t].weight;
            (*terms)++;
        }
    }
    double coverage = question->known > 0 ? mass / question->known : 0;
    quote->relevance = 0.6 * passage->item->score + 0.4 * coverage;
}

static bool quote_passage(
    struct arena *arena, const struct question *question, const struct passage *passage, struct quote *quote)
{
    size_t count, best = 0, terms;
    struct candidate *list = list_candidates(arena, question, passage, &count);
    for (size_t i = 1; i < count; i++) {
        best = list[i].mass > list[best].mass ? i : best;
    }
    if (count == 0 || list[best].mass <= 0) {
        return false;
    }
    *quote = (struct quote){.item = passage->item};
    if (is_table(passage->item->excerpt, list, count)) {
        take_matching(list, count, best, quote);
    } else {
        take_run(list, count, best, quote);
    }
    measure(question, passage, quote, &terms);
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
    struct question *question = ask(scratch, ticket);
    struct passage passages[MAX_ITEMS];
    size_t read = 0, found = 0;
    for (size_t i = 0; i < context->items_count && read < MAX_ITEMS; i++) {
        if (is_quotable(&context->items[i])) {
            read_passage(scratch, question, &context->items[i], &passages[read++]);
        }
    }
    weigh_terms(question, passages, read);
    struct quote *quotes = arena_array(arena, read, sizeof *quotes);
    for (size_t i = 0; i < read; i++) {
        bool among_first = passages[i].item < context->items + MAX_ITEMS;
        if (among_first && passages[i].item->score >= MIN_SCORE &&
            quote_passage(scratch, question, &passages[i], &quotes[found])) {
            found++;
        }
    }
    qsort(quotes, found, sizeof *quotes, by_rank);
    *count = found < max ? found : max;
    arena_free(scratch);
    return quotes;
}
