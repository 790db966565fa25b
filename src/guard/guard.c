/* Runs every guard over a ticket and its draft, and puts what they found into the draft. */
#include "guard/guard.h"

#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/utf8.h"
#include "guard/grounded.h"
#include "guard/injection.h"
#include "guard/passages.h"
#include "guard/pii.h"
#include "guard/promise.h"
#include "guard/tone.h"

#define MAX_DETAILS 100
#define SCRATCH_MAX                                                                                          \
    ((size_t)256 << 20) /* words of the largest ticket, context and draft, many times over                   \
                         */

struct guard {
    struct phrase_table *injection;
    struct phrase_table *promise;
    struct tone *tone;
    struct passages *passages;
};

struct guard *guard_new(const char *off_brand)
{
    struct guard *guard = xcalloc(1, sizeof *guard);
    guard->injection = injection_rules_new();
    guard->promise = promise_rules_new();
    guard->tone = tone_new(off_brand);
    guard->passages = passages_new();
    return guard;
}

void guard_free(struct guard *guard)
{
    if (guard != NULL) {
        phrase_table_free(guard->injection);
        phrase_table_free(guard->promise);
        tone_free(guard->tone);
        passages_free(guard->passages);
        free(guard);
    }
}

struct verdict {
    struct arena *arena;   /* what stays in the draft */
    struct arena *scratch; /* what a single check needs */
    struct msg_draft *draft;
};

struct guard_case {
    const struct guard *guard;
    struct guard_input input;
    struct arena *arena;     /* what stays in the drafts */
    struct arena *scratch;   /* what all checks share, the case among it */
    struct msg_draft ticket; /* only what was found in the ticket: it goes for every draft */
    struct sources *sources;
};

static void clear_findings(struct arena *arena, struct msg_draft *draft)
{
    draft->safety_flags = arena_array(arena, MSG_FLAG_COUNT, sizeof *draft->safety_flags);
    draft->safety_flags_count = 0;
    draft->flag_details = arena_array(arena, MAX_DETAILS, sizeof *draft->flag_details);
    draft->flag_details_count = 0;
}

static void raise_flag(struct verdict *verdict, enum msg_flag flag)
{
    struct msg_draft *draft = verdict->draft;
    for (size_t i = 0; i < draft->safety_flags_count; i++) {
        if (draft->safety_flags[i] == flag) {
            return;
        }
    }
    draft->safety_flags[draft->safety_flags_count++] = flag; /* room for every flag, see clear_findings */
}

static void add_detail(
    struct verdict *verdict, enum msg_flag flag, const char *rule, size_t start, size_t end, const char *why)
{
    struct msg_draft *draft = verdict->draft;
    raise_flag(verdict, flag);
    if (draft->flag_details_count < MAX_DETAILS) {
        draft->flag_details[draft->flag_details_count++] = (struct msg_flag_detail){
            .flag = flag, .rule = rule, .start = (int32_t)start, .end = (int32_t)end, .why = why};
    }
}

/* Spans of one flag that overlap are one finding: the first rule that saw it speaks for it. */
static void add_spans(
    struct verdict *verdict, enum msg_flag flag, const char *prefix, const struct span_list *list)
{
    for (size_t i = 0; i < list->count;) {
        const struct span *span = &list->spans[i];
        size_t end = span->end;
        while (++i < list->count && list->spans[i].start >= span->start && list->spans[i].start < end) {
            end = list->spans[i].end > end ? list->spans[i].end : end;
        }
        const char *rule =
            prefix[0] != 0 ? arena_printf(verdict->arena, "%s%s", prefix, span->rule) : span->rule;
        add_detail(verdict, flag, rule, span->start, end, span->why);
    }
}

/* ---- the ticket ---- */

static void check_ticket_text(
    const struct guard *guard, struct verdict *verdict, const char *prefix, const char *text)
{
    struct span_list found = {.arena = verdict->scratch};
    const struct reading reading = reading_of(verdict->scratch, text);
    injection_find(guard->injection, &reading, &found);
    add_spans(verdict, MSG_FLAG_PROMPT_INJECTION, prefix, &found);
    size_t count;
    struct pii_span *pii = pii_find(verdict->scratch, text, &count);
    for (size_t i = 0; i < count; i++) {
        add_detail(verdict, MSG_FLAG_PII_DETECTED,
            arena_printf(verdict->arena, "%spii.%s", prefix, pii_name(pii[i].kind)), pii[i].start, pii[i].end,
            "personal data in the ticket");
    }
}

static void check_ticket(const struct guard *guard, struct verdict *verdict, const struct msg_ticket *ticket)
{
    check_ticket_text(guard, verdict, "ticket.subject.", ticket->subject);
    check_ticket_text(guard, verdict, "ticket.description.", ticket->description);
    for (size_t i = 0; i < ticket->messages_count; i++) {
        if (ticket->messages[i].role == MSG_ROLE_CUSTOMER) {
            const char *prefix = arena_printf(verdict->arena, "ticket.messages.%zu.", i);
            check_ticket_text(guard, verdict, prefix, ticket->messages[i].text);
        }
    }
}

struct guard_case *guard_case_new(
    const struct guard *guard, struct arena *arena, const struct guard_input *input)
{
    struct arena *scratch = arena_new(SCRATCH_MAX);
    struct guard_case *judged = ARENA_NEW(scratch, struct guard_case);
    *judged = (struct guard_case){.guard = guard, .input = *input, .arena = arena, .scratch = scratch};
    struct verdict verdict = {.arena = arena, .scratch = scratch, .draft = &judged->ticket};
    clear_findings(scratch, &judged->ticket);
    check_ticket(guard, &verdict, input->ticket);
    judged->sources = sources_new(scratch, input->ticket, input->context);
    return judged;
}

void guard_case_free(struct guard_case *judged)
{
    arena_free(judged->scratch);
}

static void add_ticket(struct verdict *verdict, const struct msg_draft *ticket)
{
    for (size_t i = 0; i < ticket->flag_details_count; i++) {
        const struct msg_flag_detail *detail = &ticket->flag_details[i];
        add_detail(
            verdict, detail->flag, detail->rule, (size_t)detail->start, (size_t)detail->end, detail->why);
    }
    for (size_t i = 0; i < ticket->safety_flags_count; i++) {
        raise_flag(verdict, ticket->safety_flags[i]); /* what is past the last detail has a flag, too */
    }
}

/* ---- the draft ---- */

/* What a page of the knowledge base says of itself, such as the support's own address, is no customer's data.
 */
static bool is_published(const struct msg_context *context, const char *text, size_t len)
{
    for (size_t i = 0; context != NULL && i < context->items_count; i++) {
        const struct msg_context_item *item = &context->items[i];
        if (item->type == MSG_ITEM_TYPE_KB &&
            memmem(item->excerpt, strlen(item->excerpt), text, len) != NULL) {
            return true;
        }
    }
    return false;
}

static void check_draft_pii(struct verdict *verdict, const struct msg_context *context)
{
    size_t count;
    const char *text = verdict->draft->text;
    struct pii_span *pii = pii_find(verdict->scratch, text, &count);
    for (size_t i = 0; i < count; i++) {
        if (!is_published(context, text + pii[i].start, pii[i].end - pii[i].start)) {
            add_detail(verdict, MSG_FLAG_PII_DETECTED,
                arena_printf(verdict->arena, "pii.%s", pii_name(pii[i].kind)), pii[i].start, pii[i].end,
                "personal data in the draft");
        }
    }
}

static void check_draft(const struct guard_case *judged, struct verdict *verdict)
{
    const struct guard *guard = judged->guard;
    const struct reading reading = reading_of(verdict->scratch, verdict->draft->text);
    check_draft_pii(verdict, judged->input.context);
    struct span_list brand = {.arena = verdict->scratch}, unsafe = brand, promise = brand, injected = brand,
                     loose = brand;
    tone_find_off_brand(guard->tone, &reading, &brand);
    add_spans(verdict, MSG_FLAG_OFF_BRAND, "", &brand);
    tone_find_unsafe(guard->tone, &reading, &unsafe);
    add_spans(verdict, MSG_FLAG_UNSAFE_CONTENT, "", &unsafe);
    promise_find(guard->promise, &reading, &promise);
    add_spans(verdict, MSG_FLAG_OVERPROMISE, "", &promise);
    injection_find(guard->injection, &reading, &injected);
    add_spans(verdict, MSG_FLAG_PROMPT_INJECTION, "", &injected);
    grounded_check(&loose, judged->sources, verdict->draft);
    add_spans(verdict, MSG_FLAG_UNGROUNDED, "", &loose);
}

bool guard_check(const struct guard_case *judged, struct msg_draft *draft, struct error *err)
{
    const struct msg_context *context = judged->input.context;
    size_t len = strlen(draft->text);
    if (len > GUARD_MAX_DRAFT) {
        return error_set(err, ERROR_REJECT, "draft_too_large",
            "the draft has %zu bytes, at most %d are judged", len, GUARD_MAX_DRAFT);
    }
    if (!utf8_valid(draft->text, len) || utf8_blank(draft->text)) {
        return error_set(err, ERROR_REJECT, "draft_unreadable", "the draft is blank or not valid UTF-8");
    }
    struct verdict verdict = {.arena = judged->arena, .scratch = arena_new(SCRATCH_MAX), .draft = draft};
    clear_findings(judged->arena, draft);
    check_draft(judged, &verdict);
    add_ticket(&verdict, &judged->ticket);
    if (context == NULL || context->aggregate_confidence < judged->input.low_context) {
        add_detail(&verdict, MSG_FLAG_LOW_CONTEXT_CONFIDENCE, "context.confidence", 0, 0,
            "what was found hardly answers the question");
    }
    arena_free(verdict.scratch);
    return true;
}

bool guard_found_pii(const struct msg_draft *draft)
{
    for (size_t i = 0; i < draft->flag_details_count; i++) {
        if (draft->flag_details[i].flag == MSG_FLAG_PII_DETECTED &&
            strncmp(draft->flag_details[i].rule, "ticket.", 7) != 0) {
            return true;
        }
    }
    return false;
}

bool guard_triggered(const struct msg_draft *draft)
{
    for (size_t i = 0; i < draft->safety_flags_count; i++) {
        enum msg_flag flag = draft->safety_flags[i];
        if (flag != MSG_FLAG_PII_DETECTED && flag != MSG_FLAG_LOW_CONTEXT_CONFIDENCE) {
            return true;
        }
    }
    return guard_found_pii(draft);
}

/* ---- what may be used ---- */

enum finding { FINDING_NONE, FINDING_INJECTION, FINDING_OTHER };

/* What does not pass: orders to the model, and what else must not be said. */
struct findings {
    struct span_list orders, others;
};

typedef void find_text(const struct guard *guard, const struct reading *reading, struct findings *found);

static void find_orders(const struct guard *guard, const struct reading *reading, struct findings *found)
{
    injection_find(guard->injection, reading, &found->orders);
}

static void find_unquotable(const struct guard *guard, const struct reading *reading, struct findings *found)
{
    find_orders(guard, reading, found);
    promise_find(guard->promise, reading, &found->others);
    tone_find_unsafe(guard->tone, reading, &found->others);
}

static struct findings findings_of(
    const struct guard *guard, struct arena *arena, find_text *find, const char *text, size_t len)
{
    struct findings found = {.orders.arena = arena, .others.arena = arena};
    const struct reading reading = reading_of(arena, arena_strndup(arena, text, len));
    find(guard, &reading, &found);
    return found;
}

bool guard_name_fits(const struct guard *guard, const char *name)
{
    struct arena *scratch = arena_new(SCRATCH_MAX);
    struct span_list found = {.arena = scratch};
    const struct reading reading = reading_of(scratch, name);
    size_t personal;
    injection_find(guard->injection, &reading, &found);
    promise_find(guard->promise, &reading, &found);
    tone_find_unsafe(guard->tone, &reading, &found);
    tone_find_off_brand(guard->tone, &reading, &found);
    (void)pii_find(scratch, name, &personal);
    bool fits = found.count + personal == 0;
    arena_free(scratch);
    return fits;
}

/* Whether one thing is said from `start` to `end`: a full stop ends it, the end of a line alone does not. */
static bool is_one(
    const char *text, const struct text_sentence *sentences, size_t count, size_t start, size_t end)
{
    for (size_t i = 0; i < count; i++) {
        size_t last = sentences[i].end;
        if (last > start && last < end && strchr(".!?", text[last - 1]) != NULL) {
            return false;
        }
    }
    return true;
}

/* Whether an order that the whole text has, and that may begin in one sentence and end in the next, touches
 * this one. */
static bool is_ordered(const char *text, const struct text_sentence *sentences, size_t count, size_t index,
    const struct span_list *orders)
{
    for (size_t i = 0; i < orders->count; i++) {
        const struct span *span = &orders->spans[i];
        if (span->start < sentences[index].end && span->end > sentences[index].start &&
            strcmp(span->rule, INJECTION_LABEL) != 0 &&
            is_one(text, sentences, count, span->start, span->end)) {
            return true;
        }
    }
    return false;
}

static enum finding judge_alone(const struct guard *guard, find_text *find, const char *text, size_t len)
{
    struct arena *scratch = arena_new(SCRATCH_MAX);
    const struct findings found = findings_of(guard, scratch, find, text, len);
    bool other = found.others.count > 0;
    enum finding finding = found.orders.count > 0 ? FINDING_INJECTION : other ? FINDING_OTHER : FINDING_NONE;
    arena_free(scratch);
    return finding;
}

/* The text with only the sentences that pass, its lines kept. Counts the injections. Where nothing is found
 * in the whole, as in most, nothing is in its sentences. */
static char *clean_text(
    const struct guard *guard, struct arena *arena, const char *text, find_text *find, size_t *injections)
{
    size_t count, out = 0, from = 0, len = strlen(text);
    struct text_sentence *sentences = text_sentences(arena, text, len + 1, &count);
    char *copy = arena_alloc(arena, len + 1);
    struct arena *scratch = arena_new(SCRATCH_MAX);
    const struct findings whole = findings_of(guard, scratch, find, text, len);
    bool passes = len <= READING_MAX_WORDS && whole.orders.count + whole.others.count == 0;
    for (size_t i = 0; i < count; i++) {
        size_t start = sentences[i].start, end = sentences[i].end;
        enum finding finding = passes ? FINDING_NONE : judge_alone(guard, find, text + start, end - start);
        if (is_ordered(text, sentences, count, i, &whole.orders)) {
            finding = FINDING_INJECTION;
        }
        size_t keep_to = finding == FINDING_NONE ? end : start;
        *injections += finding == FINDING_INJECTION;
        memcpy(copy + out, text + from, keep_to - from);
        out += keep_to - from;
        from = end;
    }
    arena_free(scratch);
    return copy;
}

static char *quotable_text(
    const struct guard *guard, struct arena *arena, const struct msg_context_item *item, size_t *injections)
{
    if (item->type != MSG_ITEM_TYPE_KB) {
        return clean_text(guard, arena, item->excerpt, find_unquotable, injections);
    }
    size_t found = 0;
    char *text = passages_get(guard->passages, arena, item->excerpt, &found);
    if (text == NULL) {
        text = clean_text(guard, arena, item->excerpt, find_unquotable, &found);
        passages_put(guard->passages, item->excerpt, text, found);
    }
    *injections += found;
    return text;
}

struct msg_context *guard_quotable(
    const struct guard *guard, struct arena *arena, const struct msg_context *context, size_t *injections)
{
    *injections = 0;
    if (context == NULL) {
        return NULL;
    }
    struct msg_context *out = ARENA_NEW(arena, struct msg_context);
    *out = *context;
    out->items = arena_array(arena, context->items_count, sizeof *out->items);
    for (size_t i = 0; i < context->items_count; i++) {
        out->items[i] = context->items[i];
        out->items[i].excerpt = quotable_text(guard, arena, &context->items[i], injections);
        if (context->items[i].title != NULL) {
            out->items[i].title =
                clean_text(guard, arena, context->items[i].title, find_unquotable, injections);
        }
    }
    return out;
}

struct msg_ticket *guard_question(
    const struct guard *guard, struct arena *arena, const struct msg_ticket *ticket)
{
    struct msg_ticket *out = ARENA_NEW(arena, struct msg_ticket);
    size_t injections = 0;
    *out = *ticket;
    out->subject = clean_text(guard, arena, ticket->subject, find_orders, &injections);
    out->description = clean_text(guard, arena, ticket->description, find_orders, &injections);
    out->messages = arena_array(arena, ticket->messages_count, sizeof *out->messages);
    for (size_t i = 0; i < ticket->messages_count; i++) {
        out->messages[i] = ticket->messages[i];
        out->messages[i].text = clean_text(guard, arena, ticket->messages[i].text, find_orders, &injections);
    }
    return injections > 0 ? out : memcpy(out, ticket, sizeof *out);
}
