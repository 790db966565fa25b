/* The drafting model that needs nothing installed: courteous words around sentences quoted from the
 * context, each with its source. What the context does not say, it does not say. */
#include "model/draft_driver.h"

#include <string.h>
#include "base/utf8.h"
#include "model/language.h"
#include "model/phrases.h"
#include "model/quote.h"

#define MODEL_NAME "offline-extractive/1"
#define MAX_QUOTES 12
#define MAX_CITED 4
#define MAX_STEPS 8
#define MAX_DEGRADED 4
#define SECOND_SHARE 0.75   /* a further source must be nearly as relevant as the first */
#define FOREIGN_FACTOR 0.8  /* trust in an answer quoted in another language than the ticket's */
#define MAX_CONFIDENCE 0.95 /* quoting is not understanding */

struct drafting {
    const struct draft_request *request;
    struct arena *arena;
    const struct phrases *phrases;
    struct quote *quotes; /* what may be used, best first */
    size_t quote_count;
    const struct msg_context_item *order; /* the order the ticket is about, or NULL */
    bool foreign;                         /* the quotes are not in the ticket's language */
    const char *degraded[MAX_DEGRADED];
    size_t degraded_count;
    const char *steps[MAX_STEPS];
    size_t step_count;
};

struct text {
    struct buf buf;
    const char *cited[MAX_CITED];
    size_t cited_count;
};

/* ---- what may be said ---- */

static void add_degraded(struct drafting *d, const char *reason)
{
    if (d->degraded_count < MAX_DEGRADED) {
        d->degraded[d->degraded_count++] = reason;
    }
}

static void add_step(struct drafting *d, const char *step)
{
    if (d->step_count < MAX_STEPS) {
        d->steps[d->step_count++] = step;
    }
}

/* What may be quoted: marks of their own would pass for this draft's, and a past answer's frame is not about
 * this ticket. */
static struct msg_context *clean_context(struct arena *arena, const struct msg_context *context)
{
    if (context == NULL) {
        return NULL;
    }
    struct msg_context *clean = ARENA_NEW(arena, struct msg_context);
    *clean = *context;
    clean->items = arena_array(arena, context->items_count, sizeof *clean->items);
    for (size_t i = 0; i < context->items_count; i++) {
        struct msg_context_item *item = &clean->items[i];
        *item = context->items[i];
        item->excerpt = item->type == MSG_ITEM_TYPE_TICKET ? phrases_body(arena, item->excerpt)
                                                           : phrases_unmark(arena, item->excerpt);
    }
    return clean;
}

static bool item_speaks(struct arena *arena, const struct msg_context_item *item, const char *locale)
{
    const char *tag = item->locale[0] != 0 ? item->locale : language_detect(arena, item->excerpt);
    return strcmp(tag, "und") == 0 || language_same(tag, locale); /* "3 V" is of any */
}

/* Quotes in the ticket's language, if there are any; else all, and said so. */
static void choose_quotes(struct drafting *d)
{
    const struct draft_request *request = d->request;
    const char *locale = request->ticket->locale;
    if (request->context == NULL) {
        return;
    }
    size_t count, kept = 0;
    struct quote *quotes = quote_find(d->arena, request->ticket, request->context, MAX_QUOTES, &count);
    struct quote *same = arena_array(d->arena, count, sizeof *same);
    for (size_t i = 0; i < count; i++) {
        if (item_speaks(d->arena, quotes[i].item, locale)) {
            same[kept++] = quotes[i];
        }
    }
    d->foreign = kept == 0 && count > 0;
    d->quotes = kept > 0 ? same : quotes;
    d->quote_count = kept > 0 ? kept : count;
    if (d->foreign) {
        add_degraded(d,
            arena_printf(d->arena, "nothing in %s answers this: the sources are quoted in their own language",
                language_name(locale)));
    }
}

static bool mentions(const char *text, const char *id)
{
    size_t len = strlen(id);
    for (const char *at = text; len >= 3 && (at = strcasestr(at, id)) != NULL; at++) {
        char after = at[len];
        bool more = (after >= '0' && after <= '9') || (after >= 'a' && after <= 'z') ||
                    (after >= 'A' && after <= 'Z');
        if (!more) {
            return true;
        }
    }
    return false;
}

/* The part of a source id after its last colon or slash: the order's number. */
static const char *order_id_of(const struct msg_context_item *item)
{
    const char *id = item->source_id;
    for (const char *p = id; *p != 0; p++) {
        if ((*p == ':' || *p == '/') && p[1] != 0) {
            id = p + 1;
        }
    }
    return id;
}

/* The customer's order that the ticket names; or the newest, when the ticket is about a delivery. */
static void choose_order(struct drafting *d)
{
    const struct draft_request *request = d->request;
    const struct msg_context_item *newest = NULL;
    for (size_t i = 0; request->context != NULL && i < request->context->items_count; i++) {
        const struct msg_context_item *item = &request->context->items[i];
        if (item->type != MSG_ITEM_TYPE_ORDER || utf8_blank(item->excerpt)) {
            continue;
        }
        const char *id = order_id_of(item);
        if (mentions(request->ticket->subject, id) || mentions(request->ticket->description, id)) {
            d->order = item;
            return;
        }
        newest = newest == NULL || item->score > newest->score ? item : newest;
    }
    bool delivery =
        request->classification != NULL && strcmp(request->classification->category, "shipping") == 0;
    d->order = delivery ? newest : NULL;
}

/* ---- writing ---- */

static size_t cite(struct text *text, const char *source_id)
{
    for (size_t i = 0; i < text->cited_count; i++) {
        if (strcmp(text->cited[i], source_id) == 0) {
            return i + 1;
        }
    }
    if (text->cited_count == MAX_CITED) {
        return 0;
    }
    text->cited[text->cited_count++] = source_id;
    return text->cited_count;
}

/* A table's row reads "name: value, value". */
static void put_cells(struct buf *out, const char *text, size_t len)
{
    const char *mark = ": ";
    while (len > 0) {
        const char *bar = memmem(text, len, " | ", 3);
        size_t cell = bar != NULL ? (size_t)(bar - text) : len;
        buf_append(out, text, cell);
        if (bar == NULL) {
            break;
        }
        buf_puts(out, mark);
        mark = ", ";
        text += cell + 3;
        len -= cell + 3;
    }
}

/* The sentence with its marker before the full stop. */
static void put_quoted(struct text *text, const char *sentence, size_t len, size_t marker)
{
    size_t body = len;
    while (body > 0 && strchr(".!?:;,", sentence[body - 1]) != NULL) {
        body--;
    }
    bool asks = body < len && strchr("!?", sentence[body]) != NULL;
    put_cells(&text->buf, sentence, asks ? body + 1 : body);
    buf_printf(&text->buf, " [%zu]%s", marker, asks ? "" : ".");
}

/* Whether the sentence is an item of a list, with nothing but its mark before it on its line, or a row of a
 * table. */
static bool is_item(const char *text, const struct text_sentence *at)
{
    bool marked = false;
    for (size_t i = at->start; i > 0 && text[i - 1] != '\n'; i--) {
        if (strchr("0123456789.)-*# ", text[i - 1]) == NULL) {
            return false;
        }
        marked = marked || text[i - 1] != ' ';
    }
    return marked || memmem(text + at->start, at->end - at->start, " | ", 3) != NULL;
}

/* Sentences of one line stay on it; items of a list and rows of a table become items. */
static void put_quote(struct text *text, const struct quote *quote, size_t first, size_t last)
{
    const char *excerpt = quote->item->excerpt;
    size_t marker = cite(text, quote->item->source_id);
    for (size_t i = first; marker > 0 && i <= last; i++) {
        const struct text_sentence *at = &quote->sentences[i];
        size_t before = i > first ? quote->sentences[i - 1].end : at->start;
        bool line = i == first || memchr(excerpt + before, '\n', at->start - before) != NULL;
        buf_puts(&text->buf, !line ? " " : is_item(excerpt, at) ? "\n- " : "\n");
        put_quoted(text, excerpt + at->start, at->end - at->start, marker);
    }
    buf_puts(&text->buf, "\n");
}

static void put_opening(const struct drafting *d, struct text *text)
{
    const struct msg_classification *classification = d->request->classification;
    buf_puts(&text->buf, d->phrases->thanks);
    if (classification != NULL && classification->sentiment == MSG_SENTIMENT_NEGATIVE) {
        buf_printf(&text->buf, " %s", d->phrases->sorry);
    }
    buf_puts(&text->buf, "\n");
}

static void put_order(const struct drafting *d, struct text *text)
{
    const char *excerpt = d->order->excerpt;
    size_t count;
    struct text_sentence *sentences = text_sentences(d->arena, excerpt, 2, &count);
    size_t marker = count > 0 ? cite(text, d->order->source_id) : 0;
    if (marker > 0) {
        buf_printf(&text->buf, "\n%s: ", d->phrases->order);
        put_quoted(text, excerpt + sentences[0].start, sentences[0].end - sentences[0].start, marker);
        buf_puts(&text->buf, "\n");
    }
}

static void finish_draft(
    const struct drafting *d, struct text *text, double confidence, struct msg_draft *out)
{
    const char **citations = arena_array(d->arena, text->cited_count, sizeof *citations);
    for (size_t i = 0; i < text->cited_count; i++) {
        citations[i] = arena_strdup(d->arena, text->cited[i]);
    }
    *out = (struct msg_draft){.text = arena_strndup(d->arena, buf_text(&text->buf), text->buf.len),
        .citations = citations,
        .citations_count = text->cited_count,
        .confidence = confidence};
    buf_fini(&text->buf);
}

static void put_sources(const struct drafting *d, struct text *text)
{
    const struct quote *best = &d->quotes[0];
    bool cases = best->item->type == MSG_ITEM_TYPE_TICKET;
    buf_printf(&text->buf, "\n%s\n", cases ? d->phrases->from_case : d->phrases->from_base);
    put_quote(text, best, 0, best->count - 1);
    for (size_t i = 1; i < d->quote_count && text->cited_count < MAX_CITED - 1; i++) {
        const struct quote *quote = &d->quotes[i];
        if (quote->relevance < SECOND_SHARE * best->relevance) {
            continue; /* a passage may stand before a past answer that is more relevant */
        }
        if (quote->item->type == MSG_ITEM_TYPE_TICKET && !cases) {
            cases = true;
            buf_printf(&text->buf, "\n%s", d->phrases->from_case);
        }
        put_quote(text, quote, 0, quote->count - 1);
    }
}

/* The best score of what can be quoted over the best one found: below 1 when that has nothing to quote, or
 * speaks another language. */
static double share_of_best(const struct drafting *d)
{
    const struct msg_context *context = d->request->context;
    double best = 0, quoted = 0;
    for (size_t i = 0; i < context->items_count; i++) {
        const struct msg_context_item *item = &context->items[i];
        bool quotable = item->type == MSG_ITEM_TYPE_KB || item->type == MSG_ITEM_TYPE_TICKET;
        best = quotable && item->score > best ? item->score : best;
    }
    for (size_t i = 0; i < d->quote_count; i++) {
        quoted = d->quotes[i].item->score > quoted ? d->quotes[i].item->score : quoted;
    }
    return best > 0 ? quoted / best : 1;
}

/* How far the quotes may be trusted to answer: the context's confidence, which is that of the best of it, and
 * how near the best one is to the question. */
static double draft_confidence(const struct drafting *d)
{
    double context = d->request->context->aggregate_confidence * share_of_best(d);
    double best = d->quotes[0].relevance;
    double sure = context * (0.7 + 0.3 * best) * (d->foreign ? FOREIGN_FACTOR : 1);
    return sure < 0 ? 0 : sure > MAX_CONFIDENCE ? MAX_CONFIDENCE : sure;
}

static void write_answer(const struct drafting *d, struct msg_draft *out)
{
    struct text text = {0};
    buf_init(&text.buf, DRAFT_MAX_BYTES);
    put_opening(d, &text);
    if (d->order != NULL) {
        put_order(d, &text);
    }
    put_sources(d, &text);
    buf_printf(&text.buf, "\n%s\n", d->phrases->more);
    finish_draft(d, &text, draft_confidence(d), out);
}

/* The best sentence alone, and the one after it. */
static void write_short_answer(const struct drafting *d, struct msg_draft *out)
{
    const struct quote *best = &d->quotes[0];
    struct text text = {0};
    buf_init(&text.buf, DRAFT_MAX_BYTES);
    put_opening(d, &text);
    put_quote(&text, best, best->best, best->best + 1 < best->count ? best->best + 1 : best->best);
    buf_printf(&text.buf, "\n%s\n", d->phrases->more);
    finish_draft(d, &text, draft_confidence(d) * 0.95, out);
}

/* Hands over to a person; `ask`: and asks for what that person will need. */
static void write_handover(const struct drafting *d, bool ask, struct msg_draft *out)
{
    struct text text = {0};
    buf_init(&text.buf, DRAFT_MAX_BYTES);
    put_opening(d, &text);
    if (d->order != NULL) {
        put_order(d, &text);
    }
    buf_printf(&text.buf, "\n%s", ask ? d->phrases->ask : d->phrases->handover);
    buf_printf(&text.buf, "%s%s\n", ask ? "" : " ", ask ? "" : d->phrases->rest);
    finish_draft(
        d, &text, d->request->context != NULL ? d->request->context->aggregate_confidence * 0.5 : 0, out);
}

/* ---- what the agent should do ---- */

static void suggest_steps(struct drafting *d, bool answered, bool low)
{
    const struct msg_classification *classification = d->request->classification;
    if (answered) {
        add_step(d, "Read the cited sources before sending: the draft quotes them and adds nothing");
    }
    if (!answered || low) {
        add_step(d, "Escalate to a specialist: the knowledge base does not answer this well enough");
        add_step(d, "Once solved, add the answer to the knowledge base");
    }
    if (d->order != NULL) {
        add_step(d, arena_printf(d->arena, "Check the state of order %s with the warehouse or the carrier",
                        order_id_of(d->order)));
    }
    if (classification != NULL && classification->priority == MSG_PRIORITY_CRITICAL) {
        add_step(d, "Tell the person on duty: the ticket is critical");
    }
    if (classification != NULL && classification->sentiment == MSG_SENTIMENT_NEGATIVE) {
        add_step(d, "Consider a call: the customer is upset");
    }
    if (d->foreign) {
        add_step(d, "Translate the quoted passages into the customer's language");
    }
}

static const char **copy_list(struct arena *arena, const char *const *list, size_t count)
{
    const char **copy = arena_array(arena, count, sizeof *copy);
    if (count > 0) {
        memcpy(copy, list, count * sizeof *copy);
    }
    return copy;
}

static void offline_start(void *state, const struct draft_request *request, draft_done *done, void *arg)
{
    (void)state;
    struct arena *arena = request->arena;
    struct draft_request quotable = *request;
    quotable.context = clean_context(arena, request->context);
    struct drafting d = {
        .request = &quotable, .arena = arena, .phrases = phrases_for(request->ticket->locale)};
    if (!language_same(d.phrases->language, request->ticket->locale)) {
        add_degraded(&d, arena_printf(arena, "no %s wording: the draft is in English",
                             language_name(request->ticket->locale)));
    }
    if (request->strong) {
        add_degraded(&d, "the stronger model was asked for, this installation drafts offline");
    }
    choose_quotes(&d);
    choose_order(&d);
    bool answered = d.quote_count > 0;
    bool low = request->context == NULL || request->context->aggregate_confidence < request->escalate_below;
    struct draft_result *result = ARENA_NEW(arena, struct draft_result);
    struct msg_generation *generation = &result->generation;
    generation->alternative_draft = ARENA_NEW(arena, struct msg_draft);
    if (answered) {
        write_answer(&d, &generation->primary_draft);
    } else {
        write_handover(&d, false, &generation->primary_draft);
    }
    if (answered && !low) {
        write_short_answer(&d, generation->alternative_draft);
    } else {
        write_handover(&d, true, generation->alternative_draft);
    }
    suggest_steps(&d, answered, low);
    generation->suggested_next_steps = copy_list(arena, d.steps, d.step_count);
    generation->suggested_next_steps_count = d.step_count;
    result->language = d.phrases->language;
    result->escalated = !answered;
    result->degraded = copy_list(arena, d.degraded, d.degraded_count);
    result->degraded_count = d.degraded_count;
    result->model = MODEL_NAME;
    result->prompt_version = "";
    done(arg, result, NULL);
}

struct draft_model *draft_offline_new(void)
{
    static const struct draft_driver driver = {.start = offline_start};
    return draft_model_new(&driver, NULL);
}
