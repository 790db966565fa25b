/* Any text through the guards: spans stay inside it and in order, redaction leaves nothing to find, a draft
 * is judged. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "guard/guard.h"
#include "guard/pii.h"
#include "guard/redact.h"
#include "model/language.h"
#include "model/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pii(struct arena *arena, const char *text)
{
    size_t count, from = 0;
    struct pii_span *spans = pii_find(arena, text, &count);
    for (size_t i = 0; i < count; i++) {
        if (spans[i].start < from || spans[i].end <= spans[i].start || spans[i].end > strlen(text)) {
            abort();
        }
        from = spans[i].end;
    }
    redact_text(arena, text);
}

static void check_sentences(struct arena *arena, const char *text)
{
    size_t count, from = 0;
    struct text_sentence *list = text_sentences(arena, text, 1000, &count);
    for (size_t i = 0; i < count; i++) {
        if (list[i].start < from || list[i].end <= list[i].start || list[i].end > strlen(text)) {
            abort();
        }
        from = list[i].end;
    }
    language_detect(arena, text);
}

/* The first half is the draft, the second the ticket and the source. */
static void check_draft(struct arena *arena, const struct guard *guard, const char *text)
{
    static const char *citations[] = {"a"};
    size_t half = utf8_clip(text, strlen(text) / 2);
    struct msg_ticket ticket = {.subject = "x", .description = text + half};
    struct msg_context_item item = {
        .source_id = "a", .excerpt = text + half, .title = "", .citation_uri = "", .locale = ""};
    struct msg_context context = {.items = &item, .items_count = 1, .aggregate_confidence = 1};
    struct msg_draft draft = {
        .text = arena_strndup(arena, text, half), .citations = citations, .citations_count = 1};
    const struct guard_input input = {.ticket = &ticket, .context = &context, .low_context = 0.5};
    size_t injections;
    guard_quotable(guard, arena, &context, &injections);
    guard_question(guard, arena, &ticket);
    struct guard_case *judged = guard_case_new(guard, arena, &input);
    bool done = guard_check(judged, &draft, NULL);
    guard_case_free(judged);
    if (!done) {
        return;
    }
    for (size_t i = 0; i < draft.flag_details_count; i++) {
        const struct msg_flag_detail *detail = &draft.flag_details[i];
        size_t len = strncmp(detail->rule, "ticket.", 7) == 0 ? strlen(text) : half;
        if (detail->start < 0 || detail->end < detail->start || (size_t)detail->end > len) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guard *guard;
    if (guard == NULL) {
        guard = guard_new("cheap,no way");
    }
    struct arena *arena = arena_new((size_t)1 << 30);
    char *text = arena_strndup(arena, (const char *)data, size);
    check_pii(arena, text);
    if (size < 20000 && utf8_valid(text, strlen(text))) {
        check_sentences(arena, text);
        check_draft(arena, guard, text);
    }
    arena_free(arena);
    return 0;
}
