/* Answers rendered for a terminal. */
#include "cmd/answer_view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/json.h"

#define LABEL_COLUMNS 16
#define BAR_MOST 40

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static bool has_items(const cJSON *array)
{
    return cJSON_IsArray(array) && cJSON_GetArraySize(array) > 0;
}

static const char *text_or(const cJSON *object, const char *name, const char *fallback)
{
    const char *text = json_str(object, name);
    return text && *text ? text : fallback;
}

static void heading(struct term *term, const char *text)
{
    term_newline(term);
    term_put(term, TERM_BOLD, text);
    term_newline(term);
}

/* How good or bad a word of the contract is. */
static enum term_style mood_style(const char *word)
{
    static const struct {
        const char *word;
        enum term_style style;
    } table[] = {
        {"critical", TERM_RED},
        {"high", TERM_YELLOW},
        {"negative", TERM_RED},
        {"positive", TERM_GREEN},
        {"completed", TERM_GREEN},
        {"completed_with_flags", TERM_YELLOW},
        {"escalated_low_confidence", TERM_YELLOW},
        {"degraded", TERM_YELLOW},
        {"fallback_guardrail_failure", TERM_RED},
        {"failed", TERM_RED},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(word, table[i].word) == 0) {
            return table[i].style;
        }
    }
    return TERM_PLAIN;
}

static void put_percent(struct term *term, const cJSON *object, const char *name, const char *label)
{
    if (cJSON_IsNumber(member(object, name))) {
        term_printf(term, TERM_DIM, "  %s %.0f %%", label, json_num(object, name, 0) * 100);
    }
}

static void view_classification(struct term *term, const cJSON *classification)
{
    static const char *const fields[] = {"category", "priority", "sentiment", "department"};
    if (!cJSON_IsObject(classification)) {
        return;
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const char *value = text_or(classification, fields[i], "-");
        term_pad(term, TERM_DIM, fields[i], LABEL_COLUMNS);
        term_put(term, mood_style(value), value);
        if (strcmp(fields[i], "department") == 0) {
            put_percent(term, classification, "confidence", "confidence");
        }
        term_newline(term);
    }
    const char *why = text_or(classification, "reasoning_snippet", NULL);
    if (why) {
        term_wrap(term, TERM_DIM, "because         ", "                ", why);
    }
}

/* The item of the context package that a citation names, by its id or address. */
static const cJSON *find_item(const cJSON *items, const char *id)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        const char *source = json_str(item, "source_id");
        const char *uri = json_str(item, "citation_uri");
        if ((source && strcmp(source, id) == 0) || (uri && strcmp(uri, id) == 0)) {
            return item;
        }
    }
    return NULL;
}

/* Addresses are not wrapped: broken ones cannot be opened. */
static void view_citation(struct term *term, int number, const char *id, const cJSON *item)
{
    const char *title = text_or(item, "title", id);
    const char *uri = text_or(item, "citation_uri", NULL);
    term_printf(term, TERM_CYAN, "  [%d] ", number);
    term_put(term, TERM_PLAIN, title);
    if (json_str(item, "type")) {
        term_printf(term, TERM_DIM, "  %s", json_str(item, "type"));
    }
    if (cJSON_IsNumber(member(item, "score"))) {
        term_printf(term, TERM_DIM, "  %.2f", json_num(item, "score", 0));
    }
    term_newline(term);
    if (uri && strcmp(uri, title) != 0) {
        term_printf(term, TERM_DIM, "      %s", uri);
        term_newline(term);
    }
}

static void view_citations(struct term *term, const cJSON *draft, const cJSON *items)
{
    const cJSON *citation;
    int number = 0;
    cJSON_ArrayForEach(citation, member(draft, "citations"))
    {
        if (cJSON_IsString(citation)) {
            view_citation(term, ++number, citation->valuestring, find_item(items, citation->valuestring));
        }
    }
}

/* Each string of an array behind a bullet. */
static void view_list(struct term *term, enum term_style style, const char *bullet, const cJSON *array)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, array)
    {
        if (cJSON_IsString(entry)) {
            term_wrap(term, style, bullet, "    ", entry->valuestring);
        }
    }
}

/* Why the flag was raised, from its first detail. */
static const char *flag_reason(const cJSON *draft, const char *flag)
{
    const cJSON *detail;
    cJSON_ArrayForEach(detail, member(draft, "flag_details"))
    {
        const char *named = json_str(detail, "flag");
        if (named && strcmp(named, flag) == 0) {
            return text_or(detail, "why", NULL);
        }
    }
    return NULL;
}

static void view_flags(struct term *term, const cJSON *draft)
{
    const cJSON *flag;
    cJSON_ArrayForEach(flag, member(draft, "safety_flags"))
    {
        if (!cJSON_IsString(flag)) {
            continue;
        }
        const char *why = flag_reason(draft, flag->valuestring);
        struct buf line;
        buf_init(&line, 64 * 1024);
        buf_printf(&line, "%s%s%s", flag->valuestring, why ? ": " : "", why ? why : "");
        term_wrap(term, TERM_YELLOW, "  ! ", "    ", buf_text(&line));
        buf_fini(&line);
    }
    view_list(term, TERM_PLAIN, "  - ", member(draft, "not_ready_because"));
}

static void view_draft(struct term *term, const char *title, const cJSON *draft, const cJSON *items)
{
    if (!cJSON_IsObject(draft)) {
        return;
    }
    term_newline(term);
    term_put(term, TERM_BOLD, title);
    const cJSON *ready = member(draft, "ready");
    if (cJSON_IsBool(ready)) {
        term_put(term, TERM_PLAIN, "  ");
        term_put(term, cJSON_IsTrue(ready) ? TERM_GREEN : TERM_YELLOW,
            cJSON_IsTrue(ready) ? "ready to send" : "not ready to send");
    }
    put_percent(term, draft, "confidence", "confidence");
    term_newline(term);
    term_wrap(term, TERM_PLAIN, "  │ ", "  │ ", text_or(draft, "text", "(empty)"));
    view_citations(term, draft, items);
    view_flags(term, draft);
}

static void view_context(struct term *term, const cJSON *context)
{
    const cJSON *items = member(context, "context_package");
    if (!cJSON_IsObject(context)) {
        return;
    }
    term_pad(term, TERM_DIM, "knowledge", LABEL_COLUMNS);
    int count = cJSON_GetArraySize(items);
    term_printf(term, TERM_PLAIN, "%d %s", count, count == 1 ? "item" : "items");
    put_percent(term, context, "aggregate_confidence", "relevance");
    term_newline(term);
}

static const struct {
    const char *label;
    const char *latency;
    const char *provenance;
} stages[] = {
    {"classification", "classification_latency_ms", "classification"},
    {"retrieval", "retrieval_latency_ms", "retrieval"},
    {"generation", "generation_latency_ms", "generation"},
};
#define STAGE_COUNT (sizeof(stages) / sizeof(stages[0]))

/* A bar for `share` (0..1) of the longest, exact to an eighth of a column. */
static void put_bar(struct term *term, double share)
{
    int columns = term->width / 2 - LABEL_COLUMNS < BAR_MOST ? term->width / 2 - LABEL_COLUMNS : BAR_MOST;
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    double clipped = share > 1 ? 1 : share < 0 || isnan(share) ? 0 : share;
    int units = (int)(clipped * columns * 8 + 0.5);
    units = units == 0 && clipped > 0 ? 1 : units;
    char bar[BAR_MOST * 4] = "";
    size_t used = 0;
    for (; units >= 8; units -= 8, used += 3) {
        memcpy(bar + used, "█", 4);
    }
    memcpy(bar + used, eighths[units], strlen(eighths[units]) + 1);
    term_pad(term, TERM_CYAN, bar, columns);
}

static void put_time(struct term *term, double ms)
{
    if (ms >= 0 && ms < 1e7) {
        term_printf(term, TERM_PLAIN, "%8.*f ms", ms < 10 ? 2 : ms < 1000 ? 1 : 0, ms);
    } else {
        term_printf(term, TERM_PLAIN, "%11s", "?");
    }
}

/* What a language model read, wrote and cost, on a line of its own. */
static void view_spent(struct term *term, const cJSON *made_by)
{
    double input = json_num(made_by, "input_tokens", 0), output = json_num(made_by, "output_tokens", 0);
    if (input > 0 || output > 0) {
        char line[128];
        snprintf(line, sizeof(line), "%.0f tokens read, %.0f written, %.4f USD", input, output,
            json_num(made_by, "cost_usd", 0));
        term_wrap(term, TERM_DIM, "    ", "    ", line);
    }
}

static void view_stage(
    struct term *term, size_t stage, const cJSON *trace, const cJSON *provenance, double longest)
{
    const cJSON *latency = member(trace, stages[stage].latency);
    const cJSON *made_by = member(provenance, stages[stage].provenance);
    term_put(term, TERM_PLAIN, "  ");
    term_pad(term, TERM_DIM, stages[stage].label, LABEL_COLUMNS);
    if (!cJSON_IsNumber(latency)) {
        term_put(term, TERM_DIM, "not done");
        term_newline(term);
        return;
    }
    put_bar(term, latency->valuedouble / longest);
    put_time(term, latency->valuedouble);
    const char *model = json_str(made_by, "model");
    if (model) {
        const char *cache = json_str(made_by, "cache");
        const char *kept = cache && strcmp(cache, "semantic") == 0 ? " (cached, semantic)" : " (cached)";
        term_printf(term, TERM_DIM, "  %s%s", model, json_bool(made_by, "cache_hit", false) ? kept : "");
    }
    term_newline(term);
    view_spent(term, made_by);
    view_list(term, TERM_YELLOW, "  ! ", member(made_by, "degraded"));
}

static void view_trace(struct term *term, const cJSON *trace, const cJSON *provenance)
{
    if (!cJSON_IsObject(trace)) {
        return;
    }
    double longest = 0;
    for (size_t i = 0; i < STAGE_COUNT; i++) {
        double ms = json_num(trace, stages[i].latency, 0);
        longest = ms > longest ? ms : longest;
    }
    heading(term, "Time");
    for (size_t i = 0; i < STAGE_COUNT; i++) {
        view_stage(term, i, trace, provenance, longest > 0 ? longest : 1);
    }
    if (cJSON_IsNumber(member(trace, "total_latency_ms"))) {
        term_put(term, TERM_PLAIN, "  ");
        term_pad(term, TERM_DIM, "in all", LABEL_COLUMNS);
        put_bar(term, 0);
        put_time(term, json_num(trace, "total_latency_ms", 0));
        term_newline(term);
    }
}

static void view_fact(struct term *term, const char *label, const char *value)
{
    if (!value) {
        return;
    }
    term_pad(term, TERM_DIM, label, LABEL_COLUMNS);
    term_put(term, mood_style(value), value);
    term_newline(term);
}

static void view_state(struct term *term, const cJSON *answer, const cJSON *trace)
{
    view_fact(term, "state", json_str(trace, "state"));
    view_fact(term, "ticket", json_str(answer, "ticket_id"));
    view_fact(term, "run", json_str(trace, "correlation_id"));
}

bool answer_view(struct term *term, const cJSON *answer)
{
    const cJSON *trace = member(answer, "trace");
    const cJSON *context = member(answer, "context");
    const cJSON *generation = member(answer, "generation");
    const cJSON *items = member(context, "context_package");
    if (!cJSON_IsObject(trace) && !cJSON_IsObject(generation) &&
        !cJSON_IsObject(member(answer, "classification"))) {
        return false;
    }
    view_state(term, answer, trace);
    view_classification(term, member(answer, "classification"));
    view_context(term, context);
    view_draft(term, "Draft", member(generation, "primary_draft"), items);
    view_draft(term, "Alternative draft", member(generation, "alternative_draft"), items);
    if (has_items(member(generation, "suggested_next_steps"))) {
        heading(term, "Suggested steps");
        view_list(term, TERM_PLAIN, "  - ", member(generation, "suggested_next_steps"));
    }
    if (has_items(member(answer, "next_actions"))) {
        heading(term, "Next actions");
        view_list(term, TERM_PLAIN, "  - ", member(answer, "next_actions"));
    }
    view_trace(term, trace, member(answer, "provenance"));
    return true;
}

/* A person may paste the line into a shell: an address that could be more than an address is not shown. */
static bool is_safe_address(const char *text)
{
    static const char safe[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/?=&%.,_~:@+-[]";
    return *text && text[strspn(text, safe)] == '\0';
}

void answer_view_accepted(struct term *term, const cJSON *answer, const char *base, const char *location)
{
    if (!*location) {
        location = text_or(answer, "location", "");
    }
    term_put(term, TERM_YELLOW, "Accepted, not answered yet: the ticket goes on.");
    term_newline(term);
    if (is_safe_address(location)) {
        term_put(term, TERM_PLAIN, "Look later:  ");
        term_printf(term, TERM_CYAN, "curl '%s%s'", location[0] == '/' ? base : "", location);
        term_newline(term);
    }
    view_state(term, answer, answer);
}

void answer_view_problem(struct term *term, int status, const cJSON *body, const char *correlation_id)
{
    term_printf(term, TERM_RED, "%d %s", status, text_or(body, "title", "error"));
    term_newline(term);
    const char *detail = text_or(body, "detail", text_or(body, "message", NULL));
    if (detail) {
        term_wrap(term, TERM_PLAIN, "  ", "  ", detail);
    }
    const cJSON *entry;
    cJSON_ArrayForEach(entry, member(body, "errors"))
    {
        struct buf line;
        buf_init(&line, 64 * 1024);
        buf_printf(&line, "%s: %s", text_or(entry, "pointer", "/"), text_or(entry, "detail", "not valid"));
        term_wrap(term, TERM_YELLOW, "  - ", "    ", buf_text(&line));
        buf_fini(&line);
    }
    const char *run = text_or(body, "correlation_id", correlation_id);
    if (*run) {
        term_printf(term, TERM_DIM, "  correlation id %s", run);
        term_newline(term);
    }
}
